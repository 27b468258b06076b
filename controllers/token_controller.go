package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// TokenReconciler keeps the directory's records of tokens up to date with the Tokens, on every replica. It never writes to
// the API server, so that a revocation waits for nothing.
type TokenReconciler struct {
	client    client.Client
	directory *directory.Directory
	progress  *informer.Observed
	now       func() time.Time

	mu     sync.Mutex                           // orders what several objects say about one token
	tokens map[types.NamespacedName]tokenOfUser // a deleted Token no longer tells whose token it was about
}

// tokenOfUser names one token of one user.
type tokenOfUser struct{ uid, id string }

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch,namespace=gatehouse-users

// SetupWithManager lets the manager call Reconcile for every change of a Token.
func (r *TokenReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("token").
		For(&authv1alpha1.Token{}).
		WithOptions(informer.AllReplicas()).
		Complete(r)
}

// Reconcile makes one record as new as the cache.
func (r *TokenReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer func() { r.directory.Touch(r.now()) }()
	t := &authv1alpha1.Token{}
	if err := r.client.Get(ctx, req.NamespacedName, t); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, err
		}
		r.progress.Forget(req.NamespacedName)
		return ctrl.Result{}, r.forget(ctx, req.NamespacedName)
	}
	if t.Unreadable != "" {
		log.FromContext(ctx).Error(errors.New(t.Unreadable), "the stored Token breaks the schema and counts as revoked; correct or delete it")
	}
	if err := r.put(ctx, req.NamespacedName, t); err != nil {
		return ctrl.Result{}, err
	}
	r.progress.Record(req.NamespacedName, t.ResourceVersion)
	return ctrl.Result{}, nil
}

// put makes a Token's record part of the directory. A label that has got another token leaves the first one's record to
// whichever object still speaks of it.
func (r *TokenReconciler) put(ctx context.Context, key types.NamespacedName, t *authv1alpha1.Token) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.Spec.TokenID != "" { // only one that is unreadable has none
		r.directory.PutRecord(record.FromToken(t))
	}
	token := tokenOfUser{t.Spec.UserRef.UID, t.Spec.TokenID}
	if before, known := r.tokens[key]; known && before != token {
		if err := r.settle(ctx, before); err != nil {
			return err
		}
	}
	r.tokens[key] = token
	return nil
}

func (r *TokenReconciler) forget(ctx context.Context, key types.NamespacedName) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	token, known := r.tokens[key]
	if !known {
		return nil
	}
	if err := r.settle(ctx, token); err != nil {
		return err
	}
	delete(r.tokens, key)
	return nil
}

// settle drops the record of a token that no object in the cache speaks of any more. A revoked token can have two: that of
// its label and, when the label gets another token, one of its own; the second must keep it void when the first goes. The
// caller holds mu.
func (r *TokenReconciler) settle(ctx context.Context, token tokenOfUser) error {
	var others authv1alpha1.TokenList
	if err := r.client.List(ctx, &others, client.MatchingFields{byTokenID: token.id}); err != nil {
		return fmt.Errorf("list tokens by id: %w", err)
	}
	spoken := false
	for i := range others.Items {
		other := record.FromToken(&others.Items[i])
		spoken = spoken || other.UserUID == token.uid
		r.directory.PutRecord(other)
	}
	if !spoken {
		r.directory.DeleteRecord(token.uid, token.id)
	}
	return nil
}

// byTokenID is the index of the cache that finds Tokens by the token they speak of.
const byTokenID = "tokenID"

// addIndexes teaches the cache to find objects otherwise than by name.
func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &authv1alpha1.Token{}, byTokenID, func(o client.Object) []string { return tokenIDs(o) })
}

func tokenIDs(o client.Object) []string {
	if t, ok := o.(*authv1alpha1.Token); ok {
		return []string{t.Spec.TokenID}
	}
	return nil
}
