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
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// logs keeps what every replica of the whole run says, those that are killed too.
type logs struct {
	folder string
	cancel context.CancelFunc
	all    sync.WaitGroup
	known  map[types.UID]bool

	mu   sync.Mutex
	used map[string]bool // tokens that clients were given
}

// follow begins to read the logs of all replicas there are and will be.
func (l *logs) follow() error {
	var err error
	if l.folder, err = os.MkdirTemp("", "gatehouse-logs-"); err != nil {
		return err
	}
	l.known, l.used = map[types.UID]bool{}, map[string]bool{}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.all.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			var list corev1.PodList
			if bench.List(ctx, &list, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) != nil {
				continue // the API server is away
			}
			for _, p := range list.Items {
				if !l.known[p.UID] {
					l.known[p.UID] = true
					l.all.Go(func() { l.replica(ctx, p) })
				}
			}
		}
	})
	return nil
}

// replica reads the log of one Pod until that is gone. Whatever ends the stream, it goes on from where it was.
func (l *logs) replica(ctx context.Context, p corev1.Pod) {
	file, err := os.Create(filepath.Join(l.folder, string(p.UID)))
	if err != nil {
		return // noticed in the end: there is no file
	}
	defer file.Close()
	var since *metav1.Time
	for ctx.Err() == nil {
		begin := metav1.Now()
		stream, err := bench.pods.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{Follow: true, SinceTime: since}).Stream(ctx)
		if err == nil {
			_, err = io.Copy(file, stream)
			stream.Close()
			since = &metav1.Time{Time: begin.Add(-time.Second)}
		}
		if gone := bench.Get(ctx, client.ObjectKeyFromObject(&p), &corev1.Pod{}); client.IgnoreNotFound(gone) == nil && gone != nil {
			return
		}
		if err != nil || since != nil {
			time.Sleep(500 * time.Millisecond)
		}
	}
}

func (l *logs) note(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used[token] = true
}

// What no line may hold, whoever made it: JWTs, opaque tokens and hashes by their form.
var forms = regexp.MustCompile(`eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}|\b0[\w-]{60,}|\$(2[aby]|argon2id?|scrypt|pbkdf2|y|5|6)[\w-]*\$[^\s"]{20,}`)

// check ends the reading and looks for every password, hash and token that was used, and for the forms of all others.
func (l *logs) check() error {
	time.Sleep(2 * time.Second) // for the last lines
	l.cancel()
	l.all.Wait()
	defer os.RemoveAll(l.folder)
	words, err := l.words()
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
		n, err := search(name, words)
		lines += n
		errs = append(errs, err)
	}
	if len(files) < 3 || lines < 100 {
		errs = append(errs, fmt.Errorf("only %d lines of %d replicas were read", lines, len(files)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	bench.findings.measured("passwords, hashes and whole tokens in the logs of all replicas of the whole run",
		"0 in %d lines of %d Pods, searched for %d of them and for the forms of all others", lines, len(files), len(words))
	return nil
}

// words are the passwords and hashes of the samples and of the client, and the tokens that it was given.
func (l *logs) words() ([]string, error) {
	var out []string
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
				if word := found[1] + found[2]; len(word) >= 20 {
					out = append(out, word)
				}
			}
		}
	}
	if len(out) < 6 {
		return nil, fmt.Errorf("only %d passwords and hashes were found in the samples and the client", len(out))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for token := range l.used {
		if !forms.MatchString(token) {
			return nil, fmt.Errorf("a token of %d characters has none of the forms that the logs are searched for", len(token))
		}
		out = append(out, token)
	}
	return out, nil
}

// search returns the number of lines, and an error that names the place of what should not be there, but not the thing.
func search(name string, words []string) (int, error) {
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
		line := scanner.Text()
		found := forms.MatchString(line)
		for _, word := range words {
			found = found || strings.Contains(line, word)
		}
		if found {
			errs = append(errs, fmt.Errorf("line %d of the log of Pod %s has a secret in it", lines, filepath.Base(name)))
		}
	}
	return lines, errors.Join(append(errs, scanner.Err())...)
}
