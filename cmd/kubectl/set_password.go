package kubectl

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// maximumPasswords is the maximum number of passwords of a User, as the CRD has it.
const maximumPasswords = 4

// setPasswordOptions are the options of kubectl gatehouse user set-password.
type setPasswordOptions struct {
	*options
	passwordOptions
	overlap string
}

// newUserSetPassword returns the command that gives a User another password.
func newUserSetPassword() *cobra.Command {
	o := &setPasswordOptions{options: newOptions()}
	cmd := &cobra.Command{
		Use:   "set-password NAME",
		Short: "Give a User another password; with --overlap the old ones work for a while",
		Long: "Stores the hash of another password in a Secret of its own and adds it to the User. The passwords that the User has\n" +
			"end after --overlap; without it they are removed. Tokens that were issued before stay valid.",
		Example: "  kubectl gatehouse user set-password jean --generate-password --overlap 24h",
		Args:    cobra.ExactArgs(1),
		RunE:    o.run,
	}
	o.options.bind(cmd)
	o.passwordOptions.bind(cmd)
	cmd.ValidArgsFunction = o.completeUsers
	cmd.Flags().StringVar(&o.overlap, "overlap", "0s", "how long the old passwords still work, such as 24h or 7d")
	return cmd
}

func (o *setPasswordOptions) run(cmd *cobra.Command, args []string) error {
	overlap, err := duration.Parse(o.overlap)
	if err != nil {
		return fmt.Errorf("--overlap %w", err)
	}
	c, u, err := o.connectFor(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	hash, generated, err := o.hash(cmd)
	if err != nil {
		return err
	}
	warnAboutGit(cmd, u)
	suffix := utilrand.String(5)
	secret := newHashSecret(u.Namespace, u.Name+"-password-"+suffix, hash)
	if err := c.Create(cmd.Context(), secret); err != nil {
		return explain(err)
	}
	added := authv1alpha1.Password{Name: "set-" + suffix, HashFrom: sourceOf(secret)}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := c.Get(cmd.Context(), client.ObjectKeyFromObject(u), u); err != nil {
			return err
		}
		// A patch, because an update would drop fields that a later version of the service knows.
		patch := client.MergeFromWithOptions(u.DeepCopy(), client.MergeFromWithOptimisticLock{})
		u.Spec.Passwords = replacePasswords(u.Spec.Passwords, added, o.now(), overlap)
		return c.Patch(cmd.Context(), u, patch)
	})
	if err != nil {
		return errors.Join(explain(err), undo(cmd.Context(), c, secret, err))
	}
	writeLine(cmd.OutOrStdout(), "secret/%s created\nuser/%s changed", secret.Name, u.Name)
	if generated != "" {
		say(cmd, "Password of %s, which is shown only now: %s", u.EffectiveLogin(), generated)
	}
	return nil
}

// replacePasswords returns the passwords of a User after one was added: those that have not ended
// end after the overlap at the latest, and if there are too many, those that end first are left out.
func replacePasswords(old []authv1alpha1.Password, added authv1alpha1.Password, now time.Time, overlap time.Duration) []authv1alpha1.Password {
	var kept []authv1alpha1.Password
	end := metav1.NewTime(now.Add(overlap).Truncate(time.Second))
	for _, p := range old {
		if overlap == 0 || (p.ExpiresAt != nil && !p.ExpiresAt.After(now)) {
			continue
		}
		if p.ExpiresAt == nil || p.ExpiresAt.After(end.Time) {
			p.ExpiresAt = &end
		}
		kept = append(kept, p)
	}
	slices.SortStableFunc(kept, func(a, b authv1alpha1.Password) int { return b.ExpiresAt.Compare(a.ExpiresAt.Time) })
	return append(kept[:min(len(kept), maximumPasswords-1)], added)
}
