//go:build unix

package statedir

import (
	"errors"
	"io/fs"
	"os"
)

// writableByAnyone reports whether every user of the machine may write into a folder.
func writableByAnyone(folder fs.FileInfo) bool { return folder.Mode().Perm()&0o002 != 0 }

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
