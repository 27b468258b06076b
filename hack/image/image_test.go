package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const version = "v1.2.3"

// inputs writes a binary and an SBOM for each platform, and returns the build of an image of them.
func inputs(t *testing.T, platforms ...string) build {
	t.Helper()
	dir := t.TempDir()
	for _, p := range platforms {
		folder := filepath.Join(dir, strings.ReplaceAll(p, "/", "_"))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"gatehouse": "binary for " + p, "gatehouse.cdx.json": `{"for": "` + p + `"}`} {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return build{from: dir, out: t.TempDir(), name: "registry.test/gatehouse:" + version, version: version, created: time.Unix(1_700_000_000, 0).UTC(), platforms: platforms}
}

// contents returns every file below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTwoBuildsGiveTheSameBytes(t *testing.T) {
	one := inputs(t, "linux/amd64", "linux/arm64")
	another := one
	another.out = t.TempDir()
	first, err := one.run()
	if err != nil {
		t.Fatal(err)
	}
	second, err := another.run()
	if err != nil {
		t.Fatal(err)
	}
	a, b := contents(t, one.out), contents(t, another.out)
	if first != second || !maps.Equal(a, b) {
		t.Errorf("two builds give %s and %s", first, second)
	}
	for _, file := range []string{"/image/index.json", "/image.digest", "/gatehouse-image_linux_amd64.tar", "/gatehouse-image_linux_arm64.tar"} {
		if a[file] == "" {
			t.Errorf("the build writes no %s", file)
		}
	}
}

func TestOnlyTheLayerOfTheBinaryChangesWithIt(t *testing.T) {
	layers := func(binary string) []v1.Hash {
		img, err := newService([]byte(binary), "amd64", version, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		var out []v1.Hash
		for _, layer := range manifest.Layers {
			out = append(out, layer.Digest)
		}
		return out
	}
	one, another := layers("one"), layers("another")
	if len(one) != 3 || one[0] != another[0] || one[1] != another[1] || one[2] == another[2] {
		t.Errorf("the layers are %v and %v", one, another)
	}
}

// fromDockerfile returns the configuration that the last stage of the Dockerfile describes, and where its
// layers begin, with their owners.
func fromDockerfile(t *testing.T) (v1.Config, []string) {
	t.Helper()
	raw, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.ReplaceAll(string(raw), "\\\n", ""), "\n")
	last := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "FROM ") {
			last = i
		}
	}
	config := v1.Config{Labels: map[string]string{}, ExposedPorts: map[string]struct{}{}}
	var layers []string
	for _, line := range lines[last:] {
		if word, rest, _ := strings.Cut(line, " "); word != "" && word[0] != '#' {
			layers = append(layers, instruction(t, &config, word, strings.ReplaceAll(rest, "$VERSION", version))...)
		}
	}
	return config, layers
}

// instruction applies an instruction, and returns its layer, if it makes one. It knows those that the
// Dockerfile has.
func instruction(t *testing.T, config *v1.Config, word, rest string) []string {
	t.Helper()
	fields := strings.Fields(rest)
	switch word {
	case "FROM":
		if rest != "scratch" {
			t.Errorf("the image starts from %s, which make image does not have", rest)
		}
	case "ARG":
	case "ENV":
		config.Env = append(config.Env, rest)
	case "EXPOSE":
		for _, port := range fields {
			config.ExposedPorts[port+"/tcp"] = struct{}{}
		}
	case "USER":
		config.User = rest
	case "ENTRYPOINT":
		config.Entrypoint = list(rest)
	case "CMD":
		config.Cmd = list(rest)
	case "LABEL":
		for pair := range strings.SplitSeq(strings.TrimSuffix(rest, `"`), `" `) {
			key, value, _ := strings.Cut(strings.TrimSpace(pair), `="`)
			config.Labels[key] = value
		}
	case "COPY":
		owner := "0:0"
		for _, field := range fields {
			owner = strings.TrimPrefix(field, "--chown=")
			if owner != field {
				break
			}
			owner = "0:0"
		}
		return []string{strings.TrimPrefix(fields[len(fields)-1], "/") + " " + owner}
	default:
		t.Fatalf("the Dockerfile has %s, which this test does not know", word)
	}
	return nil
}

