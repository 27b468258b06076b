package puppet

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// maximumLogin is the length of the longest login that a User may have, in characters.
const maximumLogin = 255

// revocationTime limits how long one request may revoke. After that time no further revocation
// starts, so that the response still reaches the client, and a long list does not go on for an hour
// while records cannot be written. Each single revocation has its own limit as well.
const revocationTime = 20 * time.Second

// revoke serves DELETE /rbac-api/v2/tokens. It revokes as much as possible, whatever else is wrong
// with the request, and reports everything that is wrong at once.
// https://help.puppet.com/pe/current/topics/rbac_api_v2_revoke_tokens_delete_tokens.htm
func (h *handler) revoke(w http.ResponseWriter, r *http.Request) {
	caller, ok := h.authenticateCaller(w, r)
	if !ok {
		return
	}
	wanted, err := readRevocation(r)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	v, end := h.newRevocation(r, caller)
	defer end()
	v.details.UnrecognizedParameters = wanted.unrecognized
	v.forEachOnce(wanted.tokens, v.revokeToken)
	v.forEachOnce(wanted.usernames, v.revokeUsername)
	v.forEachOnce(wanted.labels, v.revokeLabel)
	v.forEachOnce(wanted.ids, v.revokeID)
	h.finish(w, r, v)
}

// revokeOne serves DELETE /rbac-api/v2/tokens/{token}. It needs no other credential, because anyone
// who holds a whole token may revoke it.
// https://help.puppet.com/pe/2023.8/topics/rbac_api_v2_revoke_tokens_delete_tokens_name.htm
func (h *handler) revokeOne(w http.ResponseWriter, r *http.Request) {
	unrecognized, err := readUnexpected(r)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	v, end := h.newRevocation(r, authn.Identity{})
	defer end()
	v.details.UnrecognizedParameters = unrecognized
	v.forEachOnce([]string{r.PathValue("token")}, v.revokeToken)
	h.finish(w, r, v)
}

// finish writes 204, or the first failure that applies: the service was unable to revoke, the
// caller lacks permission, the request has mistakes.
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

// revocation revokes what one request asks for and collects what cannot be revoked.
type revocation struct {
	*handler
	ctx     context.Context //nolint:containedctx // lives as long as one request
	caller  authn.Identity  // without a user if the route needs no credential
	details details
	failed  error // the service was unable to revoke; the same request may succeed later
}

// newRevocation starts a revocation. It ends after revocationTime, but not when the client hangs
// up. Call the returned function when done.
func (h *handler) newRevocation(r *http.Request, caller authn.Identity) (*revocation, context.CancelFunc) {
	ctx, end := context.WithTimeout(context.WithoutCancel(r.Context()), revocationTime)
	if caller.User != nil {
		ctx = grant.WithActor(ctx, grant.Actor{UID: caller.User.UID, Admin: h.isAdmin(caller.User)})
	}
	return &revocation{handler: h, ctx: ctx, caller: caller}, end
}

