package puppet

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// listedToken is a token in the format of the list, which never has the value of the token.
// https://help.puppet.com/pe/current/topics/rbac-api-v1-users-user-id-tokens.htm
type listedToken struct {
	ID             string  `json:"id"`
	CreationDate   string  `json:"creation_date"`
	ExpirationDate string  `json:"expiration_date"`
	LastActiveDate *string `json:"last_active_date"`
	Client         *string `json:"client"`
	Description    *string `json:"description"`
	Label          *string `json:"label,omitempty"`
}

// page is the part of the list that a client requests, and its order.
type page struct {
	Limit   *int   `json:"limit"` // null: all
	Offset  int    `json:"offset"`
	OrderBy string `json:"order_by"`
	Order   string `json:"order"`
	Total   int    `json:"total"`
}

type listedTokens struct {
	Items      []listedToken `json:"items"`
	Pagination page          `json:"pagination"`
}

// uuidPattern is the textual form of a UUID, in either case (RFC 9562, 4). The directory keeps
// UUIDs in lower case.
var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// list serves GET /rbac-api/v1/users/{id}/tokens. Only administrators learn whether a user exists.
func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	caller, ok := h.authenticateCaller(w, r)
	if !ok {
		return
	}
	id := strings.ToLower(r.PathValue("id"))
	if !uuidPattern.MatchString(id) {
		h.wire.write(w, r, invalidUUID)
		return
	}
	p, err := parsePage(r.URL.RawQuery)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	event := audit.Event{Name: audit.List, Outcome: audit.Allowed, UID: id}
	if id != caller.User.UID && !h.isAdmin(caller.User) {
		h.auditDenied(r.Context(), event)
		h.wire.write(w, r, permissionDenied)
		return
	}
	u, ok := h.Directory.ByUID(id)
	if !ok {
		h.wire.write(w, r, noSuchUser)
		return
	}
	if id != caller.User.UID {
		event.Login = u.Login
		h.Tokens.Audit(r.Context(), event)
	}
	api.WriteJSON(w, http.StatusOK, p.cut(h.Directory.RecordsOf(id)))
}

// parsePage parses the query string. It ignores unknown parameters.
func parsePage(raw string) (page, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return page{}, schemaViolation("The query string cannot be parsed.")
	}
	p := page{OrderBy: valueOr(query, "order_by", "creation_date"), Order: valueOr(query, "order", "asc")}
	if p.compare() == nil {
		return p, schemaViolation("order_by must be creation_date, expiration_date, last_active_date or client.")
	}
	if p.Order != "asc" && p.Order != "desc" {
		return p, schemaViolation("order must be asc or desc.")
	}
	if query.Has("limit") {
		limit, err := parseWholeNumber(query.Get("limit"))
		if err != nil {
			return p, schemaViolation("limit must be a whole number, 0 or greater.")
		}
		p.Limit = &limit
	}
	if query.Has("offset") {
		if p.Offset, err = parseWholeNumber(query.Get("offset")); err != nil {
			return p, schemaViolation("offset must be a whole number, 0 or greater.")
		}
	}
	return p, nil
}

// valueOr returns the value of a parameter, or fallback if the parameter is absent. A parameter
// that is present with an empty value keeps it.
func valueOr(query url.Values, parameter, fallback string) string {
	if query.Has(parameter) {
		return query.Get(parameter)
	}
	return fallback
}

func parseWholeNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// compare returns the function that orders records by p.OrderBy, or nil if that is unknown. The
// service does not track activity, so the last activity of a token is when it was issued.
func (p page) compare() func(a, b directory.Record) int {
	switch p.OrderBy {
	case "creation_date", "last_active_date":
		return func(a, b directory.Record) int { return a.IssuedAt.Compare(b.IssuedAt) }
	case "expiration_date":
		return func(a, b directory.Record) int { return a.ExpiresAt.Compare(b.ExpiresAt) }
	case "client":
		return func(a, b directory.Record) int { return cmp.Compare(a.Client, b.Client) }
	}
	return nil
}

// cut returns the page out of all records. The records arrive ordered by ID, and a stable sort
// keeps that order among equal ones.
func (p page) cut(records []directory.Record) listedTokens {
	compare := p.compare()
	slices.SortStableFunc(records, func(a, b directory.Record) int {
		if p.Order == "desc" {
			return compare(b, a)
		}
		return compare(a, b)
	})
	p.Total = len(records)
	records = records[min(p.Offset, len(records)):]
	if p.Limit != nil {
		records = records[:min(*p.Limit, len(records))]
	}
	out := listedTokens{Items: make([]listedToken, 0, len(records)), Pagination: p}
	for _, r := range records {
		out.Items = append(out.Items, listedToken{
			ID: r.ID, CreationDate: *formatDate(r.IssuedAt), ExpirationDate: *formatDate(r.ExpiresAt), LastActiveDate: formatDate(r.IssuedAt),
			Client: nullIfEmpty(r.Client), Description: nullIfEmpty(r.Description), Label: nullIfEmpty(r.Label),
		})
	}
	return out
}
