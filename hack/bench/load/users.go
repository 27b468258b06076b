package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The users that the service starts with. Each has a hash of its own object, and all hashes are the
// same string, so that making them takes no time; the service cannot know that they are equal.
const (
	password   = "Copper-Window-58-Harbour"
	bcryptCost = 10
	knownLogin = "known@example.com"
	victims    = 64 // users whose passwords are guessed
)

func newcomer(i int) string { return fmt.Sprintf("newcomer-%d", i) }
func victim(i int) string   { return fmt.Sprintf("victim-%d", i) }

// writeUsers writes the manifests of the known user, of one who logs in with assertions, of so many newcomers, who log in for the first
// time, and of the victims.
func writeUsers(dir, issuerURL string, newcomers int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Secret\nmetadata: {name: hash, namespace: gatehouse-users}\nstringData: {hash: '%s'}\n", hash)
	writeUser(&b, "known", "  login: "+knownLogin+"\n  displayName: A Known User\n  email: "+knownLogin+"\n  groups: [operators, developers]\n")
	fmt.Fprintf(&b, "---\napiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: %s, namespace: gatehouse-users}\nspec:\n"+
		"  displayName: A Known User\n  email: %s\n  groups: [operators, developers]\n"+
		"  identities: [{federated: {issuer: %q, subject: %s}}]\n", identityLogin, knownLogin, issuerURL, identityLogin)
	for i := range newcomers {
		writeUser(&b, newcomer(i), "")
	}
	for i := range victims {
		writeUser(&b, victim(i), "")
	}
	return os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(b.String()), 0o600)
}

// writeUser adds a User whose spec begins with fields.
func writeUser(b *strings.Builder, name, fields string) {
	fmt.Fprintf(b, "---\napiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: %s, namespace: gatehouse-users}\nspec:\n%s", name, fields)
	b.WriteString("  passwords:\n  - hashFrom: {secretKeyRef: {name: hash, key: hash}}\n")
}
