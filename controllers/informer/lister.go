package informer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// Listing holds the names and versions of the objects of one kind that the API server had in a
// namespace at one point in time.
type Listing struct {
	namespace string
	objects   map[types.NamespacedName]string // resourceVersion of the object
	version   string                          // resourceVersion of the list
}

// Behind returns an object for which the directory is older than the listing, if there is one: see
// delivery.Observed.
func (l Listing) Behind(o *delivery.Observed) (types.NamespacedName, bool) {
	return o.Behind(l.namespace, l.objects, l.version)
}

// listPageSize is the number of objects in a page of a list. It is large because only names and
// versions are transferred; larger pages save little more.
const listPageSize = 5000

// Lister lists the objects of the API server, bypassing the cache.
type Lister struct {
	reader client.Reader // not a cache
}

// NewLister returns a Lister. The reader must read from the API server, not from a cache.
func NewLister(reader client.Reader) Lister { return Lister{reader} }

// List returns the names and versions of all objects of a kind in a namespace that a cache holds. It sends no
// resourceVersion, so the response is consistent: it includes everything that was written before the
// request.
func (l Lister) List(ctx context.Context, kind schema.GroupVersionKind, namespace string) (Listing, error) {
	out := Listing{namespace: namespace, objects: map[types.NamespacedName]string{}}
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	for first := true; first || page.Continue != ""; first = false {
		opts := []client.ListOption{client.InNamespace(namespace), client.Limit(listPageSize), client.Continue(page.Continue)}
		if kind.Kind == Secret {
			opts = append(opts, client.MatchingFieldsSelector{Selector: exceptBulkySecrets()})
		}
		if err := l.reader.List(ctx, page, opts...); err != nil {
			return Listing{}, fmt.Errorf("list %s in %s: %w", kind.Kind, namespace, err)
		}
		out.version = page.ResourceVersion
		for i := range page.Items {
			out.objects[client.ObjectKeyFromObject(&page.Items[i])] = page.Items[i].ResourceVersion
		}
	}
	return out, nil
}
