package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// build is what makes the image for several platforms.
type build struct {
	from, out     string
	name, version string
	created       time.Time
	platforms     []string
}

// run writes the layout, its digest and the archives, and returns the digest.
func (b build) run() (v1.Hash, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var sboms []v1.Image
	for _, platform := range b.platforms {
		img, sbom, err := b.platform(platform)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platformOf(platform)}})
		sboms = append(sboms, sbom)
		archive := "gatehouse-image_" + strings.ReplaceAll(platform, "/", "_") + ".tar"
		if err := writeArchive(filepath.Join(b.out, archive), b.name, img); err != nil {
			return v1.Hash{}, err
		}
	}
	annotated, ok := mutate.Annotations(index, labels(b.version)).(v1.ImageIndex)
	if !ok {
		return v1.Hash{}, errors.New("annotations of an index do not give an index")
	}
	digest, err := annotated.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	if err := b.writeLayout(annotated, sboms); err != nil {
		return v1.Hash{}, err
	}
	return digest, os.WriteFile(filepath.Join(b.out, "image.digest"), []byte(digest.String()+"\n"), 0o644) //nolint:gosec // what is released is for everyone
}

// platform returns the image for a platform, and the SBOM that refers to it.
func (b build) platform(platform string) (v1.Image, v1.Image, error) {
	p := platformOf(platform)
	if p == nil || p.OS != "linux" {
		return nil, nil, errors.New("a platform is of the form linux/ARCH, such as linux/amd64")
	}
	dir := filepath.Join(b.from, p.OS+"_"+p.Architecture)
	binary, err := os.ReadFile(filepath.Join(dir, "gatehouse")) //nolint:gosec // a file that the caller names
	if err != nil {
		return nil, nil, err
	}
	img, err := newService(binary, p.Architecture, b.version, b.created)
	if err != nil {
		return nil, nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "gatehouse.cdx.json")) //nolint:gosec // a file that the caller names
	if err != nil {
		return nil, nil, err
	}
	subject, err := partial.Descriptor(img)
	if err != nil {
		return nil, nil, err
	}
	sbom, err := newSBOM(raw, *subject)
	return img, sbom, err
}

// platformOf returns a platform, or nil if the text is not of the form OS/ARCH.
func platformOf(text string) *v1.Platform {
	system, arch, ok := strings.Cut(text, "/")
	if !ok || system == "" || arch == "" || strings.Contains(arch, "/") {
		return nil
	}
	return &v1.Platform{OS: system, Architecture: arch}
}

// writeLayout writes an OCI layout. The list of its manifests has the image first and then the SBOMs, where
// tools look for what refers to an image.
func (b build) writeLayout(index v1.ImageIndex, sboms []v1.Image) error {
	ref, err := name.NewTag(b.name, name.StrictValidation)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.out, "image")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// The first is the tag alone by OCI's rules. The second is what containerd names the image.
	names := map[string]string{"org.opencontainers.image.ref.name": ref.TagStr(), "io.containerd.image.name": ref.Name()}
	if err := path.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return err
	}
	for _, sbom := range sboms {
		if err := path.AppendImage(sbom); err != nil {
			return err
		}
	}
	return nil
}

// writeArchive writes an image for one platform in the format of docker save, which docker, podman,
// containerd and kind load. A layout with SBOMs is not for them: some unpack whatever it lists.
func writeArchive(path, tag string, img v1.Image) error {
	ref, err := name.NewTag(tag, name.StrictValidation)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what is released is for everyone
		return err
	}
	return tarball.WriteToFile(path, ref, img)
}
