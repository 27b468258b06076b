package statedir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// The files of entries that a state folder has.
const (
	KeysEntries = "keys" // the keys that sign and seal tokens
	CAEntries   = "ca"   // the service's own certificate authority
)

// CertificateFile is the file in a state folder with the certificates that clients trust, as PEM.
const CertificateFile = "ca.crt"

// ReadEntries reads a file of named entries, as a Secret has them, from a state folder. A file that
// does not exist has no entries. ReadEntries needs no lock, since the file is always replaced whole.
func ReadEntries(dir, name string) (map[string][]byte, error) {
	raw, err := os.ReadFile(entriesPath(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string][]byte{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	entries := map[string][]byte{}
	if err := json.Unmarshal(raw, &entries); err != nil {
		// The parser's error may quote a private key, so it is not passed on.
		return nil, fmt.Errorf("read %s: %s is not a JSON object of base64 strings: restore it from a backup, "+
			"or remove it to start with new ones", name, entriesPath(dir, name))
	}
	return entries, nil
}

// UpdateEntries replaces a file of named entries by what next makes of it, and returns that. Updates of
// the same file wait for each other, in this process and in others; the folder need not be open.
// UpdateEntries writes nothing if next changes nothing or returns an error.
func UpdateEntries(dir, name string, next func(map[string][]byte) (map[string][]byte, error)) (map[string][]byte, error) {
	lock, err := os.OpenFile(entriesPath(dir, name)+".lock", os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the operator's folder
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	defer func() { _ = lock.Close() }() // which unlocks it; nothing was written to it
	if err := waitLock(lock); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	old, err := ReadEntries(dir, name)
	if err != nil {
		return nil, err
	}
	entries, err := next(maps.Clone(old))
	if err != nil || maps.EqualFunc(old, entries, bytes.Equal) {
		return entries, err
	}
	raw, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	if err := writeFile(entriesPath(dir, name), raw, 0o600); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return entries, nil
}

// PublishCertificates writes the certificates that clients trust, as PEM, to CertificateFile, unless it
// has them already.
func PublishCertificates(dir string, bundle []byte) error {
	path := filepath.Join(dir, CertificateFile)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, bundle) { // #nosec G304 -- inside the folder
		return nil
	}
	if err := writeFile(path, bundle, 0o644); err != nil {
		return fmt.Errorf("publish the CA certificates: %w", err)
	}
	return nil
}

func entriesPath(dir, name string) string { return filepath.Join(dir, name+".json") }

// UnlockEntries is the file of entries with requests to lift locks, by login. Each entry is one of the
// states below.
const UnlockEntries = "unlock"

// The states of a request to lift a lock. The service answers UnlockRequested with another one.
const (
	UnlockRequested = "requested"
	UnlockDone      = "done"
	UnlockUnknown   = "unknown login"
	UnlockFailed    = "failed"
)
