package controllers

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/state"
)

// enrolled is a User in the directory, with what it was made of.
type enrolled struct {
	source     *authv1alpha1.User
	secrets    map[string]*corev1.Secret // all that were looked up; nil where there was none
	projection Projection
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

// identify keeps who the users are: a UID for each that is new, and none any more for those that are gone. It returns the users
// whose identity cannot be kept now. They must wait, because a token for a UID that the next start does not know is dead.
func (m *Manifests) identify(users []*held, next map[objectKey]*held, now time.Time) (unkept map[objectKey]bool) {
	gone := m.goneIdentities(next)
	add := m.newIdentities(users, gone, now)
	if len(add)+len(gone) == 0 {
		return nil
	}
	err := m.store.Identify(add, gone)
	if err == nil {
		clear(m.forsaken)
		return nil
	}
	m.unfinished = true
	m.reports.add("", "users", "who the users are cannot be kept, so users who are new must wait: "+err.Error())
	for _, key := range gone {
		m.forsaken[key] = true
	}
	unkept = map[objectKey]bool{}
	for _, id := range add {
		unkept[userKey(id.Key)] = true
	}
	return unkept
}

// newIdentities returns the identities of users who have none, or none that fits their manifest.
func (m *Manifests) newIdentities(users []*held, gone []string, now time.Time) []state.Identity {
	isGone := map[string]bool{}
	for _, key := range gone {
		isGone[key] = true
	}
	var add []state.Identity
	for i, h := range users {
		key := h.key.directoryKey()
		id, ok := m.store.Identity(key)
		known := ok && !isGone[key]
		given := string(h.user.UID)
		if known && (given == "" || (given == id.UID && id.Given)) {
			continue
		}
		if !known {
			// Of users who appear together the first is the older, so that it is not left to chance who keeps a login.
			id = state.Identity{Key: key, UID: string(uuid.NewUUID()), FirstSeen: plain(now.Add(time.Duration(i)))}
		}
		if given != "" {
			id.UID, id.Given = given, true
		}
		add = append(add, id)
	}
	return add
}

// goneIdentities returns the users whose identities must never come back: those that are in no file, and those that were given
// another UID.
func (m *Manifests) goneIdentities(next map[objectKey]*held) []string {
	certain, refused := m.certain(), m.refused()
	var gone []string
	for key, id := range m.store.Identities() {
		k := userKey(key)
		h := next[k]
		switch {
		case m.forsaken[key]:
		case h != nil && (h.user.UID == "" || string(h.user.UID) == id.UID):
			continue
		case h == nil && refused[k]:
			continue
		case h == nil && !certain && m.enrolled[k] == nil:
			continue
		}
		gone = append(gone, key)
	}
	return gone
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

// identified returns a User as an API server would have it.
func (m *Manifests) identified(h *held) *authv1alpha1.User {
	id, _ := m.store.Identity(h.key.directoryKey())
	u := *h.user
	u.UID = types.UID(id.UID)
	if u.CreationTimestamp.IsZero() {
		u.CreationTimestamp = metav1.NewTime(id.FirstSeen)
	}
	return &u
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
	s := standing{user: e.user, projection: e.projection, now: now}
	if holder, ok := m.directory.ByLogin(e.projection.User.Login); ok && holder.Key != h.key.directoryKey() {
		s.holder = holder.Key
	}
	p := e.projection
	usable := len(p.User.Credentials.Passwords)
	if s.holder == "" && usable > 0 && len(p.Problems)+len(p.Weak)+len(p.Newlines) == 0 && !now.Before(p.User.TokensValidAfter) {
		return // nearly everybody
	}
	for _, c := range s.status().Conditions {
		switch c.Reason {
		case authv1alpha1.ReasonActive, authv1alpha1.ReasonRevoked, authv1alpha1.ReasonExpired,
			authv1alpha1.ReasonPasswordExpired, authv1alpha1.ReasonLocked:
		default:
			m.reports.object(h, c.Reason+": "+c.Message)
		}
	}
}
