package puppet

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// dateFormat is the format of times in this API: UTC, in whole seconds.
const dateFormat = "2006-01-02T15:04:05Z"

// user is a user in the format of the API.
// https://puppet.com/docs/pe/2025.2/rbac_api_v1_user
type user struct {
	ID          string   `json:"id"`
	Login       string   `json:"login"`
	Email       string   `json:"email"`
	DisplayName string   `json:"display_name"`
	RoleIDs     []int    `json:"role_ids"`
	GroupNames  []string `json:"group_names"`
	IsGroup     bool     `json:"is_group"`
	IsRemote    bool     `json:"is_remote"`
	IsRevoked   bool     `json:"is_revoked"`
	IsSuperuser bool     `json:"is_superuser"`
	LastLogin   *string  `json:"last_login"`
}

// describedToken is a token together with its user, in the format of the API.
// https://puppet.com/docs/pe/2023.1/rbac_api_v2_tokens_endpoints
type describedToken struct {
	user
	UserID      string  `json:"user_id"`
	Creation    string  `json:"creation"`
	Expiration  string  `json:"expiration"`
	LastActive  *string `json:"last_active"`
	Timeout     *int    `json:"timeout"`
	Label       *string `json:"label"`
	Description *string `json:"description"`
	Client      *string `json:"client"`
}

// current serves GET /rbac-api/v1/users/current.
func (h *handler) current(w http.ResponseWriter, r *http.Request) {
	if id, ok := h.authenticateCaller(w, r); ok {
		api.WriteJSON(w, http.StatusOK, h.describeUser(id.User))
	}
}

// authenticate serves POST /rbac-api/v2/auth/token/authenticate. It needs no credential: the body
// holds the token that the client asks about. It checks that update_last_activity? is a boolean and
// otherwise ignores it, because the service does not track activity.
func (h *handler) authenticate(w http.ResponseWriter, r *http.Request) {
	object, err := readObject(r, false)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	f := fields{object: object}
	text := f.requiredString("token")
	f.checkBool("update_last_activity?")
	if err := f.finish("token and update_last_activity?"); err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	id, err := h.Tokens.Authenticate(r.Context(), text)
	if err != nil {
		h.wire.write(w, r, h.wire.examinedTokenFailure(w, tokenError(err)))
		return
	}
	api.WriteJSON(w, http.StatusOK, h.describeToken(id))
}

// examinedTokenFailure returns the failure for err with the status that it has where the token is
// not a credential but the subject of the request. It sets Retry-After if the service is
// unavailable.
func (w *wire) examinedTokenFailure(rw http.ResponseWriter, err error) *failure {
	f := *w.failureOf(err)
	switch f.kind {
	case tokenInvalid.kind:
		f.status = http.StatusBadRequest
	case unavailable.kind:
		rw.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
	default:
		f.status = http.StatusForbidden
	}
	return &f
}

func (h *handler) describeUser(u *directory.User) user {
	d := user{
		ID: u.UID, Login: u.Login, Email: u.Email, DisplayName: u.DisplayName,
		RoleIDs: []int{}, GroupNames: u.Groups, IsSuperuser: h.isAdmin(u),
	}
	if d.GroupNames == nil {
		d.GroupNames = []string{}
	}
	if !u.LastTokenIssuedAt.IsZero() {
		d.LastLogin = formatDate(u.LastTokenIssuedAt)
	}
	return d
}

func (h *handler) describeToken(id authn.Identity) describedToken {
	issued := formatDate(id.Claims.IssuedAt)
	d := describedToken{
		user:       h.describeUser(id.User),
		UserID:     id.User.UID,
		Creation:   *issued,
		Expiration: *formatDate(id.Claims.ExpiresAt),
		LastActive: issued,
	}
	d.LastLogin = issued
	if id.Record != nil && id.Record.Label != "" {
		d.Label, d.Description, d.Client = &id.Record.Label, nullIfEmpty(id.Record.Description), nullIfEmpty(id.Record.Client)
	}
	return d
}

// formatDate returns t in dateFormat, as a pointer because some fields may be null.
func formatDate(t time.Time) *string {
	text := t.UTC().Format(dateFormat)
	return &text
}

// nullIfEmpty returns text, or nil, which JSON encodes as null, if text is empty.
func nullIfEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
