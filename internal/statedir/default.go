package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownerName is the file in a default state folder with the path of the manifests it belongs to.
const ownerName = "manifests"

// ignoreName is the file that keeps git from adding what is in the folder.
const ignoreName = ".gitignore"

// Default returns the state folder of the manifests in a folder for which no other one was chosen:
// $XDG_STATE_HOME/gatehouse/NAME, where NAME is the name of the folder of manifests. If that one
// belongs to another folder of the same name, a digest of the path follows, since services must not
// share keys. Default writes nothing; Claim creates the folder.
func Default(manifests string) (string, error) {
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	path, err := realPath(manifests)
	if err != nil {
		return "", fmt.Errorf("find the state folder: %w", err)
	}
	name := filepath.Base(path)
	if name == string(filepath.Separator) || name == "." {
		name = "root"
	}
	dir := filepath.Join(home, "gatehouse", name)
	owner, err := os.ReadFile(filepath.Join(dir, ownerName)) // #nosec G304 -- the folder of the user who runs the service
	if err == nil && string(owner) == path+"\n" {
		return dir, nil
	}
	if _, missing := os.Stat(dir); errors.Is(missing, fs.ErrNotExist) {
		return dir, nil
	}
	digest := sha256.Sum256([]byte(path))
	return dir + "-" + hex.EncodeToString(digest[:4]), nil
}

// Claim creates the folder that Default returned for manifests, unless it exists, and notes in it
// which manifests it belongs to.
func Claim(dir, manifests string) error {
	path, err := realPath(manifests)
	if err != nil {
		return fmt.Errorf("create the state folder: %w", err)
	}
	if err := makeFolder(dir); err != nil {
		return err
	}
	file := filepath.Join(dir, ownerName)
	if owner, err := os.ReadFile(file); err == nil && string(owner) == path+"\n" { // #nosec G304 -- inside the folder
		return nil
	}
	if err := writeFile(file, []byte(path+"\n"), 0o600); err != nil {
		return fmt.Errorf("create the state folder: %w", err)
	}
	return nil
}

// stateHome returns the folder for state of programs of the user, as the XDG Base Directory
// Specification defines it.
func stateHome() (string, error) {
	if home := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(home) {
		return home, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("neither XDG_STATE_HOME nor HOME is set, so there is no default state folder: name one with --state-dir")
	}
	return filepath.Join(home, ".local", "state"), nil
}

// WorkTree returns the root of the git work tree that a folder is in, or "" if it is in none.
func WorkTree(dir string) string {
	path, err := realPath(dir)
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Lstat(filepath.Join(path, ".git")); err == nil {
			return path
		}
		parent := filepath.Dir(path)
		if parent == path {
			return ""
		}
		path = parent
	}
}

// realPath returns the absolute path of a folder without symbolic links.
func realPath(dir string) (string, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}
