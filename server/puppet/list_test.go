package puppet_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestListedTokenWithoutLabel(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice, other := issueOpaque(t, s, "alice", grant.Order{}), issueJWT(t, s, "alice")
	s.Send(t, "DELETE", revokePath+"/"+other, "")
	items, _ := listTokens(t, s, "alice", "", alice)
	if len(items) != 1 || items[0]["id"] != claims(t, s, other).ID || items[0]["client"] != nil || items[0]["description"] != nil {
		t.Errorf("got %v", items)
	}
	if _, ok := items[0]["label"]; ok {
		t.Error("an item without a label has the key label")
	}
}

// listTokens returns the tokens of a user, as the caller with the token text gets them.
func listTokens(t testing.TB, s *servertest.Service, login, query, text string) (items []map[string]any, pagination map[string]any) {
	t.Helper()
	a := s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID(login)+"/tokens"+query, "", tokenHeader(text))
	var body struct {
		Items      []map[string]any
		Pagination map[string]any
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusOK || len(decode(t, a)) != 2 || strings.Contains(a.Body, text) {
		t.Fatalf("got\n%s", a)
	}
	return body.Items, body.Pagination
}

func TestPageAndOrderOfList(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice := issueJWT(t, s, "alice")
	start := s.Now().Truncate(time.Second)
	for i, r := range []directory.Record{
		{ID: "d", Label: "first", Client: "b", IssuedAt: start, ExpiresAt: start.Add(4 * time.Hour)},
		{ID: "c", Label: "second", IssuedAt: start.Add(time.Second), ExpiresAt: start.Add(time.Hour)},
		{ID: "b", Client: "a", IssuedAt: start.Add(time.Second), ExpiresAt: start.Add(2 * time.Hour), Revoked: true},
		{ID: "a", Label: "ended", IssuedAt: start.Add(-2 * time.Hour), ExpiresAt: start.Add(-time.Hour)},
	} {
		r.UserUID, r.UserKey = servertest.UID("alice"), "gatehouse-users/alice"
		if s.Directory.PutRecord(r); i == 0 {
			r.ID, r.UserUID = "z", servertest.UID("bob")
			s.Directory.PutRecord(r)
		}
	}
	for query, want := range map[string]string{
		"":                                     "adbc",
		"?order=asc":                           "adbc",
		"?order=desc":                          "bcda",
		"?order_by=creation_date":              "adbc",
		"?order_by=last_active_date":           "adbc",
		"?order_by=expiration_date":            "acbd",
		"?order_by=expiration_date&order=desc": "dbca",
		"?order_by=client":                     "acbd",
		"?order_by=client&order=desc":          "dbac",
		"?limit=2":                             "ad",
		"?limit=2&offset=1":                    "db",
		"?offset=3":                            "c",
		"?offset=4":                            "",
		"?offset=2147483647&limit=2147483647":  "",
		"?limit=0":                             "",
		"?limit=99&colour=red":                 "adbc",
	} {
		items, pagination := listTokens(t, s, "alice", query, alice)
		got := ""
		for _, item := range items {
			got += fmt.Sprint(item["id"])
		}
		if got != want || pagination["total"] != 4.0 {
			t.Errorf("%q: %q of %v, want %q", query, got, pagination["total"], want)
		}
	}
	items, _ := listTokens(t, s, "alice", "?limit=2", alice)
	want := jsonObject(t, "id", "d", "creation_date", start.UTC().Format(time.RFC3339), "last_active_date", start.UTC().Format(time.RFC3339),
		"expiration_date", start.Add(4*time.Hour).UTC().Format(time.RFC3339), "client", "b", "description", nil, "label", "first")
	if got := jsonObject(t, fieldsOf(items[1])...); got != want {
		t.Errorf("got the item\n%s, want\n%s", got, want)
	}
}

func TestPaginationRepeatsTheRequest(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice := issueJWT(t, s, "alice")
	for query, want := range map[string]string{
		"": jsonObject(t, "limit", nil, "offset", 0, "order_by", "creation_date", "order", "asc", "total", 0),
		"?limit=0&offset=7&order_by=client&order=desc": jsonObject(t, "limit", 0, "offset", 7, "order_by", "client", "order", "desc", "total", 0),
	} {
		_, pagination := listTokens(t, s, "alice", query, alice)
		if got := jsonObject(t, fieldsOf(pagination)...); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func TestInvalidListQueryIsAViolation(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice := tokenHeader(issueJWT(t, s, "alice"))
	for _, query := range []string{
		"limit=many", "limit=-1", "limit=1.0", "limit=%2B1", "limit=", "offset=-1", "offset=x", "offset=", "order=sideways", "order=ASC", "order=",
		"order_by=colour", "order_by=", "order_by=Client", "limit=99999999999999999999", "limit=%zz", "limit=1;offset=1",
	} {
		for login := range map[string]bool{"alice": true, "bob": true} {
			a := s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID(login)+"/tokens?"+query, "", alice)
			assertRefused(t, a, http.StatusBadRequest, "schema-violation")
		}
	}
	for _, id := range []string{"x", "alice", "current", servertest.UID("alice") + "0", "%2e" + servertest.UID("alice")[1:], strings.ReplaceAll(servertest.UID("alice"), "-", "")} {
		a := s.Send(t, "GET", "/rbac-api/v1/users/"+id+"/tokens", "", alice)
		assertRefused(t, a, http.StatusBadRequest, "invalid-uuid")
	}
}

func TestOnlyAdministratorsListTokensOfOthers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	issueOpaque(t, s, "bob", grant.Order{Label: "his"})
	path := func(uid string) string { return "/rbac-api/v1/users/" + uid + "/tokens" }
	alice, admin := tokenHeader(issueJWT(t, s, "alice")), tokenHeader(issueJWT(t, s, "admin"))
	known, unknown := s.Send(t, "GET", path(servertest.UID("bob")), "", alice), s.Send(t, "GET", path(servertest.UID("nobody")), "", alice)
	assertRefused(t, known, http.StatusForbidden, "permission-denied")
	if known.String() != unknown.String() {
		t.Errorf("the responses differ:\n%s\n%s", known, unknown)
	}
	if items, _ := listTokens(t, s, "bob", "", issueJWT(t, s, "admin")); len(items) != 1 || items[0]["label"] != "his" {
		t.Errorf("an administrator sees %v", items)
	}
	assertRefused(t, s.Send(t, "GET", path(servertest.UID("nobody")), "", admin), http.StatusNotFound, "not-found")
	if a := s.Send(t, "GET", path(strings.ToUpper(servertest.UID("alice"))), "", alice); a.Status != http.StatusOK {
		t.Errorf("a UUID in upper case is refused:\n%s", a)
	}
}
