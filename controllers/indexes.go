package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// The indexes of the cache.
const (
	bySecret  = "secret"  // Users by the names of the Secrets that their passwords are in
	byLogin   = "login"   // Users by what a client types, also when it is the object's name
	byTokenID = "tokenID" // Tokens by the token they speak of
)

// addIndexes teaches the cache to find objects otherwise than by name.
func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	return errors.Join(
		indexer.IndexField(ctx, &authv1alpha1.User{}, bySecret, func(o client.Object) []string { return secretNames(o) }),
		indexer.IndexField(ctx, &authv1alpha1.User{}, byLogin, func(o client.Object) []string { return logins(o) }),
		indexer.IndexField(ctx, &authv1alpha1.Token{}, byTokenID, func(o client.Object) []string { return tokenIDs(o) }),
	)
}

func secretNames(o client.Object) []string {
	u, ok := o.(*authv1alpha1.User)
	if !ok {
		return nil
	}
	var names []string
	for _, p := range u.Spec.Passwords {
		if ref := p.Source(); ref != nil {
			names = append(names, ref.Name)
		}
	}
	return names
}

func logins(o client.Object) []string {
	if u, ok := o.(*authv1alpha1.User); ok {
		return []string{u.EffectiveLogin()}
	}
	return nil
}

func tokenIDs(o client.Object) []string {
	if t, ok := o.(*authv1alpha1.Token); ok {
		return []string{t.Spec.TokenID}
	}
	return nil
}

// usersOfSecret enqueues every User that names a Secret.
func usersOfSecret(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) []reconcile.Request {
		return requests(ctx, reader, client.InNamespace(secret.GetNamespace()), client.MatchingFields{bySecret: secret.GetName()})
	})
}

// usersOfLogin enqueues a User and every other User that claims the same login, before or after the change.
func usersOfLogin(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		out := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
		for _, login := range logins(o) {
			out = append(out, requests(ctx, reader, client.MatchingFields{byLogin: login})...)
		}
		return out
	})
}

func requests(ctx context.Context, reader client.Reader, opts ...client.ListOption) []reconcile.Request {
	var users authv1alpha1.UserList
	if err := reader.List(ctx, &users, opts...); err != nil {
		log.FromContext(ctx).Error(err, "list users in the cache")
		return nil
	}
	out := make([]reconcile.Request, 0, len(users.Items))
	for i := range users.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&users.Items[i])})
	}
	return out
}

// secretDataChanged lets a Secret's update pass when its values differ; tools that sync Secrets touch the metadata often.
func secretDataChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Secret)
		after, also := e.ObjectNew.(*corev1.Secret)
		return !ok || !also || before.UID != after.UID ||
			!maps.EqualFunc(before.Data, after.Data, func(a, b []byte) bool { return string(a) == string(b) }) ||
			before.Annotations[oversizedKeys] != after.Annotations[oversizedKeys]
	}}
}

// secretsOf reads the Secrets that a User names from the cache, once each.
func secretsOf(ctx context.Context, reader client.Reader, u *authv1alpha1.User) (Secrets, error) {
	found := map[string]*corev1.Secret{}
	for _, name := range secretNames(u) {
		if _, known := found[name]; known {
			continue
		}
		secret := &corev1.Secret{}
		err := reader.Get(ctx, types.NamespacedName{Namespace: u.Namespace, Name: name}, secret)
		switch {
		case apierrors.IsNotFound(err):
			found[name] = nil
		case err != nil:
			return nil, fmt.Errorf("read password secret %s/%s: %w", u.Namespace, name, err)
		default:
			found[name] = secret
		}
	}
	return func(name string) *corev1.Secret { return found[name] }, nil
}
