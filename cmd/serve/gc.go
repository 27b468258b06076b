package serve

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// By default, Go collects garbage when there is as much of it as live data. A busy service with
// little live data, as with a few thousand users, would collect many times a second and spend a
// tenth of its time on it. So while the service is busy, at least minBusyGarbage bytes may
// accumulate. An idle service keeps its memory small: it collects sooner than by default, sooner
// still with much live data, and after a while returns to the operating system what it took while
// busy, which the runtime would do bit by bit over minutes.
const (
	minBusyGarbage = 64 << 20        // bytes
	busyRate       = 16 << 20        // bytes allocated per second, or
	busyShare      = 8               // one of so many bytes of live data
	gcTuneInterval = 2 * time.Second // between two looks at the load
	calmIntervals  = 2               // consecutive intervals below that until it collects sooner
	idleIntervals  = 5               // and until it returns memory
	defaultPercent = 100
	idlePercent    = 50
	muchLiveData   = 128 << 20 // bytes, above which an idle service accumulates half as much garbage
)

// tuneGC adapts the garbage collector to the load until ctx ends. It does nothing if GOGC is set,
// which is the operator's choice. A limit set with GOMEMLIMIT holds in any case.
func tuneGC(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticker := time.NewTicker(gcTuneInterval)
	defer ticker.Stop()
	percent, calm, used := defaultPercent, 0, false
	_, before := heap()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		live, allocated := heap()
		next := gcPercent(live, (allocated-before)/uint64(gcTuneInterval/time.Second))
		before = allocated
		if calm++; next >= defaultPercent {
			calm, used = 0, true
		}
		if next != percent && (calm == 0 || calm >= calmIntervals) {
			debug.SetGCPercent(next)
			percent = next
		}
		if used && calm >= idleIntervals {
			debug.FreeOSMemory()
			used = false
		}
	}
}

// gcPercent returns the GOGC for a heap with live bytes of data and rate bytes allocated per
// second. Its values are coarse steps, so that it seldom changes.
func gcPercent(live, rate uint64) int {
	switch busy := rate >= max(busyRate, live/busyShare); {
	case !busy && live < muchLiveData:
		return idlePercent
	case !busy: // a collection every two seconds at most
		return idlePercent / 2
	}
	percent := defaultPercent
	for live*uint64(percent) < minBusyGarbage*100 && percent < 16*defaultPercent {
		percent *= 2
	}
	return percent
}

// heap returns the bytes that were live at the last collection, and those allocated since the
// process started.
func heap() (live, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
