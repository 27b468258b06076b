package logging

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// File is a log file that someone else rotates: it appends, and once its file has been moved or
// removed it continues in a new one at the same path. Create it with OpenFile. It is safe for
// concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File // nil after a failure to open it
}

// OpenFile opens the file at path for appending, and creates it if need be. Only its owner can read
// it, whatever its permissions were before.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f, f.open()
}

// Write appends p.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isCurrent() {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	return f.file.Write(p)
}

// Reopen continues with the file that is at the path now.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open()
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}

// isCurrent reports whether the open file is the one at the path. The caller holds mu.
func (f *File) isCurrent() bool {
	if f.file == nil {
		return false
	}
	open, err := f.file.Stat()
	if err != nil {
		return false
	}
	current, err := os.Lstat(f.path)
	return err == nil && os.SameFile(open, current)
}

// open opens the file at the path in place of the open one. The caller holds mu.
func (f *File) open() error {
	if f.file != nil {
		_ = f.file.Close() // what was written to it is in the file already
		f.file = nil
	}
	// The check comes first, because opening a named pipe waits for a reader.
	if info, err := os.Lstat(f.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.path)
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := file.Chmod(0o600); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file = file
	return nil
}
