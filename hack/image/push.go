package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push sends the image in a layout to registries under each of the names, and what refers to it. The
// credentials are those of docker login.
func push(ctx context.Context, dir string, tags []string) error {
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	listed, err := root.IndexManifest()
	if err != nil {
		return err
	}
	if len(listed.Manifests) == 0 || !listed.Manifests[0].MediaType.IsIndex() {
		return errors.New(dir + " was not made by image build")
	}
	image, err := root.ImageIndex(listed.Manifests[0].Digest)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	for _, tag := range tags {
		ref, err := name.NewTag(tag, name.StrictValidation)
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(ref, image, options...); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
		if err := pushReferrers(ref.Repository, root, listed.Manifests[1:], options); err != nil {
			return err
		}
		fmt.Printf("%s@%s\n", ref, listed.Manifests[0].Digest)
	}
	return nil
}

// pushReferrers sends manifests without a tag. Where a registry does not list referrers on its own, the
// library keeps that list under a tag that is made from the digest of the image.
func pushReferrers(to name.Repository, root v1.ImageIndex, manifests []v1.Descriptor, options []remote.Option) error {
	for _, m := range manifests {
		artifact, err := root.Image(m.Digest)
		if err != nil {
			return err
		}
		if err := remote.Write(to.Digest(m.Digest.String()), artifact, options...); err != nil {
			return fmt.Errorf("push what refers to the image: %w", err)
		}
	}
	return nil
}
