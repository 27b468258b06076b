package directory

import (
	"net/netip"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func testPolicy() LockPolicy {
	return LockPolicy{
		NetworkAfter: 10, NetworkFor: 30 * time.Minute, NetworkLongest: 24 * time.Hour, AccountAfter: 50, AccountNetworks: 5,
		AccountFor: 30 * time.Minute, AccountForEver: 100, Forever: noon.AddDate(1000, 0, 0),
	}
}

func TestNetworkOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.255", true},
		{"192.0.2.1", "::ffff:192.0.2.9", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"2001:db8:1:2:3::", "2001:db8:1:ffff::", true},
		{"2001:db8:1::", "2001:db8:2::", false},
		{"0.0.0.1", "::1", false},
	} {
		if same := NetworkOf(netip.MustParseAddr(c.a)) == NetworkOf(netip.MustParseAddr(c.b)); same != c.same {
			t.Errorf("%s and %s: same network %v", c.a, c.b, same)
		}
	}
	if NetworkOf(netip.Addr{}) != 0 || NetworkOf(netip.IPv6Unspecified()) == 0 {
		t.Error("an unknown source has a network, or a known one has none")
	}
}

func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	var f Failures
	p := testPolicy()
	p.AccountForEver = 1 << 30
	for i := range 100_000 {
		f.Fail(Network(i), 0, noon, p)
		f.Succeed(Network(i), 0, noon)
		f.Fail(Network(i), 0, noon, p)
	}
	if len(f.networks) > maximumNetworks || len(f.successes) > maximumSuccesses || len(f.rowNetworks) > p.AccountNetworks {
		t.Errorf("%d failing networks, %d successes, %d networks of the row", len(f.networks), len(f.successes), len(f.rowNetworks))
	}
}

func TestNewNetworkDisplacesWhoseLockEndsFirst(t *testing.T) {
	t.Parallel()
	var f Failures
	p := testPolicy()
	p.AccountAfter, p.AccountForEver = 1<<30, 1<<30
	for range 10 {
		f.Fail(1, 0, noon.Add(time.Minute), p)
	}
	for i := range 1000 {
		f.Fail(Network(2+i), 0, noon, p)
	}
	if !f.Locks(1, noon.Add(time.Minute)) {
		t.Error("failures of other networks have lifted the lock of one")
	}
}

// The status may show failures late, of this replica and of others. The row is never taken for
// longer than it is.
func TestFailuresInARow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(f *Failures)
		shown   int
		want    int
	}{
		"none are shown yet":         {func(f *Failures) { fail(f, 3, 0) }, 0, 3},
		"all are shown":              {func(f *Failures) { fail(f, 3, 0); f.followCount(0, 3) }, 3, 3},
		"others saw more":            {func(f *Failures) { fail(f, 3, 0); f.followCount(0, 9) }, 9, 9},
		"others saw more before":     {func(f *Failures) { fail(f, 3, 20) }, 20, 23},
		"some are shown":             {func(f *Failures) { fail(f, 3, 0); f.followCount(0, 3); fail(f, 2, 3) }, 3, 5},
		"a success is not shown yet": {func(f *Failures) { f.Succeed(1, 40, noon); fail(f, 2, 40) }, 40, 2},
		"a success here is shown":    {func(f *Failures) { f.Succeed(1, 40, noon); fail(f, 2, 40); f.followCount(40, 0) }, 0, 2},
		"a success elsewhere":        {func(f *Failures) { fail(f, 9, 0); f.followCount(0, 9); f.followCount(9, 0) }, 0, 0},
	} {
		var f Failures
		c.happens(&f)
		if got := f.total(c.shown); got != c.want {
			t.Errorf("%s: %d failures in a row, want %d", name, got, c.want)
		}
	}
}

func fail(f *Failures, times, shown int) {
	for range times {
		f.Fail(7, shown, noon, testPolicy())
	}
}
