package kubectl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// waitTime limits how long a command waits for the service.
const waitTime = time.Minute

// waitPoll is how often a command that waits reads the User.
const waitPoll = 200 * time.Millisecond

// newUserRevoke returns the command that revokes a User by a Revocation.
func newUserRevoke() *cobra.Command {
	o := newOptions()
	var (
		reason, expires string
		wait            bool
	)
	cmd := &cobra.Command{
		Use:   "revoke NAME --reason TEXT",
		Short: "Revoke a User at once, and void all tokens of the user",
		Long: "Creates a Revocation: the user cannot log in while it exists, and all tokens of the user are void for good. A tool that\n" +
			"applies the User from Git does not undo it. Deleting the Revocation lets the user log in again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, u, err := o.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := newRevocation(u, reason, expires, o.now())
			if err != nil {
				return err
			}
			if err := c.Create(cmd.Context(), r); err != nil {
				return explain(err)
			}
			writeLine(cmd.OutOrStdout(), "revocation/%s created", r.Name)
			say(cmd, "To let %s log in again: kubectl -n %s delete revocations.auth.gatehouse.dev %s", u.EffectiveLogin(), r.Namespace, r.Name)
			if wait {
				return awaitRevoked(cmd, c, u)
			}
			return nil
		},
	}
	o.bind(cmd)
	cmd.ValidArgsFunction = o.completeUsers
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who read it later (required)")
	cmd.Flags().StringVar(&expires, "expires", "", "when the user may log in again: a duration such as 24h or 7d, or a time (default: when the Revocation is deleted)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the revocation is in force")
	return cmd
}

func newRevocation(u *authv1alpha1.User, reason, expires string, now time.Time) (*authv1alpha1.Revocation, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, errors.New(`why? Add --reason, such as --reason "laptop stolen, ticket 4711"`)
	}
	r := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: u.Namespace, GenerateName: u.Name + "-"}}
	r.Spec.UserRef.Name, r.Spec.Reason = u.Name, reason
	if expires == "" {
		return r, nil
	}
	at, err := parseWhen(expires, now)
	if err != nil {
		return nil, fmt.Errorf("--expires %w", err)
	}
	r.Spec.ExpiresAt = &metav1.Time{Time: at}
	return r, nil
}

// awaitRevoked waits until the status of a User says that it is revoked.
func awaitRevoked(cmd *cobra.Command, c client.Client, u *authv1alpha1.User) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), waitTime)
	defer cancel()
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		if err := c.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil && ctx.Err() == nil {
			return explain(err)
		}
		if u.Status.State == authv1alpha1.UserRevoked && ctx.Err() == nil {
			writeLine(cmd.OutOrStdout(), "user/%s is revoked", u.Name)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Revocation is created, but no replica has reported it in force within %s; is the service running?", waitTime)
		case <-tick.C:
		}
	}
}

// newUserUnlock returns the command that lifts a lock.
func newUserUnlock() *cobra.Command {
	o := newOptions()
	cmd := &cobra.Command{
		Use: "unlock NAME", Short: "Lift the lock of a User after too many failed logins", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, u, err := o.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"lockedUntil":null}}`))
			if err := c.Status().Patch(cmd.Context(), u, patch); err != nil {
				return explain(err)
			}
			writeLine(cmd.OutOrStdout(), "user/%s unlocked", u.Name)
			return nil
		},
	}
	o.bind(cmd)
	cmd.ValidArgsFunction = o.completeUsers
	return cmd
}

// newUserExpire returns the command that sets when an account expires.
func newUserExpire() *cobra.Command {
	o := newOptions()
	var (
		at    string
		never bool
	)
	cmd := &cobra.Command{
		Use:   "expire NAME",
		Short: "Set when a User expires: now, later or never",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			value := "null"
			if !never {
				when, err := parseWhen(at, o.now())
				if err != nil {
					return fmt.Errorf("--at %w", err)
				}
				value = `"` + when.UTC().Format(time.RFC3339) + `"`
			}
			c, u, err := o.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			warnAboutGit(cmd, u)
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"expiresAt":`+value+`}}`))
			if err := c.Patch(cmd.Context(), u, patch); err != nil {
				return explain(err)
			}
			writeLine(cmd.OutOrStdout(), "user/%s expires %s", u.Name, strings.Trim(strings.Replace(value, "null", "never", 1), `"`))
			return nil
		},
	}
	o.bind(cmd)
	cmd.ValidArgsFunction = o.completeUsers
	cmd.Flags().StringVar(&at, "at", "0s", "when: a duration from now such as 30d, or a time such as 2027-01-31T00:00:00Z (default: now)")
	cmd.Flags().BoolVar(&never, "never", false, "remove the expiry")
	cmd.MarkFlagsMutuallyExclusive("at", "never")
	return cmd
}

// parseWhen returns the time of a flag: a duration from now, or a time. Its errors complete a
// sentence that begins with the name of the flag.
func parseWhen(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := duration.Parse(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w, or a time such as 2027-01-31T00:00:00Z", err)
	}
	return now.Add(d).Truncate(time.Second), nil
}

// warnAboutGit warns that a tool which applies the User will undo a change of its spec.
func warnAboutGit(cmd *cobra.Command, u *authv1alpha1.User) {
	for key, tool := range map[string]string{
		"kustomize.toolkit.fluxcd.io/name": "Flux",
		"helm.toolkit.fluxcd.io/name":      "Flux",
		"argocd.argoproj.io/instance":      "Argo CD",
	} {
		if u.Labels[key] != "" {
			say(cmd, "warning: %s applies this User; make the change in Git as well, or it will be undone", tool)
			return
		}
	}
	if u.Annotations["argocd.argoproj.io/tracking-id"] != "" {
		say(cmd, "warning: Argo CD applies this User; make the change in Git as well, or it will be undone")
	}
}
