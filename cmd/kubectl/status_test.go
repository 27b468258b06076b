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
