//go:build unix

package statedir

import (
	"errors"
	"os"
	"syscall"
)

// waitLock locks a file for this process, and waits while another one has it. Closing the file
// unlocks it.
func waitLock(file *os.File) error { return flock(file, syscall.LOCK_EX) }

// tryLock locks a file for this process, and reports whether it was free. Closing the file unlocks it.
func tryLock(file *os.File) (bool, error) {
	err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func flock(file *os.File, how int) error {
	return syscall.Flock(int(file.Fd()), how) // #nosec G115 -- file descriptors are small
}
