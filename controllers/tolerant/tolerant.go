// Package tolerant is a client of the API server that reads Users and Tokens with package stored, so
// that an object which breaks the schema fails no call.
package tolerant

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// NewReader returns a Reader that calls inner and tolerates Users and Tokens that break the schema.
func NewReader(inner client.Reader) client.Reader { return reader{inner} }

// NewClient returns a Client that calls inner and tolerates Users and Tokens that break the schema when
// it gets, lists and patches them and their status. What else is written must fit the schema, so the
// answer does.
func NewClient(inner client.Client) client.Client { return tolerantClient{inner, reader{inner}} }

type reader struct{ inner client.Reader }

// Get implements client.Reader.
func (r reader) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	return call(into, func(o client.Object) error { return r.inner.Get(ctx, key, o, opts...) })
}

// List implements client.Reader.
func (r reader) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) (err error) {
	fetch := func(list client.ObjectList) error { return r.inner.List(ctx, list, opts...) }
	switch into := into.(type) {
	case *authv1alpha1.UserList:
		into.ListMeta, into.Items, err = list("UserList", fetch, stored.DecodeUser)
		return err
	case *authv1alpha1.TokenList:
		into.ListMeta, into.Items, err = list("TokenList", fetch, stored.DecodeToken)
		return err
	default:
		return fetch(into)
	}
}

type tolerantClient struct {
	client.Client
	reader reader
}

// Get implements client.Reader.
func (c tolerantClient) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	return c.reader.Get(ctx, key, into, opts...)
}

// List implements client.Reader.
func (c tolerantClient) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) error {
	return c.reader.List(ctx, into, opts...)
}

// Patch implements client.Writer.
func (c tolerantClient) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return callWithPatch(o, patch, func(o client.Object, p client.Patch) error { return c.Client.Patch(ctx, o, p, opts...) })
}

// Status implements client.StatusClient.
func (c tolerantClient) Status() client.SubResourceWriter { return statusWriter{c.Client.Status()} }

type statusWriter struct{ client.SubResourceWriter }

// Patch implements client.SubResourceWriter.
func (w statusWriter) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return callWithPatch(o, patch, func(o client.Object, p client.Patch) error { return w.SubResourceWriter.Patch(ctx, o, p, opts...) })
}

// callWithPatch is call with what a patch of o sends.
func callWithPatch(o client.Object, patch client.Patch, do func(client.Object, client.Patch) error) error {
	data, err := patch.Data(o)
	if err != nil {
		return err
	}
	return call(o, func(o client.Object) error { return do(o, client.RawPatch(patch.Type(), data)) })
}

// call calls do with an object that takes the answer of the API server. In the place of a User or a
// Token it is one without a schema, whose content o gets.
func call(o client.Object, do func(client.Object) error) error {
	switch o := o.(type) {
	case *authv1alpha1.User:
		return callRaw("User", o, do, stored.DecodeUser)
	case *authv1alpha1.Token:
		return callRaw("Token", o, do, stored.DecodeToken)
	default:
		return do(o)
	}
}

// object is a pointer to T that is an object of the API server.
type object[T any] interface {
	*T
	client.Object
}

func callRaw[T any, O object[T]](kind string, o O, do func(client.Object) error, decode func([]byte) (*T, error)) error {
	answer := &unstructured.Unstructured{}
	answer.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind(kind))
	answer.SetNamespace(o.GetNamespace())
	answer.SetName(o.GetName())
	if err := do(answer); err != nil {
		return err
	}
	decoded, err := decodeRaw(answer, decode)
	if err != nil {
		return err
	}
	*o = *decoded
	return nil
}

// list returns what fetch gets of a kind of lists.
func list[T any](kind string, fetch func(client.ObjectList) error, decode func([]byte) (*T, error)) (metav1.ListMeta, []T, error) {
	answer := &unstructured.UnstructuredList{}
	answer.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind(kind))
	if err := fetch(answer); err != nil {
		return metav1.ListMeta{}, nil, err
	}
	items := make([]T, 0, len(answer.Items))
	for i := range answer.Items {
		one, err := decodeRaw(&answer.Items[i], decode)
		if err != nil {
			return metav1.ListMeta{}, nil, err
		}
		items = append(items, *one)
	}
	return metav1.ListMeta{
		ResourceVersion: answer.GetResourceVersion(), Continue: answer.GetContinue(), RemainingItemCount: answer.GetRemainingItemCount(),
	}, items, nil
}

func decodeRaw[T any](o *unstructured.Unstructured, decode func([]byte) (*T, error)) (*T, error) {
	raw, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return decode(raw)
}
