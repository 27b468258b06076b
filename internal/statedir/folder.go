package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const lockName = "lock"

// makeFolder creates the folder for its owner alone, if it does not exist. It refuses one that another
// user may write into, and symbolic links, which another user may have made: anyone who replaces the
// keys can make tokens.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the state folder: %w: choose one that can be written with --state-dir", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("open the state folder: %s is a symbolic link: name the folder itself with --state-dir", dir)
	}
	if err := checkWriters(dir, info); err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	if err := refuseLinks(dir); err != nil {
		return err
	}
	return hideFromGit(dir)
}

// refuseLinks returns an error if anything in a folder is a symbolic link.
func refuseLinks(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeSymlink != 0 {
			return fmt.Errorf("open the state folder: %s is a symbolic link: replace it by what it points to", filepath.Join(dir, entry.Name()))
		}
	}
	return nil
}

// hideFromGit keeps git from adding what will be in a folder, if the folder is still empty. The keys
// in it must never reach a repository.
func hideFromGit(dir string) error {
	inside, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	if len(inside) > 0 {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, ignoreName), []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("create the state folder: %w: choose one that can be written with --state-dir", err)
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
	locked, err := tryLock(file)
	if err == nil && !locked {
		err = inUseError("state folder", dir)
	} else if err != nil {
		err = fmt.Errorf("lock the state folder %s: %w", dir, err)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// inUseError is the error of a folder or file that another process has locked.
func inUseError(what, path string) error {
	return fmt.Errorf("lock the %s %s: another process is using it: stop that one, or name another folder with --state-dir", what, path)
}

// sameFolder returns an error if the folder was removed or replaced while this process had it open:
// what is written then is in no folder any more, or in the folder of another process.
func sameFolder(dir string, lock *os.File) error {
	ours, err := lock.Stat()
	if err != nil {
		return fmt.Errorf("check the lock of the state folder: %w", err)
	}
	named, err := os.Stat(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !os.SameFile(ours, named)) {
		return fmt.Errorf("the state folder %s was removed or replaced while it was in use: start the service again", dir)
	}
	if err != nil {
		return fmt.Errorf("check the lock of the state folder: %w", err)
	}
	return nil
}

// writeFile replaces a file by one with this content, which is on the disk when writeFile returns nil.
// Readers see the old file or the new one. The caller must be the only one to write to this path.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	next, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- inside the folder
	if err != nil {
		return err
	}
	_, err = next.Write(content)
	err = errors.Join(err, next.Chmod(mode), next.Sync(), next.Close())
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	if err := replaceFile(next.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
