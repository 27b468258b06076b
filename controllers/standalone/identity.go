package standalone

import (
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// identify keeps who the users are: a UID for each that is new, and none any more for those that are gone. It returns the users
// whose identity cannot be kept now. They must wait, because a token for a UID that the next start does not know is dead.
func (m *Manifests) identify(users []*active, next map[manifest.Key]*active, now time.Time) (unkept map[manifest.Key]bool) {
	gone := m.goneIdentities(next)
	add := m.newIdentities(users, gone, now)
	if len(add)+len(gone) == 0 {
		return nil
	}
	err := m.store.Identify(add, gone)
	if err == nil {
		clear(m.undropped)
		return nil
	}
	m.unfinished = true
	m.reports.add("", "users", "who the users are cannot be kept, so users who are new must wait: "+err.Error())
	for _, key := range gone {
		m.undropped[key] = true
	}
	unkept = map[manifest.Key]bool{}
	for _, id := range add {
		unkept[manifest.UserKey(id.Key)] = true
	}
	return unkept
}

// newIdentities returns the identities of users who have none, or none that fits their manifest.
func (m *Manifests) newIdentities(users []*active, gone []string, now time.Time) []statedir.Identity {
	isGone := map[string]bool{}
	for _, key := range gone {
		isGone[key] = true
	}
	var add []statedir.Identity
	for i, h := range users {
		key := h.Key.DirectoryKey()
		id, ok := m.store.Identity(key)
		known := ok && !isGone[key]
		given := string(h.User.UID)
		if known && (given == "" || (given == id.UID && id.Given)) {
			continue
		}
		if !known {
			// Of users who appear together the first is the older, so that it is not left to chance who keeps a login.
			id = statedir.Identity{Key: key, UID: string(uuid.NewUUID()), FirstSeen: normalize(now.Add(time.Duration(i)))}
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
func (m *Manifests) goneIdentities(next map[manifest.Key]*active) []string {
	certain, refused := m.folder.Certain(), m.folder.Refused()
	var gone []string
	for key, id := range m.store.Identities() {
		k := manifest.UserKey(key)
		h := next[k]
		switch {
		case m.undropped[key]:
		case h != nil && (h.User.UID == "" || string(h.User.UID) == id.UID):
			continue
		case h == nil && refused[k]:
			continue
		case h == nil && !certain && m.projected[k] == nil:
			continue
		}
		gone = append(gone, key)
	}
	return gone
}

// identified returns a User as an API server would have it.
func (m *Manifests) identified(h *active) *authv1alpha1.User {
	id, _ := m.store.Identity(h.Key.DirectoryKey())
	u := *h.User
	u.UID = types.UID(id.UID)
	if u.CreationTimestamp.IsZero() {
		u.CreationTimestamp = metav1.NewTime(id.FirstSeen)
	}
	return &u
}

// claimUIDs leaves out users whose UID is no UID or another user's. Their last good version stays. Who has a UID keeps it; of
// the others the first one gets it.
func (m *Manifests) claimUIDs(next map[manifest.Key]*active) {
	owners := make(map[string]*active, len(next))
	users := sortedUsers(next)
	for _, h := range users {
		if id, ok := m.store.Identity(h.Key.DirectoryKey()); ok && (h.User.UID == "" || string(h.User.UID) == id.UID) {
			owners[id.UID] = h
		}
	}
	for _, h := range users {
		uid := string(h.User.UID)
		if uid == "" || owners[uid] == h {
			continue
		}
		switch owner := owners[uid]; {
		case !canonicalUUID.MatchString(uid):
			m.reports.object(h, "metadata.uid is no UUID like 123e4567-e89b-12d3-a456-426614174000; correct it, or leave it out to have one made")
		case owner != nil:
			m.reports.object(h, "metadata.uid is that of "+owner.Key.String()+", in "+owner.place()+"; leave it out to have another one made")
		default:
			owners[uid] = h
			continue
		}
		m.fallBack(next, h, owners)
	}
}

// fallBack puts the version of a user that is in force in the place of one whose UID is refused, if its own UID is free.
func (m *Manifests) fallBack(next map[manifest.Key]*active, refused *active, owners map[string]*active) {
	delete(next, refused.Key)
	id, ok := m.store.Identity(refused.Key.DirectoryKey())
	if old := m.current[refused.Key]; ok && old != nil && old.User.UID != refused.User.UID && owners[id.UID] == nil {
		next[refused.Key] = old
		owners[id.UID] = old
	}
}

// canonicalUUID is how a UUID is written (RFC 9562, section 4), in lower case.
var canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
