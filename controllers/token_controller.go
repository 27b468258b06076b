package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// TokenReconciler keeps the directory's token records up to date with the Tokens, on every replica.
// It never writes to the API server, so that a revocation does not wait for anything.
type TokenReconciler struct {
	namespaces *informer.Namespaces
	directory  *directory.Directory
	observed   *delivery.Observed
	now        func() time.Time
	unknownIn  string // the namespace of the records of tokens whose user the writing replica did not know

	mu     sync.Mutex                           // orders changes from several objects about one token
	tokens map[types.NamespacedName]tokenOfUser // because a deleted Token no longer says whose token it recorded
}

// tokenOfUser identifies one token of one user, as recorded in one namespace; empty: in any.
type tokenOfUser struct{ namespace, uid, id string }

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a Token.
func (r *TokenReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("token").
		WatchesRawSource(r.namespaces.Source(informer.Token, &handler.EnqueueRequestForObject{})).
		WithOptions(informer.AllReplicas()).
		Complete(r)
}

// Reconcile makes the record of one Token as new as the cache.
func (r *TokenReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer func() { r.directory.Touch(r.now()) }()
	t := r.namespaces.Token(req.NamespacedName)
	if t == nil {
		r.observed.Forget(req.NamespacedName)
		r.forgetToken(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if fault := stored.Fault(t); fault != "" {
		log.FromContext(ctx).Error(errors.New(fault), "stored Token breaks the schema and counts as revoked; correct or delete it")
	}
	r.putRecord(req.NamespacedName, t)
	r.observed.Record(req.NamespacedName, t.ResourceVersion)
	return ctrl.Result{}, nil
}

// putRecord puts the record of a Token into the directory. If the label has moved on to another
// token, the record of the earlier one stays only if another object still describes it.
func (r *TokenReconciler) putRecord(key types.NamespacedName, t *authv1alpha1.Token) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.recordOf(t)
	if kept.ID != "" { // only an unreadable Token has no id
		r.directory.PutRecord(kept)
	}
	token := tokenOfUser{kept.Namespace(), kept.UserUID, kept.ID}
	if before, known := r.tokens[key]; known && before != token {
		r.dropOrphanedRecord(key.Namespace, before)
	}
	r.tokens[key] = token
}

// recordOf returns the record of a Token. It counts for a User of the same namespace only, except that
// a replica that did not know the user has written it where such records are.
func (r *TokenReconciler) recordOf(t *authv1alpha1.Token) directory.Record {
	kept := record.FromToken(t)
	if t.Namespace == r.unknownIn && record.OfUnknownUser(t) {
		kept.UserKey = ""
	}
	return kept
}

func (r *TokenReconciler) forgetToken(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	token, known := r.tokens[key]
	if !known {
		return
	}
	r.dropOrphanedRecord(key.Namespace, token)
	delete(r.tokens, key)
}

// dropOrphanedRecord deletes the record of a token that no object in the cache describes any
// longer. A revoked token can have two objects: that of its label and, after the label has moved on
// to another token, one of its own. The second must keep the token void after the first is gone.
// The caller holds mu.
func (r *TokenReconciler) dropOrphanedRecord(namespace string, token tokenOfUser) {
	stillRecorded := false
	for _, t := range r.namespaces.TokensByID(namespace, token.id) {
		other := r.recordOf(t)
		stillRecorded = stillRecorded || other.UserUID == token.uid && other.Namespace() == token.namespace
		r.directory.PutRecord(other)
	}
	if !stillRecorded {
		r.directory.DeleteRecord(token.namespace, token.uid, token.id)
	}
}
