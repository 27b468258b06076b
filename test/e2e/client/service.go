package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// service is the service as one client sees it, through its name or as one replica.
type service struct {
	url    string
	client *http.Client
}

// dial returns the service under its name. With a replica, every connection goes to that one, and
// the client still expects the certificate of the name.
func dial(s *settings, replica string, http2 bool) (*service, error) {
	pem, err := os.ReadFile(s.caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("the published CA holds no certificate")
	}
	t := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   http2,
		MaxIdleConnsPerHost: 100,
	}
	if replica != "" {
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, replica)
		}
	}
	return &service{url: s.url, client: &http.Client{Transport: t, Timeout: 10 * time.Second}}, nil
}

// dialAll returns each replica in the settings.
func dialAll(s *settings) ([]*service, error) {
	var all []*service
	for _, r := range s.replicas {
		one, err := dial(s, r, true)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, errors.New("-replicas is missing; it must name at least one")
	}
	return all, nil
}

// answer is a status and a body that was read to its end.
type answer struct {
	status int
	body   []byte
}

// field returns a string field of the body, or "" if the body does not have it.
func (a answer) field(name string) string {
	fields := map[string]any{}
	_ = json.Unmarshal(a.body, &fields) // without JSON there is no field
	text, _ := fields[name].(string)
	return text
}

// do sends a request after change has changed it.
func (s *service) do(ctx context.Context, method, path string, change func(*http.Request)) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	change(r)
	response, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, body}, err
}

func withJSON(body any) func(*http.Request) {
	return func(r *http.Request) {
		raw, err := json.Marshal(body)
		if err != nil {
			return // does not happen: the bodies are maps of strings
		}
		r.Header.Set("Content-Type", "application/json")
		r.Body = io.NopCloser(bytes.NewReader(raw))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
		r.ContentLength = int64(len(raw))
	}
}

// authorize asks the Redis Enterprise API for a JWT.
func (s *service) authorize(ctx context.Context, login, password string) (answer, error) {
	a, err := s.do(ctx, http.MethodPost, "/v1/users/authorize", func(r *http.Request) { r.SetBasicAuth(login, password) })
	used.add(a.field("access_token"))
	return a, err
}

// issue asks the Puppet RBAC API for an opaque token.
func (s *service) issue(ctx context.Context, body map[string]string) (answer, error) {
	a, err := s.do(ctx, http.MethodPost, "/rbac-api/v1/auth/token", withJSON(body))
	used.add(a.field("token"))
	return a, err
}

func (s *service) authenticate(ctx context.Context, token string) (answer, error) {
	return s.do(ctx, http.MethodPost, "/rbac-api/v2/auth/token/authenticate", withJSON(map[string]string{"token": token}))
}

func (s *service) forwardAuth(ctx context.Context, token string) (answer, error) {
	return s.do(ctx, http.MethodGet, "/auth/verify", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
}

func (s *service) revoke(ctx context.Context, token string) (answer, error) {
	return s.do(ctx, http.MethodDelete, "/rbac-api/v2/tokens/"+token, func(*http.Request) {})
}

// newToken returns an opaque token, or an error with the answer that has none.
func (s *service) newToken(ctx context.Context, login, password string) (string, error) {
	a, err := s.issue(ctx, map[string]string{"login": login, "password": password})
	if err != nil {
		return "", err
	}
	if token := a.field("token"); token != "" {
		return token, nil
	}
	return "", fmt.Errorf("no token: %d %s", a.status, a.body)
}
