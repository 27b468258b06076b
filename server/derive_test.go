package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// The limits of servertest, and how long a refresh may come after the login.
const (
	longestJWT    = 24*time.Hour + 30*time.Second
	longestOpaque = 10 * 365 * 24 * time.Hour
)

// credential is a token with what its holder may ever hold because of it.
type credential struct {
	text  string
	jwt   bool
	end   time.Time // of this token
	bound time.Time // of everything that is made from it
}

// holder is a client that makes tokens from tokens at random.
type holder struct {
	*servertest.Service
	random *rand.Rand
	held   []credential
	bounds map[string]time.Time // of each opaque token, by its text
}

// TestNothingOutlivesItsRoot walks through random sequences of calls. What a client may hold follows
// from the logins alone: everything ends with the longest token that the login allows, and an opaque
// token made from a JWT, with everything made from that, ends with the JWT.
func TestNothingOutlivesItsRoot(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := &holder{newService(t), rand.New(rand.NewPCG(seed, 11)), nil, map[string]time.Time{}}
			for range 150 {
				h.step(t)
			}
		})
	}
}

// step makes one call. Now and then it lets time pass.
func (h *holder) step(t *testing.T) {
	t.Helper()
	if h.random.IntN(4) == 0 {
		h.Advance(time.Duration(h.random.Int64N(int64(2 * time.Hour))))
	}
	if len(h.held) == 0 || h.random.IntN(5) == 0 {
		h.logIn(t)
		return
	}
	from := h.held[h.random.IntN(len(h.held))]
	if from.jwt && h.random.IntN(2) == 0 {
		h.refresh(t, from)
		return
	}
	h.generate(t, from)
}

func (h *holder) logIn(t *testing.T) {
	t.Helper()
	if h.random.IntN(2) == 0 {
		a := h.Send(t, "POST", "/v1/users/authorize", h.ttl(), basic("alice", "right"))
		h.hold(t, a, "access_token", h.Now().Add(longestJWT))
		return
	}
	a := h.Send(t, "POST", "/rbac-api/v1/auth/token", `{"login":"alice","password":"right",`+h.order()+`}`)
	h.hold(t, a, "token", h.Now().Add(longestOpaque))
}

func (h *holder) refresh(t *testing.T, from credential) {
	t.Helper()
	h.hold(t, h.Send(t, "POST", "/v1/users/refresh_jwt", h.ttl(), "Authorization: JWT "+from.text), "access_token", from.bound)
}

func (h *holder) generate(t *testing.T, from credential) {
	t.Helper()
	bound := from.bound
	if from.jwt {
		bound = from.end
	}
	h.hold(t, h.Send(t, "POST", "/rbac-api/v1/tokens", `{`+h.order()+`}`, "X-Authentication: "+from.text), "token", bound)
}

// hold checks the token in an answer against the bound, and keeps it. A label may give a token that
// was issued before, which is as far-reaching as it was then.
func (h *holder) hold(t *testing.T, a servertest.Answer, field string, bound time.Time) {
	t.Helper()
	if a.Status != http.StatusOK {
		return // a dead token, or a label that is taken
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(a.Body), &fields); err != nil {
		t.Fatal(err)
	}
	text := fields[field]
	id, err := h.Tokens.Authenticate(t.Context(), text)
	if errors.Is(err, token.ErrExpired) {
		return // some live for a second, and the test may be slower
	}
	if err != nil {
		t.Fatalf("an answer of 200 with a token that is refused: %v", err)
	}
	if id.Claims.ExpiresAt.After(bound) {
		t.Fatalf("a token ends %s after its bound", id.Claims.ExpiresAt.Sub(bound))
	}
	if before, ok := h.bounds[text]; ok {
		if before.After(bound.Add(2 * time.Second)) { // a login is noted to the second, and at its answer here
			t.Fatalf("a label gives a token whose descendants may end %s after the bound", before.Sub(bound))
		}
		return
	}
	h.bounds[text] = bound
	h.held = append(h.held, credential{text, field == "access_token", id.Claims.ExpiresAt, bound})
}

func (h *holder) ttl() string {
	return fmt.Sprintf(`{"ttl":%d}`, []int{5, 300, 7200, 86400}[h.random.IntN(4)])
}

func (h *holder) order() string {
	lifetime := []string{"1m", "1h", "2d", "0"}[h.random.IntN(4)]
	if h.random.IntN(2) == 0 {
		return fmt.Sprintf(`"lifetime":%q`, lifetime)
	}
	return fmt.Sprintf(`"lifetime":%q,"label":"%d"`, lifetime, h.random.IntN(3))
}
