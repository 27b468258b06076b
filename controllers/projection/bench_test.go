package projection

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// BenchmarkProject projects a User with a hash and one with a plaintext password, as on each change
// and each start.
func BenchmarkProject(b *testing.B) {
	const spec = `{login: jean@example.com, email: jean@example.com, groups: [deployers, readers], expiresAt: "2028-01-01T00:00:00Z", `
	const hash = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	p := NewProjector(password.NewKeyer(), nil)
	for name, from := range map[string]string{"hash": "hashFrom", "plaintext": "plaintextFrom"} {
		b.Run(name, func(b *testing.B) {
			u, secrets := userFromSpec(b, spec+`passwords: [{`+from+`: {secretKeyRef: {name: s, key: a}}}]}`), secretHolding(map[string]string{"a": hash})
			b.ReportAllocs()
			for b.Loop() {
				if problems := p.Project(u, secrets).Problems; len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}
