package statedir

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// checkWriters would return an error if another user may write into a folder. Windows keeps that in
// access control lists, which a folder inherits, and Go's mode bits do not show it.
func checkWriters(string, fs.FileInfo) error { return nil }

// replaceFile gives a file the name of another one, which goes. Windows refuses that while another
// process has the old file open to read it, which takes moments.
func replaceFile(from, to string) error {
	for end := time.Now().Add(time.Second); ; {
		err := os.Rename(from, to)
		busy := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !busy || time.Now().After(end) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// syncFolder has the names in a folder on the disk when it returns nil. Windows cannot sync a folder,
// and NTFS writes names to its own journal.
func syncFolder(string) error { return nil }
