package authn_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// concurrency observes how many hashes run at once.
type concurrency struct {
	mu            sync.Mutex
	running, most int
}

func (c *concurrency) HashWaited(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	c.most = max(c.most, c.running)
}

func (c *concurrency) HashComputed(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
}

// Guesses at a user with a large hash, and at unknown logins, which cost the same, run at once only as
// far as their memory allows, however many slots there are.
func TestGuessesAtLargeHashStayWithinMemory(t *testing.T) {
	t.Parallel()
	const large = "$argon2id$v=19$m=32768,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAphArZDZ2YHeoBE"
	for memory, want := range map[int64]int{70 << 20: 2, 40 << 20: 1} {
		seen := &concurrency{}
		h := newFixture(func(c *authn.PasswordConfig) { c.HashConcurrency, c.HashMemory, c.Observer = 8, memory, seen })
		h.put(t, "jean", directory.Password{Hash: parse(t, large)})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if err := h.login([]string{"jean", "nobody"}[i%2], fmt.Sprint(wrong, i)); !authn.IsRefusal(err) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if seen.most > want {
			t.Errorf("%d hashes of 32 MiB run at once in %d MiB", seen.most, memory>>20)
		}
	}
}
