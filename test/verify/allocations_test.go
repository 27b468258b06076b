package verify_test

import (
	"runtime"
	"strings"
	"testing"
)

// The table of the cache may grow: it does so rarely, by doubling.
func TestVerifyAllocatesNothingLarge(t *testing.T) {
	s := newService(t)
	v := start(t, s, nil)
	var tokens []string
	for range 200 {
		tokens = append(tokens, issueJWT(t, s, "alice"))
	}
	if _, err := v.Verify(t.Context(), issueJWT(t, s, "alice")); err != nil { // encoding/json gets to know the types
		t.Fatal(err)
	}
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	for range 2 { // new, and seen before
		for _, token := range tokens {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.MemProfileRate = rate
	runtime.GC() // publishes what was allocated
	runtime.GC()
	n, _ := runtime.MemProfile(nil, true)
	records := make([]runtime.MemProfileRecord, n+100)
	if n, complete := runtime.MemProfile(records, true); !complete {
		t.Fatalf("%d records", n)
	} else {
		records = records[:n]
	}
	found := 0
	for _, r := range records {
		stack := describe(r.Stack())
		if !strings.Contains(stack, "verify.(*Verifier).Verify\n") || strings.Contains(stack, "verify.(*shard).put\n") || r.AllocObjects == 0 {
			continue
		}
		found++
		if size := r.AllocBytes / r.AllocObjects; size > 1<<10 {
			t.Errorf("%d allocations of %d bytes in\n%s", r.AllocObjects, size, stack)
		}
	}
	if found == 0 {
		t.Error("the profile has no allocation of Verify")
	}
}

// describe returns the functions of a stack, one on each line.
func describe(stack []uintptr) string {
	var out strings.Builder
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		out.WriteString(f.Function + "\n")
		if !more {
			return out.String()
		}
	}
}
