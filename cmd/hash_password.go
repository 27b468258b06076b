package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// advisedLength is the least length of a password that is the only factor, in characters (NIST SP 800-63B-4, 3.1.1.2).
const advisedLength = 15

// hashPassword holds the options of the command of that name.
type hashPassword struct {
	parameters password.Parameters
	secret     string // name of the Secret to print; empty: print the hash alone
	namespace  string
	key        string
}

// newHashPasswordCommand returns the command that turns a password into the string that a User's Secret holds.
func newHashPasswordCommand() *cobra.Command {
	var h hashPassword
	cmd := &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password for the Secret of a User",
		Long: "Asks for a password, or reads it from standard input when that is no terminal, and prints its hash for the Secret\n" +
			"that a User names under hashFrom. With --secret it prints the whole Secret.",
		Example: "  gatehouse hash-password --secret jean-password | kubectl apply -f -",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return h.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&h.parameters.Format, "format", password.Argon2id, "argon2id or bcrypt")
	f.IntVar(&h.parameters.Memory, "memory", 19456, "memory of argon2id in KiB")
	f.IntVar(&h.parameters.Iterations, "iterations", 2, "passes of argon2id over its memory")
	f.IntVar(&h.parameters.Parallelism, "parallelism", 1, "lanes of argon2id")
	f.IntVar(&h.parameters.Cost, "cost", 12, "cost of bcrypt: each step up takes twice the time")
	f.StringVar(&h.secret, "secret", "", "print a Secret of this name instead of the hash alone")
	f.StringVar(&h.namespace, "namespace", "gatehouse-users", "namespace of the Secret")
	f.StringVar(&h.key, "key", "passwordHash", "key of the hash in the Secret")
	return cmd
}

// noArguments refuses arguments without quoting them: somebody may have put the password there.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("the password is not an argument, where others could see it: type it when asked, or pipe it in")
	}
	return nil
}

// Run checks the options before it asks for anything, and prints nothing but the result to standard output.
func (h *hashPassword) run(cmd *cobra.Command) error {
	if err := h.check(cmd.Flags().Changed); err != nil {
		return err
	}
	secret, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	encoded, err := password.Generate(secret, h.parameters)
	if err != nil {
		return err
	}
	if err := warn(cmd.ErrOrStderr(), secret, encoded); err != nil {
		return err
	}
	if h.secret == "" {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), encoded)
		return err
	}
	return h.printSecret(cmd.OutOrStdout(), encoded)
}

// check refuses options that do not belong together, and names that the API server would refuse.
func (h *hashPassword) check(given func(flag string) bool) error {
	foreign := map[string][]string{
		password.Argon2id: {"cost"},
		password.Bcrypt:   {"memory", "iterations", "parallelism"},
	}
	flags, known := foreign[h.parameters.Format]
	if !known {
		return fmt.Errorf("--format must be %s or %s", password.Argon2id, password.Bcrypt)
	}
	for _, flag := range flags {
		if given(flag) {
			return fmt.Errorf("--%s does not apply to --format %s", flag, h.parameters.Format)
		}
	}
	if h.secret == "" {
		if given("namespace") || given("key") {
			return errors.New("--namespace and --key need --secret")
		}
		return nil
	}
	return errors.Join(
		named("--secret", validation.IsDNS1123Subdomain(h.secret)),
		named("--namespace", validation.IsDNS1123Label(h.namespace)),
		named("--key", validation.IsConfigMapKey(h.key)))
}

func named(flag string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", flag, strings.Join(problems, "; "))
}

// warn says on standard error what is allowed but not advised.
func warn(w io.Writer, secret []byte, encoded string) error {
	if n := utf8.RuneCount(secret); n < advisedLength {
		_, _ = fmt.Fprintf(w, "warning: the password has %d characters; NIST SP 800-63B advises at least %d\n", n, advisedLength)
	}
	made, err := password.Parse(encoded)
	if err != nil {
		return fmt.Errorf("read the new hash: %w", err)
	}
	if weak := made.Weak(); weak != "" {
		_, _ = fmt.Fprintf(w, "warning: weak hash: %s\n", weak)
	}
	return nil
}

func (h *hashPassword) printSecret(w io.Writer, encoded string) error {
	manifest, err := yaml.Marshal(corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: h.secret, Namespace: h.namespace},
		Type:       corev1.SecretTypeOpaque,
		StringData: map[string]string{h.key: encoded},
	})
	if err != nil {
		return fmt.Errorf("write secret: %w", err)
	}
	_, err = w.Write(manifest)
	return err
}

// readPassword asks twice when the input is a terminal and reads one line otherwise.
func readPassword(in io.Reader, prompts io.Writer) ([]byte, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return askPassword(f, prompts)
	}
	// One byte over the longest password and its newline, so that an overlong one is seen to be overlong.
	text, err := io.ReadAll(io.LimitReader(in, password.MaximumLength+int64(len("\r\n"))+1))
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	line, found := strings.CutSuffix(string(text), "\n")
	if found {
		line = strings.TrimSuffix(line, "\r")
	}
	if strings.Contains(line, "\n") {
		return nil, errors.New("the input has more than one line; give the password on one")
	}
	return []byte(line), nil
}

// askPassword reads without echo. It puts the terminal in raw mode rather than only turn off the echo, because then Ctrl-C
// is a key like any other and cannot end the process before the terminal is restored.
func askPassword(f *os.File, prompts io.Writer) (secret []byte, err error) {
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("turn off echo: %w", err)
	}
	defer func() { err = errors.Join(err, term.Restore(int(f.Fd()), before)) }()
	terminal := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{f, prompts}, "")
	first, err := terminal.ReadPassword("Password: ")
	if err != nil {
		return nil, interrupted(err)
	}
	again, err := terminal.ReadPassword("Once more: ")
	if err != nil {
		return nil, interrupted(err)
	}
	if first != again {
		return nil, errors.New("the two passwords differ; nothing was made")
	}
	return []byte(first), nil
}

// interrupted puts the end of the input, which Ctrl-C and Ctrl-D give, into words.
func interrupted(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("interrupted; nothing was made")
	}
	return fmt.Errorf("read password: %w", err)
}
