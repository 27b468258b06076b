package standalone

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// sync makes the directory match the files, as of the last scan of the folder.
func (m *Manifests) sync(now time.Time) {
	m.reports.begin()
	m.changes = changes{}
	next := m.merge(now)
	users := sortedUsers(next)
	unsaved := m.saveIdentities(users, next, now)
	m.removeUsers(next)
	before := m.current
	m.current = next
	m.syncRevocations(before)
	for _, o := range users {
		if !unsaved[o.Key] {
			m.project(o)
		}
	}
	for _, o := range users {
		m.reportConditions(o, now)
	}
	m.rejected.Store(int64(m.reports.rejected()))
	m.reports.finish()
	m.directory.Touch(now)
}

// Rejected returns the number of objects in the folder that are rejected. It may be called at any
// time.
func (m *Manifests) Rejected() int { return int(m.rejected.Load()) }

// removeUsers removes users from the directory who are gone or have another UID now. It runs before
// any user is added, so that a UID may move from one user to another.
func (m *Manifests) removeUsers(next map[manifest.Key]*active) {
	before, removed := len(m.projected), 0
	for key, p := range m.projected {
		id, ok := m.store.Identity(key.DirectoryKey())
		if next[key] != nil && ok && id.UID == string(p.user.UID) && !m.undropped[key.DirectoryKey()] {
			continue
		}
		m.records.remove(key.DirectoryKey())
		delete(m.projected, key)
		delete(m.states, key)
		m.changes.removed = append(m.changes.removed, key)
		removed++
	}
	if removed > 10 && removed > before/2 {
		m.log.Warn("more than half of all users were removed from the manifests at once", "removed", removed, "before", before)
	}
}

// project puts a user into the directory if anything about it has changed.
func (m *Manifests) project(o *active) {
	old := m.projected[o.Key]
	if old != nil && old.source == o.User && m.secretsUnchanged(o.Key.Namespace, old) {
		return
	}
	p := &projected{source: o.User, secrets: map[string]*corev1.Secret{}, user: m.withIdentity(o)}
	p.projection = m.projector.Project(p.user, func(name string) *corev1.Secret {
		p.secrets[name] = m.secret(o.Key.Namespace, name)
		return p.secrets[name]
	})
	m.projected[o.Key] = p
	if old == nil {
		m.changes.added = append(m.changes.added, o.Key)
	} else {
		m.changes.changed = append(m.changes.changed, o.Key)
	}
	m.records.put(p.projection.User)
}

// secret returns a Secret in force, or nil if there is none.
func (m *Manifests) secret(namespace, name string) *corev1.Secret {
	if o := m.current[manifest.Key{Kind: "Secret", Namespace: namespace, Name: name}]; o != nil {
		return o.Secret
	}
	return nil
}

// secretsUnchanged reports whether every Secret that p was made of is still the one in force.
func (m *Manifests) secretsUnchanged(namespace string, p *projected) bool {
	for name, secret := range p.secrets {
		if m.secret(namespace, name) != secret {
			return false
		}
	}
	return true
}

// reportConditions reports what the status conditions of a user would say in a cluster. It leaves
// out what the User itself asks for, such as revoked.
func (m *Manifests) reportConditions(o *active, now time.Time) {
	p := m.projected[o.Key]
	if p == nil {
		return
	}
	s := projection.Status{User: p.user, Projection: p.projection, Now: now, Trusts: m.trusts}
	s.Current, _ = m.directory.ByKey(o.Key.DirectoryKey())
	if holder, ok := m.directory.ByLogin(p.projection.User.Login); ok && holder.Key != o.Key.DirectoryKey() {
		s.Holder = holder.Key
	}
	user := p.projection.User
	problems := len(p.projection.Problems) + len(p.projection.Weak) + len(p.projection.Guessable) + len(p.projection.Newlines)
	if len(user.Identities) > 0 {
		s.IdentityConflicts = m.directory.IdentityConflicts(user.Key)
	}
	if s.Holder == "" && len(user.Identities) == 0 && len(user.Credentials.Passwords) > 0 && problems == 0 && !now.Before(user.TokensValidAfter) {
		return // true of nearly every user, and cheaper than to compute the status
	}
	for _, c := range s.Next().Conditions {
		switch c.Reason {
		case authv1alpha1.ReasonActive, authv1alpha1.ReasonRevoked, authv1alpha1.ReasonExpired,
			authv1alpha1.ReasonPasswordExpired, authv1alpha1.ReasonLocked:
		default:
			m.reportObject(o, c.Reason+": "+c.Message)
		}
	}
}
