package puppet

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// dateFormat is how the API writes times: UTC, whole seconds.
const dateFormat = "2006-01-02T15:04:05Z"

// user is how the API describes a user. https://puppet.com/docs/pe/2025.2/rbac_api_v1_user
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

// describedToken is how the API describes a token together with its user.
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

// current answers GET /rbac-api/v1/users/current.
func (h *handler) current(w http.ResponseWriter, r *http.Request) {
	if id, ok := h.caller(w, r); ok {
		api.WriteJSON(w, http.StatusOK, h.describeUser(id.User))
	}
}

// authenticate answers POST /rbac-api/v2/auth/token/authenticate, which needs no credential: the token is the question. What
// update_last_activity? asks is checked and has no effect, because no activity is kept.
func (h *handler) authenticate(w http.ResponseWriter, r *http.Request) {
	object, err := readObject(r, false)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	f := fields{object: object}
	text := f.required("token")
	f.flag("update_last_activity?")
	if err := f.finish("token and update_last_activity?"); err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	id, err := h.Tokens.Authenticate(r.Context(), text)
	if err != nil {
		h.wire.write(w, r, h.wire.asQuestion(w, onToken(err)))
		return
	}
	api.WriteJSON(w, http.StatusOK, h.describeToken(id))
}

// asQuestion gives the failures of tokens the status they have where the token is no credential.
func (w *wire) asQuestion(rw http.ResponseWriter, err error) *failure {
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
		d.LastLogin = date(u.LastTokenIssuedAt)
	}
	return d
}

func (h *handler) describeToken(id authn.Identity) describedToken {
	issued := date(id.Claims.IssuedAt)
	d := describedToken{
		user:       h.describeUser(id.User),
		UserID:     id.User.UID,
		Creation:   *issued,
		Expiration: *date(id.Claims.ExpiresAt),
		LastActive: issued,
	}
	d.LastLogin = issued
	if id.Record != nil && id.Record.Label != "" {
		d.Label, d.Description, d.Client = &id.Record.Label, optional(id.Record.Description), optional(id.Record.Client)
	}
	return d
}

func date(t time.Time) *string {
	text := t.UTC().Format(dateFormat)
	return &text
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
