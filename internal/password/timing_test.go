//go:build unix

package password_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// spent returns the processor time that a call takes, all threads together. Unlike time on the
// wall, it hardly grows when other processes want the same cores.
func spent(t *testing.T, call func()) time.Duration {
	t.Helper()
	before := processorTime(t)
	call()
	return processorTime(t) - before
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatalf("read processor time: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// alike measures two calls in turns until their quickest runs come within half of each other, and
// fails when they never do. What it is there to find, a derivation left out, differs by a factor of
// a hundred and more.
func alike(t *testing.T, first, second func()) {
	t.Helper()
	a, b := time.Hour, time.Hour
	for range 50 {
		a, b = min(a, spent(t, first)), min(b, spent(t, second))
		if 2*a < 3*b && 2*b < 3*a {
			return
		}
	}
	t.Errorf("took %v against %v", a, b)
}

func TestHopelessPasswordCostsWhatWrongOneCosts(t *testing.T) {
	for command, h := range cheap(t) {
		if strings.Contains(h.Class(), "-crypt") {
			continue // sha-crypt takes longer for a longer password
		}
		for name, tried := range map[string]string{
			"the right password": phrase,
			"empty":              "",
			"73 bytes":           strings.Repeat("a", 73),
			"with a NUL byte":    "a\x00b",
			"a megabyte":         strings.Repeat("a", 1<<20),
		} {
			t.Run(command+", "+name, func(t *testing.T) {
				hopeless, wrong := []byte(tried), []byte("wrong")
				alike(t, func() { h.Verify(wrong) }, func() { h.Verify(hopeless) })
			})
		}
	}
}

func TestDecoyCostsTheSameAndMatchesNothing(t *testing.T) {
	for command, h := range cheap(t) {
		t.Run(command, func(t *testing.T) {
			d := h.Decoy()
			if d.Class() != h.Class() || d.Cost() != h.Cost() || d.Free() {
				t.Errorf("the decoy of %s is %s", h.Class(), d.Class())
			}
			if d.Equal(h) || d.Equal(h.Decoy()) {
				t.Error("the decoy is not random")
			}
			if d.Verify([]byte(phrase)) {
				t.Error("the password matches the decoy")
			}
			alike(t, func() { h.Verify([]byte("wrong")) }, func() { d.Verify([]byte("wrong")) })
		})
	}
}

// The units in cost.go are for one kind of machine; this holds them to the order of magnitude on
// any.
func TestCostTimeHasRightOrder(t *testing.T) {
	longest := make([]byte, 1024)
	for command, h := range cheap(t) {
		want, took := h.Cost().Time, spent(t, func() { h.Verify(longest) })
		if took > 30*want+2*time.Millisecond || want > 30*took+2*time.Millisecond {
			t.Errorf("%s: Verify takes %v, Cost returns %v", command, took, want)
		}
	}
}
