package load

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

func header(contentType, authorization string) http.Header {
	h := http.Header{"User-Agent": {"bench"}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	return h
}

func basic(login string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

func authorizeCall(login string) call {
	return call{http.MethodPost, "/v1/users/authorize", header(jsonType, basic(login)), `{"ttl":600}`}
}

func loginCall(login string) call {
	body := fmt.Sprintf(`{"login":%q,"password":%q,"lifetime":"4h"}`, login, password)
	return call{http.MethodPost, "/rbac-api/v1/auth/token", header(jsonType, ""), body}
}

func authenticateCall(token string) call {
	return call{http.MethodPost, "/rbac-api/v2/auth/token/authenticate", header(jsonType, ""), fmt.Sprintf(`{"token":%q}`, token)}
}

func introspectCall(token string) call {
	return call{http.MethodPost, "/oauth2/introspect", header(formType, basic(knownLogin)), "token=" + token}
}

func verifyCall(token string) call {
	return call{http.MethodGet, "/auth/verify", header("", "Bearer "+token), ""}
}

// tokens are one of each kind.
type tokens struct{ jwt, opaque string }

// newTokens logs the known user in for a token of each kind.
func (b *testbed) newTokens(ctx context.Context) (t tokens, err error) {
	c := b.toGatehouse.client()
	defer c.hangUp()
	if t.jwt, err = tokenFrom(ctx, c, authorizeCall(knownLogin)); err != nil {
		return t, err
	}
	t.opaque, err = tokenFrom(ctx, c, loginCall(knownLogin))
	return t, err
}

// tokenFrom returns the token in the answer to a login, of either kind.
func tokenFrom(ctx context.Context, c *client, login call) (string, error) {
	status, body, err := c.do(ctx, login)
	if err != nil {
		return "", err
	}
	var answer struct {
		JWT    string `json:"access_token"`
		Opaque string `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		return "", fmt.Errorf("no token: status %d: %s", status, body)
	}
	return answer.JWT + answer.Opaque, nil
}

// freshJWTs returns about n JWTs that no one has checked yet.
func freshJWTs(ctx context.Context, toService load, n int) ([]string, error) {
	var mu sync.Mutex
	var fresh []string
	login := authorizeCall(knownLogin)
	_, err := toService.drive(ctx, time.Minute, func(ctx context.Context, c *client, _ int) error {
		token, err := tokenFrom(ctx, c, login)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if fresh = append(fresh, token); len(fresh) >= n {
			return errDone
		}
		return nil
	})
	return fresh, err
}
