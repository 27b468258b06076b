package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/cmd/serve"
	"github.com/gatehouse-auth/gatehouse/cmd/session"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// cliPassword is the password of the user jean of the test service.
const cliPassword = "correct horse battery staple"

// cliUsers is the folder of the test service.
const cliUsers = `apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: jean}
spec: {groups: [operators], passwords: [{plaintextFrom: {secretKeyRef: {name: jean, key: password}}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: jean}
stringData: {password: ` + cliPassword + `}
`

// cli runs commands against a service of its own, with a folder of its own for contexts.
type cli struct {
	*testing.T
	dir, server, ca string
}

// newCLI starts a standalone service over HTTPS that stops at the end of the test.
func newCLI(t *testing.T) *cli {
	t.Helper()
	c := &cli{T: t, dir: t.TempDir()}
	t.Setenv("XDG_CONFIG_HOME", c.dir)
	for _, name := range []string{"GATEHOUSE_SERVER", "GATEHOUSE_CA", "GATEHOUSE_CONTEXT"} {
		t.Setenv(name, "")
	}
	folder, state := t.TempDir(), filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(filepath.Join(folder, "users.yaml"), []byte(cliUsers), 0o600); err != nil {
		t.Fatal(err)
	}
	o := serve.NewOptions()
	o.Manifests, o.StateDir, o.PrintCurl = folder, state, ""
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	app, err := serve.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c.server, c.ca = "https://"+app.Address().String(), filepath.Join(state, "ca.crt")
	apitest.Eventually(t, "the service answers", func() bool {
		_, _, err := c.run(cliPassword, "login", "jean", "--password-stdin", "--server", c.server, "--ca", c.ca, "--context", "probe")
		return err == nil
	})
	return c
}

// run runs a command with text on its standard input.
func (c *cli) run(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	root := New("test")
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(args)
	err = root.ExecuteContext(c.Context())
	return out.String(), errOut.String(), err
}

// must runs a command that must succeed, and returns its standard output.
func (c *cli) must(args ...string) string {
	c.Helper()
	out, errOut, err := c.run("", args...)
	if err != nil {
		c.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, errOut)
	}
	return out
}

// login logs in as jean.
func (c *cli) login(args ...string) {
	c.Helper()
	args = append([]string{"login", "jean", "--password-stdin", "--server", c.server, "--ca", c.ca, "--context", "default"}, args...)
	if _, errOut, err := c.run(cliPassword+"\n", args...); err != nil {
		c.Fatalf("login: %v\n%s", err, errOut)
	}
}

// wantError requires that a command fails with an error that has each of the texts.
func (c *cli) wantError(stdin string, texts []string, args ...string) {
	c.Helper()
	out, errOut, err := c.run(stdin, args...)
	if err == nil {
		c.Fatalf("gatehouse %s succeeded, want an error", strings.Join(args, " "))
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			c.Errorf("gatehouse %s: got error %q, want one with %q", strings.Join(args, " "), err, text)
		}
	}
	if strings.Contains(out+errOut+err.Error(), cliPassword) {
		c.Error("the output shows the password")
	}
}

func TestLoginStoresATokenThatOtherCommandsUse(t *testing.T) {
	c := newCLI(t)
	c.login("--lifetime", "2h")
	token := strings.TrimSpace(c.must("token", "get"))
	if who := c.must("whoami"); !strings.Contains(who, "jean") || !strings.Contains(who, "operators") {
		t.Errorf("whoami prints %q, want the login and the group", who)
	}
	if got := c.must("token", "inspect"); !strings.Contains(got, "accepted: jean") || !strings.Contains(got, "opaque") {
		t.Errorf("token inspect prints %q, want that jean's opaque token is accepted", got)
	}
	c.must("logout")
	c.wantError("", []string{"not logged in", "gatehouse login"}, "token", "get")
	file := filepath.Join(c.dir, "old-token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.must("token", "inspect", "--token-file", file); !strings.Contains(got, "refused: ") {
		t.Errorf("token inspect prints %q after the logout, want a refusal", got)
	}
}

