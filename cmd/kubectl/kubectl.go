// Package kubectl is the commands of the kubectl plugin: kubectl gatehouse. They are for those who
// keep users in a cluster, and do nothing that these could not do with kubectl.
package kubectl

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tolerant"
)

// defaultNamespace is where Users are unless a flag or the context says otherwise.
const defaultNamespace = "gatehouse-users"

// New returns the commands of the plugin that are about users and tokens. Their flags are those of
// kubectl.
func New() []*cobra.Command {
	user := &cobra.Command{Use: "user", Short: "Create, change and explain Users"}
	user.AddCommand(newUserList(), newUserExplain(), newUserCreate(), newUserSetPassword(), newUserRevoke(), newUserUnlock(), newUserExpire())
	tokens := &cobra.Command{Use: "token", Short: "List and revoke the recorded tokens of Users"}
	tokens.AddCommand(newTokenList(), newTokenRevoke())
	return []*cobra.Command{user, tokens, newStatus()}
}

// options are the flags that every command of the plugin has.
type options struct {
	flags *genericclioptions.ConfigFlags
	now   func() time.Time
}

func newOptions() *options {
	return &options{flags: genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag(), now: time.Now}
}

// bind adds the flags of kubectl.
func (o *options) bind(cmd *cobra.Command) {
	o.flags.Username, o.flags.Password = nil, nil // no secret is an argument
	o.flags.AddFlags(cmd.Flags())
}

// connect returns a client of the API server and the namespace to work in.
func (o *options) connect() (client.Client, string, error) {
	namespace, err := o.namespace()
	if err != nil {
		return nil, "", err
	}
	config, err := o.flags.ToRESTConfig()
	if err != nil {
		return nil, "", fmt.Errorf("no cluster to ask: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme, authv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, "", fmt.Errorf("register the types of Kubernetes: %w", err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("connect to the cluster: %w", err)
	}
	return tolerant.NewClient(c), namespace, nil
}

// namespace returns the namespace of the flag, or that of the context unless it is default, or the
// usual one of Users.
func (o *options) namespace() (string, error) {
	namespace, given, err := o.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	if !given && namespace == metav1.NamespaceDefault {
		return defaultNamespace, nil
	}
	return namespace, nil
}

// connectFor returns a client, and the User that name stands for, as getUser does.
func (o *options) connectFor(ctx context.Context, name string) (client.Client, *authv1alpha1.User, error) {
	c, namespace, err := o.connect()
	if err != nil {
		return nil, nil, err
	}
	u, err := getUser(ctx, c, namespace, name)
	return c, u, err
}

// getUser returns a User by the name of the object or, if there is none, by the login.
func getUser(ctx context.Context, c client.Client, namespace, name string) (*authv1alpha1.User, error) {
	u := &authv1alpha1.User{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, u)
	if !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
		return u, explain(err)
	}
	var withLogin authv1alpha1.UserList
	listErr := c.List(ctx, &withLogin, client.InNamespace(namespace), client.MatchingFields{"spec.login": name})
	if listErr == nil && len(withLogin.Items) > 0 {
		return &withLogin.Items[0], nil
	}
	return nil, fmt.Errorf("no User in namespace %s has the name or the login %q; to look in another namespace, add -n", namespace, name)
}

// explain adds to a refusal of the API server what to do about it.
func explain(err error) error {
	switch {
	case isMissingRight(err):
		return fmt.Errorf("%w; ask someone who administers the cluster for that right: docs/rights.md has a Role for each kind of work", err)
	case apierrors.IsNotFound(err) && isMissingKind(err):
		return fmt.Errorf("%w; the CRDs of Gatehouse are not installed in this cluster", err)
	}
	return err
}

// isMissingRight reports whether the API server denies a request because of the person's rights, and not
// because of an admission policy or a quota, which it answers with the same status.
func isMissingRight(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ")
}

// undo removes a Secret after err has kept the User from naming it, and returns what to say besides err. It
// leaves the Secret alone if err is no refusal, because the User may name it then.
func undo(ctx context.Context, c client.Client, secret client.Object, err error) error {
	if isRefusal(err) {
		return c.Delete(ctx, secret)
	}
	return fmt.Errorf("the Secret %s exists, and the User may name it: look at the User, and delete the Secret if it does not", secret.GetName())
}

// isRefusal reports whether the API server says that it did not write. After any other error, such as a lost
// connection, it may have.
func isRefusal(err error) bool {
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonNotFound,
		metav1.StatusReasonConflict, metav1.StatusReasonAlreadyExists:
		return true
	}
	return false
}

// isMissingKind reports whether the API server does not know the kind at all.
func isMissingKind(err error) bool {
	status, ok := err.(apierrors.APIStatus)
	return ok && status.Status().Details != nil && status.Status().Details.Name == ""
}

// say writes a line to standard error, so that standard output has nothing but results.
func say(cmd *cobra.Command, format string, args ...any) {
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}

// writeLine writes a line of a result.
func writeLine(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

// inUTC returns a time as the API has it, or a dash for none.
func inUTC(t *metav1.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// completeUsers completes the name of a User from the cluster.
func (o *options) completeUsers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, namespace, err := o.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	var users authv1alpha1.UserList
	if err := c.List(ctx, &users, client.InNamespace(namespace), client.Limit(500)); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range users.Items {
		names = append(names, users.Items[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
