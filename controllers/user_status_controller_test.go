package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func TestConditions(t *testing.T) {
	w := apitest.NewWorld(t)
	newReplica(w)
	strong, err := password.Generate([]byte("strong-password"), password.Parameters{})
	if err != nil {
		t.Fatal(err)
	}
	w.NewSecret("s", map[string]string{
		"good": strong, "weak": apitest.WeakHash(t, "weak-password"), "line": strong + "\n", "empty": "", "long": strings.Repeat("x", 2000),
		"bad": "$1$salt$qJH7.N4xYta3aEG/dfqo/0", "plain": "plain-password", "newline": "plain-password\n",
	})
	ref := func(kind, key string) string {
		return fmt.Sprintf("{%sFrom: {secretKeyRef: {name: s, key: %s}}}", kind, key)
	}
	named := func(name, password string) string { return "{name: " + name + ", " + password[1:] }
	cases := map[string]struct {
		spec   string
		state  authv1alpha1.UserState
		reason string
		words  []string
	}{
		"a good hash":                  {`{passwords: [` + ref("hash", "good") + `]}`, "Active", "Active", []string{"logs in as"}},
		"a hash and a newline":         {`{passwords: [` + ref("hash", "line") + `]}`, "Active", "Active", nil},
		"a plaintext":                  {`{login: "Plain Jean", passwords: [` + ref("plaintext", "plain") + `]}`, "Active", "Active", []string{`"Plain Jean"`}},
		"no password":                  {`{}`, "Invalid", "NoPassword", []string{"hashFrom or plaintextFrom"}},
		"a missing Secret":             {`{passwords: [{hashFrom: {secretKeyRef: {name: nowhere, key: k}}}]}`, "Invalid", "SecretNotFound", []string{`"nowhere"`, "create it"}},
		"a missing key":                {`{passwords: [` + ref("hash", "nothing") + `]}`, "Invalid", "SecretKeyNotFound", []string{`"s"`, `"nothing"`, "add the key"}},
		"a hash that is rejected":      {`{passwords: [` + ref("hash", "bad") + `]}`, "Invalid", "InvalidHash", []string{`key "bad" of Secret "s"`}},
		"a plaintext where a hash is":  {`{passwords: [` + ref("hash", "plain") + `]}`, "Invalid", "InvalidHash", []string{`key "plain" of Secret "s"`}},
		"an empty hash":                {`{passwords: [` + ref("hash", "empty") + `]}`, "Invalid", "InvalidHash", []string{`key "empty"`}},
		"an empty plaintext":           {`{passwords: [` + ref("plaintext", "empty") + `]}`, "Invalid", "NoPassword", []string{`key "empty"`, "empty password never logs in"}},
		"a plaintext that is too long": {`{passwords: [` + ref("plaintext", "long") + `]}`, "Invalid", "SecretValueTooLarge", []string{`key "long"`, "shorter"}},
		"one broken password of three": {`{passwords: [` + ref("hash", "good") + `,` + named("b", ref("hash", "bad")) + `,` + named("c", ref("hash", "nothing")) + `]}`, "Active", "InvalidHash",
			[]string{"passwords[b]", "passwords[c]", "the other passwords still work"}},
		"revoked":                       {`{revoked: true, passwords: [` + ref("hash", "good") + `]}`, "Revoked", "Revoked", []string{"spec.revoked"}},
		"expired":                       {`{expiresAt: "2020-01-01T00:00:00Z", passwords: [` + ref("hash", "good") + `]}`, "Expired", "Expired", []string{"2020-01-01T00:00:00Z"}},
		"revoked and expired":           {`{revoked: true, expiresAt: "2020-01-01T00:00:00Z"}`, "Revoked", "Revoked", nil},
		"every password expired":        {`{passwords: [{expiresAt: "2020-01-01T00:00:00Z", hashFrom: {secretKeyRef: {name: s, key: good}}}]}`, "PasswordExpired", "PasswordExpired", []string{"add a new one"}},
		"one password expired":          {`{passwords: [{expiresAt: "2020-01-01T00:00:00Z", hashFrom: {secretKeyRef: {name: s, key: good}}}, ` + named("b", ref("plaintext", "plain")) + `]}`, "Active", "Active", nil},
		"expired and broken passwords":  {`{passwords: [{expiresAt: "2020-01-01T00:00:00Z", hashFrom: {secretKeyRef: {name: s, key: good}}}, ` + named("b", ref("hash", "bad")) + `]}`, "PasswordExpired", "PasswordExpired", []string{"passwords[b]"}},
		"a plaintext and a newline":     {`{passwords: [` + ref("plaintext", "newline") + `]}`, "Active", "Active", nil},
		"tokens valid after the future": {`{tokensValidAfter: "2099-01-01T00:00:00Z", passwords: [` + ref("hash", "good") + `]}`, "Active", "Active", nil},
		"a weak hash":                   {`{passwords: [` + ref("hash", "weak") + `]}`, "Active", "Active", nil},
	}
	inForce := map[string]bool{"Active": true, "Revoked": true, "Expired": true, "PasswordExpired": true, "Locked": true}
	mayCome := map[string]bool{"SecretNotFound": true, "SecretKeyNotFound": true}
	remarkConditions := map[string]string{
		"a weak hash": authv1alpha1.ConditionWeakHash, "a plaintext and a newline": authv1alpha1.ConditionPlaintextNewline,
		"tokens valid after the future": authv1alpha1.ConditionTokensVoid,
	}
	for name := range cases {
		w.NewUser(objectName(name), cases[name].spec)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := w.AwaitStatus(objectName(name), c.state, c.reason)
			allowed := apitest.Condition(u, authv1alpha1.ConditionLoginAllowed)
			if want := c.reason == authv1alpha1.ReasonActive; (allowed.Status == metav1.ConditionTrue) != want || allowed.Reason != c.reason {
				t.Errorf("LoginAllowed is %s, reason %s, for %s", allowed.Status, allowed.Reason, c.reason)
			}
			ready := apitest.Condition(u, authv1alpha1.ConditionReady)
			if (ready.Status == metav1.ConditionTrue) != inForce[c.reason] {
				t.Errorf("Ready is %s for %s", ready.Status, c.reason)
			}
			stalled := apitest.Condition(u, authv1alpha1.ConditionStalled)
			if want := !inForce[c.reason] && !mayCome[c.reason]; (stalled.Status == metav1.ConditionTrue) != want {
				t.Errorf("Stalled is %q for %s", stalled.Status, c.reason)
			}
			for _, words := range c.words {
				if !strings.Contains(ready.Message, words) {
					t.Errorf("the message does not contain %q: %s", words, ready.Message)
				}
			}
			for _, kind := range []string{authv1alpha1.ConditionWeakHash, authv1alpha1.ConditionPlaintextNewline, authv1alpha1.ConditionTokensVoid} {
				if got := apitest.Condition(u, kind).Status; (got == metav1.ConditionTrue) != (remarkConditions[name] == kind) {
					t.Errorf("condition %s is %q", kind, got)
				}
			}
			for _, c := range u.Status.Conditions {
				for _, secret := range []string{"plain-password", strong[20:], "qJH7.N4xYta3aEG"} {
					if strings.Contains(c.Message, secret) {
						t.Errorf("condition %s reveals the content of the Secret: %s", c.Type, c.Message)
					}
				}
			}
		})
	}
}