func TestTokensAreListedAndRevoked(t *testing.T) {
	c := newCLI(t)
	c.login()
	c.login("--context", "labelled", "--label", "deploy")
	var listed []struct{ ID, Label string }
	if err := json.Unmarshal([]byte(c.must("token", "list", "-o", "json")), &listed); err != nil || len(listed) != 1 || listed[0].Label != "deploy" {
		t.Fatalf("token list prints %v (%v), want the token deploy", listed, err)
	}
	if got := c.must("token", "list"); !strings.Contains(got, "deploy") {
		t.Errorf("token list prints %q, want the label", got)
	}
	c.must("context", "use", "default")
	c.must("token", "revoke", "--label", "deploy")
	c.wantError("", []string{"gatehouse login"}, "whoami", "--context", "labelled")
	c.must("token", "revoke", "--all")
	c.wantError("", []string{"not logged in"}, "whoami")
	c.wantError("", []string{"exactly one of"}, "token", "revoke")
}

func TestExecCredentialIsWhatKubectlReads(t *testing.T) {
	c := newCLI(t)
	c.login()
	var got struct {
		APIVersion, Kind string
		Status           struct {
			Token               string
			ExpirationTimestamp time.Time
		}
	}
	if err := json.Unmarshal([]byte(c.must("token", "get", "--exec-credential")), &got); err != nil {
		t.Fatal(err)
	}
	if got.APIVersion != "client.authentication.k8s.io/v1" || got.Kind != "ExecCredential" || got.Status.Token == "" || got.Status.ExpirationTimestamp.IsZero() {
		t.Errorf("got an ExecCredential with version %s, kind %s, end %s", got.APIVersion, got.Kind, got.Status.ExpirationTimestamp)
	}
}

func TestTokenIsRenewedOnceByManyProcesses(t *testing.T) {
	c := newCLI(t)
	c.login()
	store := session.Store{Dir: filepath.Join(c.dir, "gatehouse")}
	before := c.age(store)
	tokens := make([]string, 8)
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() {
			out, _, err := c.run("", "token", "get")
			if err != nil {
				t.Errorf("token get: %v", err)
			}
			tokens[i] = out
		})
	}
	group.Wait()
	for _, token := range tokens {
		if token != tokens[0] || strings.TrimSpace(token) == before {
			t.Fatal("the processes have different tokens, or the old one")
		}
	}
}

// age makes the token of the default context look as if nearly all of its life were over, and
// returns it.
func (c *cli) age(store session.Store) string {
	c.Helper()
	t, err := store.Token(session.DefaultContext)
	if err != nil {
		c.Fatal(err)
	}
	t.Created, t.Expires = time.Now().Add(-time.Hour), time.Now().Add(time.Minute)
	if err := store.PutToken(session.DefaultContext, t); err != nil {
		c.Fatal(err)
	}
	return t.Token
}

func TestTokenThatCannotBeRenewedIsUsedToItsEnd(t *testing.T) {
	c := newCLI(t)
	c.login()
	c.must("context", "use", "default")
	store := session.Store{Dir: filepath.Join(c.dir, "gatehouse")}
	before := c.age(store)
	out, errOut, err := c.run("", "token", "get", "--server", "https://127.0.0.1:1")
	if err != nil || strings.TrimSpace(out) != before || !strings.Contains(errOut, "cannot be renewed") {
		t.Errorf("got error %v and %q, want the old token and a warning", err, errOut)
	}
}

