package directory_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// The numbers of users that benchmarks compare.
var populations = []int{1000, 1000000}

// crowd is a directory of many users like those that controllers put there: no string is shared but
// the groups' names.
func crowd(b *testing.B, n int) *directory.Directory {
	b.Helper()
	d := directory.New()
	groups := []string{"staff", "operators"}
	for i := range n {
		name := strconv.Itoa(i)
		h, err := password.Parse("$2b$10$" + fmt.Sprintf("%022d", i) + "abcdefghijklmnopqrstuvwxyz0123O")
		if err != nil {
			b.Fatal(err)
		}
		d.Put(&directory.User{
			Key: "gatehouse-users/user-" + name, UID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Login: loginOf(i),
			DisplayName: "User Number " + name, Email: name + "@mail.example.com", Groups: append([]string(nil), groups...),
			Created: start, LastTokenIssuedAt: start,
			Credentials: &directory.Credentials{
				Revision: fmt.Sprintf("1/%032d", i), Passwords: []directory.Password{{Hash: h}},
			},
		})
	}
	return d
}

func loginOf(i int) string { return "user-" + strconv.Itoa(i) + "@example.com" }

// crowds makes each directory once, because that takes longer than the benchmarks.
var crowds sync.Map

func crowdOnce(b *testing.B, n int) *directory.Directory {
	b.Helper()
	if made, ok := crowds.Load(n); ok {
		d, _ := made.(*directory.Directory)
		return d
	}
	d := crowd(b, n)
	crowds.Store(n, d)
	return d
}

// BenchmarkMemory measures what one user takes in the directory, all strings and indexes included.
func BenchmarkMemory(b *testing.B) {
	for _, n := range populations {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			var taken uint64
			for b.Loop() {
				before := heap()
				d := crowd(b, n)
				taken = heap() - before
				runtime.KeepAlive(d)
			}
			b.ReportMetric(float64(taken)/float64(n), "B/user")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkLookup asks for one user after another in random order, as an API does: by login, and
// for the verdict.
func BenchmarkLookup(b *testing.B) {
	for _, n := range populations {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			d := crowdOnce(b, n)
			b.ReportAllocs()
			for b.Loop() {
				lookUp(b, d, rand.N(n))
			}
		})
	}
}

// BenchmarkLookupWhileUsersChange does the same on all cores while one goroutine replaces users
// without a pause.
func BenchmarkLookupWhileUsersChange(b *testing.B) {
	for _, n := range populations {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			d := crowdOnce(b, n)
			var stop atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; !stop.Load(); i++ {
					u, _ := d.ByLogin(loginOf(i % n))
					next := *u
					d.Put(&next)
				}
			})
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					lookUp(b, d, rand.N(n))
				}
			})
			b.StopTimer()
			stop.Store(true)
			wg.Wait()
		})
	}
}

// BenchmarkCacheMiss reads memory that no cache holds, at a place that only the read before tells.
// No lookup among a million users can do without: their logins alone are more than a cache holds.
func BenchmarkCacheMiss(b *testing.B) {
	const size = 1 << 25 // of 8 bytes: 256 MiB
	next := make([]int, size)
	for i := range next {
		next[i] = i
	}
	for i := size - 1; i > 0; i-- { // Sattolo's algorithm makes one cycle of all
		j := rand.IntN(i)
		next[i], next[j] = next[j], next[i]
	}
	at := 0
	for b.Loop() {
		at = next[at]
	}
	if next[at] == at {
		b.Error("the way through the memory is too short")
	}
}

// lookUp makes the login of a user in place, so that nothing but the directory is the larger for
// more users.
func lookUp(b *testing.B, d *directory.Directory, i int) {
	u, ok := d.ByLogin(loginOf(i))
	if !ok || u.Check(start) != nil {
		b.Errorf("user %d is not found, or not in order", i)
	}
}
