package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	tokenrecord "github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/controllers/tolerant"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

const (
	usersNamespace = "gatehouse-users"
	syncTimeout    = 30 * time.Second
	userPassword   = "Lantern-Orchard-27-Violet"
)

// garbage is what an API server can hold whose schema used to be looser.
const garbage = `
{metadata: {name: groups-are-text}, spec: {login: grace, groups: operators}}
---
{metadata: {name: email-is-a-list}, spec: {email: [grace@example.com]}}
---
{metadata: {name: passwords-are-a-map}, spec: {passwords: {hashFrom: good}}}
---
{metadata: {name: no-such-day}, spec: {expiresAt: "2031-02-31T00:00:00Z"}}
---
{metadata: {name: revoked-is-text}, spec: {revoked: "yes"}}
---
{metadata: {name: spec-is-a-list}, spec: [1, 2]}
---
{metadata: {name: status-is-wrong}, spec: {}, status: {failedLogins: many, tokensRevokedAt: "2026-01-01T00:00:00Z"}}
---
{metadata: {name: unknown-fields}, spec: {shoeSize: 43, passwords: [{hashFrom: {secretKeyRef: {name: good, key: passwordHash}}, colour: red}]}}
`

// nameOfKept is the name of the record of a token with the id "kept".
const nameOfKept = "token-91ea6d"

// forgedNote is an annotation with the name of a note that exists only in memory.
const forgedNote = `annotations: {auth.gatehouse.dev/unreadable: forged}`

// acceptsNoStatus reports whether the API server accepts no new status of an object: because a rule of the
// schema is about a field whose value does not have the type that the rule expects, or because the old
// status breaks the schema and Kubernetes is older than 1.33, the first that lets a status keep such fields.
func acceptsNoStatus(t *testing.T, name string) bool {
	t.Helper()
	switch name {
	case "groups-are-text", "email-is-a-list":
		return true
	case "status-is-wrong":
		return apitest.MinorVersion(t) < 33
	}
	return false
}

// store is an API server whose schema of Users and Tokens can be made loose, as that of an older
// version may have been.
type store struct {
	t *testing.T
	client.Client
	plain  client.Client // fails for an object that breaks the schema
	config *rest.Config
}

func newStore(t *testing.T) *store {
	t.Helper()
	assets := apitest.Assets(t)
	env := &envtest.Environment{BinaryAssetsDirectory: assets}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	cluster, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		coordinationv1.AddToScheme, corev1.AddToScheme, authv1alpha1.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	s := &store{t: t, config: cluster}
	s.installSchemas(false)
	if s.plain, err = client.New(cluster, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	s.Client = tolerant.NewClient(s.plain)
	s.must(s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: usersNamespace}}))
	return s
}

func (s *store) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// installSchemas installs today's definitions, or definitions that accept anything, and waits until
// the API server applies them.
func (s *store) installSchemas(today bool) {
	s.t.Helper()
	definitions, err := apitest.Definitions()
	s.must(err)
	anything := &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
		Type: "object", XPreserveUnknownFields: new(true),
	}}
	for _, d := range definitions {
		for i := range d.Spec.Versions {
			if !today {
				d.Spec.Versions[i].Schema, d.Spec.Versions[i].SelectableFields = anything, nil
			}
		}
	}
	_, err = envtest.InstallCRDs(s.config, envtest.CRDInstallOptions{CRDs: definitions})
	s.must(err)
	if s.Client == nil {
		return
	}
	probe := s.object("User", `{metadata: {name: probe}, spec: {groups: text}}`)
	eventually(s.t, syncTimeout, func() bool {
		refused := s.Create(s.t.Context(), probe.DeepCopy(), client.DryRunAll) != nil
		return refused == today
	})
}

// object returns a resource of Gatehouse exactly as the YAML has it, even where it does not fit the
// Go types.
func (s *store) object(kind, text string) *unstructured.Unstructured {
	s.t.Helper()
	o := &unstructured.Unstructured{}
	s.must(yaml.Unmarshal([]byte(text), &o.Object))
	o.SetAPIVersion(authv1alpha1.GroupVersion.String())
	o.SetKind(kind)
	o.SetNamespace(usersNamespace)
	return o
}

// put creates an object and then its status, which the API server drops from the first request.
func (s *store) put(kind, text string) {
	s.t.Helper()
	o := s.object(kind, text)
	status, has := o.Object["status"]
	s.must(s.Create(s.t.Context(), o))
	if has {
		o.Object["status"] = status
		s.must(s.Status().Update(s.t.Context(), o))
	}
}

