package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// Config holds the dependencies of the controllers.
type Config struct {
	Directory *directory.Directory
	Keyer     *password.Keyer  // for plaintext passwords
	Now       func() time.Time // clock for states such as Expired, normally time.Now
	// Namespaces are the namespaces of the users, the same as in informer.CacheOptions.
	Namespaces []string
	// Trusts reports whether tokens of an issuer log in; nil: all do. OnTrustChange makes a function
	// be called when that changes; nil: it never does.
	Trusts        func(issuer string) bool
	OnTrustChange func(func())
	HashMemory    int64 // bytes that password hashes may take; 0: any number
	// Progress is that of the informers of the manager's cache.
	Progress *informer.Progress
	// Replicas decides which replica writes a status, and knows what is in force on all; nil: this is
	// the only one, and no status says what is in force.
	Replicas *replica.Set
}

// Setup adds the controllers and InitialSync to a manager. All of them run on every replica.
func Setup(ctx context.Context, mgr manager.Manager, cfg Config) error {
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("add indexes to the cache: %w", err)
	}
	// Both reconcilers share one projector, because revisions are comparable only within it.
	projector, lockouts, secrets := projection.NewProjector(cfg.Keyer, nil), newLiftedLockouts(), informer.NewSecretIndex()
	projector.HashMemory = cfg.HashMemory
	users, err := informer.NewUsers(mgr, cfg.Namespaces, cfg.Progress)
	if err != nil {
		return err
	}
	enforcement := newEnforcement(cfg.Replicas, cfg.Now)
	revised := make(chan event.GenericEvent, revisedBuffer)
	api := informer.NewLister(mgr.GetAPIReader(), cfg.Namespaces)
	return errors.Join(
		(&UserReconciler{
			users: users, reader: mgr.GetClient(), secrets: secrets,
			directory: cfg.Directory, projector: projector, progress: cfg.Progress, lockouts: lockouts, now: cfg.Now,
		}).SetupWithManager(mgr),
		(&UserStatusReconciler{
			users: users, client: mgr.GetClient(), secrets: secrets, logins: informer.NewLoginIndex(), identities: informer.NewIdentityIndex(),
			trusts: cfg.Trusts, onTrustChange: cfg.OnTrustChange,
			directory: cfg.Directory, projector: projector, lockouts: lockouts, now: cfg.Now,
			recorder: mgr.GetEventRecorder("gatehouse"), revised: revised, turns: replica.NewTurns(cfg.Replicas, cfg.Now), enforcement: enforcement,
		}).SetupWithManager(mgr),
		(&RevocationReconciler{
			reader: mgr.GetCache(), directory: cfg.Directory, observed: cfg.Progress.Revocations, enforcement: enforcement, revised: revised, now: cfg.Now,
		}).SetupWithManager(mgr),
		(&TokenReconciler{
			client: mgr.GetClient(), directory: cfg.Directory, observed: cfg.Progress.Tokens, now: cfg.Now,
			tokens: map[types.NamespacedName]tokenOfUser{},
		}).SetupWithManager(mgr),
		(&TokenRepairReconciler{
			client: mgr.GetClient(), reader: mgr.GetAPIReader(), directory: cfg.Directory, now: cfg.Now,
			misowned: map[types.NamespacedName]time.Time{}, lost: map[types.NamespacedName]*authv1alpha1.Token{},
		}).SetupWithManager(mgr),
		(&TokenExpiryReconciler{client: mgr.GetClient(), directory: cfg.Directory, now: cfg.Now}).SetupWithManager(mgr),
		(&TokenStatusReconciler{
			client: mgr.GetClient(), turns: replica.NewTurns(cfg.Replicas, cfg.Now), enforcement: newEnforcement(cfg.Replicas, cfg.Now), now: cfg.Now,
		}).SetupWithManager(mgr),
		mgr.Add(&InitialSync{
			directory: cfg.Directory,
			sources: []syncSource{{
				kind: "User", observed: cfg.Progress.Users, awaitFilled: users.AwaitFilled,
				list: func(ctx context.Context) (informer.Listing, error) { return users.List(ctx, api) },
			}, {
				kind: "Revocation", observed: cfg.Progress.Revocations,
				awaitFilled: func(ctx context.Context) { awaitFilled(ctx, mgr.GetCache(), newRevocation()) },
				list: func(ctx context.Context) (informer.Listing, error) {
					return api.List(ctx, authv1alpha1.GroupVersion.WithKind("Revocation"))
				},
			}, {
				kind: "Token", observed: cfg.Progress.Tokens,
				awaitFilled: func(ctx context.Context) { awaitFilled(ctx, mgr.GetCache(), &authv1alpha1.Token{}) },
				list: func(ctx context.Context) (informer.Listing, error) {
					return api.List(ctx, authv1alpha1.GroupVersion.WithKind("Token"))
				},
			}},
		}),
	)
}

// awaitFilled returns when the cache holds the initially listed objects of a kind.
func awaitFilled(ctx context.Context, informers cache.Informers, kind client.Object) {
	if _, err := informers.GetInformer(ctx, kind); err != nil && ctx.Err() == nil {
		log.FromContext(ctx).Error(err, "could not fill the cache yet") // InitialSync compares lists until it is filled
	}
}
