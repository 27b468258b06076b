// Package record writes what must outlive the process to the API server while a client waits: token
// records as Tokens, and login state to the status of Users.
package record

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tolerant"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
)

// maximumAttempts limits how often an operation starts over because another replica was faster.
const maximumAttempts = 10

// How many operations of each kind run at once. Revocations never wait for new records, and those
// of administrators have a reserve.
const (
	concurrentRecords     = 8
	concurrentRevocations = 16
	administratorReserve  = 8
)

// trustedCount is up to how many records of a user the directory's own count is taken. Other
// replicas may have made more that it does not know yet: four replicas that know nothing of each
// other stay within grant.MaximumRecords. Above it, the API server counts.
const trustedCount = grant.MaximumRecords / 4

// raceMargin is how close to grant.MaximumRecords a new record is counted again after it was made,
// because other replicas may have made one at the same time.
const raceMargin = 16

// Config configures Tokens. The clients must read from the API server and not from a cache.
type Config struct {
	Client      client.Client // for new records
	Revocations client.Client // for revocations, whose calls must not wait for those of others
	Directory   *directory.Directory
	Namespace   string // of the records of tokens whose user this replica does not know
	Now         func() time.Time
}

// Tokens keeps token records as Tokens, and revocations of all tokens of a user in the status of
// its User. It also puts what it has written into the Directory before it returns, so that this
// replica does not wait for its informers. Every error wraps grant.ErrUnavailable, or is
// grant.ErrTooManyRecords. After an error the outcome on the API server may be unknown, but the
// client has not been promised anything. Create Tokens with NewTokens. They are safe for concurrent
// use.
type Tokens struct {
	Config

	flights     singleflight.Group
	creations   lane
	revocations lane
	users       lane // one operation of a user at a time, so that counting and writing are one step
}

