package serve

import (
	"testing"
	"time"
)

const mib = 1 << 20

func TestGCPercent(t *testing.T) {
	t.Parallel()
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

// process has live data and allocates.
type process struct {
	gcTuner
	heapUse
}

func newProcess(live uint64) *process {
	p := &process{heapUse: heapUse{live: live, held: live}}
	p.gcTuner = gcTuner{percent: idlePercent, before: p.heapUse, returned: live}
	return p
}

// run lets some time pass at a rate in bytes per second, and returns how often the process returned memory.
func (p *process) run(d time.Duration, rate uint64) (returns int) {
	for range d / gcTuneInterval {
		p.allocated += rate / uint64(time.Second/gcTuneInterval)
		if p.step(p.heapUse) {
			p.held = p.live
			p.returned = p.held
			returns++
		}
	}
	return returns
}

func TestGOGCGrowsBySteps(t *testing.T) {
	t.Parallel()
	p := newProcess(40 * mib)
	for _, want := range []int{24, 48, 96, 192, 384, 400, 400} {
		if p.run(gcTuneInterval, 200*mib); p.percent != want {
			t.Fatalf("GOGC is %d, want %d", p.percent, want)
		}
	}
}

// A pause between two bursts does not make the second one begin with a small GOGC.
func TestGOGCFallsToWhatTheLastSecondsDeserve(t *testing.T) {
	t.Parallel()
	p := newProcess(40 * mib)
	p.run(5*time.Second, 200*mib)
	if p.run(5500*time.Millisecond, 60*mib); p.percent != 400 {
		t.Errorf("GOGC is %d after 5.5 s with less load", p.percent)
	}
	if p.run(gcTuneInterval, 0); p.percent != 100 {
		t.Errorf("GOGC is %d, want what most of the last 6 s deserve", p.percent)
	}
	if p.run(6*time.Second, mib); p.percent != idlePercent {
		t.Errorf("GOGC is %d for an idle process", p.percent)
	}
}

func TestIdleProcessReturnsMemoryOnce(t *testing.T) {
	t.Parallel()
	p := newProcess(40 * mib)
	p.held = 100 * mib
	if n := p.run(9*time.Second, mib); n != 0 {
		t.Errorf("returned memory %d times within 9 s", n)
	}
	p.run(gcTuneInterval, 100*mib)
	if n := p.run(9*time.Second, mib); n != 0 {
		t.Errorf("returned memory %d times within 9 s of a busy moment", n)
	}
	if n := p.run(time.Minute, mib); n != 1 {
		t.Errorf("returned memory %d times in a minute, want once", n)
	}
	p.held = 45 * mib // garbage as GOGC allows
	if n := p.run(time.Minute, mib); n != 0 {
		t.Errorf("returned memory %d times that it needs", n)
	}
}
