package assertion

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

// MaximumDocument is the size in bytes of the largest document that a Get needs to return.
const MaximumDocument = 1 << 20

// Get returns the document at a URL. It must return an error for a document above MaximumDocument
// and for a redirection, because the URL is what the administrator trusts.
type Get func(ctx context.Context, url string) ([]byte, error)

// Source is where the name and the keys of an issuer come from (OpenID Connect Discovery 1.0, 4).
type Source struct {
	Get Get
	// Issuer is the name that the discovery document must have. Empty: whichever name it has.
	Issuer string
	// DiscoveryURL is the URL of the discovery document. Empty: the well-known one of Issuer.
	DiscoveryURL string
	// KeysURL is the URL of the key set. Empty: the one that the discovery document names.
	KeysURL string
}

const wellKnown = "/.well-known/openid-configuration"

// fetch gets the name and the keys of the issuer.
func (s Source) fetch(ctx context.Context) (name string, keys map[string]*key, err error) {
	discoveryURL := s.DiscoveryURL
	if discoveryURL == "" {
		discoveryURL = strings.TrimSuffix(s.Issuer, "/") + wellKnown
	}
	document, err := s.get(ctx, discoveryURL)
	if err != nil {
		return "", nil, fmt.Errorf("get the discovery document: %w", err)
	}
	name, keysURL, err := s.parseDiscovery(document)
	if err != nil {
		return "", nil, fmt.Errorf("read the discovery document: %w", err)
	}
	if s.KeysURL != "" {
		keysURL = s.KeysURL
	}
	if document, err = s.get(ctx, keysURL); err != nil {
		return "", nil, fmt.Errorf("get the key set: %w", err)
	}
	keys, err = parseKeys(document)
	return name, keys, err
}

func (s Source) get(ctx context.Context, from string) ([]byte, error) {
	document, err := s.Get(ctx, from)
	if err == nil && len(document) > MaximumDocument {
		return nil, fmt.Errorf("the document is larger than %d bytes", MaximumDocument)
	}
	return document, err
}

// parseDiscovery returns the name of the issuer and the URL of its keys.
func (s Source) parseDiscovery(document []byte) (name, keysURL string, err error) {
	object, err := strictjson.ParseObject(document)
	if err != nil {
		return "", "", err
	}
	name, _ = strictjson.String(object["issuer"])
	keysURL, _ = strictjson.String(object["jwks_uri"])
	switch {
	case name == "":
		return "", "", errors.New("it has no issuer")
	case s.Issuer != "" && name != s.Issuer:
		return "", "", errors.New("it is the document of another issuer")
	case s.KeysURL != "":
		return name, "", nil
	}
	if u, err := url.Parse(keysURL); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", "", errors.New("its jwks_uri is not an https URL")
	}
	return name, keysURL, nil
}
