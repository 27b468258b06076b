package projection

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// userFromSpec makes a User from a spec in YAML, without an API server.
func userFromSpec(t testing.TB, spec string) *authv1alpha1.User {
	t.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "jean", UID: "some-uid", Generation: 1}}
	if err := yaml.UnmarshalStrict([]byte(spec), &u.Spec); err != nil {
		t.Fatal(err)
	}
	return u
}

// secretHolding returns a single Secret "s" with the given values.
func secretHolding(values map[string]string) Secrets {
	secret := &corev1.Secret{Data: map[string][]byte{}}
	for k, v := range values {
		secret.Data[k] = []byte(v)
	}
	return func(name string) *corev1.Secret {
		if name != "s" {
			return nil
		}
		return secret
	}
}

const twoPasswords = `{passwords: [{plaintextFrom: {secretKeyRef: {name: s, key: a}}}, {name: b, plaintextFrom: {secretKeyRef: {name: s, key: b}}}]}`

func TestProjectCopiesEveryField(t *testing.T) {
	t.Parallel()
	u := userFromSpec(t, `{login: l, displayName: d, email: e@x, groups: [g, h], revoked: true, expiresAt: "2028-01-01T00:00:00Z",
		tokensValidAfter: "2026-11-22T00:00:00Z", tokenPolicy: {defaultLifetime: 1h, maximumLifetime: 24h},
		passwords: [{plaintextFrom: {secretKeyRef: {name: s, key: a}}, expiresAt: "2027-06-30T00:00:00Z"}]}`)
	mustParseTime := func(s string) *metav1.Time {
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return &metav1.Time{Time: parsed}
	}
	u.CreationTimestamp = *mustParseTime("2026-01-01T00:00:00Z")
	u.Status = authv1alpha1.UserStatus{LockedUntil: mustParseTime("2026-12-01T00:00:00Z"), FailedLogins: 7,
		TokensRevokedAt: mustParseTime("2026-12-02T00:00:00Z"), LastTokenIssuedAt: mustParseTime("2026-12-03T00:00:00Z")}
	got := NewProjector(password.NewKeyer(), nil).Project(u, secretHolding(map[string]string{"a": "x"})).User
	checks := map[string]bool{
		"Key":               got.Key == "ns/jean",
		"UID":               got.UID == "some-uid",
		"Login":             got.Login == "l",
		"DisplayName":       got.DisplayName == "d",
		"Email":             got.Email == "e@x",
		"Groups":            slices.Equal(got.Groups, []string{"g", "h"}),
		"Created":           got.Created.Equal(u.CreationTimestamp.Time),
		"Revoked":           got.Revoked,
		"ExpiresAt":         got.ExpiresAt.Equal(u.Spec.ExpiresAt.Time),
		"TokensValidAfter":  got.TokensValidAfter.Equal(u.Spec.TokensValidAfter.Time),
		"TokensRevokedAt":   got.TokensRevokedAt.Equal(u.Status.TokensRevokedAt.Time),
		"LockedUntil":       got.LockedUntil.Equal(u.Status.LockedUntil.Time),
		"FailedLogins":      got.FailedLogins == 7,
		"LastTokenIssuedAt": got.LastTokenIssuedAt.Equal(u.Status.LastTokenIssuedAt.Time),
		"DefaultLifetime":   got.DefaultLifetime == time.Hour,
		"MaximumLifetime":   got.MaximumLifetime == 24*time.Hour,
		"password expiry":   got.Credentials.Passwords[0].ExpiresAt.Equal(u.Spec.Passwords[0].ExpiresAt.Time),
	}
	for field, correct := range checks {
		if !correct {
			t.Errorf("%s is wrong in %+v", field, got)
		}
	}
}