// list returns the elements of a list of strings in JSON.
func list(text string) []string {
	return strings.Split(strings.Trim(text, `[]"`), `", "`)
}

func TestTheImageIsThatOfTheDockerfile(t *testing.T) {
	img, err := newService([]byte("binary"), "arm64", version, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want, layers := fromDockerfile(t)
	if !reflect.DeepEqual(config.Config, want) {
		t.Errorf("the image has\n%+v\nand the Dockerfile\n%+v", config.Config, want)
	}
	if config.Architecture != "arm64" || config.OS != "linux" {
		t.Errorf("the image is for %s/%s", config.OS, config.Architecture)
	}
	if got := firstFiles(t, img); !slices.Equal(got, layers) {
		t.Errorf("the layers begin with %q, those of the Dockerfile with %q", got, layers)
	}
}

// firstFiles returns the first file of each layer, with its owner.
func firstFiles(t *testing.T, img v1.Image) []string {
	t.Helper()
	var out []string
	for _, entries := range entriesOf(t, img) {
		out = append(out, entries[0].name+" "+entries[0].owner)
	}
	return out
}

// entry is a file in a layer.
type entry struct {
	name, owner, raw string
	mode             int64
}

func entriesOf(t *testing.T, img v1.Image) [][]entry {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]entry
	for _, layer := range layers {
		stream, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entriesIn(t, stream))
	}
	return out
}

func entriesIn(t *testing.T, stream io.ReadCloser) []entry {
	t.Helper()
	defer stream.Close()
	var entries []entry
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has the time %s", header.Name, header.ModTime)
		}
		owner := map[int]string{0: "0:0", userID: "65532:65532"}[header.Uid]
		entries = append(entries, entry{header.Name, owner, string(raw), header.Mode})
	}
}

func TestTheDockerfileGetsTheFilesOfTheImage(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), []string{"rootfs", dir}); err != nil {
		t.Fatal(err)
	}
	img, err := newService([]byte("binary"), "amd64", version, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Concat(entriesOf(t, img)[:2]...) {
		path := filepath.Join(dir, e.name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if int64(info.Mode().Perm()) != e.mode {
			t.Errorf("%s has the mode %o, in the image %o", e.name, info.Mode().Perm(), e.mode)
		}
		if raw, err := os.ReadFile(path); !info.IsDir() && (err != nil || string(raw) != e.raw) {
			t.Errorf("%s differs from that of the image: %v", e.name, err)
		}
	}
}

func TestThePublicAuthoritiesAreTrusted(t *testing.T) {
	count := 0
	for rest := authorities(); len(rest) > 0; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("the list is not PEM")
		}
		if c, err := x509.ParseCertificate(block.Bytes); err != nil || !c.IsCA {
			t.Errorf("authority %d: %v, CA %v", count, err, c != nil && c.IsCA)
		}
	}
	if count < 100 {
		t.Errorf("there are %d authorities", count)
	}
}

func TestAnArchiveHasTheImageUnderItsName(t *testing.T) {
	b := inputs(t, "linux/arm64")
	if _, err := b.run(); err != nil {
		t.Fatal(err)
	}
	checkArchive(t, filepath.Join(b.out, "gatehouse-image_linux_arm64.tar"), b.name, "/gatehouse")
	out := filepath.Join(t.TempDir(), "client.tar")
	if err := run(t.Context(), []string{"archive", "-name", "registry.test/client:e2e", "-out", out, filepath.Join(b.from, "linux_arm64", "gatehouse")}); err != nil {
		t.Fatal(err)
	}
	checkArchive(t, out, "registry.test/client:e2e", "/gatehouse")
}

