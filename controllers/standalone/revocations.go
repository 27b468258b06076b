package standalone

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// syncRevocations makes the directory's revocations match the files. It runs before users are
// projected, so that no user is added without its revocations.
func (m *Manifests) syncRevocations(before map[manifest.Key]*active) {
	for key, o := range m.current {
		if o.Revocation != nil && (before[key] == nil || before[key].Revocation != o.Revocation) {
			m.records.putRevocation(directoryRevocation(o))
		}
	}
	for key, o := range before {
		if o.Revocation != nil && m.current[key] == nil {
			m.records.deleteRevocation(key.DirectoryKey())
		}
	}
}

func directoryRevocation(o *active) directory.Revocation {
	spec := &o.Revocation.Spec
	r := directory.Revocation{Key: o.Key.DirectoryKey(), UserKey: o.Key.Namespace + "/" + spec.UserRef.Name}
	if spec.ExpiresAt != nil {
		r.Until = spec.ExpiresAt.Time
	}
	return r
}

// putRevocation adds a revocation to the directory, and saves what it does to its user.
func (r *Records) putRevocation(revocation directory.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.directory.PutRevocation(revocation, r.now())
	r.saveTokensRevokedAt(revocation.UserKey)
}

// deleteRevocation removes a revocation from the directory, and saves what that does to its user.
func (r *Records) deleteRevocation(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saveTokensRevokedAt(r.directory.DeleteRevocation(key, r.now()))
}

// saveTokensRevokedAt saves the time that a revocation has moved in the directory, so that lifting
// the revocation revives no token after a restart either. If that fails, the revocation itself stays
// in force and moves the time again at the next start. The caller holds mu.
func (r *Records) saveTokensRevokedAt(userKey string) {
	u, ok := r.directory.ByKey(userKey)
	if !ok || !u.TokensRevokedAt.After(r.store.Standing(u.UID).TokensRevokedAt) {
		return
	}
	err := r.store.UpdateStanding(u.UID, func(s statedir.Standing) statedir.Standing {
		s.TokensRevokedAt = later(s.TokensRevokedAt, normalize(u.TokensRevokedAt))
		return s
	})
	_ = r.result("save the revocation of a user", err) // which logs the error
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
