package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// mapper remembers what kinds are called in the API. The cache asks for that with every read, and the mapper underneath
// searches all groups each time. What a kind is called never changes while a kind exists.
type mapper struct {
	meta.RESTMapper
	known sync.Map // kind and versions -> *meta.RESTMapping
}

func newMapper(config *rest.Config, client *http.Client) (meta.RESTMapper, error) {
	searching, err := apiutil.NewDynamicRESTMapper(config, client)
	if err != nil {
		return nil, fmt.Errorf("ask for the API's resources: %w", err)
	}
	return &mapper{RESTMapper: searching}, nil
}

// RESTMapping implements meta.RESTMapper. It is safe for concurrent use.
func (m *mapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	type question struct {
		schema.GroupKind
		versions string
	}
	key := question{kind, strings.Join(versions, ",")}
	if found, ok := m.known.Load(key); ok {
		return found.(*meta.RESTMapping), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	found, err := m.RESTMapper.RESTMapping(kind, versions...)
	if err == nil {
		m.known.Store(key, found)
	}
	return found, err
}
