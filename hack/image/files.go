package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// The user of the image.
const userID = 65532

// file is a file or, if the name ends in a slash, a folder of the image.
type file struct {
	name  string // without a slash in front
	raw   []byte
	mode  fs.FileMode
	owner int
}

// systemFiles returns what programs expect of a system: the users' names and home folders, and the
// authorities that sign the certificates of public services, such as an issuer of ID tokens.
func systemFiles() []file {
	return []file{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", raw: []byte("root:x:0:\nnonroot:x:65532:\n"), mode: 0o644},
		{name: "etc/passwd", raw: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"), mode: 0o644},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", raw: authorities(), mode: 0o644},
	}
}

// homeFiles returns the home folder, where a standalone service keeps its state unless told otherwise.
func homeFiles() []file {
	return []file{
		{name: "home/", mode: 0o755, owner: userID},
		{name: "home/nonroot/", mode: 0o700, owner: userID},
	}
}

// authorities returns Mozilla's list in PEM. An authority that is trusted only for older certificates is
// left out, because a file of certificates cannot say so.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}

// newLayer returns a layer of files, all of the time 0, so that a layer whose files stay the same keeps its
// digest from release to release.
func newLayer(files ...file) (v1.Layer, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Size: int64(len(f.raw)), Mode: int64(f.mode), Uid: f.owner, Gid: f.owner,
			ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if f.isFolder() {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.raw); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompression(compression.GZip), tarball.WithCompressedCaching)
}

func (f file) isFolder() bool { return strings.HasSuffix(f.name, "/") }

// writeFiles writes files below a folder. They belong to the user who runs this.
func writeFiles(dir string, files []file) error {
	for _, f := range files {
		target := filepath.Join(dir, filepath.FromSlash(f.name))
		if f.isFolder() {
			if err := os.MkdirAll(target, f.mode); err != nil { //nolint:gosec // the names are constants of this program
				return err
			}
			continue
		}
		if err := os.WriteFile(target, f.raw, f.mode); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}