func TestProjectEmptySpec(t *testing.T) {
	t.Parallel()
	got := NewProjector(password.NewKeyer(), nil).Project(userFromSpec(t, `{}`), secretHolding(nil)).User
	if got.Login != "jean" || !got.ExpiresAt.IsZero() || got.MaximumLifetime != 0 || got.Groups != nil || len(got.Credentials.Passwords) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	p := NewProjector(password.NewKeyer(), nil)
	values := map[string]string{"a": "one", "b": "two", "c": "unrelated"}
	base := p.Project(userFromSpec(t, twoPasswords), secretHolding(values)).User.Credentials.Revision
	with := func(key, value string) map[string]string {
		out := maps.Clone(values)
		out[key] = value
		return out
	}
	cases := map[string]struct {
		change        func(*authv1alpha1.User)
		values        map[string]string
		same, samePws bool
	}{
		"nothing changes":                            {func(*authv1alpha1.User) {}, values, true, true},
		"status changes":                             {func(u *authv1alpha1.User) { u.Status.FailedLogins = 5 }, values, true, true},
		"metadata changes":                           {func(u *authv1alpha1.User) { u.ResourceVersion, u.Labels = "9", map[string]string{"a": "b"} }, values, true, true},
		"another key of the Secret changes":          {func(*authv1alpha1.User) {}, with("c", "changed"), true, true},
		"the spec changes":                           {func(u *authv1alpha1.User) { u.Generation++ }, values, false, true},
		"a password changes":                         {func(*authv1alpha1.User) {}, with("b", "three"), false, false},
		"a byte moves from one password to the next": {func(*authv1alpha1.User) {}, map[string]string{"a": "onet", "b": "wo"}, false, false},
		"the passwords swap places":                  {func(*authv1alpha1.User) {}, map[string]string{"a": "two", "b": "one"}, false, false},
		"a password becomes empty":                   {func(*authv1alpha1.User) {}, with("a", ""), false, false},
		"a password becomes a hash":                  {func(u *authv1alpha1.User) { u.Spec.Passwords[0] = hashFrom("a") }, values, false, false},
		"a password is removed":                      {func(u *authv1alpha1.User) { u.Spec.Passwords = u.Spec.Passwords[:1] }, values, false, false},
		"a broken password breaks differently":       {func(u *authv1alpha1.User) { u.Spec.Passwords[0] = hashFrom("a") }, with("a", "changed"), false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := userFromSpec(t, twoPasswords)
			c.change(u)
			got := p.Project(u, secretHolding(c.values)).User.Credentials.Revision
			if (got == base) != c.same {
				t.Errorf("same revision = %v, want %v", got == base, c.same)
			}
			if SamePasswords(got, base) != c.samePws {
				t.Errorf("SamePasswords = %v, want %v", SamePasswords(got, base), c.samePws)
			}
		})
	}
	// A value must not be able to imitate the separator between two values in the digest.
	gap := strings.Repeat("\x00", 9)
	one := p.Project(userFromSpec(t, twoPasswords), secretHolding(map[string]string{"a": "x" + gap + "y", "b": ""}))
	two := p.Project(userFromSpec(t, twoPasswords), secretHolding(map[string]string{"a": "x", "b": "y" + gap}))
	if one.User.Credentials.Revision == two.User.Credentials.Revision {
		t.Error("two different lists of passwords have the same revision")
	}
	if other := NewProjector(password.NewKeyer(), nil).Project(userFromSpec(t, twoPasswords), secretHolding(values)); other.User.Credentials.Revision == base {
		t.Error("two Projectors make the same digest of a plaintext")
	}
}

func hashFrom(key string) authv1alpha1.Password {
	return authv1alpha1.Password{HashFrom: &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: "s", Key: key}}}
}

func TestBrokenPasswordIsLeftOut(t *testing.T) {
	t.Parallel()
	got := NewProjector(password.NewKeyer(), nil).Project(userFromSpec(t, twoPasswords), secretHolding(map[string]string{"b": "two"}))
	if len(got.Problems) != 1 || got.Problems[0].Reason != authv1alpha1.ReasonSecretKeyNotFound || !strings.HasPrefix(got.Problems[0].Message, "passwords[default]: ") {
		t.Errorf("problems = %+v", got.Problems)
	}
	if pws := got.User.Credentials.Passwords; len(pws) != 1 || !pws[0].Hash.Verify([]byte("two")) {
		t.Error("the intact password does not verify")
	}
}

