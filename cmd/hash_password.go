package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// advisedLength is the minimum length, in characters, of a password that is the only factor (NIST
// SP 800-63B-4, 3.1.1.2).
const advisedLength = 15

// hashPassword is the options of gatehouse hash-password.
type hashPassword struct {
	parameters password.Parameters
	secret     string // name of the Secret to print; empty to print only the hash
	namespace  string
	key        string
}

// newHashPasswordCommand returns the command that hashes a password for the Secret of a User.
func newHashPasswordCommand() *cobra.Command {
	var h hashPassword
	cmd := &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password for the Secret of a User",
		Long: "Hash a password for the Secret that a User refers to with hashFrom, and print the hash.\n\n" +
			"The password is read from the terminal, or from standard input if that is not a terminal.\n" +
			"With --secret, the whole Secret is printed.",
		Example: "  gatehouse hash-password --secret jean-password | kubectl apply -f -",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return h.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&h.parameters.Format, "format", password.Argon2id, "Hash format: argon2id or bcrypt.")
	f.IntVar(&h.parameters.Memory, "memory", 19456, "Memory of argon2id in KiB.")
	f.IntVar(&h.parameters.Iterations, "iterations", 2, "Number of passes of argon2id over its memory.")
	f.IntVar(&h.parameters.Parallelism, "parallelism", 1, "Number of lanes of argon2id.")
	f.IntVar(&h.parameters.Cost, "cost", 12, "Cost of bcrypt. Each increment doubles the time.")
	f.StringVar(&h.secret, "secret", "", "If set, print a Secret with this name instead of only the hash.")
	f.StringVar(&h.namespace, "namespace", "gatehouse-users", "Namespace of the Secret.")
	f.StringVar(&h.key, "key", "passwordHash", "Key of the hash in the Secret.")
	return cmd
}

// noArguments refuses arguments. It does not quote them, because one may be the password.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("the password is not an argument, because other users could see it: enter it at the prompt, or pipe it to standard input")
	}
	return nil
}

// run checks the options before it prompts, and prints only the result to standard output.
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

// check refuses options that do not go together, and names that the API server would refuse.
// changed reports whether a flag was set.
func (h *hashPassword) check(changed func(flag string) bool) error {
	inapplicable := map[string][]string{
		password.Argon2id: {"cost"},
		password.Bcrypt:   {"memory", "iterations", "parallelism"},
	}
	flags, known := inapplicable[h.parameters.Format]
	if !known {
		return fmt.Errorf("--format must be %s or %s", password.Argon2id, password.Bcrypt)
	}
	for _, flag := range flags {
		if changed(flag) {
			return fmt.Errorf("--%s does not apply to --format %s", flag, h.parameters.Format)
		}
	}
	if h.secret == "" {
		if changed("namespace") || changed("key") {
			return errors.New("--namespace and --key require --secret")
		}
		return nil
	}
	return errors.Join(
		flagError("--secret", validation.IsDNS1123Subdomain(h.secret)),
		flagError("--namespace", validation.IsDNS1123Label(h.namespace)),
		flagError("--key", validation.IsConfigMapKey(h.key)))
}

// flagError returns an error that lists the problems of a flag, or nil if there are none.
func flagError(flag string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", flag, strings.Join(problems, "; "))
}

// warn writes a warning to w about a password or a hash that is allowed but not recommended.
func warn(w io.Writer, secret []byte, encoded string) error {
	if n := utf8.RuneCount(secret); n < advisedLength {
		_, _ = fmt.Fprintf(w, "warning: the password has %d characters; NIST SP 800-63B recommends at least %d\n", n, advisedLength)
	}
	hash, err := password.Parse(encoded)
	if err != nil {
		return fmt.Errorf("read the new hash: %w", err)
	}
	if weak := hash.Weak(); weak != "" {
		_, _ = fmt.Fprintf(w, "warning: weak hash: %s\n", weak)
	}
	return nil
}

// printSecret writes the manifest of a Secret with the hash to w.
func (h *hashPassword) printSecret(w io.Writer, encoded string) error {
	manifest, err := yaml.Marshal(corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: h.secret, Namespace: h.namespace},
		Type:       corev1.SecretTypeOpaque,
		StringData: map[string]string{h.key: encoded},
	})
	if err != nil {
		return fmt.Errorf("encode the Secret: %w", err)
	}
	_, err = w.Write(manifest)
	return err
}

// readPassword prompts twice if the input is a terminal, and reads one line otherwise.
func readPassword(in io.Reader, prompts io.Writer) ([]byte, error) {
	if f, ok := terminal(in); ok {
		return promptPassword(f, prompts)
	}
	// One byte more than the longest password and its newline, so that a longer one is noticed.
	text, err := io.ReadAll(io.LimitReader(in, password.MaximumLength+int64(len("\r\n"))+1))
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	line, found := strings.CutSuffix(string(text), "\n")
	if found {
		line = strings.TrimSuffix(line, "\r")
	}
	if strings.Contains(line, "\n") {
		return nil, errors.New("standard input has more than one line; pipe in only the password")
	}
	return []byte(line), nil
}

// promptPassword reads a password twice, without echo.
func promptPassword(f *os.File, prompts io.Writer) ([]byte, error) {
	var first, second string
	err := prompt(f, prompts, func(ask func(string, bool) (string, error)) (err error) {
		if first, err = ask("Password: ", true); err == nil {
			second, err = ask("Confirm password: ", true)
		}
		return err
	})
	switch {
	case errors.Is(err, errInterrupted):
		return nil, errors.New("interrupted; no hash was created")
	case err != nil:
		return nil, err
	case first != second:
		return nil, errors.New("passwords do not match; no hash was created")
	}
	return []byte(first), nil
}
