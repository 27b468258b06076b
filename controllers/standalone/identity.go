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

// saveIdentities writes a UID for each new user to the state folder, and drops the UIDs of users
// who are gone. It returns the users whose identity cannot be saved now. They must wait, because
// after the next start a token for a UID that was not saved is invalid.
func (m *Manifests) saveIdentities(users []*active, next map[manifest.Key]*active, now time.Time) (unsaved map[manifest.Key]bool) {
	gone := m.goneIdentities(next)
	added := m.newIdentities(users, gone, now)
	if len(added)+len(gone) == 0 {
		return nil
	}
	err := m.store.Identify(added, gone)
	if err == nil {
		clear(m.undropped)
		return nil
	}
	m.unfinished = true
	m.reports.add("", "users", "cannot save user identities; new users are not added until this succeeds: "+err.Error())
	for _, key := range gone {
		m.undropped[key] = true
	}
	unsaved = map[manifest.Key]bool{}
	for _, id := range added {
		unsaved[manifest.UserKey(id.Key)] = true
	}
	return unsaved
}

// newIdentities returns the identities of users who have none, or none that matches their manifest.
// gone are the directory keys of identities that are about to be dropped.
func (m *Manifests) newIdentities(users []*active, gone []string, now time.Time) []statedir.Identity {
	isGone := map[string]bool{}
	for _, key := range gone {
		isGone[key] = true
	}
	var added []statedir.Identity
	for i, o := range users {
		key := o.Key.DirectoryKey()
		id, ok := m.store.Identity(key)
		known := ok && !isGone[key]
		manifestUID := string(o.User.UID)
		if known && (manifestUID == "" || (manifestUID == id.UID && id.Given)) {
			continue
		}
		if !known {
			// Of users who appear together, the first is the oldest, so that it is not left to
			// chance which of two keeps a login.
			id = statedir.Identity{Key: key, UID: string(uuid.NewUUID()), FirstSeen: normalize(now.Add(time.Duration(i)))}
		}
		if manifestUID != "" {
			id.UID, id.Given = manifestUID, true
		}
		added = append(added, id)
	}
	return added
}

// goneIdentities returns the directory keys of users whose identities must never come back: users
// who are in no file, and users whose manifest has another UID now.
func (m *Manifests) goneIdentities(next map[manifest.Key]*active) []string {
	certain, refused := m.folder.Certain(), m.folder.Refused()
	var gone []string
	for directoryKey, id := range m.store.Identities() {
		key := manifest.UserKey(directoryKey)
		o := next[key]
		switch {
		case m.undropped[directoryKey]:
		case o != nil && (o.User.UID == "" || string(o.User.UID) == id.UID):
			continue
		case o == nil && refused[key]:
			continue
		case o == nil && !certain && m.projected[key] == nil:
			continue
		}
		gone = append(gone, directoryKey)
	}
	return gone
}

// withIdentity returns a copy of a User with its UID and creation time, as an API server would
// return it.
func (m *Manifests) withIdentity(o *active) *authv1alpha1.User {
	id, _ := m.store.Identity(o.Key.DirectoryKey())
	u := *o.User
	u.UID = types.UID(id.UID)
	if u.CreationTimestamp.IsZero() {
		u.CreationTimestamp = metav1.NewTime(id.FirstSeen)
	}
	return &u
}

// claimUIDs removes from next the users whose manifest has an invalid UID or that of another user.
// Their last good version stays in force. A user who has a UID already keeps it; among the others,
// the first one gets it.
func (m *Manifests) claimUIDs(next map[manifest.Key]*active) {
	owners := make(map[string]*active, len(next))
	users := sortedUsers(next)
	for _, o := range users {
		if id, ok := m.store.Identity(o.Key.DirectoryKey()); ok && (o.User.UID == "" || string(o.User.UID) == id.UID) {
			owners[id.UID] = o
		}
	}
	for _, o := range users {
		uid := string(o.User.UID)
		if uid == "" || owners[uid] == o {
			continue
		}
		problem := ""
		switch owner := owners[uid]; {
		case !canonicalUUID.MatchString(uid):
			problem = "metadata.uid is not a UUID like 123e4567-e89b-12d3-a456-426614174000; correct it, or remove it to have one generated"
		case owner != nil:
			problem = "metadata.uid is that of " + owner.Key.String() + " in " + owner.place() + "; remove it to have another one generated"
		default:
			owners[uid] = o
			continue
		}
		m.reports.reject(o.place(), o.Key.String(), problem, m.fallBack(next, o, owners))
	}
}

// fallBack replaces a user whose UID is refused by the version in force, if the UID of that one is
// free, and otherwise removes the user from next. Where the refused version revokes the user or its
// tokens, so does the one in force. fallBack returns in words which version that is.
func (m *Manifests) fallBack(next map[manifest.Key]*active, refused *active, owners map[string]*active) (inForce string) {
	delete(next, refused.Key)
	kept := map[manifest.Key]manifest.Object{}
	id, ok := m.store.Identity(refused.Key.DirectoryKey())
	if old := m.current[refused.Key]; ok && old != nil && old.User.UID != refused.User.UID && owners[id.UID] == nil {
		restricted := *old
		restricted.Object = old.Restrict(manifest.RestrictionsOf(refused.User))
		next[refused.Key] = &restricted
		owners[id.UID] = &restricted
		kept[refused.Key] = restricted.Object
	}
	return versionInForce(kept, refused.Key)
}

// canonicalUUID matches a UUID in lower case (RFC 9562, section 4).
var canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
