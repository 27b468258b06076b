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

// TokenReconciler keeps the directory's token records up to date with the Tokens, on every replica.
// It never writes to the API server, so that a revocation does not wait for anything.
type TokenReconciler struct {
	client    client.Client
	directory *directory.Directory
	observed  *informer.Observed
	now       func() time.Time

	mu     sync.Mutex                           // orders changes from several objects about one token
	tokens map[types.NamespacedName]tokenOfUser // because a deleted Token no longer says whose token it recorded
}

// tokenOfUser identifies one token of one user.
type tokenOfUser struct{ uid, id string }

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a Token.
func (r *TokenReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("token").
		For(&authv1alpha1.Token{}).
		WithOptions(informer.AllReplicas()).
		Complete(r)
}

// Reconcile makes the record of one Token as new as the cache.
func (r *TokenReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer func() { r.directory.Touch(r.now()) }()
	t := &authv1alpha1.Token{}
	if err := r.client.Get(ctx, req.NamespacedName, t); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, err
		}
		r.observed.Forget(req.NamespacedName)
		return ctrl.Result{}, r.forgetToken(ctx, req.NamespacedName)
	}
	if t.Unreadable != "" {
		log.FromContext(ctx).Error(errors.New(t.Unreadable), "stored Token breaks the schema and counts as revoked; correct or delete it")
	}
	if err := r.putRecord(ctx, req.NamespacedName, t); err != nil {
		return ctrl.Result{}, err
	}
	r.observed.Record(req.NamespacedName, t.ResourceVersion)
	return ctrl.Result{}, nil
}

// putRecord puts the record of a Token into the directory. If the label has moved on to another
// token, the record of the earlier one stays only if another object still describes it.
func (r *TokenReconciler) putRecord(ctx context.Context, key types.NamespacedName, t *authv1alpha1.Token) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.Spec.TokenID != "" { // only an unreadable Token has no id
		r.directory.PutRecord(record.FromToken(t))
	}
	token := tokenOfUser{t.Spec.UserRef.UID, t.Spec.TokenID}
	if before, known := r.tokens[key]; known && before != token {
		if err := r.dropOrphanedRecord(ctx, before); err != nil {
			return err
		}
	}
	r.tokens[key] = token
	return nil
}

func (r *TokenReconciler) forgetToken(ctx context.Context, key types.NamespacedName) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	token, known := r.tokens[key]
	if !known {
		return nil
	}
	if err := r.dropOrphanedRecord(ctx, token); err != nil {
		return err
	}
	delete(r.tokens, key)
	return nil
}

// dropOrphanedRecord deletes the record of a token that no object in the cache describes any
// longer. A revoked token can have two objects: that of its label and, after the label has moved on
// to another token, one of its own. The second must keep the token void after the first is gone.
// The caller holds mu.
func (r *TokenReconciler) dropOrphanedRecord(ctx context.Context, token tokenOfUser) error {
	var others authv1alpha1.TokenList
	if err := r.client.List(ctx, &others, client.MatchingFields{byTokenID: token.id}); err != nil {
		return fmt.Errorf("list tokens by id: %w", err)
	}
	stillRecorded := false
	for i := range others.Items {
		other := record.FromToken(&others.Items[i])
		stillRecorded = stillRecorded || other.UserUID == token.uid
		r.directory.PutRecord(other)
	}
	if !stillRecorded {
		r.directory.DeleteRecord(token.uid, token.id)
	}
	return nil
}

// byTokenID is the name of the cache index that finds Tokens by the id of their token.
const byTokenID = "tokenID"

// addIndexes adds the indexes that the controllers need to the cache.
func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &authv1alpha1.Token{}, byTokenID, func(o client.Object) []string { return tokenIDs(o) })
}

func tokenIDs(o client.Object) []string {
	if t, ok := o.(*authv1alpha1.Token); ok {
		return []string{t.Spec.TokenID}
	}
	return nil
}
