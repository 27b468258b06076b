package kubectl

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// maximumEvents is how many Events an explanation shows.
const maximumEvents = 5

// newUserExplain returns the command that says whether a User can log in, and why.
func newUserExplain() *cobra.Command {
	o := newOptions()
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Say whether a User can log in now, and everything that decides it",
		Long: "Shows everything that decides whether a User logs in now, each with a tick or a cross, and what to do about a cross.\n" +
			"NAME is the name of the object or the login. If you may not read the Secrets or Revocations of the User, the\n" +
			"words of the service stand for what is in them.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, u, err := o.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			f, err := gather(cmd.Context(), c, u, o.now())
			if err != nil {
				return err
			}
			f.write(cmd.OutOrStdout())
			return nil
		},
	}
	o.bind(cmd)
	cmd.ValidArgsFunction = o.completeUsers
	return cmd
}

// facts are everything that an explanation is made from. It is pure from here on.
type facts struct {
	user        *authv1alpha1.User
	secrets     map[string]*corev1.Secret // by name; without those that do not exist
	unreadable  error                     // why Secrets could not be read; nil if they were
	revocations []authv1alpha1.Revocation // those of the user
	hidden      bool                      // Revocations could not be read
	rivals      []authv1alpha1.User       // other Users of the namespace with the login
	events      []eventsv1.Event          // about the user, the latest first
	now         time.Time
}

// gather reads the facts. A missing right to read Secrets, Revocations or Events leaves them out.
func gather(ctx context.Context, c client.Client, u *authv1alpha1.User, now time.Time) (*facts, error) {
	f := &facts{user: u, secrets: map[string]*corev1.Secret{}, now: now}
	if err := f.readSecrets(ctx, c); err != nil {
		return nil, err
	}
	var revocations authv1alpha1.RevocationList
	err := c.List(ctx, &revocations, client.InNamespace(u.Namespace), client.MatchingFields{"spec.userRef.name": u.Name})
	if tolerate(err) != nil {
		return nil, err
	}
	f.revocations, f.hidden = revocations.Items, err != nil
	if err := f.readRivals(ctx, c); err != nil {
		return nil, err
	}
	var events eventsv1.EventList
	if err := tolerate(c.List(ctx, &events, client.InNamespace(u.Namespace), client.MatchingFields{"regarding.uid": string(u.UID)})); err != nil {
		return nil, err
	}
	f.events = events.Items
	slices.SortStableFunc(f.events, func(a, b eventsv1.Event) int { return eventTime(&b).Compare(eventTime(&a)) })
	return f, nil
}

// tolerate returns err unless it says that the person may not read something.
func tolerate(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

func (f *facts) readSecrets(ctx context.Context, c client.Client) error {
	for i := range f.user.Spec.Passwords {
		ref := f.user.Spec.Passwords[i].Source()
		if ref == nil || f.secrets[ref.Name] != nil {
			continue
		}
		secret := &corev1.Secret{}
		err := c.Get(ctx, client.ObjectKey{Namespace: f.user.Namespace, Name: ref.Name}, secret)
		switch {
		case apierrors.IsNotFound(err):
		case apierrors.IsForbidden(err):
			f.unreadable = err
		case err != nil:
			return explain(err)
		default:
			f.secrets[ref.Name] = secret
		}
	}
	return nil
}

// readRivals reads the other Users of the namespace that have the login, by spec.login or by name.
func (f *facts) readRivals(ctx context.Context, c client.Client) error {
	login := f.user.EffectiveLogin()
	var users authv1alpha1.UserList
	if err := tolerate(c.List(ctx, &users, client.InNamespace(f.user.Namespace), client.MatchingFields{"spec.login": login})); err != nil {
		return err
	}
	named := authv1alpha1.User{}
	err := c.Get(ctx, client.ObjectKey{Namespace: f.user.Namespace, Name: login}, &named)
	if err == nil && named.Spec.Login == "" {
		users.Items = append(users.Items, named)
	}
	for i := range users.Items {
		if users.Items[i].UID != f.user.UID {
			f.rivals = append(f.rivals, users.Items[i])
		}
	}
	return nil
}

// eventTime returns when an Event happened last.
func eventTime(e *eventsv1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	default:
		return e.DeprecatedLastTimestamp.Time
	}
}

// describeEvent returns an Event as one line.
func describeEvent(e *eventsv1.Event) string {
	return fmt.Sprintf("%s %s: %s", eventTime(e).UTC().Format(time.RFC3339), e.Reason, e.Note)
}
