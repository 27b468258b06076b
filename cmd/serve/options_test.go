package serve

import (
	"testing"
	"time"
)

func TestMetricsAreLocalWithManifests(t *testing.T) {
	t.Parallel()
	users := t.TempDir()
	for _, c := range []struct{ manifests, given, want string }{
		{"", "", ":8080"},
		{users, "", "localhost:8080"},
		{users, ":9090", ":9090"},
		{users, "0", "0"},
	} {
		o := NewOptions()
		o.Manifests = c.manifests
		if c.given != "" {
			o.MetricsBindAddress = c.given
		}
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		if o.MetricsBindAddress != c.want {
			t.Errorf("%+v: got %q", c, o.MetricsBindAddress)
		}
	}
}

func TestStalenessLeavesRoomForSignsOfLife(t *testing.T) {
	t.Parallel()
	for bound, good := range map[time.Duration]bool{0: true, 30 * time.Second: true, time.Hour: true, 29 * time.Second: false, -time.Second: false} {
		o := NewOptions()
		o.MaximumStaleness = bound
		if err := o.Validate(); (err == nil) != good {
			t.Errorf("%s: %v", bound, err)
		}
	}
}
