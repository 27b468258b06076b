// Package projection turns a User and its Secrets into the directory's user and into the status of
// the User. API types go no further than this package. It starts nothing and depends on nothing
// that runs.
package projection

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// Projector turns a User and its Secrets into the directory's user: this is where fields of the API
// become behaviour. It is safe for concurrent use.
type Projector struct {
	// HashMemory is how many bytes a password hash may take; 0: any number. Set it before the first
	// call of Project.
	HashMemory int64

	keyer *password.Keyer
	key   []byte // of the digests in revisions, so that a revision reveals nothing about a password
}

// NewProjector returns a Projector that stores plaintext passwords as digests under keyer.
// Revisions made under the same key are comparable. If key is nil, the Projector makes one, and
// revisions are comparable only within this Projector.
func NewProjector(keyer *password.Keyer, key []byte) *Projector {
	if key == nil {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails, by its own contract
	}
	return &Projector{keyer: keyer, key: key}
}

// Projection is a User as the directory holds it, with remarks about its passwords.
type Projection struct {
	User *directory.User
	// Problems says which passwords are left out, and why.
	Problems []Problem
	// NotPermitted says what the Tenant of the User does not permit; empty if it permits the User.
	NotPermitted string
	// Weak, Guessable and Newlines are remarks about passwords that work, one message for each password.
	Weak, Guessable, Newlines []string
}

// Problem is a reason and a message for the Ready condition. The message says what to do and
// contains nothing from a Secret.
type Problem struct {
	Reason, Message string
}

// Project returns the directory's user for u. It is pure, except that it looks up Secrets. Every
// User has a projection: one without a usable password is in the directory but cannot log in.
//
// The revision of the credentials changes with the generation of the object and with the passwords
// that its references resolve to. It does not change with the status, nor with any other value in a
// Secret.
func (p *Projector) Project(u *authv1alpha1.User, secrets Secrets) Projection {
	b := projectionBuilder{Projector: p, secrets: secrets, digest: hmac.New(sha256.New, p.key), out: Projection{User: baseUser(u)}}
	for i := range u.Spec.Passwords {
		b.addPassword(&u.Spec.Passwords[i], "passwords["+passwordName(&u.Spec.Passwords[i])+"]")
	}
	b.out.User.Credentials.Revision = revision(u.Generation, b.digest)
	return b.out
}

// passwordName returns the name of a password, which the schema sets if it is absent.
func passwordName(p *authv1alpha1.Password) string { return cmp.Or(p.Name, "default") }

// projectionBuilder holds the state of one call of Project.
type projectionBuilder struct {
	*Projector
	secrets Secrets
	digest  hash.Hash // of the values that the references resolve to
	out     Projection
}

// baseUser returns the directory's user without its passwords.
func baseUser(u *authv1alpha1.User) *directory.User {
	e := &directory.User{
		Key:                u.Namespace + "/" + u.Name,
		UID:                string(u.UID),
		Login:              u.EffectiveLogin(),
		DisplayName:        u.Spec.DisplayName,
		Email:              u.Spec.Email,
		Groups:             internAll(u.Spec.Groups),
		Audiences:          internAll(u.Spec.Audiences),
		Created:            u.CreationTimestamp.Time,
		Unreadable:         stored.Fault(u) != "",
		Revoked:            u.Spec.Revoked,
		ExpiresAt:          timeOf(u.Spec.ExpiresAt),
		TokensValidAfter:   timeOf(u.Spec.TokensValidAfter),
		TokensRevokedAt:    timeOf(u.Status.TokensRevokedAt),
		RecordedRevocation: recordedRevocation(u),
		LockedUntil:        timeOf(u.Status.LockedUntil),
		FailedLogins:       int(u.Status.FailedLogins),
		LastTokenIssuedAt:  timeOf(u.Status.LastTokenIssuedAt),
		Identities:         Identities(u),
		Credentials:        &directory.Credentials{},
	}
	if policy := u.Spec.TokenPolicy; policy != nil {
		e.DefaultLifetime = durationOf(policy.DefaultLifetime)
		e.MaximumLifetime = durationOf(policy.MaximumLifetime)
	}
	return e
}

// addPassword resolves one password. It leaves out and reports a password that cannot be used, so
// that the others still work.
func (b *projectionBuilder) addPassword(spec *authv1alpha1.Password, name string) {
	value, problem := resolveRef(spec.Source(), b.secrets)
	addToDigest(b.digest, spec.HashFrom != nil, value)
	var h *password.Hash
	if problem == nil {
		h, problem = b.readHash(spec, value)
	}
	if problem != nil {
		b.out.Problems = append(b.out.Problems, Problem{problem.Reason, name + ": " + problem.Message})
		return
	}
	b.addRemarks(spec, name, value, h)
	c := b.out.User.Credentials
	c.Passwords = append(c.Passwords, directory.Password{Hash: h, ExpiresAt: timeOf(spec.ExpiresAt)})
}

