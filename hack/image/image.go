package main

import (
	"fmt"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// program is the binary of an image.
type program struct {
	path    string // its last element is the name in the root folder of the image
	raw     []byte
	arch    string
	created time.Time
}

// newService returns the image of the service, which is the one that the Dockerfile describes.
func newService(binary []byte, arch, version string, created time.Time) (v1.Image, error) {
	base := v1.Config{
		Cmd:          []string{"serve"},
		Env:          []string{"PATH=/"}, // for kubectl exec
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}, "8443/tcp": {}},
		Labels:       labels(version),
	}
	img, err := newImage(program{path: "gatehouse", raw: binary, arch: arch, created: created}, systemFiles(), homeFiles())
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	base.User, base.Entrypoint = config.Config.User, config.Config.Entrypoint
	config.Config = base
	return mutate.ConfigFile(img, config)
}

// newImage returns an image that runs a program as a user without rights. Each list of files is a layer; the
// program is the last one.
func newImage(p program, files ...[]file) (v1.Image, error) {
	target := filepath.Base(p.path)
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: p.arch, OS: "linux", Created: v1.Time{Time: p.created},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{User: fmt.Sprintf("%d:%d", userID, userID), Entrypoint: []string{"/" + target}},
	})
	if err != nil {
		return nil, err
	}
	for _, list := range append(files, []file{{name: target, raw: p.raw, mode: 0o755}}) {
		layer, err := newLayer(list...)
		if err != nil {
			return nil, err
		}
		history := v1.History{Created: v1.Time{Time: p.created}, CreatedBy: "COPY " + list[0].name + " /" + list[0].name}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: history}); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// labels returns what registries and tools show of the image.
func labels(version string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "Gatehouse",
		"org.opencontainers.image.description": "An authentication service whose users are declared as Kubernetes resources",
		"org.opencontainers.image.source":      "https://github.com/gatehouse-auth/gatehouse",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     version,
	}
}