// patch applies a merge patch, even to an object that does not fit the Go types.
func (s *store) patch(kind, name, patch string) {
	s.t.Helper()
	o := s.object(kind, `{metadata: {name: `+name+`}}`)
	s.must(s.Patch(s.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))))
}

// replica runs the controllers until the test ends, with connections that wrap changes, and returns the
// directory that they fill.
func (s *store) replica(wrap transport.WrapperFunc) *directory.Directory {
	s.t.Helper()
	progress, connection := delivery.NewProgress(), rest.CopyConfig(s.config)
	connection.Wrap(wrap)
	mgr, err := ctrl.NewManager(connection, ctrl.Options{
		Scheme: s.Scheme(), Cache: informer.CacheOptions("gatehouse-system"), Client: informer.ClientOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	s.must(err)
	d := directory.New()
	_, err = controllers.Setup(mgr, controllers.Config{
		Directory: d, Keyer: password.NewKeyer(), Now: time.Now, Namespaces: []string{usersNamespace}, System: "gatehouse-system", Progress: progress,
	})
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the manager ended with %v", err)
		}
	})
	eventually(s.t, syncTimeout, d.HasSynced)
	return d
}

// ready returns the state of a User and its Ready condition: status, reason and message.
func (s *store) ready(name string) string {
	s.t.Helper()
	u := &authv1alpha1.User{}
	s.must(s.Get(s.t.Context(), types.NamespacedName{Namespace: usersNamespace, Name: name}, u))
	if c := meta.FindStatusCondition(u.Status.Conditions, authv1alpha1.ConditionReady); c != nil {
		return fmt.Sprintf("%s %s %s: %s", u.Status.State, c.Status, c.Reason, c.Message)
	}
	return "no Ready condition"
}

// logsIn reports whether a user with this login is in the directory and has the right password.
func logsIn(d *directory.Directory, login string) bool {
	u, ok := d.ByLogin(login)
	return ok && !u.Revoked && len(u.Credentials.Passwords) == 1 && u.Credentials.Passwords[0].Hash.Verify([]byte(userPassword))
}

const goodUser = `{metadata: {name: %s}, spec: {passwords: [{hashFrom: {secretKeyRef: {name: good, key: passwordHash}}}]}}`

// putGarbage stores what breaks the schema beside what does not, and returns the names of the Users that
// break it. Then the schema is that of today.
func (s *store) putGarbage() (broken []string) {
	s.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(userPassword), bcrypt.MinCost)
	s.must(err)
	s.must(s.Create(s.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: "good"}, Data: map[string][]byte{"passwordHash": hash},
	}))
	for _, name := range []string{"good", "turns-bad", "forged, " + forgedNote} {
		s.put("User", fmt.Sprintf(goodUser, name))
	}
	for text := range strings.SplitSeq(garbage, "\n---\n") {
		s.put("User", text)
		if name := s.object("User", text).GetName(); name != "unknown-fields" {
			broken = append(broken, name)
		}
	}
	s.put("Token", `{metadata: {name: `+nameOfKept+`}, spec: {tokenID: kept, userRef: {name: good, uid: some}, kind: Opaque, revoked: 1, expiresAt: never}}`)
	s.put("Token", `{metadata: {name: nothing-to-read}, spec: [1]}`)
	const intact = `tokenID: %s, userRef: {name: good, uid: some}, kind: Opaque, issuedAt: "2026-01-01T00:00:00.000000Z", expiresAt: "2099-01-01T00:00:00.000000Z"`
	s.put("Token", `{metadata: {name: held, finalizers: [auth.gatehouse.dev/revoked]}, spec: {`+fmt.Sprintf(intact, "held")+`}, status: {conditions: none}}`)
	s.put("Token", `{metadata: {name: forged, `+forgedNote+`}, spec: {`+fmt.Sprintf(intact, "forged")+`}}`)
	s.installSchemas(true)
	return broken
}

// knowsGarbage fails the test unless a replica has read everything that putGarbage stored.
func (s *store) knowsGarbage(d *directory.Directory, broken []string) {
	s.t.Helper()
	for _, login := range []string{"good", "turns-bad", "unknown-fields", "forged"} {
		if !logsIn(d, login) {
			s.t.Errorf("%s cannot log in", login)
		}
	}
	if u, ok := d.ByLogin("forged"); !ok || u.Unreadable {
		s.t.Errorf("the User with a forged note is %+v, want readable", u)
	}
	for _, name := range broken {
		if u, ok := d.ByKey(usersNamespace + "/" + name); !ok || !u.Revoked || !u.Unreadable {
			s.t.Errorf("%s is %+v, want revoked", name, u)
		}
	}
	if u, ok := d.ByLogin("grace"); !ok || u.Key != usersNamespace+"/groups-are-text" {
		s.t.Errorf("the login of a broken User belongs to %+v: another user could take it", u)
	}
	if r, ok := d.Record("some", "kept"); !ok || !r.Revoked {
		s.t.Errorf("the record of a broken Token is %+v, want revoked", r)
	}
	if r, ok := d.Record("some", "forged"); !ok || r.Revoked {
		s.t.Errorf("the record of a Token with a forged note is %+v, want in force", r)
	}
}