// addRemarks records what is unusual about a password that works.
func (b *projectionBuilder) addRemarks(spec *authv1alpha1.Password, name string, value []byte, h *password.Hash) {
	plaintext := spec.HashFrom == nil
	weak, newline := h.Weak(), plaintext && bytes.HasSuffix(value, []byte("\n"))
	guessable := plaintext && password.Guessable(value)
	if weak == "" && !newline && !guessable {
		return
	}
	place := fmt.Sprintf("%s (%s)", name, describeRef(spec.Source()))
	if weak != "" {
		b.out.Weak = append(b.out.Weak, place+": "+weak)
	}
	if guessable {
		b.out.Guessable = append(b.out.Guessable, place)
	}
	if newline {
		b.out.Newlines = append(b.out.Newlines, place)
	}
}

// resolveRef returns the value that a reference leads to.
func resolveRef(ref *authv1alpha1.SecretKeyRef, secrets Secrets) ([]byte, *Problem) {
	if ref == nil {
		return nil, &Problem{authv1alpha1.ReasonNoPassword, "neither hashFrom nor plaintextFrom is set; set one of them"}
	}
	secret := secrets(ref.Name)
	if secret == nil {
		return nil, &Problem{authv1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %q not found in the namespace of "+
			"the User; create it or correct the name (Secrets of types such as kubernetes.io/tls are not read)", ref.Name)}
	}
	if isOversized(secret, ref.Key) {
		return nil, &Problem{authv1alpha1.ReasonSecretValueTooLarge, fmt.Sprintf("%s is longer than %d bytes, the "+
			"maximum for a password or hash; store only the password or its hash there", describeRef(ref), maximumValue)}
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return nil, &Problem{authv1alpha1.ReasonSecretKeyNotFound, fmt.Sprintf("Secret %q has no key %q; add the key to the "+
			"Secret or correct the key in the User", ref.Name, ref.Key)}
	}
	return value, nil
}

// readHash makes a hash from the value of a Secret.
func (p *Projector) readHash(spec *authv1alpha1.Password, value []byte) (*password.Hash, *Problem) {
	place := describeRef(spec.Source())
	if spec.HashFrom != nil {
		h, err := password.Parse(string(value))
		if err != nil {
			return nil, &Problem{authv1alpha1.ReasonInvalidHash, fmt.Sprintf("%s: %v", place, err)}
		}
		if needs := h.Cost().Memory; p.HashMemory > 0 && needs > p.HashMemory {
			return nil, &Problem{authv1alpha1.ReasonHashTooLarge, fmt.Sprintf("%s: the hash takes %d MiB of memory, and the service "+
				"has %d MiB for hashes; make one that takes less with gatehouse hash-password, or raise the memory limit of the service",
				place, (needs+1<<20-1)>>20, p.HashMemory>>20)}
		}
		return h, nil
	}
	switch {
	case len(value) == 0:
		return nil, &Problem{authv1alpha1.ReasonNoPassword, place + " is empty, and an empty password never logs in; " +
			"store the password there"}
	case len(value) > password.MaximumLength:
		return nil, &Problem{authv1alpha1.ReasonSecretValueTooLarge, fmt.Sprintf("%s is longer than %d bytes, the "+
			"maximum for a password; use a shorter one", place, password.MaximumLength)}
	default:
		return p.keyer.NewPlaintext(value), nil
	}
}

// describeRef names the place of a value, never the value itself.
func describeRef(ref *authv1alpha1.SecretKeyRef) string {
	return fmt.Sprintf("key %q of Secret %q", ref.Key, ref.Name)
}

// addToDigest adds the value of one reference to the digest. The length keeps apart two lists of
// values that have the same concatenation.
func addToDigest(digest hash.Hash, hashed bool, value []byte) {
	var head [9]byte
	if hashed {
		head[0] = 1
	}
	binary.BigEndian.PutUint64(head[1:], uint64(len(value)))
	_, _ = digest.Write(head[:]) // a hash.Hash never returns an error
	_, _ = digest.Write(value)
}

// revision combines a generation and the digest of the passwords.
func revision(generation int64, digest hash.Hash) string {
	return strconv.FormatInt(generation, 10) + "/" + hex.EncodeToString(digest.Sum(nil)[:16])
}

// SamePasswords reports whether two revisions from the same Projector, or from Projectors with the
// same key, stand for the same passwords, even if the generations differ.
func SamePasswords(a, b string) bool {
	_, x, _ := strings.Cut(a, "/")
	_, y, _ := strings.Cut(b, "/")
	return x == y
}

// internAll returns names with each of them stored once in the process, regardless of the number of
// users that have it.
func internAll(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = Intern(name)
	}
	return out
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// durationOf returns the length of a lifetime, or 0 if there is none. A lifetime that cannot be
// parsed breaks the schema and makes its User unreadable before it is projected.
func durationOf(l *authv1alpha1.Lifetime) time.Duration {
	if l == nil {
		return 0
	}
	d, err := l.Duration()
	if err != nil {
		return 0
	}
	return d
}

// recordedRevocation returns the time of revocation of a status that shows the user as revoked, in Unix
// seconds, and 0 of any other.
func recordedRevocation(u *authv1alpha1.User) int64 {
	if u.Status.State != authv1alpha1.UserRevoked || u.Status.TokensRevokedAt == nil {
		return 0
	}
	return u.Status.TokensRevokedAt.Unix()
}
