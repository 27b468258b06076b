//go:build unix

package statedir_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

const ownProcessEnv = "GATEHOUSE_TEST_OWN_PROCESS"

func TestTheFolderIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	s := open(t, dir)
	_, err := s.Revoke(token("1", "A", ""), 1<<20)
	must(t, err)
	_, err = statedir.UpdateEntries(dir, statedir.KeysEntries, func(map[string][]byte) (map[string][]byte, error) {
		return map[string][]byte{"k": []byte("secret")}, nil
	})
	must(t, err)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestFoldersThatOthersMayWriteIntoAreRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o777, 0o770, 0o720, 0o702} {
		dir := t.TempDir()
		must(t, os.Chmod(dir, mode)) // not through the umask
		if err := refused(t, dir); !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("%v: got error %v", mode, err)
		}
	}
}

func TestFolderOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := t.TempDir()
	must(t, os.Chown(dir, 12345, -1))
	if err := refused(t, dir); !strings.Contains(err.Error(), "belongs to the user 12345") {
		t.Errorf("got error %v", err)
	}
}

func TestSymbolicLinksAreRefused(t *testing.T) {
	target := filepath.Join(t.TempDir(), "real")
	shut(t, open(t, target))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(target, link))
	if err := refused(t, link); !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("folder: got error %v", err)
	}
	must(t, os.Symlink(filepath.Join(t.TempDir(), "keys.json"), filepath.Join(target, "keys.json")))
	if err := refused(t, target); !strings.Contains(err.Error(), "keys.json is a symbolic link") {
		t.Errorf("file: got error %v", err)
	}
}

// refused returns the error of a folder that must not be opened.
func refused(t *testing.T, dir string) error {
	t.Helper()
	s, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatalf("%s was opened: %v", dir, s.Close())
	}
	return err
}

func TestAFullDiskIsAnErrorAndNothingIsChanged(t *testing.T) {
	if !inProcessOfItsOwn(t) {
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Revoke(token("before", "A", ""), 1<<20)
	must(t, err)

	enlarge := limitFileSize(t, 300)
	for i := range 5 {
		if _, err := s.Revoke(token(fmt.Sprint("full", i), "A", ""), 1<<20); err == nil {
			t.Fatal("a change was answered that cannot be on the disk")
		}
	}
	if len(s.Tokens()) != 1 {
		t.Errorf("got %v, want nothing changed", s.Tokens())
	}
	enlarge()
	_, err = s.Revoke(token("after", "A", ""), 1<<20)
	must(t, err)
	shut(t, s)
	if tokens := open(t, dir).Tokens(); len(tokens) != 2 || !tokens["before"].Revoked || !tokens["after"].Revoked {
		t.Errorf("after a restart: %v", tokens)
	}
}

func TestAFullDiskDoesNotKeepAServiceFromStarting(t *testing.T) {
	if !inProcessOfItsOwn(t) {
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Revoke(token("before", "A", ""), 1<<20)
	must(t, err)
	shut(t, s)
	enlarge := limitFileSize(t, 100)
	s = open(t, dir)
	if _, err := s.Revoke(token("full", "A", ""), 1<<20); err == nil || !s.Tokens()["before"].Revoked {
		t.Errorf("got error %v and %v", err, s.Tokens())
	}
	enlarge()
	_, err = s.Revoke(token("after", "A", ""), 1<<20)
	must(t, err)
}

func inProcessOfItsOwn(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownProcessEnv) != "" {
		return true
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), ownProcessEnv+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func limitFileSize(t *testing.T, size uint64) (enlarge func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}))
	enlarge = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(enlarge)
	return enlarge
}

func TestAFolderThatIsReplacedTakesNoMoreChanges(t *testing.T) {
	cases := map[string]func(*testing.T, string){
		"removed": func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
		"removed and created again by another process": func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir))
			open(t, dir)
		},
	}
	for name, replace := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s := open(t, dir)
			replace(t, dir)
			if _, err := s.Revoke(token("1", "A", ""), 1<<20); err == nil || !strings.Contains(err.Error(), "removed or replaced") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestRemovedDatabaseIsReplaced(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Revoke(token("1", "A", ""), 1<<20)
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "state.db")))
	_, err = s.Revoke(token("2", "A", ""), 1<<20)
	must(t, err)
	shut(t, s)
	if tokens := open(t, dir).Tokens(); len(tokens) != 2 {
		t.Errorf("got %v", tokens)
	}
}

func TestTheCertificatesToTrustCanBeReadByEverybody(t *testing.T) {
	dir := t.TempDir()
	must(t, statedir.PublishCertificates(dir, []byte("PEM")))
	must(t, statedir.PublishCertificates(dir, []byte("PEM 2")))
	path := filepath.Join(dir, statedir.CertificateFile)
	raw, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if string(raw) != "PEM 2" || info.Mode().Perm() != 0o644 {
		t.Errorf("got %q, %v", raw, info.Mode())
	}
}