func TestLoginErrorsSayWhatToDo(t *testing.T) {
	c := newCLI(t)
	for name, test := range map[string]struct {
		stdin string
		want  []string
		args  []string
	}{
		"a wrong password":        {"wrong", []string{"login or password"}, []string{"login", "jean", "--password-stdin", "--server", c.server, "--ca", c.ca}},
		"no CA":                   {cliPassword, []string{"--ca FILE"}, []string{"login", "jean", "--password-stdin", "--server", c.server, "--context", "new"}},
		"nothing listens":         {cliPassword, []string{"nothing listens there"}, []string{"login", "jean", "--password-stdin", "--server", "https://127.0.0.1:1", "--context", "new"}},
		"no server":               {cliPassword, []string{"--server https://"}, []string{"login", "jean", "--password-stdin", "--context", "new"}},
		"a password argument":     {"", []string{"--password-stdin"}, []string{"login", "jean", "--password", "x", "--server", c.server}},
		"no terminal":             {"", []string{"not a terminal", "--password-stdin"}, []string{"login", "jean", "--server", c.server, "--ca", c.ca}},
		"an empty password":       {"\n", []string{"has no password"}, []string{"login", "jean", "--password-stdin", "--server", c.server, "--ca", c.ca}},
		"a bad context":           {cliPassword, []string{"--context must be"}, []string{"login", "jean", "--password-stdin", "--server", c.server, "--context", "../x"}},
		"a context without login": {"", []string{"no context"}, []string{"whoami", "--context", "missing"}},
		"a format":                {"", []string{"table, json or yaml"}, []string{"whoami", "-o", "xml"}},
		"a lifetime":              {cliPassword, []string{"lifetime"}, []string{"login", "jean", "--password-stdin", "--server", c.server, "--ca", c.ca, "--lifetime", "soon"}},
	} {
		t.Run(name, func(t *testing.T) {
			sub := *c
			sub.T = t
			sub.wantError(test.stdin, test.want, test.args...)
		})
	}
}

func TestFilesOfContextsAreForTheirOwnerOnly(t *testing.T) {
	c := newCLI(t)
	c.login()
	err := filepath.WalkDir(filepath.Join(c.dir, "gatehouse"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s, want none for others", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInspectReadsAJWTOffline(t *testing.T) {
	c := newCLI(t)
	jwt := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJqZWFuIiwiZXhwIjoxNzAwMDAwMDAwLCJqdGkiOiJpZDEifQ.c2ln"
	out, _, err := c.run(jwt+"\n", "token", "inspect", "--offline", "--token-file", "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"JWT", "ES256", "k1", "jean", "ended 2023-11-14T22:13:20Z", "id1"} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want it to have %q", out, want)
		}
	}
}

func TestLoginPromptsWithoutEcho(t *testing.T) {
	c := newCLI(t)
	user, program := openTerminal(t)
	root := New("test")
	root.SetIn(program)
	root.SetErr(program)
	root.SetOut(&bytes.Buffer{})
	root.SetArgs([]string{"login", "--server", c.server, "--ca", c.ca, "--context", "prompted"})
	screen := make(chan string, 1)
	go func() { screen <- typeAnswers(t, user, []string{"jean\r", cliPassword + "\r"}) }()
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := <-screen; strings.Contains(text, cliPassword) {
		t.Errorf("the screen shows the password: %q", text)
	}
}

// FuzzReadOffline reads texts that are not tokens. It must never panic, and never print a control
// character.
func FuzzReadOffline(f *testing.F) {
	for _, seed := range []string{
		"", "0", "..", "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2ln", "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjFlMzB9.", "bnVsbA.bnVsbA.",
		"0" + strings.Repeat("A", 96), "eyJhIjoiXHUwMDFiWzJKIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.eyJleH8iOjB9.0000",
		"e30.eyJqdGkiOiJcdTAwMWJbMkoifQ.", "e30.eyJhIjoiwpsifQ.", // in a name, in the ID, and above ASCII
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out strings.Builder
		if err := readOffline(text, time.Unix(1_700_000_000, 0)).table(&out); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r != '\n' && unicode.IsControl(r) {
				t.Fatalf("the output has the control character %U", r)
			}
		}
	})
}
