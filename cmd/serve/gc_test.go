package serve

import "testing"

func TestGCPercent(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		live, rate uint64
		want       int
	}{
		"idle":                     {10 * mib, mib, 48},
		"idle with some users":     {40 * mib, mib, 12},
		"idle with many users":     {300 * mib, 2 * mib, 12},
		"little load":              {20 * mib, 10 * mib, 25},
		"some load":                {10 * mib, 30 * mib, 50},
		"some load, many users":    {800 * mib, 60 * mib, 50},
		"load with few users":      {10 * mib, 79 * mib, 100},
		"busy with some users":     {100 * mib, 40 * mib, 100},
		"busy with few users":      {10 * mib, 200 * mib, 1600},
		"busy with many users":     {300 * mib, 200 * mib, 100},
		"busy with nothing at all": {0, 2000 * mib, 1600},
	} {
		if got := gcPercent(c.live, c.rate); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