func TestTrailingNewline(t *testing.T) {
	t.Parallel()
	u := userFromSpec(t, `{passwords: [{plaintextFrom: {secretKeyRef: {name: s, key: p}}}]}`)
	u.Spec.Passwords = append(u.Spec.Passwords, hashFrom("h"))
	got := NewProjector(password.NewKeyer(), nil).Project(u, secretHolding(map[string]string{"p": "plain\n", "h": apitest.WeakHash(t, "hashed") + "\n"}))
	pws := got.User.Credentials.Passwords
	if len(pws) != 2 {
		t.Fatalf("problems = %+v", got.Problems)
	}
	if pws[0].Hash.Verify([]byte("plain")) || !pws[0].Hash.Verify([]byte("plain\n")) {
		t.Error("the trailing newline is not part of the plaintext")
	}
	if !pws[1].Hash.Verify([]byte("hashed")) {
		t.Error("the trailing newline is part of the hash")
	}
	if len(got.Newlines) != 1 || len(got.Weak) != 1 || len(got.Guessable) != 1 {
		t.Errorf("newlines = %v, weak = %v, guessable = %v, want one remark each", got.Newlines, got.Weak, got.Guessable)
	}
}

func TestSlimSecret(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s", ResourceVersion: "7", Annotations: map[string]string{"a": "b"}, Labels: map[string]string{"a": "b"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}},
		Data: map[string][]byte{"ok": []byte("x"), "limit": make([]byte, maximumValue), "big": make([]byte, maximumValue+1), "huge": make([]byte, 1<<20)},
	}
	for range 2 { // SlimSecret is idempotent
		SlimSecret(secret)
		if len(secret.Data) != 2 || secret.ManagedFields != nil || secret.Labels != nil || secret.Annotations["a"] != "" || secret.ResourceVersion != "7" {
			t.Errorf("the slim Secret is %+v", secret.ObjectMeta)
		}
		for key, want := range map[string]bool{"ok": false, "limit": false, "big": true, "huge": true, "absent": false} {
			if got := isOversized(secret, key); got != want {
				t.Errorf("isOversized(%q) = %v, want %v", key, got, want)
			}
		}
	}
}

// An annotation that someone else wrote does not make an existing value too large.
func TestForeignOversizedAnnotation(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{OversizedKeys: "ok"}}, Data: map[string][]byte{"ok": []byte("x")}}
	SlimSecret(secret)
	if isOversized(secret, "ok") {
		t.Error("a value that is present counts as too large")
	}
}

func TestHashThatDoesNotFitIntoMemory(t *testing.T) {
	t.Parallel()
	const large = "$argon2id$v=19$m=524288,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAphArZDZ2YHeoBE"
	u := userFromSpec(t, `{}`)
	u.Spec.Passwords = append(u.Spec.Passwords, hashFrom("large"), hashFrom("small"))
	secrets := secretHolding(map[string]string{"large": large, "small": apitest.WeakHash(t, "hashed")})
	p := NewProjector(password.NewKeyer(), nil)
	for memory, want := range map[int64]int{0: 2, 512 << 20: 2, 511 << 20: 1} {
		p.HashMemory = memory
		got := p.Project(u, secrets)
		if len(got.User.Credentials.Passwords) != want {
			t.Errorf("with %d bytes for hashes, problems = %+v", memory, got.Problems)
		}
		if want == 1 && (got.Problems[0].Reason != authv1alpha1.ReasonHashTooLarge || !strings.Contains(got.Problems[0].Message, "takes 512 MiB of memory, and the service has 511 MiB")) {
			t.Errorf("problem = %+v", got.Problems[0])
		}
	}
}
