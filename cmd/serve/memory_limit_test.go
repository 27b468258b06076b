package serve

import (
	"math"
	"testing"
)

func TestHashMemory(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int64{
		math.MaxInt64: 2 << 30, 1 << 30: 512 << 20, 200 << 20: 100 << 20, 40 << 20: 32 << 20,
	} {
		if got := hashMemoryOf(limit); got != want {
			t.Errorf("with a limit of %d bytes, hashes may take %d, want %d", limit, got, want)
		}
	}
}
