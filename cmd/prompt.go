package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maximumLine is the maximum size of a secret that is read from a file or from standard input, in
// bytes. A token is longer than any password, and every header with one is shorter.
const maximumLine = 16 << 10

// errInterrupted is the error of a prompt at which the user presses Ctrl-C or Ctrl-D.
var errInterrupted = errors.New("interrupted")

// terminal returns the terminal that in is, if it is one.
func terminal(in io.Reader) (*os.File, bool) {
	f, ok := in.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// prompt asks questions on a terminal, each with ask, which does not echo the answer if hidden is
// set. It puts the terminal in raw mode instead of only turning off the echo, because Ctrl-C is then
// a key like any other and cannot end the process before the terminal is restored.
func prompt(f *os.File, prompts io.Writer, questions func(ask func(question string, hidden bool) (string, error)) error) (err error) {
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("turn off echo: %w", err)
	}
	defer func() { err = errors.Join(err, term.Restore(int(f.Fd()), before)) }()
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{f, prompts}, "")
	return questions(func(question string, hidden bool) (answer string, err error) {
		if hidden {
			answer, err = t.ReadPassword(question)
		} else {
			t.SetPrompt(question)
			answer, err = t.ReadLine()
		}
		if errors.Is(err, io.EOF) {
			_, _ = io.WriteString(prompts, "\r\n") // so that what follows does not continue the question
			return "", errInterrupted
		}
		if err != nil {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		return answer, nil
	})
}

// readLine returns the only line of in, without its end. Its errors quote nothing from in.
func readLine(in io.Reader) (string, error) {
	// One byte more than the longest line and its end, so that a longer one is noticed.
	text, err := io.ReadAll(io.LimitReader(in, maximumLine+int64(len("\r\n"))+1))
	if err != nil {
		return "", err
	}
	line, found := strings.CutSuffix(string(text), "\n")
	if found {
		line = strings.TrimSuffix(line, "\r")
	}
	switch {
	case len(line) > maximumLine:
		return "", fmt.Errorf("longer than %d bytes", maximumLine)
	case strings.Contains(line, "\n"):
		return "", errors.New("more than one line")
	}
	return line, nil
}
