package cmd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// openTerminal returns both ends of a pseudo-terminal: that of the user, and that of the program.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = user.Close() })
	fd := int(user.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("get the number of the terminal: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock the terminal: %v", err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open the terminal: %v", err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return user, program
}

// typeAnswers types an answer to each prompt, and returns everything that the screen has shown.
func typeAnswers(t *testing.T, user io.ReadWriter, answers []string) (screen string) {
	t.Helper()
	shown := bufio.NewReader(user)
	for _, answer := range answers {
		prompt, err := shown.ReadString(':')
		if err != nil {
			t.Errorf("wait for a prompt: %v", err)
			return screen
		}
		screen += prompt
		if _, err := io.WriteString(user, answer); err != nil {
			t.Errorf("type: %v", err)
		}
	}
	rest := make([]byte, shown.Buffered())
	_, _ = io.ReadFull(shown, rest)
	return screen + string(rest)
}

// next writes to the terminal what another program would after this one, and returns what the screen
// shows from where typeAnswers has left off.
func next(t *testing.T, user io.Reader, program io.Writer) string {
	t.Helper()
	if _, err := io.WriteString(program, "next:"); err != nil {
		t.Error(err)
	}
	text, err := bufio.NewReader(user).ReadString(':')
	if err != nil {
		t.Error(err)
	}
	return text
}

func TestHashPasswordPromptsWithoutEcho(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []string
		want    string // in the error; empty if none
	}{
		"the same password twice": {[]string{longPhrase + "\r", longPhrase + "\r"}, ""},
		"two passwords":           {[]string{longPhrase + "\r", longPhrase + "!\r"}, "do not match"},
		"nothing twice":           {[]string{"\r", "\r"}, "empty"},
		"Ctrl-C":                  {[]string{longPhrase + "\x03"}, "interrupted"},
		"Ctrl-C at the second":    {[]string{longPhrase + "\r", "\x03"}, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			user, program := openTerminal(t)
			before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatalf("get the state of the terminal: %v", err)
			}
			cmd := newHashPasswordCommand()
			var out strings.Builder
			cmd.SetIn(program)
			cmd.SetOut(&out)
			cmd.SetErr(program)
			cmd.SetArgs(nil)
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			screen := make(chan string, 1)
			go func() { screen <- typeAnswers(t, user, c.answers) }()
			err = cmd.Execute()
			if text := <-screen + next(t, user, program); strings.Contains(text, longPhrase[:7]) || !strings.HasSuffix(text, "\nnext:") {
				t.Errorf("the screen shows the password, or the cursor is not at the beginning of a line: %q", text)
			}
			after, stateErr := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
			if stateErr != nil || *after != *before {
				t.Errorf("the terminal is not restored: %v", stateErr)
			}
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got error %v, want one with %q", err, c.want)
				}
				return
			}
			h, parseErr := password.Parse(out.String())
			if err != nil || parseErr != nil || !h.Verify([]byte(longPhrase)) {
				t.Errorf("got error %v and %d bytes of output, which parse with %v", err, out.Len(), parseErr)
			}
		})
	}
}
