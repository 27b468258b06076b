package puppet

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// listedToken is how the list describes a token; its value is never listed.
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

// page is which part of the list is asked for, in which order.
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

// uuidPattern is the usual form of a UUID, in either case (RFC 9562, 4). The directory has them in lower case.
var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// list answers GET /rbac-api/v1/users/{id}/tokens. Whether a user exists is said to administrators only.
func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	caller, ok := h.caller(w, r)
	if !ok {
		return
	}
	id := strings.ToLower(r.PathValue("id"))
	if !uuidPattern.MatchString(id) {
		h.wire.write(w, r, notAUUID)
		return
	}
	p, err := parsePage(r.URL.RawQuery)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	if id != caller.User.UID && !h.isAdmin(caller.User) {
		h.wire.write(w, r, permissionDenied)
		return
	}
	if _, ok := h.Directory.ByUID(id); !ok {
		h.wire.write(w, r, noSuchUser)
		return
	}
	api.WriteJSON(w, http.StatusOK, p.of(h.Directory.RecordsOf(id)))
}

// parsePage reads the query. What is not known in it is ignored.
func parsePage(raw string) (page, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return page{}, schemaViolation("The query cannot be read.")
	}
	p := page{OrderBy: given(query, "order_by", "creation_date"), Order: given(query, "order", "asc")}
	if p.compare() == nil {
		return p, schemaViolation("order_by must be creation_date, expiration_date, last_active_date or client.")
	}
	if p.Order != "asc" && p.Order != "desc" {
		return p, schemaViolation("order must be asc or desc.")
	}
	if query.Has("limit") {
		limit, err := wholeNumber(query.Get("limit"))
		if err != nil {
			return p, schemaViolation("limit must be a whole number from 0.")
		}
		p.Limit = &limit
	}
	if query.Has("offset") {
		if p.Offset, err = wholeNumber(query.Get("offset")); err != nil {
			return p, schemaViolation("offset must be a whole number from 0.")
		}
	}
	return p, nil
}

// given returns the value of a parameter, or another where it is not there at all.
func given(query url.Values, parameter, otherwise string) string {
	if query.Has(parameter) {
		return query.Get(parameter)
	}
	return otherwise
}

func wholeNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// compare orders records; nil for an order that is not known. No activity is kept, so the last is that of the issue.
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

// of cuts the page out of all records, which come ordered by id: a stable sort leaves ties so.
func (p page) of(records []directory.Record) listedTokens {
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
			ID: r.ID, CreationDate: *date(r.IssuedAt), ExpirationDate: *date(r.ExpiresAt), LastActiveDate: date(r.IssuedAt),
			Client: optional(r.Client), Description: optional(r.Description), Label: optional(r.Label),
		})
	}
	return out
}
