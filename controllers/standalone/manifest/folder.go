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
	// maximumFile is the maximum size of a manifest in bytes. Well over 100,000 Users with their
	// Secrets fit.
	maximumFile = 128 << 20
	// MaximumObjects is the maximum number of Users and Secrets in a folder.
	MaximumObjects = 1_000_000
	// ClockGrain is the coarsest resolution of modification times that file systems have: two
	// changes of a file within it may leave the same time.
	ClockGrain = 2 * time.Second
)

// File is one file of the folder. It holds the objects that the file declares and, where the file
// cannot be read, those that the version before declared. It is immutable.
type File struct {
	info    fs.FileInfo // from before the file was read
	settled bool        // the file was old enough when it was read for any later change to show in info

	documents map[[sha256.Size]byte]*Document // by digest of their text; only changed ones are read again
	Objects   []Object                        // with lines of the file
	Faults    []Fault                         // with lines of the file
	Kept      map[Key]Object                  // of Objects, those of an earlier version of the file, because this one is rejected
	// Unparsed is set if some part of the file cannot be parsed and no earlier version of the file
	// could, so that it is unknown which other objects the file is meant to declare.
	Unparsed bool
}

// IsManifest reports whether a file of this name is a manifest. Hidden files, such as the state
// folder, and kustomization files are not.
func IsManifest(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml" || ext == ".json") && !strings.HasPrefix(name, ".") &&
		!strings.EqualFold(strings.TrimSuffix(name, ext), "kustomization")
}

// file reads the file at path. before is its last version, or nil if there is none.
func (r reader) file(path string, before *File, now time.Time) *File {
	next := &File{}
	text, err := next.load(path, now)
	if err != nil {
		next.Faults = []Fault{{Line: 1, Message: "cannot read file: " + err.Error()}}
		next.carryOver(before)
		return next
	}
	r.isJSON = filepath.Ext(path) == ".json"
	next.read(r, sectionsOf(text, r.isJSON), before, now)
	if len(next.Objects)+len(next.Faults) == 0 && before != nil && len(before.Objects) > 0 {
		next.Faults = []Fault{{Line: 1, Message: "file is empty, possibly mid-write; keeping its objects. Delete the file to remove them"}}
	}
	next.carryOver(before)
	return next
}

// load returns the text of the file at path, and sets info and settled.
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
		err = fmt.Errorf("file is larger than %d MiB; spread its objects over several files", maximumFile>>20)
	}
	return text, err
}

// read sets the documents, objects and faults of f from the sections of its text. It takes over the
// documents that before has already.
func (f *File) read(r reader, sections []section, before *File, now time.Time) {
	documents := make([]*Document, len(sections))
	digests := make([][sha256.Size]byte, len(sections))
	inParallel(len(sections), func(i int) {
		digests[i] = sha256.Sum256(sections[i].text)
		if before != nil {
			documents[i] = before.documents[digests[i]]
		}
		if documents[i] == nil {
			documents[i] = r.document(sections[i].text)
			for j := range documents[i].objects {
				documents[i].objects[j].ReadAt = now
			}
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

// carryOver adds to f those objects of the version before that f does not clearly lack: each object
// that is refused now and, if some part of f cannot be attributed to an object, every missing
// object. It sets Unparsed.
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
	restrictions := f.restrictions()
	f.Kept = map[Key]Object{}
	for _, o := range before.Objects {
		if !present[o.Key] && (unclear || refused[o.Key]) {
			o = o.Restrict(restrictions[o.Key])
			f.Objects = append(f.Objects, o)
			f.Kept[o.Key] = o
		}
	}
}

// restrictions returns the restrictions of the rejected Users of the file.
func (f *File) restrictions() map[Key]Restrictions {
	all := map[Key]Restrictions{}
	for _, d := range f.documents {
		maps.Copy(all, d.restrictions)
	}
	return all
}

// unchanged reports whether info is, as far as metadata shows, that of the file that was read.
func (f *File) unchanged(info fs.FileInfo) bool {
	return f.settled && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime()) && os.SameFile(f.info, info)
}

// Folder is the manifests of a folder, as they were at the last Scan. Create it with NewFolder. It
// is not safe for concurrent use.
type Folder struct {
	Dir    string
	reader reader
	files  map[string]*File
}

// NewFolder returns a Folder that has read nothing yet.
func NewFolder(dir string) (*Folder, error) {
	r, err := newReader()
	if err != nil {
		return nil, err
	}
	return &Folder{Dir: dir, reader: r}, nil
}

// Scan reads the files that have changed and drops those that are gone. It reports whether anything
// has changed. If it cannot read the folder itself, it returns an error and everything stays.
func (d *Folder) Scan(now time.Time) (changed bool, err error) {
	entries, err := os.ReadDir(d.Dir)
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
	inParallel(len(names), func(i int) { next[i] = d.readIfChanged(names[i], now) })
	files := make(map[string]*File, len(names))
	for i, name := range names {
		if next[i] != nil {
			files[name] = next[i]
		}
	}
	changed = !maps.Equal(files, d.files)
	d.files = files
	return changed, nil
}

// readIfChanged returns the current version of a file of the folder, or nil if it is gone or is a
// folder itself.
func (d *Folder) readIfChanged(name string, now time.Time) *File {
	path, before := filepath.Join(d.Dir, name), d.files[name]
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.IsDir():
		return nil
	case err == nil && before != nil && before.info != nil && before.unchanged(info):
		return before
	}
	return d.reader.file(path, before, now)
}

// All returns an iterator over the names of the files and the files, in the order of their names.
func (d *Folder) All() iter.Seq2[string, *File] {
	return func(yield func(string, *File) bool) {
		for _, name := range slices.Sorted(maps.Keys(d.files)) {
			if !yield(name, d.files[name]) {
				return
			}
		}
	}
}

// Len returns the number of files.
func (d *Folder) Len() int { return len(d.files) }

// Modified returns the modification time of a file, or the zero time if there is no such file or
// its metadata could not be read.
func (d *Folder) Modified(name string) time.Time {
	if f := d.files[name]; f != nil && f.info != nil {
		return f.info.ModTime()
	}
	return time.Time{}
}

// Certain reports whether it is known which objects each file is meant to declare, so that an
// object that is in no file is gone.
func (d *Folder) Certain() bool {
	for _, f := range d.files {
		if f.Unparsed {
			return false
		}
	}
	return true
}

// Refused returns the keys of the objects that have a fault in some file.
func (d *Folder) Refused() map[Key]bool {
	refused := map[Key]bool{}
	for _, f := range d.files {
		for _, fault := range f.Faults {
			refused[fault.Key] = true
		}
	}
	return refused
}

// Unsettled reports whether any file may have changed since it was read without a change of its
// modification time.
func (d *Folder) Unsettled() bool {
	for _, f := range d.files {
		if f.info != nil && !f.settled {
			return true
		}
	}
	return false
}

// inParallel calls f with each number from 0 to n-1, on all processors.
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
	_ = group.Wait() // none of them returns an error
}
