package statedir

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// waitLock locks a file for this process, and waits while another one has it. Closing the file
// unlocks it.
func waitLock(file *os.File) error { return lockFile(file, 0) }

// tryLock locks a file for this process, and reports whether it was free. Closing the file unlocks it.
func tryLock(file *os.File) (bool, error) {
	err := lockFile(file, windows.LOCKFILE_FAIL_IMMEDIATELY)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// lockFile locks the first byte of a file, which need not exist.
func lockFile(file *os.File, flags uint32) error {
	return windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|flags, 0, 1, 0, &windows.Overlapped{})
}
