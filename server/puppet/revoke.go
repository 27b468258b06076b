package puppet

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// maximumLogin is the longest login in characters that a User may have.
const maximumLogin = 255

// revocationTime is how long one request may revoke: what has not begun by then is left, so that the answer still reaches the
// client, and a long list does not go on for an hour while records cannot be written. Each act has its own limit beside it.
const revocationTime = 20 * time.Second

// revoke answers DELETE /rbac-api/v2/tokens. As much as possible is revoked, whatever else is wrong with the request; what is
// wrong is said all at once.
// https://help.puppet.com/pe/current/topics/rbac_api_v2_revoke_tokens_delete_tokens.htm
func (h *handler) revoke(w http.ResponseWriter, r *http.Request) {
	caller, ok := h.caller(w, r)
	if !ok {
		return
	}
	named, err := readRevocation(r)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	v, end := h.newRevocation(r, caller)
	defer end()
	v.details.UnrecognizedParameters = named.unrecognized
	v.each(named.tokens, v.token)
	v.each(named.usernames, v.username)
	v.each(named.labels, v.label)
	v.each(named.ids, v.id)
	h.finish(w, r, v)
}

// revokeOne answers DELETE /rbac-api/v2/tokens/{token}. Whoever holds the whole token may revoke it, so no other credential
// is asked for. https://help.puppet.com/pe/2023.8/topics/rbac_api_v2_revoke_tokens_delete_tokens_name.htm
func (h *handler) revokeOne(w http.ResponseWriter, r *http.Request) {
	unrecognized, err := readNothing(r)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	v, end := h.newRevocation(r, authn.Identity{})
	defer end()
	v.details.UnrecognizedParameters = unrecognized
	v.each([]string{r.PathValue("token")}, v.token)
	h.finish(w, r, v)
}

// finish answers 204, or what could not be done: the first that applies of an inability, missing rights, and mistakes.
func (h *handler) finish(w http.ResponseWriter, r *http.Request, v *revocation) {
	switch {
	case v.failed != nil:
		h.wire.refuse(w, r, v.failed)
	case len(v.details.PermissionDeniedUsernames)+len(v.details.PermissionDeniedIDs) > 0:
		h.wire.write(w, r, v.details.failure(http.StatusForbidden, "permission-denied"))
	case v.details.any():
		h.wire.write(w, r, v.details.failure(http.StatusBadRequest, "malformed-token-request"))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// revocation carries out what a request names and gathers what cannot be done.
type revocation struct {
	*handler
	ctx     context.Context //nolint:containedctx // lives as long as one request
	caller  authn.Identity  // without a user where no credential was asked for
	details details
	failed  error // the service could not do it: the same request may go through later
}

// newRevocation begins a revocation. A client that hangs up does not stop it, time does.
func (h *handler) newRevocation(r *http.Request, caller authn.Identity) (*revocation, context.CancelFunc) {
	ctx, end := context.WithTimeout(context.WithoutCancel(r.Context()), revocationTime)
	return &revocation{handler: h, ctx: ctx, caller: caller}, end
}

// each carries out one kind of parameter, every value once.
func (v *revocation) each(values []string, revoke func(string) error) {
	seen := map[string]bool{}
	for _, value := range values {
		if seen[value] {
			continue
		}
		seen[value] = true
		if err := v.ctx.Err(); err != nil {
			v.failed = err
			return
		}
		if err := revoke(value); err != nil {
			v.failed = err
		}
	}
}

// done notes that something was revoked, unless it could not be.
func (v *revocation) done(err error) error {
	if err == nil {
		v.details.OtherTokensRevoked = true
	}
	return err
}

// token revokes a token that the client holds. One that has ended or is revoked already needs nothing more.
func (v *revocation) token(text string) error {
	id, err := v.Tokens.Authenticate(v.ctx, text)
	switch {
	case errors.Is(err, token.ErrInvalid):
		v.details.MalformedTokens = append(v.details.MalformedTokens, text)
		return nil
	case errors.Is(err, authn.ErrUnavailable):
		return err
	}
	return v.done(v.Grants.Revoke(v.ctx, id.Claims))
}

// username revokes every token of a user. To whom may not, it is not said whether the user exists. A login is the caller's
// own when the caller holds it at this moment: two users may claim the same one.
func (v *revocation) username(login string) error {
	if !isLogin(login) {
		v.details.MalformedUsernames = append(v.details.MalformedUsernames, login)
		return nil
	}
	u, ok := v.Directory.ByLogin(login)
	if own := ok && u.UID == v.caller.User.UID; !own && !v.isAdmin(v.caller.User) {
		v.details.PermissionDeniedUsernames = append(v.details.PermissionDeniedUsernames, login)
		return nil
	}
	if !ok {
		v.details.NonexistentUsernames = append(v.details.NonexistentUsernames, login)
		return nil
	}
	return v.done(v.Grants.RevokeUser(v.ctx, u))
}

// isLogin says whether a User may have a login.
func isLogin(text string) bool {
	return text != "" && utf8.RuneCountInString(text) <= maximumLogin && !strings.Contains(text, ":") && !strings.ContainsFunc(text, unicode.IsControl)
}

// label revokes the caller's own tokens of a label. A label that no token has is no mistake.
func (v *revocation) label(text string) error {
	label, complaint := parseLabel(text)
	if complaint != "" {
		v.details.MalformedLabels = append(v.details.MalformedLabels, text)
		return nil
	}
	found, err := v.Grants.RevokeLabel(v.ctx, v.caller.User, label)
	if !found {
		return err
	}
	return v.done(err)
}

// id revokes a token by its id or all tokens of a user by the user's. Which of the two is meant differs between the versions
// of the vendor's page, and the forms of the two cannot be mistaken for one another.
func (v *revocation) id(text string) error {
	switch {
	case token.IsID(text):
		return v.tokenID(text)
	case uuidPattern.MatchString(text):
		return v.userID(text)
	}
	v.details.MalformedIDs = append(v.details.MalformedIDs, text)
	return nil
}

func (v *revocation) tokenID(id string) error {
	if id == v.caller.Claims.ID {
		return v.done(v.Grants.Revoke(v.ctx, v.caller.Claims))
	}
	_, own := v.Directory.Record(v.caller.User.UID, id)
	records := v.Directory.RecordsByID(id)
	if v.denied(id, own) || v.unknown(id, len(records) > 0) {
		return nil
	}
	for _, record := range records {
		if own && record.UserUID != v.caller.User.UID {
			continue // made by hand under the id of the caller's own
		}
		if err := v.done(v.Grants.RevokeRecord(v.ctx, record)); err != nil {
			return err
		}
	}
	return nil
}

func (v *revocation) userID(uid string) error {
	u, ok := v.Directory.ByUID(strings.ToLower(uid))
	if v.denied(uid, ok && u.UID == v.caller.User.UID) || v.unknown(uid, ok) {
		return nil
	}
	return v.done(v.Grants.RevokeUser(v.ctx, u))
}

// denied notes an id that the caller may not revoke, whether it exists or not.
func (v *revocation) denied(id string, own bool) bool {
	if own || v.isAdmin(v.caller.User) {
		return false
	}
	v.details.PermissionDeniedIDs = append(v.details.PermissionDeniedIDs, id)
	return true
}

// unknown notes an id that is nobody's.
func (v *revocation) unknown(id string, known bool) bool {
	if known {
		return false
	}
	v.details.MalformedIDs = append(v.details.MalformedIDs, id)
	return true
}
