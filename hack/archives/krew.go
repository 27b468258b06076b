package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// The manifest of a plugin. https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/
type (
	manifest struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Metadata   metadata     `json:"metadata"`
		Spec       manifestSpec `json:"spec"`
	}
	metadata struct {
		Name string `json:"name"`
	}
	manifestSpec struct {
		Version          string             `json:"version"`
		Homepage         string             `json:"homepage"`
		ShortDescription string             `json:"shortDescription"`
		Description      string             `json:"description"`
		Platforms        []manifestPlatform `json:"platforms"`
	}
	manifestPlatform struct {
		Selector selector `json:"selector"`
		URI      string   `json:"uri"`
		SHA256   string   `json:"sha256"`
		Bin      string   `json:"bin"`
	}
	selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	}
)

// writeManifest writes the manifest of the plugin for the archives in a folder, which are to be served
// below a URL.
func writeManifest(version, dir, url string) error {
	m := manifest{APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Metadata: metadata{"gatehouse"}}
	m.Spec = manifestSpec{
		Version: version, Homepage: "https://github.com/gatehouse-auth/gatehouse",
		ShortDescription: "Create, change and explain users of Gatehouse",
		Description: "Keeps the Users of Gatehouse, an authentication service for users declared in Kubernetes:\n" +
			"creates them, sets passwords, revokes and unlocks, and explains why a user cannot log in.\n" +
			"The cluster needs the CRDs of Gatehouse.\n",
	}
	archives, err := filepath.Glob(filepath.Join(dir, plugin+"_*"))
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return errors.New("no archives in " + dir + "; build them first")
	}
	for _, path := range archives {
		p, err := platformOf(path, strings.TrimSuffix(url, "/"))
		if err != nil {
			return err
		}
		m.Spec.Platforms = append(m.Spec.Platforms, p)
	}
	raw, err := yaml.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "gatehouse.yaml"), raw, 0o644) //nolint:gosec // what is released is for everyone
}

// platformOf returns the entry for an archive, whose name has the platform.
func platformOf(path, url string) (manifestPlatform, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // an archive of this command
	if err != nil {
		return manifestPlatform{}, err
	}
	name := filepath.Base(path)
	bare := strings.TrimSuffix(strings.TrimSuffix(name, ".zip"), ".tar.gz")
	system, architecture, ok := strings.Cut(strings.TrimPrefix(bare, plugin+"_"), "_")
	if !ok || name != archiveName(plugin, system, architecture) {
		return manifestPlatform{}, fmt.Errorf("%s is not the name of an archive; remove the file", path)
	}
	return manifestPlatform{
		Selector: selector{map[string]string{"os": system, "arch": architecture}},
		URI:      url + "/" + name, SHA256: sum(raw), Bin: executable(plugin, system),
	}, nil
}
