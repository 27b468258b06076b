package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// run runs gatehouse as a shell would.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := New("test")
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestUnknownSubcommandFailsWithUsage(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"keys", "completion", "token", "context"} {
		_, stderr, err := run(t, group, "TYPO")
		if err == nil || !strings.Contains(err.Error(), `unknown command "TYPO" for "gatehouse `+group+`"`) {
			t.Errorf("gatehouse %s TYPO: %v", group, err)
		}
		if !strings.Contains(stderr, "Usage:") {
			t.Errorf("gatehouse %s TYPO prints no usage: %s", group, stderr)
		}
		if _, _, err := run(t, group); err != nil {
			t.Errorf("gatehouse %s: %v", group, err)
		}
	}
}

func TestUnlockNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	if _, _, err := run(t, "unlock", "alice"); err == nil || !strings.Contains(err.Error(), "--manifests DIR") {
		t.Errorf("without a folder: %v", err)
	}
	if _, _, err := run(t, "unlock", "alice", "--state-dir", "/nonexistent/gatehouse"); err == nil {
		t.Error("a folder that does not exist is no error")
	}
	for answer, want := range map[string]string{
		statedir.UnlockDone: "", statedir.UnlockUnknown: `no user has the login "alice"`, statedir.UnlockFailed: "log says why",
	} {
		dir := t.TempDir()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			answerUnlock(t, dir, answer)
		}()
		_, _, err := run(t, "unlock", "alice", "--state-dir", dir)
		<-answered
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("the answer %q gives %v, want %q", answer, err, want)
		}
		if left, err := statedir.ReadEntries(dir, statedir.UnlockEntries); err != nil || len(left) != 0 {
			t.Errorf("the request is left behind: %q %v", left, err)
		}
	}
}

// answerUnlock answers the request for alice as a service does.
func answerUnlock(t *testing.T, dir, answer string) {
	for answered := false; !answered && t.Context().Err() == nil; {
		_, err := statedir.UpdateEntries(dir, statedir.UnlockEntries, func(entries map[string][]byte) (map[string][]byte, error) {
			if answered = string(entries["alice"]) == statedir.UnlockRequested; answered {
				entries["alice"] = []byte(answer)
			}
			return entries, nil
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}
