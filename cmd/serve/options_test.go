package serve

import "testing"

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
