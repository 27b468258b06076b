package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const lockName = "lock"

// makeFolder makes the folder for its owner alone, when it is not there. One that anybody may write into is refused: whoever
// replaces the keys can make tokens.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w: choose one that can be written with --state-dir", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("open the state folder: everybody may write into %s: chmod 700 it, or name a folder inside it with --state-dir", dir)
	}
	return nil
}

// lockFolder takes the folder for this process. The lock ends with the process, however that ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the folder is the operator's choice
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w: choose one that can be written with --state-dir", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process is using it: stop that one, or name another folder with --state-dir")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the state folder %s: %w", dir, err), file.Close())
	}
	return file, nil
}

// sameFolder is an error when the folder was removed or replaced under a running process: what is written then is in no
// folder any more, or in somebody else's.
func sameFolder(dir string, lock *os.File) error {
	ours, err := lock.Stat()
	if err != nil {
		return fmt.Errorf("look at the lock of the state folder: %w", err)
	}
	named, err := os.Stat(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !os.SameFile(ours, named)) {
		return fmt.Errorf("the state folder %s was removed or replaced while it was in use: start the service again", dir)
	}
	if err != nil {
		return fmt.Errorf("look at the lock of the state folder: %w", err)
	}
	return nil
}

// createTemp creates the file that is to take the place of path. Whoever calls it must be the only one to do so for this path.
func createTemp(path string) (*os.File, error) {
	// O_APPEND, because the journal is appended to after it was renamed.
	return os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600) // #nosec G304 -- inside the folder
}

func discard(file *os.File) error { return errors.Join(file.Close(), os.Remove(file.Name())) }

// writeFile replaces a file by one with this content, on the disk when it returns nil. Readers see the old or the new one.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	next, err := createTemp(path)
	if err != nil {
		return err
	}
	_, err = next.Write(content)
	err = errors.Join(err, next.Chmod(mode), next.Sync())
	if err != nil {
		return errors.Join(err, discard(next))
	}
	if err := next.Close(); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder has the names in a folder on the disk.
func syncFolder(dir string) error {
	folder, err := os.Open(dir) // #nosec G304 -- the folder is the operator's choice
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
