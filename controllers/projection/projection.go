// Package projection turns a User and its Secrets into the user of the directory and into the status of the User. API types end
// here. It depends on nothing that runs.
package projection

import (
	"bytes"
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
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// Projector turns a User and its Secrets into the directory's user. It is where API types end: a field becomes behaviour
// here. It is safe for concurrent use.
type Projector struct {
	keyer *password.Keyer
	key   []byte // of the digests in revisions: what a revision tells about a password is worth nothing elsewhere
}

// NewProjector returns a Projector whose plaintext passwords are digests under keyer. Revisions of one key compare; without a
// key, with nil, they compare within this Projector only.
func NewProjector(keyer *password.Keyer, key []byte) *Projector {
	if key == nil {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails, by its own contract
	}
	return &Projector{keyer: keyer, key: key}
}

// Projection is a User as the directory holds it, and what there is to say about its passwords.
type Projection struct {
	User *directory.User
	// Problems are the passwords that are left out, and why.
	Problems []Problem
	// Weak and Newlines are remarks about passwords that work.
	Weak, Newlines []string
}

// Problem is a reason for the Ready condition and a message that a person can act on. It holds no content of a Secret.
type Problem struct {
	Reason, Message string
}

// Project is pure but for the Secrets it looks up. Every User gives an entry: one without any usable password is known and
// cannot log in.
//
// The credentials' revision changes with the object's generation and with the passwords that its references lead to. It does
// not change with status, nor with anything else in a Secret.
func (p *Projector) Project(u *authv1alpha1.User, secrets Secrets) Projection {
	b := projectionInProgress{Projector: p, secrets: secrets, digest: hmac.New(sha256.New, p.key), out: Projection{User: baseUser(u)}}
	for i := range u.Spec.Passwords {
		b.add(&u.Spec.Passwords[i], "passwords["+strconv.Itoa(i)+"]")
	}
	b.out.User.Credentials.Revision = revision(u.Generation, b.digest)
	return b.out
}

// projectionInProgress is one call of Project.
type projectionInProgress struct {
	*Projector
	secrets Secrets
	digest  hash.Hash // of what the references led to
	out     Projection
}

// baseUser is everything about a user but its passwords.
func baseUser(u *authv1alpha1.User) *directory.User {
	e := &directory.User{
		Key:               u.Namespace + "/" + u.Name,
		UID:               string(u.UID),
		Login:             u.EffectiveLogin(),
		DisplayName:       u.Spec.DisplayName,
		Email:             u.Spec.Email,
		Groups:            shared(u.Spec.Groups),
		Created:           u.CreationTimestamp.Time,
		Unreadable:        u.Unreadable != "",
		Revoked:           u.Spec.Revoked,
		ExpiresAt:         timeOf(u.Spec.ExpiresAt),
		TokensValidAfter:  timeOf(u.Spec.TokensValidAfter),
		TokensRevokedAt:   timeOf(u.Status.TokensRevokedAt),
		LockedUntil:       timeOf(u.Status.LockedUntil),
		FailedLogins:      int(u.Status.FailedLogins),
		LastTokenIssuedAt: timeOf(u.Status.LastTokenIssuedAt),
		Credentials:       &directory.Credentials{},
	}
	if policy := u.Spec.TokenPolicy; policy != nil {
		e.DefaultLifetime = durationOf(policy.DefaultLifetime)
		e.MaximumLifetime = durationOf(policy.MaximumLifetime)
	}
	return e
}

// add resolves one password. What cannot be used is left out and reported; the others still log in.
func (b *projectionInProgress) add(spec *authv1alpha1.Password, name string) {
	value, problem := resolve(spec.Source(), b.secrets)
	addToDigest(b.digest, spec.HashFrom != nil, value)
	var h *password.Hash
	if problem == nil {
		h, problem = b.read(spec, value)
	}
	if problem != nil {
		b.out.Problems = append(b.out.Problems, Problem{problem.Reason, name + ": " + problem.Message})
		return
	}
	b.remark(spec, name, value, h)
	c := b.out.User.Credentials
	c.Passwords = append(c.Passwords, directory.Password{Hash: h, ExpiresAt: timeOf(spec.ExpiresAt)})
}

// remark notes what is odd about a password that works.
func (b *projectionInProgress) remark(spec *authv1alpha1.Password, name string, value []byte, h *password.Hash) {
	weak, newline := h.Weak(), spec.HashFrom == nil && bytes.HasSuffix(value, []byte("\n"))
	if weak == "" && !newline {
		return
	}
	place := fmt.Sprintf("%s (%s)", name, describe(spec.Source()))
	if weak != "" {
		b.out.Weak = append(b.out.Weak, place+": "+weak)
	}
	if newline {
		b.out.Newlines = append(b.out.Newlines, place)
	}
}

// resolve follows a reference to the value it names.
func resolve(ref *authv1alpha1.SecretKeyRef, secrets Secrets) ([]byte, *Problem) {
	if ref == nil {
		return nil, &Problem{authv1alpha1.ReasonNoPassword, "neither hashFrom nor plaintextFrom is set; set one of them"}
	}
	secret := secrets(ref.Name)
	if secret == nil {
		return nil, &Problem{authv1alpha1.ReasonSecretNotFound, fmt.Sprintf("there is no Secret %q in the namespace of the "+
			"User; create it or correct the name (Secrets of a type such as kubernetes.io/tls are not read)", ref.Name)}
	}
	if oversized(secret, ref.Key) {
		return nil, &Problem{authv1alpha1.ReasonSecretValueTooLarge, fmt.Sprintf("%s is longer than any password or hash "+
			"(%d bytes); store only the password or its hash there", describe(ref), maximumValue)}
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return nil, &Problem{authv1alpha1.ReasonSecretKeyNotFound, fmt.Sprintf("Secret %q has no key %q; add the key to the "+
			"Secret or correct it in the User", ref.Name, ref.Key)}
	}
	return value, nil
}

// read makes a hash out of the value of a Secret.
func (p *Projector) read(spec *authv1alpha1.Password, value []byte) (*password.Hash, *Problem) {
	place := describe(spec.Source())
	if spec.HashFrom != nil {
		h, err := password.Parse(string(value))
		if err != nil {
			return nil, &Problem{authv1alpha1.ReasonInvalidHash, fmt.Sprintf("%s: %v", place, err)}
		}
		return h, nil
	}
	switch {
	case len(value) == 0:
		return nil, &Problem{authv1alpha1.ReasonNoPassword, place + " is empty, and an empty password never logs in; " +
			"put the password there"}
	case len(value) > password.MaximumLength:
		return nil, &Problem{authv1alpha1.ReasonSecretValueTooLarge, fmt.Sprintf("%s is longer than the %d bytes that a "+
			"password may have; make it shorter", place, password.MaximumLength)}
	default:
		return p.keyer.NewPlaintext(value), nil
	}
}

// describe names the place of a value, never the value.
func describe(ref *authv1alpha1.SecretKeyRef) string {
	return fmt.Sprintf("key %q of Secret %q", ref.Key, ref.Name)
}

// addToDigest adds what one reference led to. Lengths keep two lists of values apart that would read the same in one row.
func addToDigest(digest hash.Hash, hashed bool, value []byte) {
	var head [9]byte
	if hashed {
		head[0] = 1
	}
	binary.BigEndian.PutUint64(head[1:], uint64(len(value)))
	_, _ = digest.Write(head[:]) // a hash.Hash never returns an error
	_, _ = digest.Write(value)
}

// revision joins a generation and the digest of the passwords.
func revision(generation int64, digest hash.Hash) string {
	return strconv.FormatInt(generation, 10) + "/" + hex.EncodeToString(digest.Sum(nil)[:16])
}

// SamePasswords says whether two revisions of one process stand for the same passwords, whatever else has changed.
func SamePasswords(a, b string) bool {
	_, x, _ := strings.Cut(a, "/")
	_, y, _ := strings.Cut(b, "/")
	return x == y
}

// shared returns the groups with each name stored once in the process, however many users are in it.
func shared(groups []string) []string {
	if len(groups) == 0 {
		return nil
	}
	out := make([]string, len(groups))
	for i, g := range groups {
		out[i] = Intern(g)
	}
	return out
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func durationOf(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}
