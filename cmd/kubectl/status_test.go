package kubectl

import (
	"strings"
	"testing"
	"time"
)

func TestStatusWarnsBeforeACertificateEnds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]int{-time.Hour: 1, 6 * 24 * time.Hour: 1, 8 * 24 * time.Hour: 0} {
		ends := now.Add(left)
		s := &serviceStatus{now: now, Replicas: []replica{{Name: "a", Ready: true, answer: answer{CertificateEnds: &ends}}}}
		s.compare()
		if len(s.Warnings) != want || want > 0 && !strings.Contains(s.Warnings[0], "the certificate of replica a ends at "+ends.Format(time.RFC3339)) {
			t.Errorf("a certificate that ends in %s: warnings %q, want %d", left, s.Warnings, want)
		}
	}
}

func TestStatusLeavesTerminatingReplicasOut(t *testing.T) {
	t.Parallel()
	s := &serviceStatus{Namespace: "gatehouse-system", Replicas: []replica{
		{Name: "a", Ready: true, answer: answer{Version: "v2"}},
		{Name: "b", Ready: true, Terminating: true, answer: answer{Version: "v1", NotReady: "shutting down"}},
	}}
	s.compare()
	var out strings.Builder
	if err := s.write(&out); err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) > 0 || !strings.Contains(out.String(), "1 of 1 replicas") || !strings.Contains(out.String(), "terminating") {
		t.Errorf("warnings %q, and\n%s", s.Warnings, out.String())
	}
}

func TestStatusSaysWhyAReplicaIsNotReady(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]answer{
		"its readiness probe fails":    {},
		"no key can issue tokens yet":  {Version: "v1", NotReady: "no key can issue tokens yet"},
		"it says that it can serve, b": {Version: "v1"},
	} {
		s := &serviceStatus{Replicas: []replica{{Name: "a", answer: a}}}
		s.compare()
		if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "replica a is not ready: "+want) {
			t.Errorf("%+v: warnings %q, want %q", a, s.Warnings, want)
		}
	}
}
