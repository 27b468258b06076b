package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/system"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// rotationTimeout is how long gatehouse keys rotate waits for a running service to begin, and
// rotationPoll how often it reads the keys meanwhile.
const (
	rotationTimeout = 20 * time.Second
	rotationPoll    = 200 * time.Millisecond
)

// keysOptions name the service whose keys are shown or rotated.
type keysOptions struct {
	stateDir   string
	manifests  string
	kubeconfig string
	context    string
	namespace  string
}

// newKeysCommand returns the command that shows and rotates the keys of a service. It never prints a private one.
func newKeysCommand() *cobra.Command {
	o := &keysOptions{}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Show or rotate the keys that sign and seal tokens",
		Long: "Shows or rotates the keys that sign and seal tokens: those of the cluster that the kubeconfig names, of the cluster\n" +
			"it runs in, or of a standalone service with --manifests or --state-dir.",
	}
	f := cmd.PersistentFlags()
	f.StringVar(&o.stateDir, "state-dir", "", "state folder of a standalone service")
	f.StringVar(&o.manifests, "manifests", "", "folder of manifests of a standalone service that uses the default state folder")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig (default: $KUBECONFIG, ~/.kube/config, or the cluster it runs in)")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig")
	f.StringVarP(&o.namespace, "namespace", "n", cmp.Or(os.Getenv("POD_NAMESPACE"), "gatehouse-system"), "namespace of the service")
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Show which key issues tokens, which follows, and which still verify", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return o.list(cmd) },
		},
		&cobra.Command{
			Use: "rotate", Short: "Make the next keys take over as soon as verifiers can know them", Args: cobra.NoArgs,
			Long: "Makes the next keys take over within about two minutes, or as soon as they have been published for long enough. Tokens of the\n" +
				"previous keys stay valid. If a key has leaked, remove its entry from the Secret or the file instead: its tokens are then\n" +
				"void at once.",
			RunE: func(cmd *cobra.Command, _ []string) error { return o.rotate(cmd) },
		},
	)
	return cmd
}

func (o *keysOptions) list(cmd *cobra.Command) error {
	stored, place, err := o.stored()
	if err != nil {
		return err
	}
	entries, err := stored.Read(cmd.Context())
	if err == nil && len(entries) == 0 {
		err = keystore.ErrNoKeys
	}
	if err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	return printKeys(cmd, entries)
}

// rotate requests a rotation, waits for it to begin and shows the keys.
func (o *keysOptions) rotate(cmd *cobra.Command) error {
	stored, place, err := o.stored()
	if err != nil {
		return err
	}
	if err := keystore.RequestRotation(cmd.Context(), stored); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), rotationTimeout)
	defer cancel()
	entries, err := awaitRotation(ctx, stored)
	if err != nil {
		return fmt.Errorf("rotation requested, but its status could not be read: %w", err)
	}
	if _, pending := entries[token.RotationRequest]; pending {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "Rotation requested. No running service has begun it yet; the next service that uses these keys begins it.")
		return err
	}
	return printKeys(cmd, entries)
}

// awaitRotation returns the keys once the request is gone from them, or as they are when the context ends.
func awaitRotation(ctx context.Context, stored keystore.Entries) (map[string][]byte, error) {
	tick := time.NewTicker(rotationPoll)
	defer tick.Stop()
	for {
		entries, err := stored.Read(ctx)
		if err != nil {
			return nil, err
		}
		if _, pending := entries[token.RotationRequest]; !pending {
			return entries, nil
		}
		select {
		case <-ctx.Done():
			return entries, nil
		case <-tick.C:
		}
	}
}

// stored returns the keys that the options name, and a name of the place where they are.
func (o *keysOptions) stored() (_ keystore.Entries, place string, err error) {
	if o.stateDir != "" || o.manifests != "" {
		dir, err := stateDir(o.stateDir, o.manifests)
		return statedir.EntriesFile{Dir: dir, Name: statedir.KeysEntries}, "--state-dir " + dir, err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("no cluster to ask: %w; for a standalone service, give --manifests DIR or --state-dir DIR", err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, "", fmt.Errorf("register the types of Kubernetes: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("connect to the cluster: %w", err)
	}
	keys := system.NewKeysSecret(c, o.namespace)
	return keys, "secret " + keys.Key.String(), nil
}

// printKeys prints the public facts about keys.
func printKeys(cmd *cobra.Command, entries map[string][]byte) error {
	keys, unreadable := token.ParseKeys(entries)
	if unreadable != nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: some entries are not keys:\n%v\n", unreadable)
	}
	return writeKeys(cmd.OutOrStdout(), keys, time.Now())
}

func writeKeys(w io.Writer, keys token.Keys, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "ENTRY\tALGORITHM\tCREATED\tSTATE") // Flush has the error
	for _, use := range []token.Use{token.Sign, token.Seal} {
		current, _ := keys.Current(use, now)
		all := keys.All(use)
		slices.Reverse(all)
		for _, k := range all {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.EntryName(), k.Algorithm, rfc3339(k.Created), describeState(k, current, now))
		}
	}
	return table.Flush()
}

// describeState returns what a key does now, in words.
func describeState(k, current token.Key, now time.Time) string {
	var words []string
	switch {
	case k.ActiveAt.IsZero():
		return "standby"
	case k.ActiveAt.After(now):
		return "takes over at " + rfc3339(k.ActiveAt)
	case k.ID == current.ID:
		words = append(words, string(k.Use)+"s tokens")
		if !k.ReplacedAt.IsZero() {
			words = append(words, "until "+rfc3339(k.ReplacedAt))
		}
	}
	if !k.EndsAt.IsZero() {
		words = append(words, "verifies until "+rfc3339(k.EndsAt))
	}
	return strings.Join(words, ", ")
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
