package informer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Listing is what the API server held at one moment in each namespace.
type Listing struct {
	objects  map[types.NamespacedName]string // resourceVersion of the object
	versions map[string]string               // resourceVersion of the list, by namespace
}

// listPageSize is large, since names and versions are small; larger pages save little more.
const listPageSize = 5000

// Lister asks the API server itself what it holds.
type Lister struct {
	reader     client.Reader // not a cache
	namespaces []string
}

// NewLister returns a Lister of some namespaces. The reader must ask the API server itself.
func NewLister(reader client.Reader, namespaces []string) Lister { return Lister{reader, namespaces} }

// List reads names and versions. Without a resourceVersion in the request the answer is consistent: it holds everything that
// was written before the request.
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
