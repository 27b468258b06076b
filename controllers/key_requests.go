package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// SharedKeys are the keys in the Secret of a service in a cluster, as somebody outside of the service sees them. Client must
// read from the API server itself.
type SharedKeys struct {
	Client    client.Client
	Namespace string // the service's own
}

// Entries returns the keys, private halves included, in entries by name.
func (s SharedKeys) Entries(ctx context.Context) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	if err := s.Client.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: KeysSecret}, secret); err != nil {
		return nil, fmt.Errorf("read secret %s/%s: %w", s.Namespace, KeysSecret, err)
	}
	return secret.Data, nil
}

// RequestRotation asks the replicas to begin a rotation. It needs to know no policy and to read no key.
func (s SharedKeys) RequestRotation(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: KeysSecret}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"`+token.RotationRequest+`":""}}`))
	if err := s.Client.Patch(ctx, secret, patch); err != nil {
		return fmt.Errorf("ask for a rotation in secret %s/%s: %w", s.Namespace, KeysSecret, err)
	}
	return nil
}
