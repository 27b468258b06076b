package cmd

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/system"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

var keyPolicy = token.Policy{
	Algorithm: token.EdDSA, Interval: 720 * time.Hour,
	Lifetime: map[token.Use]time.Duration{token.Sign: time.Hour, token.Seal: time.Hour},
}

// runKeys runs the command as a shell would.
func runKeys(args ...string) (stdout, stderr string, err error) {
	cmd := newKeysCommand()
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

// advanced returns the keys as a service stores them next.
func advanced(t *testing.T, entries map[string][]byte) map[string][]byte {
	t.Helper()
	keys, _ := token.ParseKeys(entries)
	next, err := keys.Advance(time.Now(), keyPolicy)
	if err != nil {
		t.Error(err)
	}
	if entries, err = next.Encode(); err != nil {
		t.Error(err)
	}
	return entries
}

// serveKeys keeps the keys in a folder as a service does, until the test ends.
func serveKeys(t *testing.T, dir string) {
	t.Helper()
	sync := func() {
		_, err := statedir.UpdateEntries(dir, statedir.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
			return advanced(t, maps.Clone(entries)), nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	sync()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.Tick(10 * time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick:
				sync()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

func TestKeysListShowsNothingPrivate(t *testing.T) {
	dir := t.TempDir()
	serveKeys(t, dir)
	stdout, stderr, err := runKeys("list", "--state-dir", dir)
	if err != nil || stderr != "" {
		t.Fatalf("error %v, standard error %q", err, stderr)
	}
	for words, times := range map[string]int{"signs tokens": 1, "seals tokens": 1, "standby": 2, token.EdDSA: 2} {
		if got := strings.Count(stdout, words); got != times {
			t.Errorf("%q appears %d times, want %d:\n%s", words, got, times, stdout)
		}
	}
	entries, err := statedir.ReadEntries(dir, statedir.KeysEntries)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range entries {
		for _, member := range []string{`"d":"`, `"k":"`} {
			if _, private, ok := strings.Cut(string(content), member); ok && strings.Contains(stdout, private[:20]) {
				t.Errorf("the output has a part of the private key %s", name)
			}
		}
	}
}

func TestKeysRotateWithRunningService(t *testing.T) {
	dir := t.TempDir()
	serveKeys(t, dir)
	stdout, _, err := runKeys("rotate", "--state-dir", dir)
	if err != nil || strings.Count(stdout, "takes over at") != 2 || strings.Count(stdout, ", until ") != 2 {
		t.Errorf("error %v; the keys are\n%s", err, stdout)
	}
}

func TestKeysNeedAService(t *testing.T) {
	dir := t.TempDir()
	for _, command := range []string{"list", "rotate"} {
		if stdout, _, err := runKeys(command, "--state-dir", dir); err == nil || !strings.Contains(err.Error(), "--state-dir") {
			t.Errorf("%s: error %v, output %q", command, err, stdout)
		}
	}
}

func TestKeysInACluster(t *testing.T) {
	config := apitest.Config(t)
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "keys-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	where := []string{"--kubeconfig", apitest.Kubeconfig(t), "-n", ns.Name}
	if _, _, err := runKeys(append(where, "rotate")...); err == nil || !strings.Contains(err.Error(), system.KeysSecret) {
		t.Errorf("without keys: error %v", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: system.KeysSecret}, Data: advanced(t, nil)}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := runKeys(append(where, "list")...)
	if err != nil || strings.Count(stdout, "standby") != 2 {
		t.Errorf("error %v; the keys are\n%s", err, stdout)
	}
	printed := make(chan string)
	go func() {
		stdout, _, err := runKeys(append(where, "rotate")...)
		if err != nil {
			t.Error(err)
		}
		printed <- stdout
	}()
	apitest.Eventually(t, "a rotation is requested", func() bool {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
			t.Fatal(err)
		}
		_, requested := secret.Data[token.RotationRequest]
		return requested
	})
	secret.Data = advanced(t, secret.Data)
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if stdout := <-printed; strings.Count(stdout, "takes over at") != 2 {
		t.Errorf("the keys are\n%s", stdout)
	}
}