// NewTokens returns Tokens.
func NewTokens(c Config) *Tokens {
	c.Client, c.Revocations = tolerant.NewClient(c.Client), tolerant.NewClient(c.Revocations)
	return &Tokens{
		Config:      c,
		creations:   lane{slots: concurrentRecords},
		revocations: lane{slots: concurrentRevocations, reserve: administratorReserve},
		users:       lane{slots: math.MaxInt},
	}
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=get;list;create;patch;delete,namespace=gatehouse-users

// Create stores the record of a token, or returns the existing record of its label if keep reports
// that it is still valid. The name of the object is derived from user and label or from the token's
// id, so that one of any number of replicas creates it and the others find it. Concurrent calls for
// the same name share one result.
func (t *Tokens) Create(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	key := t.keyOf(r, recordName(r))
	flight := t.flights.DoChan(key.String(), func() (any, error) {
		ctx, cancel := withTimeout(ctx)
		defer cancel()
		kept := directory.Record{}
		err := t.exclusively(ctx, &t.creations, r.UserUID, func() (err error) {
			kept, err = t.create(ctx, key, r, keep)
			return err
		})
		return kept, err
	})
	select {
	case result := <-flight:
		kept, _ := result.Val.(directory.Record)
		return kept, grant.Unavailable("store the record of a token", result.Err)
	case <-ctx.Done():
		return directory.Record{}, grant.Unavailable("store the record of a token", ctx.Err())
	}
}

// exclusively calls f when it is the turn of the acting user in a lane, while no other operation
// changes the records of the user with this UID.
func (t *Tokens) exclusively(ctx context.Context, turns *lane, uid string, f func() error) error {
	actor := grant.ActorFrom(ctx)
	if !actor.Admin {
		actor.UID = uid
	}
	leave, err := turns.enter(ctx, actor.UID, actor.Admin)
	if err != nil {
		return err
	}
	defer leave()
	unlock, err := t.users.enter(ctx, uid, false)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

func (t *Tokens) create(ctx context.Context, key types.NamespacedName, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	for range maximumAttempts {
		addErr := t.add(ctx, t.Client, newToken(key, r))
		if addErr == nil {
			t.Directory.PutRecord(r)
			return r, nil
		}
		if !apierrors.IsAlreadyExists(addErr) && !noRoom(addErr) {
			return directory.Record{}, addErr
		}
		object, known, err := t.existing(ctx, key)
		if err != nil {
			return directory.Record{}, err
		}
		if object != nil && known.UserUID == r.UserUID && known.Label == r.Label && keep(known) {
			t.Directory.PutRecord(known)
			return known, nil
		}
		if noRoom(addErr) {
			return directory.Record{}, addErr
		}
		if err := t.deleteRecord(ctx, object); err != nil {
			return directory.Record{}, err
		}
	}
	return directory.Record{}, fmt.Errorf("token %s changed during each of %d attempts; try again", key, maximumAttempts)
}

// existing returns an object and its record, or nil if there is none.
func (t *Tokens) existing(ctx context.Context, key types.NamespacedName) (*authv1alpha1.Token, directory.Record, error) {
	object := &authv1alpha1.Token{}
	if err := t.Client.Get(ctx, key, object); err != nil {
		return nil, directory.Record{}, client.IgnoreNotFound(err)
	}
	known, err := t.effectiveRecord(ctx, object)
	return object, known, err
}

// add creates an object unless that exceeds grant.MaximumRecords. The caller holds the lock of the
// user. Replicas do not share that lock, so close to the limit, add counts again afterwards and
// deletes the object if there are too many.
func (t *Tokens) add(ctx context.Context, c client.Client, o *authv1alpha1.Token) error {
	n, labelled, err := t.count(ctx, c, o)
	switch {
	case err != nil:
		return err
	case n >= grant.MaximumRecords:
		return grant.ErrTooManyRecords
	case o.Spec.Label != "" && labelled >= grant.MaximumLabelled:
		return grant.ErrTooManyLabels
	}
	if err := c.Create(ctx, o); err != nil || n < grant.MaximumRecords-raceMargin {
		return err
	}
	if n, _, err = t.count(ctx, c, o); err != nil || n <= grant.MaximumRecords {
		return err
	}
	if err := client.IgnoreNotFound(c.Delete(ctx, o, client.Preconditions{UID: &o.UID})); err != nil {
		return err
	}
	return grant.ErrTooManyRecords
}

// noRoom reports whether there is no room for a record: the user has too many, with a label or in all, or
// the namespace has as many as its ResourceQuota allows.
func noRoom(err error) bool {
	return errors.Is(err, grant.ErrTooManyRecords) || errors.Is(err, grant.ErrTooManyLabels) || (apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"))
}

// count returns how many records the user of an object has, and how many live tokens with a label
// besides the object. Up to trustedCount, the directory's own count is taken, and no labels are counted.
func (t *Tokens) count(ctx context.Context, c client.Client, o *authv1alpha1.Token) (all, labelled int, err error) {
	if known := t.Directory.CountRecords(o.Spec.UserRef.UID); known <= trustedCount {
		return known, 0, nil
	}
	stored := &metav1.PartialObjectMetadataList{} // all that counting needs
	stored.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind("TokenList"))
	if err := c.List(ctx, stored, client.InNamespace(o.Namespace), client.MatchingLabels{authv1alpha1.UserUIDLabel: o.Spec.UserRef.UID}); err != nil {
		return 0, 0, err
	}
	return len(stored.Items), t.countLabelled(o, stored.Items), nil
}

// countLabelled counts the live tokens with a label of the user of an object, which is not counted. Of
// those that this replica has not heard of, it knows the name and whether they were revoked.
func (t *Tokens) countLabelled(o *authv1alpha1.Token, stored []metav1.PartialObjectMetadata) (n int) {
	known := map[string]bool{o.Name: true}
	for _, r := range t.Directory.RecordsOf(o.Spec.UserRef.UID) {
		if name := labelName(r.UserUID, r.Label); r.Label != "" && !known[name] {
			known[name] = true
			if r.Live(t.Now()) {
				n++
			}
		}
	}
	for i := range stored {
		if s := &stored[i]; strings.HasPrefix(s.Name, labelPrefix) && !known[s.Name] && !controllerutil.ContainsFinalizer(s, authv1alpha1.TokenFinalizer) {
			n++
		}
	}
	return n
}

// effectiveRecord returns the record of a labelled Token. The token may also have been revoked in a
// separate Token, by a replica that did not know its label yet.
func (t *Tokens) effectiveRecord(ctx context.Context, labelled *authv1alpha1.Token) (directory.Record, error) {
	r := FromToken(labelled)
	if err := checkReadable(labelled); err != nil || r.Revoked {
		return r, err
	}
	own := &authv1alpha1.Token{}
	key := types.NamespacedName{Namespace: labelled.Namespace, Name: idName(r.ID)}
	err := t.Client.Get(ctx, key, own)
	if apierrors.IsNotFound(err) {
		return r, nil
	}
	r.Revoked = own.Spec.Revoked && own.Spec.TokenID == r.ID && own.Spec.UserRef.UID == r.UserUID
	return r, err
}

// deleteRecord deletes an old Token to make room for another token with the same label. If the old
// token is revoked and has not expired, deleteRecord stores the revocation in a separate Token
// first. It deletes only the version that was read, so that a revocation in between is not lost.
func (t *Tokens) deleteRecord(ctx context.Context, old *authv1alpha1.Token) error {
	if old == nil { // another replica was faster
		return nil
	}
	if old.Spec.Revoked && t.Now().Before(old.Spec.ExpiresAt.Time) {
		if err := t.storeRevoked(ctx, t.Client, FromToken(old)); err != nil {
			return err
		}
	}
	err := t.Client.Delete(ctx, old, client.Preconditions{UID: &old.UID, ResourceVersion: &old.ResourceVersion})
	if err == nil {
		err = Release(ctx, t.Client, old)
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another replica was faster; the caller reads again
	}
	return err
}

// Labelled returns the record for a user and a label from the API server, and whether it exists.
func (t *Tokens) Labelled(ctx context.Context, u *directory.User, label string) (kept directory.Record, found bool, err error) {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	err = t.exclusively(ctx, &t.revocations, u.UID, func() error {
		token := &authv1alpha1.Token{}
		key := t.keyOf(directory.Record{UserKey: u.Key}, labelName(u.UID, label))
		if err := t.Revocations.Get(ctx, key, token); err != nil {
			return client.IgnoreNotFound(err)
		}
		kept = FromToken(token)
		found = kept.UserUID == u.UID && kept.Label == label
		return nil
	})
	return kept, found, grant.Unavailable("look up the record of a labelled token", err)
}

// keyOf returns the namespace and name of a record's object, in the namespace of its user.
func (t *Tokens) keyOf(r directory.Record, name string) types.NamespacedName {
	namespace, _, known := strings.Cut(r.UserKey, "/")
	if !known {
		namespace = t.Namespace
	}
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// recordName returns the name of the object of a new record.
func recordName(r directory.Record) string {
	if r.Label == "" {
		return idName(r.ID)
	}
	return labelName(r.UserUID, r.Label)
}
