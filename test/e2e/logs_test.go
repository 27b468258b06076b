package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// logs keeps the logs of every replica of the whole run, including those that are killed.
type logs struct {
	folder string
	cancel context.CancelFunc
	all    sync.WaitGroup
	known  map[types.UID]bool

	mu   sync.Mutex
	used map[string]bool // tokens that clients got
}

// follow begins to read the logs of all replicas, present and future.
func (l *logs) follow() error {
	var err error
	if l.folder, err = os.MkdirTemp("", "gatehouse-logs-"); err != nil {
		return err
	}
	l.known, l.used = map[types.UID]bool{}, map[string]bool{}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.all.Go(func() {
		for ; ctx.Err() == nil; hold(ctx, time.Second) {
			var list corev1.PodList
			if suite.List(ctx, &list, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) != nil {
				continue // the API server is away
			}
			for _, p := range list.Items {
				if !l.known[p.UID] {
					l.known[p.UID] = true
					l.all.Go(func() { l.followReplica(ctx, p) })
				}
			}
		}
	})
	return nil
}

// followReplica reads the log of one Pod until the Pod is gone. When the stream ends for any other
// reason, it continues from there.
func (l *logs) followReplica(ctx context.Context, p corev1.Pod) {
	file, err := os.Create(filepath.Join(l.folder, string(p.UID)))
	if err != nil {
		return // check notices the missing file
	}
	defer file.Close()
	var since *metav1.Time
	for ctx.Err() == nil {
		begin := metav1.Now()
		stream, err := suite.pods.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{Follow: true, SinceTime: since}).Stream(ctx)
		if err == nil {
			_, err = io.Copy(file, stream)
			stream.Close()
			since = &metav1.Time{Time: begin.Add(-time.Second)}
		}
		if gone := suite.Get(ctx, client.ObjectKeyFromObject(&p), &corev1.Pod{}); client.IgnoreNotFound(gone) == nil && gone != nil {
			return
		}
		if err != nil || since != nil {
			hold(ctx, 500*time.Millisecond)
		}
	}
}

// addUsed adds a token that a client got, which no log may hold.
func (l *logs) addUsed(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used[token] = true
}

// secretForms matches what no line may hold, from any source: JWTs, opaque tokens and hashes.
var secretForms = regexp.MustCompile(`eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}|\b0[\w-]{60,}|\$(2[aby]|argon2id?|scrypt|pbkdf2|y|5|6)[\w-]*\$[^\s"]{20,}`)

// containerID matches what a kubelet writes into the log of a container that it has removed. An id that
// begins with 0 has the form of an opaque token.
var containerID = regexp.MustCompile(`unable to retrieve container logs for [a-z-]+://[0-9a-f]{64}`)

// check stops reading and searches the logs for every password, hash and token in use, and for the
// forms of all others.
func (l *logs) check() error {
	hold(context.Background(), 2*time.Second) // for the last lines
	l.cancel()
	l.all.Wait()
	defer os.RemoveAll(l.folder)
	secrets, err := l.secrets()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(l.folder, "*"))
	if err != nil {
		return err
	}
	var errs []error
	lines := 0
	for _, name := range files {
		n, err := searchLog(name, secrets)
		lines += n
		errs = append(errs, err)
	}
	if len(files) < 3 || lines < 100 {
		errs = append(errs, fmt.Errorf("read only %d lines of %d replicas, want 100 lines and 3 replicas", lines, len(files)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	suite.findings.record("passwords, hashes and whole tokens in the logs of all replicas of the whole run",
		"0 in %d lines of %d Pods, searched for %d of them and for the forms of all others", lines, len(files), len(secrets))
	return nil
}

// secrets returns the passwords and hashes of the samples and of the client, and the tokens that
// clients got.
func (l *logs) secrets() ([]string, error) {
	var secrets []string
	quoted := regexp.MustCompile(`(?m)(?:password|passwordHash): ['"]?([^\s'"]+)|"(\$argon2id[^"]+|[A-Z][a-z]+-[A-Z][a-z]+-\d\d-[A-Z][a-z]+)"`)
	for _, pattern := range []string{root + "/config/samples/*.yaml", "testdata/*.yaml", "client/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			for _, found := range quoted.FindAllStringSubmatch(string(raw), -1) {
				if secret := found[1] + found[2]; len(secret) >= 20 {
					secrets = append(secrets, secret)
				}
			}
		}
	}
	if len(secrets) < 6 {
		return nil, fmt.Errorf("found only %d passwords and hashes in the samples and the client, want 6", len(secrets))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for token := range l.used {
		if !secretForms.MatchString(token) {
			return nil, fmt.Errorf("a token of %d characters has none of the forms that secretForms matches", len(token))
		}
		secrets = append(secrets, token)
	}
	return secrets, nil
}

// searchLog returns the number of lines of a log, and an error that names the place of a secret,
// but not the secret.
func searchLog(name string, secrets []string) (int, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var errs []error
	lines := 0
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines++
		line := containerID.ReplaceAllString(scanner.Text(), "")
		found := secretForms.MatchString(line)
		for _, secret := range secrets {
			found = found || strings.Contains(line, secret)
		}
		if found {
			errs = append(errs, fmt.Errorf("line %d of the log of Pod %s holds a secret", lines, filepath.Base(name)))
		}
	}
	return lines, errors.Join(append(errs, scanner.Err())...)
}

func TestSearchOfLogsFindsSecretsOnly(t *testing.T) {
	for line, secret := range map[string]bool{
		"unable to retrieve container logs for containerd://0" + strings.Repeat("a", 63): false,
		`{"token":"0` + strings.Repeat("a", 96) + `"}`:                                   true,
		"of the password Lantern":                                                        true,
	} {
		name := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(name, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := searchLog(name, []string{"Lantern"}); (err != nil) != secret {
			t.Errorf("%s: %v", line, err)
		}
	}
}
