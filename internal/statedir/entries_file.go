package statedir

import "context"

// EntriesFile is one file of entries in a state folder. The folder need not be open.
type EntriesFile struct {
	Dir  string
	Name string // KeysEntries, CAEntries or UnlockEntries
}

// Read is ReadEntries.
func (f EntriesFile) Read(context.Context) (map[string][]byte, error) {
	return ReadEntries(f.Dir, f.Name)
}

// Update is UpdateEntries.
func (f EntriesFile) Update(_ context.Context, next func(map[string][]byte) (map[string][]byte, error)) (map[string][]byte, error) {
	return UpdateEntries(f.Dir, f.Name, next)
}