func objectName(sentence string) string {
	return strings.ToLower(strings.ReplaceAll(sentence, " ", "-"))
}

func TestLoginConflict(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	spec := `{login: jean@example.com, ` + strings.TrimPrefix(fromSecret, "{")
	older := w.NewUser("older", spec)
	w.AwaitStatus("older", "Active", "Active")
	// creationTimestamp has whole seconds, and within one second the UID decides.
	w.Eventually("the next second has begun", func() bool { return time.Now().Unix() > older.CreationTimestamp.Unix() })
	younger := w.NewUser("younger", spec)
	conflict := w.AwaitStatus("younger", "Invalid", "LoginConflict")
	if got := apitest.Condition(conflict, authv1alpha1.ConditionReady).Message; !strings.Contains(got, w.NS+"/older") {
		t.Errorf("the message does not name the older User: %s", got)
	}
	holdsLogin := func(uid any) func() bool {
		return func() bool { u, ok := d.ByLogin("jean@example.com"); return ok && u.UID == fmt.Sprint(uid) }
	}
	if !holdsLogin(older.UID)() {
		t.Error("the older user does not hold the login in the directory")
	}
	w.AwaitStatus("older", "Active", "Active")
	staysUnchanged(w, "younger")
	w.MustPatch(older, `{"spec":{"login":"jackson@example.com"}}`)
	w.AwaitStatus("younger", "Active", "Active")
	w.Eventually("the younger user holds the login", holdsLogin(younger.UID))
	w.MustPatch(older, `{"spec":{"login":"jean@example.com"}}`)
	w.AwaitStatus("younger", "Invalid", "LoginConflict")
	staysUnchanged(w, "younger")
	w.MustDelete(older)
	w.AwaitStatus("younger", "Active", "Active")
	w.Eventually("the younger user holds the login again", holdsLogin(younger.UID))
}

func TestLoginConflictWithName(t *testing.T) {
	w := apitest.NewWorld(t)
	newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	first := w.NewUser("jean", fromSecret)
	w.Eventually("the next second has begun", func() bool { return time.Now().Unix() > first.CreationTimestamp.Unix() })
	w.NewUser("other", `{login: jean}`)
	w.AwaitStatus("other", "Invalid", "LoginConflict")
}

