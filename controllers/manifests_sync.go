package controllers

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// enrolled is a User in the directory, with what it was made of.
type enrolled struct {
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
		if !unkept[h.key] {
			m.enrol(h)
		}
	}
	for _, h := range users {
		m.reportConditions(h, now)
	}
	m.reports.finish()
	m.directory.Touch(now)
}

func sortedUsers(objects map[objectKey]*held) []*held {
	var users []*held
	for _, h := range objects {
		if h.user != nil {
			users = append(users, h)
		}
	}
	slices.SortFunc(users, func(a, b *held) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.key.name, b.key.name))
	})
	return users
}

func (k objectKey) directoryKey() string { return k.namespace + "/" + k.name }

func userKey(directoryKey string) objectKey {
	namespace, name, _ := strings.Cut(directoryKey, "/")
	return objectKey{"User", namespace, name}
}

// removeUsers takes out of the directory who is gone, or is another by now. It comes before anybody is put in, so that a UID may
// move from one to another.
func (m *Manifests) removeUsers(next map[objectKey]*held) {
	before, removed := len(m.enrolled), 0
	for k, e := range m.enrolled {
		id, ok := m.store.Identity(k.directoryKey())
		if next[k] != nil && ok && id.UID == string(e.user.UID) && !m.forsaken[k.directoryKey()] {
			continue
		}
		m.records.remove(k.directoryKey())
		delete(m.enrolled, k)
		removed++
	}
	if removed > 10 && removed > before/2 {
		m.log.Warn("more than half of all users were removed from the manifests at once", "removed", removed, "before", before)
	}
}

// enrol projects a user into the directory, if anything about it has changed.
func (m *Manifests) enrol(h *held) {
	old := m.enrolled[h.key]
	if old != nil && old.source == h.user && m.sameSecrets(h.key.namespace, old) {
		return
	}
	e := &enrolled{source: h.user, secrets: map[string]*corev1.Secret{}, user: m.identified(h)}
	e.projection = m.projector.Project(e.user, func(name string) *corev1.Secret {
		e.secrets[name] = m.secret(h.key.namespace, name)
		return e.secrets[name]
	})
	m.enrolled[h.key] = e
	m.records.put(e.projection.User)
}

func (m *Manifests) secret(namespace, name string) *corev1.Secret {
	if h := m.current[objectKey{"Secret", namespace, name}]; h != nil {
		return h.secret
	}
	return nil
}

func (m *Manifests) sameSecrets(namespace string, e *enrolled) bool {
	for name, secret := range e.secrets {
		if m.secret(namespace, name) != secret {
			return false
		}
	}
	return true
}

// reportConditions tells what status would say about a user who is not as it should be. What the User itself asks for, such as
// revoked, is no news.
func (m *Manifests) reportConditions(h *held, now time.Time) {
	e := m.enrolled[h.key]
	if e == nil {
		return
	}
	s := projection.Status{User: e.user, Projection: e.projection, Now: now}
	if holder, ok := m.directory.ByLogin(e.projection.User.Login); ok && holder.Key != h.key.directoryKey() {
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
