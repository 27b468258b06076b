package directory_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestReportIssueOnceInAWhile(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		lastKnown time.Time
		asked     []time.Time
		want      []bool
	}{
		"the first of all":           {time.Time{}, []time.Time{noon}, []bool{true}},
		"not again at once":          {time.Time{}, []time.Time{noon, noon, noon.Add(59 * time.Minute)}, []bool{true, false, false}},
		"again after an hour":        {time.Time{}, []time.Time{noon, noon.Add(time.Hour)}, []bool{true, true}},
		"not if others told of one":  {noon.Add(-time.Minute), []time.Time{noon}, []bool{false}},
		"if others told long before": {noon.Add(-time.Hour), []time.Time{noon}, []bool{true}},
	} {
		t.Run(name, func(t *testing.T) {
			credentials := &directory.Credentials{}
			for i, at := range c.asked {
				if got := credentials.ReportIssue(c.lastKnown, at, time.Hour); got != c.want[i] {
					t.Errorf("at %s: %t, want %t", at, got, c.want[i])
				}
			}
		})
	}
}

func TestReportIssueOnceForConcurrentCallers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	credentials := &directory.Credentials{}
	var reported atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if credentials.ReportIssue(time.Time{}, now, time.Hour) {
				reported.Add(1)
			}
		})
	}
	all.Wait()
	if n := reported.Load(); n != 1 {
		t.Errorf("%d reports", n)
	}
}
