package argocd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/argoproj/gitops-engine/pkg/health"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

const (
	folder    = "../../config/argocd"
	soundHash = "$argon2id$v=19$m=19456,t=2,p=1$UlBho86oWvU+eHm22Xod8w$xds4o4qGCFJcy19tCSvkmVp3yXfUn71a4NGcXw2Onrs"
)

// userFrom returns a User of generation 2 with a spec in YAML.
func userFrom(t *testing.T, spec string) *authv1alpha1.User {
	t.Helper()
	u := &authv1alpha1.User{
		TypeMeta:   metav1.TypeMeta{APIVersion: authv1alpha1.GroupVersion.String(), Kind: "User"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "jean", UID: "1", Generation: 2},
	}
	if err := yaml.UnmarshalStrict([]byte(spec), &u.Spec); err != nil {
		t.Fatal(err)
	}
	return u
}

// asObject returns a User as a tool reads it from the API server.
func asObject(t *testing.T, u *authv1alpha1.User) *unstructured.Unstructured {
	t.Helper()
	raw, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return o
}

// The table of every state of a User, and what the tools make of it.
func TestToolsUnderstandEveryState(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	ref := func(key string) string { return `hashFrom: {secretKeyRef: {name: s, key: ` + key + `}}` }
	good := `passwords: [{` + ref("good") + `}]`
	secret := &corev1.Secret{Data: map[string][]byte{"good": []byte(soundHash), "bad": []byte("no hash")}}
	pending := func(u *authv1alpha1.User, _ *projection.Status) {
		u.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "Unknown", Reason: "Pending"}}
	}
	cases := map[string]struct {
		spec   string
		change func(*authv1alpha1.User, *projection.Status)
		ks     status.Status
		argo   string
	}{
		"Pending":                        {`{` + good + `}`, pending, status.InProgressStatus, "Progressing"},
		"Active":                         {`{` + good + `}`, nil, status.CurrentStatus, "Healthy"},
		"Revoked":                        {`{revoked: true, ` + good + `}`, nil, status.CurrentStatus, "Healthy"},
		"Expired":                        {`{expiresAt: "2020-01-01T00:00:00Z", ` + good + `}`, nil, status.CurrentStatus, "Healthy"},
		"PasswordExpired":                {`{passwords: [{expiresAt: "2020-01-01T00:00:00Z", ` + ref("good") + `}]}`, nil, status.CurrentStatus, "Healthy"},
		"Locked":                         {`{` + good + `}`, func(_ *authv1alpha1.User, s *projection.Status) { s.Projection.User.LockedUntil = now.Add(time.Hour) }, status.CurrentStatus, "Healthy"},
		"SecretNotFound":                 {`{passwords: [{hashFrom: {secretKeyRef: {name: other, key: k}}}]}`, nil, status.InProgressStatus, "Progressing"},
		"SecretKeyNotFound":              {`{passwords: [{` + ref("none") + `}]}`, nil, status.InProgressStatus, "Progressing"},
		"InvalidHash":                    {`{passwords: [{` + ref("bad") + `}]}`, nil, status.FailedStatus, "Degraded"},
		"one of two passwords is broken": {`{passwords: [{` + ref("good") + `}, {name: b, ` + ref("bad") + `}]}`, nil, status.FailedStatus, "Degraded"},
		"NoPassword":                     {`{}`, nil, status.FailedStatus, "Degraded"},
		"LoginConflict":                  {`{` + good + `}`, func(_ *authv1alpha1.User, s *projection.Status) { s.Holder = "ns/other" }, status.FailedStatus, "Degraded"},
		"Unreadable": {`{` + good + `}`, func(u *authv1alpha1.User, s *projection.Status) {
			broken, err := stored.DecodeUser([]byte(`{"spec":{"groups":"no list"}}`))
			if err != nil {
				t.Fatal(err)
			}
			u.Annotations, s.Projection.User.Unreadable = stored.Notes(broken), true
		}, status.FailedStatus, "Degraded"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := userFrom(t, c.spec)
			s := projection.Status{User: u, Now: now}
			s.Projection = projection.NewProjector(password.NewKeyer(), nil).Project(u, func(name string) *corev1.Secret {
				if name == "s" {
					return secret
				}
				return nil
			})
			if c.change != nil {
				c.change(u, &s)
			}
			if name != "Pending" {
				u.Status = s.Next()
			}
			o := asObject(t, u)
			got, err := status.Compute(o)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != c.ks {
				t.Errorf("kstatus is %s (%s), want %s", got.Status, got.Message, c.ks)
			}
			if code, _ := healthOf(t, o.Object); code != c.argo {
				t.Errorf("the health for Argo CD is %s, want %s", code, c.argo)
			}
		})
	}
}

// TestArgoHealth runs the cases in the format of Argo CD's own tests of health scripts.
func TestArgoHealth(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			HealthStatus struct{ Status, Message string }
			InputPath    string
		}
	}
	readYAML(t, "health_test.yaml", &file)
	if len(file.Tests) < 5 {
		t.Fatalf("there are only %d cases", len(file.Tests))
	}
	for _, c := range file.Tests {
		t.Run(c.InputPath, func(t *testing.T) {
			var o map[string]any
			readYAML(t, c.InputPath, &o)
			code, message := healthOf(t, o)
			if code != c.HealthStatus.Status || message != c.HealthStatus.Message {
				t.Errorf("health is %s (%s), want %s (%s)", code, message, c.HealthStatus.Status, c.HealthStatus.Message)
			}
		})
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// healthOf returns the health of an object, as Argo CD sees it.
func healthOf(t *testing.T, object map[string]any) (code, message string) {
	t.Helper()
	status, err := health.GetResourceHealth(&unstructured.Unstructured{Object: object}, script(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(status.Status), status.Message
}

// luaHealth is a health check in Lua, for Users, as argocd-cm has it.
type luaHealth string

func (h luaHealth) GetResourceHealth(o *unstructured.Unstructured) (*health.HealthStatus, error) {
	if o.GroupVersionKind().GroupKind() != authv1alpha1.GroupVersion.WithKind("User").GroupKind() {
		return nil, nil // the built-in check
	}
	l := lua.NewState()
	defer l.Close()
	l.SetGlobal("obj", luaValue(l, o.Object))
	if err := l.DoString(string(h)); err != nil {
		return nil, err
	}
	result, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returned %v, want a table", l.Get(-1))
	}
	return &health.HealthStatus{
		Status:  health.HealthStatusCode(result.RawGetString("status").String()),
		Message: result.RawGetString("message").String(),
	}, nil
}

// luaValue converts a decoded JSON value to Lua.
func luaValue(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case float64:
		return lua.LNumber(v)
	case int64:
		return lua.LNumber(v)
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(luaValue(l, item))
		}
		return table
	case map[string]any:
		table := l.NewTable()
		for key, item := range v {
			table.RawSetString(key, luaValue(l, item))
		}
		return table
	default:
		return lua.LNil
	}
}