func checkArchive(t *testing.T, path, tag, entrypoint string) {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(path, &ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	if config, err := img.ConfigFile(); err != nil || config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{entrypoint}) {
		t.Errorf("the configuration is %+v: %v", config, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	good := inputs(t, "linux/amd64")
	for why, change := range map[string]func(*build){
		"another system":           func(b *build) { b.platforms = []string{"windows/amd64"} },
		"a platform without arch":  func(b *build) { b.platforms = []string{"linux"} },
		"a variant":                func(b *build) { b.platforms = []string{"linux/arm/v7"} },
		"a platform without files": func(b *build) { b.platforms = []string{"linux/arm64"} },
		"a name without a tag":     func(b *build) { b.name = "registry.test/gatehouse" },
		"an SBOM that is not JSON": func(b *build) {
			if err := os.WriteFile(filepath.Join(b.from, "linux_amd64", "gatehouse.cdx.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(why, func(t *testing.T) {
			bad := inputs(t, "linux/amd64")
			change(&bad)
			if _, err := bad.run(); err == nil {
				t.Error("the build accepts it")
			}
		})
	}
	if _, err := good.run(); err != nil {
		t.Error(err)
	}
}

func TestTheLayoutIsValid(t *testing.T) {
	b := inputs(t, "linux/amd64", "linux/arm64")
	digest, err := b.run()
	if err != nil {
		t.Fatal(err)
	}
	root, err := layout.ImageIndexFromPath(filepath.Join(b.out, "image"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
	}
	if !slices.Equal(platforms, b.platforms) || manifest.Annotations["org.opencontainers.image.version"] != version {
		t.Errorf("the index is for %v, with %v", platforms, manifest.Annotations)
	}
}

func TestARegistryListsTheSBOMOfEachPlatform(t *testing.T) {
	for kind, listsReferrers := range map[string]bool{"a registry that lists referrers": true, "a registry that does not": false} {
		t.Run(kind, func(t *testing.T) {
			server := httptest.NewServer(registry.New(registry.WithReferrersSupport(listsReferrers), registry.Logger(log.New(io.Discard, "", 0))))
			t.Cleanup(server.Close)
			b := inputs(t, "linux/amd64", "linux/arm64")
			digest, err := b.run()
			if err != nil {
				t.Fatal(err)
			}
			repository := strings.TrimPrefix(server.URL, "http://") + "/gatehouse"
			if err := run(t.Context(), []string{"push", filepath.Join(b.out, "image"), repository + ":" + version, repository + ":latest"}); err != nil {
				t.Fatal(err)
			}
			for _, tag := range []string{version, "latest"} {
				checkPushed(t, repository, tag, digest)
			}
		})
	}
}

// checkPushed checks that a tag has the digest, and that the SBOM of each platform can be found.
func checkPushed(t *testing.T, repository, tag string, digest v1.Hash) {
	t.Helper()
	ref, err := name.ParseReference(repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := index.Digest(); err != nil || got != digest {
		t.Errorf("the registry has %s, want %s: %v", got, digest, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if got, want := sbomOf(t, ref.Context().Digest(m.Digest.String())), `{"for": "`+m.Platform.String()+`"}`; got != want {
			t.Errorf("the SBOM for %s is %s", m.Platform, got)
		}
	}
}

// sbomOf returns the only SBOM among what refers to an image.
func sbomOf(t *testing.T, image name.Digest) string {
	t.Helper()
	referrers, err := remote.Referrers(image)
	if err != nil {
		t.Fatal(err)
	}
	list, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Manifests) != 1 {
		t.Fatalf("%d SBOMs refer to the image", len(list.Manifests))
	}
	artifact, err := remote.Image(image.Context().Digest(list.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	if manifest, err := artifact.Manifest(); err != nil || manifest.ArtifactType != sbomType {
		t.Errorf("the artifact is %+v: %v", manifest, err)
	}
	layers, err := artifact.Layers()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(stream); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheCommandSaysWhatItNeeds(t *testing.T) {
	for _, args := range [][]string{nil, {"other"}, {"build"}, {"build", "-from", "x", "-name", "y:z"}, {"archive"}, {"archive", "-name", "y:z", "-out", "f"}, {"push"}, {"push", "dir"}, {"rootfs"}} {
		if err := run(context.Background(), args); err == nil {
			t.Errorf("image %q succeeds", args)
		}
	}
}

func TestPushRefusesAnotherLayout(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), []string{"push", dir, "registry.test/gatehouse:1"}); err == nil {
		t.Error("a folder without a layout is pushed")
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	img, err := newService([]byte("binary"), "amd64", version, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"push", dir, "registry.test/gatehouse:1"}); err == nil || !strings.Contains(err.Error(), "image build") {
		t.Errorf("a layout for one platform is pushed: %v", err)
	}
}
