package controllers

import (
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
	"github.com/gatehouse-auth/gatehouse/controllers/tenancy"
	"github.com/gatehouse-auth/gatehouse/controllers/tolerant"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// recorderName is what Events name as their reporter.
const recorderName = "gatehouse"

// Config holds the dependencies of the controllers.
type Config struct {
	Directory *directory.Directory
	Keyer     *password.Keyer  // for plaintext passwords
	Now       func() time.Time // clock for states such as Expired, normally time.Now
	// Namespaces are the namespaces of users that belong to no Tenant, in the order of their precedence.
	Namespaces []string
	// System is the namespace of the service, with its Tenants.
	System string
	// AdminGroups are the groups that a Tenant allows only by name.
	AdminGroups []string
	// Trusts reports whether tokens of an issuer log in; nil: all do. OnTrustChange makes a function
	// be called when that changes; nil: it never does.
	Trusts        func(issuer string) bool
	OnTrustChange func(func())
	HashMemory    int64 // bytes that password hashes may take; 0: any number
	// Progress learns what the caches of the controllers receive.
	Progress *delivery.Progress
	// Replicas decides which replica writes a status, and knows what is in force on all; nil: this is
	// the only one, and no status says what is in force.
	Replicas *replica.Set
}

// Followed is what the controllers of a service follow.
type Followed struct {
	*informer.Namespaces
	Tenants *informer.Tenants

	tenants *tenants
	sync    *InitialSync
}

// Setup adds the controllers and InitialSync to a manager, and returns what they follow. All of them
// run on every replica.
func Setup(mgr manager.Manager, cfg Config) (*Followed, error) {
	namespaces, err := informer.NewNamespaces(mgr, cfg.Progress)
	if err != nil {
		return nil, err
	}
	cache, err := informer.NewTenants(mgr, cfg.System, cfg.Progress)
	if err != nil {
		return nil, err
	}
	f := &Followed{Namespaces: namespaces, Tenants: cache}
	f.tenants = newTenants(tenancy.Settings{Namespaces: cfg.Namespaces, System: cfg.System, AdminGroups: cfg.AdminGroups})
	f.sync = &InitialSync{
		directory: cfg.Directory, namespaces: namespaces, tenants: f.tenants, api: informer.NewLister(mgr.GetAPIReader()), progress: cfg.Progress,
		compared: map[string]bool{}, refused: map[string]bool{},
	}
	status := &TenantStatusReconciler{
		cache: cache, client: mgr.GetClient(), tenants: f.tenants, namespaces: namespaces, unreadable: f.sync.unreadable,
		changed: make(chan event.GenericEvent, revisedBuffer), turns: replica.NewTurns(cfg.Replicas, cfg.Now),
		recorder: mgr.GetEventRecorder(recorderName), now: cfg.Now,
	}
	f.sync.changed = status.enqueue
	namespaces.Added, namespaces.Removed = f.sync.begin, f.sync.end
	namespaces.Removing = func(users []types.NamespacedName) {
		for _, key := range users { // before their revocations go
			cfg.Directory.Delete(key.String())
		}
	}
	namespaces.Set(cfg.Namespaces) // the Tenants come when they are known
	return f, errors.Join(
		f.setupUsers(mgr, cfg),
		f.setupTokens(mgr, cfg),
		(&TenantReconciler{cache: cache, tenants: f.tenants, namespaces: namespaces, progress: cfg.Progress}).SetupWithManager(mgr),
		status.SetupWithManager(mgr),
		mgr.Add(f.sync),
	)
}

func (f *Followed) setupUsers(mgr manager.Manager, cfg Config) error {
	// Both reconcilers share one projector, because revisions are comparable only within it.
	projector, lockouts, secrets := projection.NewProjector(cfg.Keyer, nil), newLiftedLockouts(), informer.NewSecretIndex()
	projector.HashMemory = cfg.HashMemory
	revised, enforcement := make(chan event.GenericEvent, revisedBuffer), newEnforcement(cfg.Replicas, cfg.Now)
	return errors.Join(
		(&UserReconciler{
			namespaces: f.Namespaces, tenants: f.tenants, secrets: secrets,
			directory: cfg.Directory, projector: projector, progress: cfg.Progress, lockouts: lockouts, now: cfg.Now,
		}).SetupWithManager(mgr),
		(&UserStatusReconciler{
			namespaces: f.Namespaces, tenants: f.tenants, client: tolerant.NewClient(mgr.GetClient()), secrets: secrets,
			logins: informer.NewLoginIndex(), identities: informer.NewIdentityIndex(),
			trusts: cfg.Trusts, onTrustChange: cfg.OnTrustChange,
			directory: cfg.Directory, projector: projector, lockouts: lockouts, now: cfg.Now,
			recorder: mgr.GetEventRecorder(recorderName), revised: revised, turns: replica.NewTurns(cfg.Replicas, cfg.Now),
			enforcement: enforcement,
		}).SetupWithManager(mgr),
		(&RevocationReconciler{
			namespaces: f.Namespaces, directory: cfg.Directory, observed: cfg.Progress.Revocations,
			enforcement: enforcement, revised: revised, now: cfg.Now,
		}).SetupWithManager(mgr),
	)
}

func (f *Followed) setupTokens(mgr manager.Manager, cfg Config) error {
	client, reader := tolerant.NewClient(mgr.GetClient()), tolerant.NewReader(mgr.GetAPIReader())
	return errors.Join(
		(&TokenReconciler{
			namespaces: f.Namespaces, directory: cfg.Directory, observed: cfg.Progress.Tokens, now: cfg.Now,
			unknownIn: cfg.Namespaces[0], tokens: map[types.NamespacedName]tokenOfUser{},
		}).SetupWithManager(mgr),
		(&TokenRepairReconciler{
			namespaces: f.Namespaces, client: client, reader: reader, directory: cfg.Directory, now: cfg.Now,
			misowned: map[types.NamespacedName]time.Time{}, lost: map[types.NamespacedName]*authv1alpha1.Token{},
		}).SetupWithManager(mgr),
		(&TokenExpiryReconciler{
			namespaces: f.Namespaces, client: client, directory: cfg.Directory, unreadable: f.sync.unreadable, now: cfg.Now,
		}).SetupWithManager(mgr),
		(&TokenStatusReconciler{
			namespaces: f.Namespaces, client: client, turns: replica.NewTurns(cfg.Replicas, cfg.Now),
			enforcement: newEnforcement(cfg.Replicas, cfg.Now), now: cfg.Now,
		}).SetupWithManager(mgr),
	)
}

// OfTenants returns the namespaces of Tenants that are followed and can be read.
func (f *Followed) OfTenants() []string {
	cut := f.sync.unreadable()
	return slices.DeleteFunc(f.Names(), func(namespace string) bool {
		policy := f.tenants.config.Load().Policy(namespace)
		return policy == nil || policy.Tenant == "" || slices.Contains(cut, namespace)
	})
}
