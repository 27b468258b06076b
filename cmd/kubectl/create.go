package kubectl

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// hashKey is the key of a hash in the Secrets that the plugin makes.
const hashKey = "passwordHash"

// maximumHash is the maximum size of a hash on standard input, in bytes.
const maximumHash = 4096

// generatedLength is the length of a generated password: 24 characters of 32 have 120 bits.
const generatedLength = 24

// passwordOptions say where a password comes from.
type passwordOptions struct {
	generate  bool
	hashStdin bool
}

func (p *passwordOptions) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.generate, "generate-password", false, "generate a password, and print it once")
	cmd.Flags().BoolVar(&p.hashStdin, "hash-stdin", false, "read a hash from standard input, as gatehouse hash-password prints it")
	cmd.MarkFlagsMutuallyExclusive("generate-password", "hash-stdin")
}

// hash returns the hash to store and the password that was generated, if any.
func (p *passwordOptions) hash(cmd *cobra.Command) (hash, generated string, err error) {
	switch {
	case p.generate:
		generated = generatePassword()
		hash, err = password.Generate([]byte(generated), password.Parameters{Format: password.Argon2id, Memory: 19456, Iterations: 2, Parallelism: 1})
		return hash, generated, err
	case p.hashStdin:
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maximumHash+1))
		if err != nil {
			return "", "", fmt.Errorf("read the hash: %w", err)
		}
		hash = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if _, err := password.Parse(hash); err != nil {
			return "", "", fmt.Errorf("standard input is not a hash that can be used: %w", err)
		}
		return hash, "", nil
	}
	return "", "", errors.New("which password? Add --generate-password, or pipe a hash in: gatehouse hash-password | kubectl gatehouse user ... --hash-stdin")
}

// generatePassword returns a random password that needs no quotes in a shell, a URL or YAML. It
// consists of letters and digits that people do not mistake for each other.
func generatePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
	raw := make([]byte, generatedLength)
	_, _ = rand.Read(raw) // never fails, by its own contract
	for i, b := range raw {
		raw[i] = alphabet[int(b)%len(alphabet)] // 32 divides 256, so all are equally likely
	}
	return string(raw)
}

// createOptions are the options of kubectl gatehouse user create.
type createOptions struct {
	*options
	passwordOptions
	login, displayName, email string
	groups, serviceAccounts   []string
	expires                   string
	dryRun, output            string
}

// newUserCreate returns the command that creates a User and the Secret of its password.
func newUserCreate() *cobra.Command {
	o := &createOptions{options: newOptions()}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a User, and the Secret with the hash of the password",
		Long: "Creates a User, and a Secret NAME-password with the hash of the password. A generated password is printed once, to\n" +
			"standard error, and stored nowhere. A User with --service-account needs no password: Pods of the ServiceAccount log in\n" +
			"with their own token. With --dry-run=client -o yaml nothing is created, and the manifests for Git are printed; keep the\n" +
			"Secret in Git only in encrypted form.",
		Example: "  kubectl gatehouse user create jean --generate-password --group operators --expires 90d\n" +
			"  kubectl gatehouse user create billing --service-account shop/billing\n" +
			"  kubectl gatehouse user create jean --generate-password --dry-run=client -o yaml >jean.yaml",
		Args: cobra.ExactArgs(1),
		RunE: o.run,
	}
	o.options.bind(cmd)
	o.passwordOptions.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.login, "login", "", "what the user logs in with (default: NAME)")
	f.StringVar(&o.displayName, "display-name", "", "name of the user for people to read")
	f.StringVar(&o.email, "email", "", "email address of the user")
	f.StringSliceVar(&o.groups, "group", nil, "group of the user; may be given several times")
	f.StringSliceVar(&o.serviceAccounts, "service-account", nil, "ServiceAccount whose token logs in, as NAMESPACE/NAME; may be given several times")
	f.StringVar(&o.expires, "expires", "", "when the account expires: a duration such as 90d, or a time (default: never)")
	f.StringVar(&o.dryRun, "dry-run", "none", "none; client: only print what would be created; server: let the API server check it")
	f.StringVarP(&o.output, "output", "o", "", "print the objects: yaml")
	return cmd
}

func (o *createOptions) run(cmd *cobra.Command, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	user, err := o.user(namespace, args[0])
	if err != nil {
		return err
	}
	secret, generated, err := o.secret(cmd, namespace, args[0])
	if err != nil {
		return err
	}
	objects := []client.Object{user}
	if secret != nil {
		user.Spec.Passwords = []authv1alpha1.Password{{Name: "default", HashFrom: sourceOf(secret)}}
		objects = []client.Object{secret, user} // the Secret first, so that the User is never without it
	}
	if o.dryRun != "client" {
		if err := o.create(cmd, objects); err != nil {
			return err
		}
	}
	if err := o.print(cmd, objects); err != nil {
		return err
	}
	if generated != "" {
		say(cmd, "Password of %s, which is shown only now: %s", user.EffectiveLogin(), generated)
	}
	return nil
}

