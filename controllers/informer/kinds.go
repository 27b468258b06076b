package informer

import (
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// The kinds of the objects that belong to the users of a namespace.
const (
	User       = "User"
	Secret     = "Secret"
	Token      = "Token"
	Revocation = "Revocation"
)

// Kinds returns all kinds that Namespaces follows. Users come first: when a namespace goes, they go
// before what revokes them.
func Kinds() []string { return []string{User, Secret, Token, Revocation} }

// KindOf returns the group, version and kind of one of the kinds.
func KindOf(kind string) schema.GroupVersionKind {
	if kind == Secret {
		return corev1.SchemeGroupVersion.WithKind(Secret)
	}
	return authv1alpha1.GroupVersion.WithKind(kind)
}

// kind is how objects of one kind are read from the API server.
type kind struct {
	name      string
	observed  func(*delivery.Progress) *delivery.Observed
	resource  string
	example   runtime.Object
	newList   func() runtime.Object // unless decode is set
	selector  string                // of fields
	transform toolscache.TransformFunc
	indexers  toolscache.Indexers
	// decode returns an object from its JSON; nil: the client decodes lists and watches.
	decode decodeFunc

	client rest.Interface
	params runtime.ParameterCodec
}

// byTokenID is the name of the index that finds Tokens by the id of their token.
const byTokenID = "tokenID"

// newKinds returns the kinds of the objects of users, with clients of a manager's connection.
func newKinds(mgr ctrl.Manager) (map[string]*kind, error) {
	config, connection, err := connectionOf(mgr)
	if err != nil {
		return nil, err
	}
	kinds := map[string]*kind{}
	for _, k := range []*kind{{
		name: User, observed: func(p *delivery.Progress) *delivery.Observed { return p.Users },
		resource: "users", example: &authv1alpha1.User{}, decode: decodeUser, transform: slimUser,
	}, {
		name: Secret, observed: func(p *delivery.Progress) *delivery.Observed { return p.Secrets },
		resource: "secrets", example: &corev1.Secret{}, newList: func() runtime.Object { return &corev1.SecretList{} },
		transform: projection.SlimSecret, selector: exceptBulkySecrets().String(),
	}, {
		name: Token, observed: func(p *delivery.Progress) *delivery.Observed { return p.Tokens },
		resource: "tokens", example: &authv1alpha1.Token{}, decode: decodeToken,
		transform: projection.SlimToken, indexers: toolscache.Indexers{byTokenID: tokenIDs},
	}, {
		// Without a schema, so that a Revocation that cannot be read completely still counts.
		name: Revocation, observed: func(p *delivery.Progress) *delivery.Observed { return p.Revocations },
		resource: "revocations", example: newRevocation(), newList: newRevocationList,
	}} {
		if err := k.connect(mgr, config, connection); err != nil {
			return nil, err
		}
		kinds[k.name] = k
	}
	return kinds, nil
}

func (k *kind) connect(mgr ctrl.Manager, config *rest.Config, connection *http.Client) (err error) {
	k.params = runtime.NewParameterCodec(mgr.GetScheme())
	_, isUnstructured := k.example.(runtime.Unstructured)
	codecs := serializer.NewCodecFactory(mgr.GetScheme())
	if k.client, err = apiutil.RESTClientForGVK(KindOf(k.name), false, isUnstructured, config, codecs, connection); err != nil {
		return fmt.Errorf("make a client for %ss: %w", k.name, err)
	}
	return nil
}

func tokenIDs(o any) ([]string, error) {
	if t, ok := o.(*authv1alpha1.Token); ok {
		return []string{t.Spec.TokenID}, nil
	}
	return nil, nil
}

func newRevocation() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(KindOf(Revocation))
	return o
}

func newRevocationList() runtime.Object {
	o := &unstructured.UnstructuredList{}
	o.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind("RevocationList"))
	return o
}
