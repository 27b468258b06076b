package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	sbomType  = "application/vnd.cyclonedx+json"
	emptyType = "application/vnd.oci.empty.v1+json"
)

// artifact is a manifest of OCI that is not an image: one file that refers to an image.
type artifact struct {
	manifest []byte
	file     v1.Layer
}

// newSBOM returns the artifact of an SBOM that refers to an image. Registries list it among the referrers of
// that image.
func newSBOM(raw []byte, subject v1.Descriptor) (v1.Image, error) {
	if !json.Valid(raw) {
		return nil, fmt.Errorf("the SBOM is not JSON")
	}
	file := static.NewLayer(raw, sbomType)
	content, err := partial.Descriptor(file)
	if err != nil {
		return nil, err
	}
	config, _, err := v1.SHA256(bytes.NewReader(emptyConfig()))
	if err != nil {
		return nil, err
	}
	subject = v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: sbomType,
		Config: v1.Descriptor{MediaType: emptyType, Digest: config, Size: int64(len(emptyConfig()))},
		Layers: []v1.Descriptor{*content}, Subject: &subject,
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(artifact{manifest: manifest, file: file})
}

// emptyConfig returns the configuration that OCI prescribes for a manifest without one.
func emptyConfig() []byte { return []byte("{}") }

// MediaType returns the media type of the manifest.
func (artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawConfigFile returns the empty configuration.
func (artifact) RawConfigFile() ([]byte, error) { return emptyConfig(), nil }

// RawManifest returns the manifest.
func (a artifact) RawManifest() ([]byte, error) { return a.manifest, nil }

// LayerByDigest returns the file, if it has that digest.
func (a artifact) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	if own, err := a.file.Digest(); err != nil || own != digest {
		return nil, fmt.Errorf("the artifact has no blob %s", digest)
	}
	return a.file, nil
}