// secret returns the Secret of the password, and the password if it was generated. It returns none if
// the user has another way to log in and no password was asked for.
func (o *createOptions) secret(cmd *cobra.Command, namespace, name string) (_ *corev1.Secret, generated string, err error) {
	if len(o.serviceAccounts) > 0 && !o.generate && !o.hashStdin {
		return nil, "", nil
	}
	hash, generated, err := o.hash(cmd)
	if err != nil {
		return nil, "", err
	}
	return newHashSecret(namespace, name+"-password", hash), generated, nil
}

func (o *createOptions) check() error {
	switch o.dryRun {
	case "none", "client", "server":
	default:
		return errors.New("--dry-run must be none, client or server")
	}
	if o.output != "" && o.output != "yaml" {
		return errors.New("--output must be yaml")
	}
	return nil
}

// user returns the User that the options describe, without passwords.
func (o *createOptions) user(namespace, name string) (*authv1alpha1.User, error) {
	u := &authv1alpha1.User{
		TypeMeta:   metav1.TypeMeta{APIVersion: authv1alpha1.GroupVersion.String(), Kind: "User"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       authv1alpha1.UserSpec{Login: o.login, DisplayName: o.displayName, Email: o.email, Groups: o.groups},
	}
	for _, account := range o.serviceAccounts {
		ns, account, found := strings.Cut(account, "/")
		if !found {
			return nil, errors.New("--service-account must be NAMESPACE/NAME, such as shop/billing")
		}
		u.Spec.Identities = append(u.Spec.Identities, authv1alpha1.Identity{
			ServiceAccount: &authv1alpha1.ServiceAccountIdentity{Namespace: ns, Name: account},
		})
	}
	if o.expires != "" {
		at, err := parseWhen(o.expires, o.now())
		if err != nil {
			return nil, fmt.Errorf("--expires %w", err)
		}
		u.Spec.ExpiresAt = &metav1.Time{Time: at}
	}
	return u, nil
}

// create creates the objects. It removes the Secret if the User is refused.
func (o *createOptions) create(cmd *cobra.Command, objects []client.Object) error {
	c, _, err := o.connect()
	if err != nil {
		return err
	}
	var options []client.CreateOption
	if o.dryRun == "server" {
		options = append(options, client.DryRunAll)
	}
	for i, object := range objects {
		err := c.Create(cmd.Context(), object, options...)
		if err == nil {
			continue
		}
		explained := explainExisting(err, kindOf(object), object.GetName())
		for _, created := range objects[:i] {
			if o.dryRun != "server" {
				explained = errors.Join(explained, undo(cmd.Context(), c, created, err))
			}
		}
		return explained
	}
	return nil
}

// kindOf returns the kind of an object that this command creates.
func kindOf(object client.Object) string {
	if _, ok := object.(*corev1.Secret); ok {
		return "Secret"
	}
	return "User"
}

// explainExisting adds to the refusal of an object that exists what to do.
func explainExisting(err error, kind, name string) error {
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("the %s %s exists already; to give an existing User another password, use: kubectl gatehouse user set-password", kind, name)
	}
	return explain(err)
}

// print prints the objects as YAML, or says what was created.
func (o *createOptions) print(cmd *cobra.Command, objects []client.Object) error {
	suffix := map[string]string{"none": "", "client": " (dry run)", "server": " (server dry run)"}[o.dryRun]
	for _, object := range objects {
		if o.output == "" {
			writeLine(cmd.OutOrStdout(), "%s/%s created%s", strings.ToLower(kindOf(object)), object.GetName(), suffix)
			continue
		}
		var manifest any = object
		if user, ok := object.(*authv1alpha1.User); ok {
			manifest = manifestOf(user)
		}
		text, err := yaml.Marshal(manifest)
		if err != nil {
			return fmt.Errorf("encode the objects: %w", err)
		}
		writeLine(cmd.OutOrStdout(), "---\n%s", strings.TrimSuffix(string(text), "\n"))
	}
	return nil
}

// manifestOf returns a User without what only the API server writes.
func manifestOf(u *authv1alpha1.User) map[string]any {
	return map[string]any{
		"apiVersion": u.APIVersion, "kind": u.Kind,
		"metadata": map[string]string{"name": u.Name, "namespace": u.Namespace},
		"spec":     u.Spec,
	}
}

// newHashSecret returns a Secret with a hash.
func newHashSecret(namespace, name, hash string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       corev1.SecretTypeOpaque,
		StringData: map[string]string{hashKey: hash},
	}
}

func sourceOf(secret *corev1.Secret) *authv1alpha1.SecretSource {
	return &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: secret.Name, Key: hashKey}}
}
