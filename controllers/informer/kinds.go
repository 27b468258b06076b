package informer

import (
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
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
	name     string
	observed func(*delivery.Progress) *delivery.Observed
	resource string
	selector string // of fields
	decode   decodeFunc
	indexers toolscache.Indexers

	lists  turns
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
	kinds, lists := map[string]*kind{}, make(turns, listsAtOnce)
	for _, k := range []*kind{{
		name: User, observed: func(p *delivery.Progress) *delivery.Observed { return p.Users },
		resource: "users", decode: decodeUser,
	}, {
		name: Secret, observed: func(p *delivery.Progress) *delivery.Observed { return p.Secrets },
		resource: "secrets", selector: exceptBulkySecrets().String(), decode: decodeSecret,
	}, {
		name: Token, observed: func(p *delivery.Progress) *delivery.Observed { return p.Tokens },
		resource: "tokens", decode: decodeToken, indexers: toolscache.Indexers{byTokenID: tokenIDs},
	}, {
		name: Revocation, observed: func(p *delivery.Progress) *delivery.Observed { return p.Revocations },
		resource: "revocations", decode: decodeRevocation,
	}} {
		if err := k.connect(mgr, config, connection); err != nil {
			return nil, err
		}
		k.lists = lists
		kinds[k.name] = k
	}
	return kinds, nil
}

func (k *kind) connect(mgr ctrl.Manager, config *rest.Config, connection *http.Client) (err error) {
	k.params = runtime.NewParameterCodec(mgr.GetScheme())
	codecs := serializer.NewCodecFactory(mgr.GetScheme())
	if k.client, err = apiutil.RESTClientForGVK(KindOf(k.name), false, false, config, codecs, connection); err != nil {
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
