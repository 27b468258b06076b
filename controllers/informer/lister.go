package informer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Listing holds the names and versions of the objects that the API server had, for each namespace
// at one point in time.
type Listing struct {
	objects  map[types.NamespacedName]string // resourceVersion of the object
	versions map[string]string               // resourceVersion of the list, by namespace
}

// listPageSize is the number of objects in a page of a list. It is large because only names and
// versions are transferred; larger pages save little more.
const listPageSize = 5000

// Lister lists the objects of the API server, bypassing the cache.
type Lister struct {
	reader     client.Reader // not a cache
	namespaces []string
}

// NewLister returns a Lister for the given namespaces. The reader must read from the API server,
// not from a cache.
func NewLister(reader client.Reader, namespaces []string) Lister { return Lister{reader, namespaces} }

// List returns the names and versions of all objects of a kind. It sends no resourceVersion, so the
// response is consistent: it includes everything that was written before the request.
func (l Lister) List(ctx context.Context, kind schema.GroupVersionKind) (Listing, error) {
	out := Listing{objects: map[types.NamespacedName]string{}, versions: map[string]string{}}
	for _, ns := range l.namespaces {
		page := &metav1.PartialObjectMetadataList{}
		page.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		for first := true; first || page.Continue != ""; first = false {
			opts := []client.ListOption{client.InNamespace(ns), client.Limit(listPageSize), client.Continue(page.Continue)}
			if err := l.reader.List(ctx, page, opts...); err != nil {
				return Listing{}, fmt.Errorf("list %s in %s: %w", kind.Kind, ns, err)
			}
			out.versions[ns] = page.ResourceVersion
			for i := range page.Items {
				out.objects[client.ObjectKeyFromObject(&page.Items[i])] = page.Items[i].ResourceVersion
			}
		}
	}
	return out, nil
}
