package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// readLimited returns the content of the file at path, which must not be larger than maximumFile.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path) // #nosec G304 -- the user's own store, or a file that the user names
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, maximumFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maximumFile {
		return nil, fmt.Errorf("%s: larger than %d KiB", path, maximumFile>>10)
	}
	return text, nil
}

// WriteSecret replaces the file at path, which only its owner may read, in one step. It makes the
// folder of the file if there is none.
func WriteSecret(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
