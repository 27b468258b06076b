package standalone

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// projected is a User in the directory, with what it was made of.
type projected struct {
	source     *authv1alpha1.User
	secrets    map[string]*corev1.Secret // all that were looked up; nil where there was none
	projection projection.Projection
	user       *authv1alpha1.User // source with its identity
}

// sync makes the directory show what the files say.
func (m *Manifests) sync(now time.Time) {
	m.reports.begin()
	next := m.merge(now)
	users := sortedUsers(next)
	unkept := m.identify(users, next, now)
	m.removeUsers(next)
	m.current = next
	for _, h := range users {
		if !unkept[h.Key] {
			m.project(h)
		}
	}
	for _, h := range users {
		m.reportConditions(h, now)
	}
	m.reports.finish()
	m.directory.Touch(now)
}

func sortedUsers(objects map[manifest.Key]*active) []*active {
	var users []*active
	for _, h := range objects {
		if h.User != nil {
			users = append(users, h)
		}
	}
	slices.SortFunc(users, func(a, b *active) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return users
}

// removeUsers takes out of the directory who is gone, or is another by now. It comes before anybody is put in, so that a UID may
// move from one to another.
func (m *Manifests) removeUsers(next map[manifest.Key]*active) {
	before, removed := len(m.projected), 0
	for k, e := range m.projected {
		id, ok := m.store.Identity(k.DirectoryKey())
		if next[k] != nil && ok && id.UID == string(e.user.UID) && !m.undropped[k.DirectoryKey()] {
			continue
		}
		m.records.remove(k.DirectoryKey())
		delete(m.projected, k)
		removed++
	}
	if removed > 10 && removed > before/2 {
		m.log.Warn("more than half of all users were removed from the manifests at once", "removed", removed, "before", before)
	}
}

// project projects a user into the directory, if anything about it has changed.
func (m *Manifests) project(h *active) {
	old := m.projected[h.Key]
	if old != nil && old.source == h.User && m.sameSecrets(h.Key.Namespace, old) {
		return
	}
	e := &projected{source: h.User, secrets: map[string]*corev1.Secret{}, user: m.identified(h)}
	e.projection = m.projector.Project(e.user, func(name string) *corev1.Secret {
		e.secrets[name] = m.secret(h.Key.Namespace, name)
		return e.secrets[name]
	})
	m.projected[h.Key] = e
	m.records.put(e.projection.User)
}

func (m *Manifests) secret(namespace, name string) *corev1.Secret {
	if h := m.current[manifest.Key{Kind: "Secret", Namespace: namespace, Name: name}]; h != nil {
		return h.Secret
	}
	return nil
}

func (m *Manifests) sameSecrets(namespace string, e *projected) bool {
	for name, secret := range e.secrets {
		if m.secret(namespace, name) != secret {
			return false
		}
	}
	return true
}

// reportConditions tells what status would say about a user who is not as it should be. What the User itself asks for, such as
// revoked, is no news.
func (m *Manifests) reportConditions(h *active, now time.Time) {
	e := m.projected[h.Key]
	if e == nil {
		return
	}
	s := projection.Status{User: e.user, Projection: e.projection, Now: now}
	if holder, ok := m.directory.ByLogin(e.projection.User.Login); ok && holder.Key != h.Key.DirectoryKey() {
		s.Holder = holder.Key
	}
	p := e.projection
	usable := len(p.User.Credentials.Passwords)
	if s.Holder == "" && usable > 0 && len(p.Problems)+len(p.Weak)+len(p.Newlines) == 0 && !now.Before(p.User.TokensValidAfter) {
		return // nearly everybody
	}
	for _, c := range s.Next().Conditions {
		switch c.Reason {
		case authv1alpha1.ReasonActive, authv1alpha1.ReasonRevoked, authv1alpha1.ReasonExpired,
			authv1alpha1.ReasonPasswordExpired, authv1alpha1.ReasonLocked:
		default:
			m.reports.object(h, c.Reason+": "+c.Message)
		}
	}
}