// forEachOnce calls revoke for each distinct value. It keeps the last error of revoke, and stops
// when the time is up.
func (v *revocation) forEachOnce(values []string, revoke func(string) error) {
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

// recordResult records that something was revoked if err is nil. It returns err.
func (v *revocation) recordResult(err error) error {
	if err == nil {
		v.details.OtherTokensRevoked = true
	}
	return err
}

// revokeToken revokes a token that the client holds. A token that has expired or is already revoked
// is not an error.
func (v *revocation) revokeToken(text string) error {
	id, err := v.Tokens.Inspect(v.ctx, text)
	switch {
	case errors.Is(err, token.ErrInvalid):
		v.details.MalformedTokens = append(v.details.MalformedTokens, text)
		return nil
	case errors.Is(err, authn.ErrUnavailable):
		return err
	}
	return v.recordResult(v.Grants.Revoke(v.ctx, id.Claims))
}

// revokeUsername revokes every token of a user. A caller without permission does not learn whether
// the user exists. A login is the caller's own if the caller holds it at this moment: two users may
// claim the same login.
func (v *revocation) revokeUsername(login string) error {
	if !isLogin(login) {
		v.details.MalformedUsernames = append(v.details.MalformedUsernames, login)
		return nil
	}
	u, ok := v.Directory.ByLogin(login)
	if own := ok && u.UID == v.caller.User.UID; !own && !v.isAdmin(v.caller.User) {
		v.details.PermissionDeniedUsernames = append(v.details.PermissionDeniedUsernames, login)
		v.auditDenied(v.ctx, audit.Event{Name: audit.RevokeUser, Login: login})
		return nil
	}
	if !ok {
		v.details.NonexistentUsernames = append(v.details.NonexistentUsernames, login)
		return nil
	}
	return v.recordResult(v.Grants.RevokeUser(v.ctx, u))
}

// isLogin reports whether text is a login that a User may have.
func isLogin(text string) bool {
	return text != "" && utf8.RuneCountInString(text) <= maximumLogin && !strings.Contains(text, ":") && !strings.ContainsFunc(text, unicode.IsControl)
}

// revokeLabel revokes the caller's own tokens with a label. A label that no token has is not an
// error.
func (v *revocation) revokeLabel(text string) error {
	label, complaint := parseLabel(text)
	if complaint != "" {
		v.details.MalformedLabels = append(v.details.MalformedLabels, text)
		return nil
	}
	found, err := v.Grants.RevokeLabel(v.ctx, v.caller.User, label)
	if !found {
		return err
	}
	return v.recordResult(err)
}

// revokeID revokes one token by its ID, or all tokens of a user by the user's ID. Versions of the
// vendor's page differ on which of the two the parameter takes. Supporting both is safe, because
// the two forms cannot be confused.
func (v *revocation) revokeID(text string) error {
	switch {
	case token.IsID(text):
		return v.revokeTokenID(text)
	case uuidPattern.MatchString(text):
		return v.revokeUserID(text)
	}
	v.details.MalformedIDs = append(v.details.MalformedIDs, text)
	return nil
}

func (v *revocation) revokeTokenID(id string) error {
	if id == v.caller.Claims.ID {
		return v.recordResult(v.Grants.Revoke(v.ctx, v.caller.Claims))
	}
	_, own := v.Directory.Record(v.caller.User.UID, id)
	records := v.Directory.RecordsByID(id)
	if v.idDenied(id, own) || v.idUnknown(id, len(records) > 0) {
		return nil
	}
	for _, record := range records {
		if own && record.UserUID != v.caller.User.UID {
			continue // a record of another user, made by hand with the ID of the caller's token
		}
		if err := v.recordResult(v.Grants.RevokeRecord(v.ctx, record)); err != nil {
			return err
		}
	}
	return nil
}

func (v *revocation) revokeUserID(uid string) error {
	u, ok := v.Directory.ByUID(strings.ToLower(uid))
	if v.idDenied(uid, ok && u.UID == v.caller.User.UID) || v.idUnknown(uid, ok) {
		return nil
	}
	return v.recordResult(v.Grants.RevokeUser(v.ctx, u))
}

// idDenied reports whether the caller may not revoke by this ID, and if so records the ID. The
// verdict does not depend on whether the ID exists.
func (v *revocation) idDenied(id string, own bool) bool {
	if own || v.isAdmin(v.caller.User) {
		return false
	}
	v.details.PermissionDeniedIDs = append(v.details.PermissionDeniedIDs, id)
	if token.IsID(id) {
		v.auditDenied(v.ctx, audit.Event{Name: audit.Revoke, TokenID: id})
	} else {
		v.auditDenied(v.ctx, audit.Event{Name: audit.RevokeUser, UID: strings.ToLower(id)})
	}
	return true
}

// idUnknown reports whether the ID identifies nothing, and if so records it.
func (v *revocation) idUnknown(id string, known bool) bool {
	if known {
		return false
	}
	v.details.MalformedIDs = append(v.details.MalformedIDs, id)
	return true
}
