//go:build unix

package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkWriters returns an error if anyone but the user of this process and root may write into a
// folder.
func checkWriters(dir string, folder fs.FileInfo) error {
	if owner, ok := folder.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to the user %d, and the service runs as %d: chown it, or name another folder with --state-dir",
			dir, owner.Uid, os.Geteuid())
	}
	if folder.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("other users may write into %s: chmod 700 it, or name a folder inside it with --state-dir", dir)
	}
	return nil
}

// replaceFile gives a file the name of another one, which goes.
func replaceFile(from, to string) error { return os.Rename(from, to) }

// syncFolder has the names in a folder on the disk when it returns nil.
func syncFolder(dir string) error {
	folder, err := os.Open(dir) // #nosec G304 -- the folder is the operator's choice
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
