package manifest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
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
	// MaximumObjects is how many Users and Secrets a folder may have.
	MaximumObjects = 1_000_000
	// ClockGrain is how long two changes of a file may lie apart and still show the same time, on the coarsest of file
	// systems.
	ClockGrain = 2 * time.Second
)

// File is one file of the folder: what it holds, and where it cannot be read, what it held before. It is immutable.
type File struct {
	info    fs.FileInfo // before it was read
	settled bool        // it was old enough when it was read that a later change shows in info

	documents map[[sha256.Size]byte]*Document // by their text, so that only those that changed are read again
	Objects   []Object                        // lines are those of the file
	Faults    []Fault                         // lines are those of the file
	// blind says that something in the file cannot be read and no version of it ever could, so that nobody knows what else
	// it is meant to hold.
	Unparsed bool
}

// IsManifest says whether a file of the folder is one. Hidden files, among them the state folder, are not, nor are kustomize's.
func IsManifest(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml" || ext == ".json") && !strings.HasPrefix(name, ".") &&
		!strings.EqualFold(strings.TrimSuffix(name, ext), "kustomization")
}

// file reads a file of which before is what is known of it, or nil.
func (r reader) file(path string, before *File, now time.Time) *File {
	next := &File{}
	text, err := next.load(path, now)
	if err != nil {
		next.Faults = []Fault{{Line: 1, Message: "it cannot be read: " + err.Error()}}
		next.carryOver(before)
		return next
	}
	sections := splitYAML
	isJSON := filepath.Ext(path) == ".json"
	if isJSON {
		sections = splitJSON
	}
	next.read(r, sections(text), isJSON, before)
	if len(next.Objects)+len(next.Faults) == 0 && before != nil && len(before.Objects) > 0 {
		next.Faults = []Fault{{Line: 1, Message: "it has become empty, as files do that are about to be written; remove it to remove its objects"}}
	}
	next.carryOver(before)
	return next
}

// load reads the text.
func (f *File) load(path string, now time.Time) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- the folder is the operator's choice
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if f.info, err = file.Stat(); err != nil {
		return nil, err
	}
	f.settled = now.Sub(f.info.ModTime()) > ClockGrain
	text, err := io.ReadAll(io.LimitReader(file, maximumFile+1))
	if err == nil && len(text) > maximumFile {
		err = fmt.Errorf("it is longer than %d MiB; spread the objects over several files", maximumFile>>20)
	}
	return text, err
}

// read reads all documents, those that before has not.
func (f *File) read(r reader, sections []section, isJSON bool, before *File) {
	documents := make([]*Document, len(sections))
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
	f.documents = make(map[[sha256.Size]byte]*Document, len(sections))
	for i, d := range documents {
		f.documents[digests[i]] = d
		for _, o := range d.objects {
			o.Line += sections[i].line - 1
			f.Objects = append(f.Objects, o)
		}
		for _, fault := range d.faults {
			fault.Line += sections[i].line - 1
			f.Faults = append(f.Faults, fault)
		}
	}
}

// carryOver takes over from the version before what this one does not show clearly to be gone: an object that is refused now, and when
// part of the file cannot be told, every object that is missing.
func (f *File) carryOver(before *File) {
	refused, unclear := map[Key]bool{}, false
	for _, fault := range f.Faults {
		refused[fault.Key] = true
		unclear = unclear || fault.Key == Key{}
	}
	if before == nil {
		f.Unparsed = unclear
		return
	}
	f.Unparsed = unclear && before.Unparsed
	if len(f.Faults) == 0 {
		return
	}
	present := map[Key]bool{}
	for _, o := range f.Objects {
		present[o.Key] = true
	}
	for _, o := range before.Objects {
		if !present[o.Key] && (unclear || refused[o.Key]) {
			f.Objects = append(f.Objects, o)
		}
	}
}

// same says whether a file is, as far as can be seen from outside, the one that was read.
func (f *File) same(info fs.FileInfo) bool {
	return f.settled && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime()) && os.SameFile(f.info, info)
}

// Folder is the files of the folder by name.
type Folder struct {
	Dir    string
	reader reader
	files  map[string]*File
}

// NewFolder returns a folder of which nothing has been read.
func NewFolder(dir string) (*Folder, error) {
	schema, err := NewSchema()
	if err != nil {
		return nil, err
	}
	return &Folder{Dir: dir, reader: reader{schema}}, nil
}

// Scan reads the files that have changed and forgets those that are gone. When the folder itself cannot be read, everything
// stays.
func (m *Folder) Scan(now time.Time) (changed bool, err error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return false, err
	}
	var names []string
	for _, e := range entries {
		if IsManifest(e.Name()) {
			names = append(names, e.Name())
		}
	}
	next := make([]*File, len(names))
	inParallel(len(names), func(i int) { next[i] = m.look(names[i], now) })
	files := make(map[string]*File, len(names))
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
func (m *Folder) look(name string, now time.Time) *File {
	path, before := filepath.Join(m.Dir, name), m.files[name]
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.IsDir():
		return nil
	case err == nil && before != nil && before.info != nil && before.same(info):
		return before
	}
	return m.reader.file(path, before, now)
}

// All returns the files by name, in the order of their names.
func (m *Folder) All() iter.Seq2[string, *File] {
	return func(yield func(string, *File) bool) {
		for _, name := range slices.Sorted(maps.Keys(m.files)) {
			if !yield(name, m.files[name]) {
				return
			}
		}
	}
}

// Len returns the number of files.
func (m *Folder) Len() int { return len(m.files) }

// Modified returns when a file was last written; zero when there is no such file, or it could not be looked at.
func (m *Folder) Modified(name string) time.Time {
	if f := m.files[name]; f != nil && f.info != nil {
		return f.info.ModTime()
	}
	return time.Time{}
}

// Certain reports whether every object that any file is meant to hold is known, so that what is not there is gone.
func (m *Folder) Certain() bool {
	for _, f := range m.files {
		if f.Unparsed {
			return false
		}
	}
	return true
}

// Refused returns the objects that some file declares in a way that cannot be used.
func (m *Folder) Refused() map[Key]bool {
	out := map[Key]bool{}
	for _, f := range m.files {
		for _, fault := range f.Faults {
			out[fault.Key] = true
		}
	}
	return out
}

// Unsettled says whether a file may have changed since it was read without showing it.
func (m *Folder) Unsettled() bool {
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
