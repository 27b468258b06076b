package controllers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// maximumFile is how long a manifest may be, in bytes: well over 100,000 Users with their Secrets.
	maximumFile = 128 << 20
	// maximumObjects is how many Users and Secrets a folder may have.
	maximumObjects = 1_000_000
	// clockGrain is how long two changes of a file may lie apart and still show the same time, on the coarsest of file
	// systems.
	clockGrain = 2 * time.Second
)

// manifestFile is one file of the folder: what it holds, and where it cannot be read, what it held before. It is immutable.
type manifestFile struct {
	info    fs.FileInfo // before it was read
	settled bool        // it was old enough when it was read that a later change shows in info

	documents map[[sha256.Size]byte]*document // by their text, so that only those that changed are read again
	objects   []object                        // lines are those of the file
	faults    []fault                         // lines are those of the file
	// blind says that something in the file cannot be read and no version of it ever could, so that nobody knows what else
	// it is meant to hold.
	blind bool
}

// isManifest says whether a file of the folder is one. Hidden files, among them the state folder, are not, nor are kustomize's.
func isManifest(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml" || ext == ".json") && !strings.HasPrefix(name, ".") &&
		!strings.EqualFold(strings.TrimSuffix(name, ext), "kustomization")
}

// file reads a file of which before is what is known of it, or nil.
func (r reader) file(path string, before *manifestFile, now time.Time) *manifestFile {
	next := &manifestFile{}
	text, err := next.load(path, now)
	if err != nil {
		next.faults = []fault{{line: 1, message: "it cannot be read: " + err.Error()}}
		next.keep(before)
		return next
	}
	sections := splitYAML
	isJSON := filepath.Ext(path) == ".json"
	if isJSON {
		sections = splitJSON
	}
	next.read(r, sections(text), isJSON, before)
	if len(next.objects)+len(next.faults) == 0 && before != nil && len(before.objects) > 0 {
		next.faults = []fault{{line: 1, message: "it has become empty, as files do that are about to be written; remove it to remove its objects"}}
	}
	next.keep(before)
	return next
}

// load reads the text.
func (f *manifestFile) load(path string, now time.Time) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- the folder is the operator's choice
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if f.info, err = file.Stat(); err != nil {
		return nil, err
	}
	f.settled = now.Sub(f.info.ModTime()) > clockGrain
	text, err := io.ReadAll(io.LimitReader(file, maximumFile+1))
	if err == nil && len(text) > maximumFile {
		err = fmt.Errorf("it is longer than %d MiB; spread the objects over several files", maximumFile>>20)
	}
	return text, err
}

// read reads all documents, those that before has not.
func (f *manifestFile) read(r reader, sections []section, isJSON bool, before *manifestFile) {
	documents := make([]*document, len(sections))
	digests := make([][sha256.Size]byte, len(sections))
	inParallel(len(sections), func(i int) {
		digests[i] = sha256.Sum256(sections[i].text)
		if before != nil {
			documents[i] = before.documents[digests[i]]
		}
		if documents[i] == nil {
			documents[i] = r.document(sections[i].text, isJSON)
		}
	})
	f.documents = make(map[[sha256.Size]byte]*document, len(sections))
	for i, d := range documents {
		f.documents[digests[i]] = d
		for _, o := range d.objects {
			o.line += sections[i].line - 1
			f.objects = append(f.objects, o)
		}
		for _, fault := range d.faults {
			fault.line += sections[i].line - 1
			f.faults = append(f.faults, fault)
		}
	}
}

// keep takes over from the version before what this one does not show clearly to be gone: an object that is refused now, and when
// part of the file cannot be told, every object that is missing.
func (f *manifestFile) keep(before *manifestFile) {
	refused, unclear := map[objectKey]bool{}, false
	for _, fault := range f.faults {
		refused[fault.key] = true
		unclear = unclear || fault.key == objectKey{}
	}
	if before == nil {
		f.blind = unclear
		return
	}
	f.blind = unclear && before.blind
	if len(f.faults) == 0 {
		return
	}
	present := map[objectKey]bool{}
	for _, o := range f.objects {
		present[o.key] = true
	}
	for _, o := range before.objects {
		if !present[o.key] && (unclear || refused[o.key]) {
			f.objects = append(f.objects, o)
		}
	}
}

// same says whether a file is, as far as can be seen from outside, the one that was read.
func (f *manifestFile) same(info fs.FileInfo) bool {
	return f.settled && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime()) && os.SameFile(f.info, info)
}

// manifestFolder is the files of the folder by name.
type manifestFolder struct {
	dir   string
	files map[string]*manifestFile
}

// scan reads the files that have changed and forgets those that are gone. When the folder itself cannot be read, everything
// stays.
func (m *manifestFolder) scan(r reader, now time.Time) (changed bool, err error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return false, err
	}
	var names []string
	for _, e := range entries {
		if isManifest(e.Name()) {
			names = append(names, e.Name())
		}
	}
	next := make([]*manifestFile, len(names))
	inParallel(len(names), func(i int) { next[i] = m.look(names[i], r, now) })
	files := make(map[string]*manifestFile, len(names))
	for i, name := range names {
		if next[i] != nil {
			files[name] = next[i]
		}
	}
	changed = !maps.Equal(files, m.files)
	m.files = files
	return changed, nil
}

// look returns what a file of the folder holds, nil when it is gone or a folder itself.
func (m *manifestFolder) look(name string, r reader, now time.Time) *manifestFile {
	path, before := filepath.Join(m.dir, name), m.files[name]
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.IsDir():
		return nil
	case err == nil && before != nil && before.info != nil && before.same(info):
		return before
	}
	return r.file(path, before, now)
}

// names returns the names of the files in order.
func (m *manifestFolder) names() []string {
	return slices.Sorted(maps.Keys(m.files))
}

// unsettled says whether a file may have changed since it was read without showing it.
func (m *manifestFolder) unsettled() bool {
	for _, f := range m.files {
		if f.info != nil && !f.settled {
			return true
		}
	}
	return false
}

// inParallel calls f with 0 to n-1, on all processors.
func inParallel(n int, f func(int)) {
	var group errgroup.Group
	workers := min(n, runtime.GOMAXPROCS(0))
	for w := range workers {
		group.Go(func() error {
			for i := w; i < n; i += workers {
				f(i)
			}
			return nil
		})
	}
	_ = group.Wait() // nobody returned an error
}