func TestStoredGarbageDoesNotAffectOtherUsers(t *testing.T) {
	s := newStore(t)
	broken := s.putGarbage()
	d := s.replica(func(next http.RoundTripper) http.RoundTripper { return next })
	s.knowsGarbage(d, broken)
	t.Run("also at a replica that begins with lists", func(t *testing.T) {
		sub := *s
		sub.t = t
		sub.knowsGarbage(sub.replica(apitest.ListOnly), broken)
	})
	t.Run("refuses a User that it cannot read, and its status tells why", func(t *testing.T) {
		for _, name := range broken {
			if !acceptsNoStatus(t, name) {
				eventually(t, syncTimeout, func() bool { return strings.HasPrefix(s.ready(name), "Invalid False Unreadable: the stored object") })
			}
		}
	})
	t.Run("keeps a Token that it cannot read, and builds no record upon it", func(t *testing.T) {
		token := &authv1alpha1.Token{}
		s.must(s.Get(t.Context(), types.NamespacedName{Namespace: usersNamespace, Name: nameOfKept}, token))
		records := tokenrecord.NewTokens(tokenrecord.Config{Client: s.plain, Revocations: s.plain, Directory: directory.New(), Namespace: usersNamespace, Now: time.Now})
		err := records.Revoke(t.Context(), directory.Record{
			ID: "kept", UserKey: usersNamespace + "/good", UserUID: "some", Kind: "Opaque", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		})
		if err == nil || !strings.Contains(err.Error(), "breaks the schema") {
			t.Errorf("revoking it again: %v", err)
		}
	})
	t.Run("lets a Token go that it cannot read and someone deletes", func(t *testing.T) {
		held := s.object("Token", `{metadata: {name: held}}`)
		s.must(s.Delete(t.Context(), held))
		eventually(t, syncTimeout, func() bool { return apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(held), held)) })
	})
	t.Run("writes the status of a User that it cannot read", func(t *testing.T) {
		u, _ := d.ByKey(usersNamespace + "/no-such-day")
		records := tokenrecord.NewTokens(tokenrecord.Config{Client: s.plain, Revocations: s.plain, Directory: d, Namespace: usersNamespace, Now: time.Now})
		s.must(records.RevokeUser(t.Context(), u, time.Now()))
		logins := &tokenrecord.Logins{Client: s.plain, Reader: s.plain}
		s.must(logins.WriteLogin(t.Context(), loginstate.User{Key: u.Key, UID: u.UID}, loginstate.Update{Failures: 1}))
		stored := &authv1alpha1.User{}
		s.must(s.Get(t.Context(), types.NamespacedName{Namespace: usersNamespace, Name: "no-such-day"}, stored))
		if stored.Status.TokensRevokedAt == nil || stored.Status.FailedLogins != 1 {
			t.Errorf("its status is %+v", stored.Status)
		}
	})
	t.Run("stores no note", func(t *testing.T) {
		for _, kind := range []string{"User", "Token"} {
			all := &unstructured.UnstructuredList{}
			all.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind(kind + "List"))
			s.must(s.List(t.Context(), all, client.InNamespace(usersNamespace)))
			for _, o := range all.Items {
				if len(o.GetAnnotations()) > 0 && o.GetName() != "forged" {
					t.Errorf("%s %s has the annotations %v", kind, o.GetName(), o.GetAnnotations())
				}
			}
		}
	})
	t.Run("follows other changes after a watched User turns bad", func(t *testing.T) {
		s.installSchemas(false)
		s.patch("User", "turns-bad", `{"spec":{"groups":{"a":"b"}}}`)
		eventually(t, syncTimeout, func() bool { return !logsIn(d, "turns-bad") })
		s.patch("User", "good", `{"spec":{"revoked":true}}`)
		eventually(t, syncTimeout, func() bool { return !logsIn(d, "good") })
	})
	t.Run("accepts a User that is corrected", func(t *testing.T) {
		s.patch("User", "turns-bad", `{"spec":{"groups":["operators"]}}`)
		eventually(t, syncTimeout, func() bool { return logsIn(d, "turns-bad") })
		eventually(t, syncTimeout, func() bool { return strings.HasPrefix(s.ready("turns-bad"), "Active True Active") })
	})
}
