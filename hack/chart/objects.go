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

// id names an object among the manifests: Kind/namespace/name, with an empty namespace where it has none.
func id(o *yaml.RNode) string { return o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName() }

// build returns the objects that kustomize makes of a folder, in its order.
func build(folder string) ([]*yaml.RNode, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", folder, err)
	}
	return built.ToRNodeSlice(), nil
}

// pool holds the objects that templates are made from, and notes which of them were.
type pool struct {
	objects map[string]*yaml.RNode
	used    map[string]bool
}

// loadAll reads config/default and what the overlays add to it. An object that several have is that of config/default.
func loadAll(config string) (*pool, error) {
	p := &pool{objects: map[string]*yaml.RNode{}, used: map[string]bool{}}
	for _, folder := range []string{"default", "overlays/cert-manager", "overlays/prometheus"} {
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

// take returns the object of that id, for one template.
func (p *pool) take(id string) (*yaml.RNode, error) {
	o, ok := p.objects[id]
	if !ok {
		return nil, fmt.Errorf("the manifests have no %s", id)
	}
	p.used[id] = true
	return o.Copy(), nil
}

// checkUsed fails when the manifests have an object that no template is made from.
func (p *pool) checkUsed() error {
	p.used["Namespace//"+systemNamespace] = true // the namespace of the release: helm install --create-namespace makes it
	var left []string
	for id := range p.objects {
		if !p.used[id] {
			left = append(left, id)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return fmt.Errorf("no template is made from %s: name them in hack/chart/layout.go", strings.Join(left, ", "))
	}
	return nil
}