func TestStateChangesOnTime(t *testing.T) {
	t.Parallel()
	w := apitest.NewWorld(t)
	newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	soon := time.Now().Add(5 * time.Second).UTC().Format(time.RFC3339)
	ref := `plaintextFrom: {secretKeyRef: {name: shared, key: password}}`
	w.NewUser("account", fmt.Sprintf(`{expiresAt: %q, passwords: [{%s}]}`, soon, ref))
	w.NewUser("password", fmt.Sprintf(`{passwords: [{expiresAt: %q, %s}]}`, soon, ref))
	w.NewUser("tokens", fmt.Sprintf(`{tokensValidAfter: %q, passwords: [{%s}]}`, soon, ref))
	locked := w.NewUser("locked", fromSecret)
	w.MustPatchStatus(locked, fmt.Sprintf(`{"status":{"lockedUntil":%q}}`, soon))
	for _, name := range []string{"account", "password", "tokens"} {
		w.AwaitStatus(name, "Active", "Active")
	}
	w.AwaitStatus("locked", "Locked", "Locked")
	// Once the queues are empty, only the requeued Users can notice that their time has come.
	w.NewUser("timeless", fromSecret)
	w.AwaitStatus("timeless", "Active", "Active")
	staysUnchanged(w, "timeless")
	w.AwaitStatus("account", "Expired", "Expired")
	w.AwaitStatus("password", "PasswordExpired", "PasswordExpired")
	w.AwaitStatus("locked", "Active", "Active")
	w.Eventually("tokens are no longer void", func() bool {
		u := w.AwaitStatus("tokens", "Active", "Active")
		return apitest.Condition(u, authv1alpha1.ConditionTokensVoid).Status == ""
	})
}

// An unchanged resourceVersion shows that there was no write.
func TestUnrelatedChangesWriteNothing(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	newReplica(w)
	secret := w.NewSecret("shared", map[string]string{"password": "some-password"})
	w.NewUser("jean", fromSecret)
	u := w.AwaitStatus("jean", "Active", "Active")
	entry, _ := d.ByLogin("jean")
	revision := entry.Credentials.Revision
	for i := range 5 {
		w.MustPatch(u, fmt.Sprintf(`{"metadata":{"annotations":{"noise":"%d"}}}`, i))
		w.MustPatch(secret, fmt.Sprintf(`{"metadata":{"annotations":{"noise":"%d"}},"stringData":{"unrelated":"%d"}}`, i, i))
	}
	// The status of a user that is created afterwards shows that the changes have arrived.
	w.NewUser("later", fromSecret)
	w.AwaitStatus("later", "Active", "Active")
	staysUnchanged(w, "jean")
	if after := w.ReadUser("jean"); after.ResourceVersion != u.ResourceVersion {
		t.Errorf("unrelated changes caused a write: %v", after.ManagedFields)
	}
	if entry, _ := d.ByLogin("jean"); entry.Credentials.Revision != revision {
		t.Error("unrelated changes changed the revision of the credentials")
	}
}

// Two replicas may briefly compute different statuses; the one that has seen less must not win.
func TestStaleStatusIsNotWritten(t *testing.T) {
	w := apitest.NewWorld(t)
	old := w.NewUser("jean", `{}`)
	w.MustPatchStatus(old.DeepCopy(), `{"status":{"state":"Locked","lockedUntil":"2099-01-01T00:00:00Z"}}`)
	r := &UserStatusReconciler{client: w.Client, recorder: events.NewFakeRecorder(1)}
	if err := r.write(t.Context(), old, authv1alpha1.UserStatus{State: authv1alpha1.UserActive}); err != nil {
		t.Errorf("got error %v for losing to another writer, want none", err)
	}
	if got := w.ReadUser("jean").Status.State; got != authv1alpha1.UserLocked {
		t.Errorf("state = %s, want that of the other writer", got)
	}
}

func TestOneEventPerTransition(t *testing.T) {
	w := apitest.NewWorld(t)
	newReplica(w)
	newReplica(w)
	w.NewSecret("s", map[string]string{"bad": "not a hash", "weak": apitest.WeakHash(t, "weak-password")})
	w.NewUser("bad", `{passwords: [{hashFrom: {secretKeyRef: {name: s, key: bad}}}]}`)
	weak := w.NewUser("weak", `{passwords: [{hashFrom: {secretKeyRef: {name: s, key: weak}}}]}`)
	w.AwaitStatus("bad", "Invalid", "InvalidHash")
	w.AwaitStatus("weak", "Active", "Active")
	w.MustPatchStatus(weak, `{"status":{"lockedUntil":"2099-01-01T00:00:00Z"}}`)
	w.AwaitStatus("weak", "Locked", "Locked")
	w.MustPatch(weak, `{"spec":{"displayName":"Weak"}}`) // another generation with the same state
	w.AwaitStatus("weak", "Locked", "Locked")
	got := map[string]int{}
	w.Eventually("all events are there", func() bool {
		var list eventsv1.EventList
		if err := w.List(t.Context(), &list, client.InNamespace(w.NS)); err != nil {
			t.Fatal(err)
		}
		clear(got)
		for _, e := range list.Items {
			got[e.Regarding.Name+" "+e.Reason]++
		}
		return len(got) == 3
	})
	for _, want := range []string{"bad InvalidHash", "weak BelowRecommendation", "weak Locked"} {
		if got[want] != 1 {
			t.Errorf("%d events %q, want 1; all: %v", got[want], want, got)
		}
	}
}
