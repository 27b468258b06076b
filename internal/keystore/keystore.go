// Package keystore keeps what all replicas share: the keys that sign and seal tokens, and the service's own CA. It reads them from
// where they are stored, puts them in force in this process, and writes what is due. Every replica computes the same, and the
// first to store its result wins.
package keystore

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Entries are named values that are stored together: a Secret in a cluster, or a file in a state folder. Implementations are safe
// for concurrent use by several processes.
type Entries interface {
	// Read returns the stored entries, private keys included. It returns none, and no error, where nothing is stored yet.
	Read(ctx context.Context) (map[string][]byte, error)
	// Update stores what next makes of the entries, unless that changes nothing, and returns what is stored then. It stores
	// nothing when next returns an error, which it passes on. When another writer is faster, it may return the entries as it
	// read them, without an error; a later call sees those of the other writer.
	Update(ctx context.Context, next func(map[string][]byte) (map[string][]byte, error)) (map[string][]byte, error)
}

// ErrNoKeys reports that there are no keys where a service should have stored some.
var ErrNoKeys = errors.New("no keys are stored here")

// requestAttempts is how often RequestRotation tries while the service changes the same entries.
const requestAttempts = 5

// RequestRotation asks the service that uses these keys, or the next one that starts on them, to begin a rotation. The caller needs
// to know no policy. The error wraps ErrNoKeys where no service has stored any keys.
func RequestRotation(ctx context.Context, keys Entries) error {
	for range requestAttempts {
		stored, err := keys.Update(ctx, func(entries map[string][]byte) (map[string][]byte, error) {
			if len(entries) == 0 {
				return nil, ErrNoKeys
			}
			entries[token.RotationRequest] = []byte{}
			return entries, nil
		})
		if err != nil {
			return fmt.Errorf("request a key rotation: %w", err)
		}
		if _, requested := stored[token.RotationRequest]; requested {
			return nil
		}
	}
	return errors.New("request a key rotation: the keys keep changing; try again")
}

// problem reports an error once for as long as its text stays the same.
type problem struct{ last error }

// changed keeps err and reports whether it is another problem than the one before.
func (p *problem) changed(err error) bool {
	before := p.last
	p.last = err
	return fmt.Sprint(before) != fmt.Sprint(err)
}
