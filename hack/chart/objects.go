package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// id returns the name of an object among the manifests: Kind/namespace/name, where the namespace
// may be empty.
func id(o *yaml.RNode) string { return o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName() }

// build returns the objects that kustomize builds from a folder, in its order.
func build(folder string) ([]*yaml.RNode, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", folder, err)
	}
	return built.ToRNodeSlice(), nil
}

// pool holds the objects of the manifests, and remembers which of them a template uses.
type pool struct {
	objects map[string]*yaml.RNode
	used    map[string]bool
}

// loadAll builds config/default and what the overlays add to it. An object that is in several comes
// from config/default.
func loadAll(config string) (*pool, error) {
	p := &pool{objects: map[string]*yaml.RNode{}, used: map[string]bool{}}
	for _, folder := range []string{"default", "overlays/cert-manager", "overlays/prometheus", "overlays/grafana", "overlays/quota"} {
		objects, err := build(filepath.Join(config, folder))
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if _, ok := p.objects[id(o)]; !ok {
				p.objects[id(o)] = o
			}
		}
	}
	return p, nil
}

// take returns a copy of an object for a template.
func (p *pool) take(id string) (*yaml.RNode, error) {
	o, ok := p.objects[id]
	if !ok {
		return nil, fmt.Errorf("the manifests have no %s", id)
	}
	p.used[id] = true
	return o.Copy(), nil
}

// checkUsed fails if the manifests have an object that no template uses.
func (p *pool) checkUsed() error {
	p.used["Namespace//"+systemNamespace] = true // helm install --create-namespace creates it
	var unused []string
	for id := range p.objects {
		if !p.used[id] {
			unused = append(unused, id)
		}
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		return fmt.Errorf("no template uses %s; add them to hack/chart/layout.go", strings.Join(unused, ", "))
	}
	return nil
}
