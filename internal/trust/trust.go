// Package trust reads the file that lists the trusted issuers. It has the form of
// AuthenticationConfiguration, with which kube-apiserver is told the same, reduced to what this
// service supports.
package trust

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The limits of a file.
const (
	MaximumSize      = 1 << 20 // bytes
	maximumIssuers   = 64
	maximumAudiences = 16
	maximumURL       = 512
)

// Issuer is one trusted issuer.
type Issuer struct {
	URL                  string // the iss claim
	DiscoveryURL         string // empty: the well-known one below URL
	Audiences            []string
	CertificateAuthority string // PEM; empty: the authorities of the system
}

// Parse reads a file. The error lists everything that is wrong with it, each with its line.
func Parse(text []byte) ([]Issuer, error) {
	if len(text) > MaximumSize {
		return nil, fmt.Errorf("the file is larger than %d bytes", MaximumSize)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("line 1: the file has no content")
	case err != nil:
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file must have one document")
	}
	r := &reader{}
	issuers := r.configuration(document.Content[0])
	return issuers, errors.Join(r.errs...)
}

// reader collects what is wrong with a file.
type reader struct{ errs []error }

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

func (r *reader) configuration(n *yaml.Node) []Issuer {
	fields := r.mapping(n, "", "apiVersion", "kind", "jwt")
	if kind := r.text(fields["kind"], "kind"); kind != "AuthenticationConfiguration" {
		r.fail(n, "kind must be AuthenticationConfiguration")
	}
	versions := []string{"apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1"}
	if version := r.text(fields["apiVersion"], "apiVersion"); !slices.Contains(versions, version) {
		r.fail(n, "apiVersion must be %s", versions[0])
	}
	var issuers []Issuer
	for i, item := range r.sequence(fields["jwt"], "jwt", maximumIssuers) {
		path := fmt.Sprintf("jwt[%d]", i)
		issuer := r.mapping(item, path, "issuer")["issuer"]
		if issuer == nil {
			r.fail(item, "%s.issuer is missing", path)
			continue
		}
		next := r.issuer(issuer, path+".issuer")
		if slices.ContainsFunc(issuers, func(other Issuer) bool { return other.URL == next.URL }) {
			r.fail(issuer, "%s.issuer.url is that of an earlier issuer", path)
		}
		issuers = append(issuers, next)
	}
	return issuers
}

func (r *reader) issuer(n *yaml.Node, path string) Issuer {
	fields := r.mapping(n, path, "url", "discoveryURL", "audiences", "certificateAuthority")
	i := Issuer{
		URL:                  r.text(fields["url"], path+".url"),
		DiscoveryURL:         r.text(fields["discoveryURL"], path+".discoveryURL"),
		CertificateAuthority: r.text(fields["certificateAuthority"], path+".certificateAuthority"),
	}
	r.checkURL(n, fields["url"], path+".url", i.URL)
	if fields["discoveryURL"] != nil {
		r.checkURL(n, fields["discoveryURL"], path+".discoveryURL", i.DiscoveryURL)
	}
	for at, item := range r.sequence(fields["audiences"], path+".audiences", maximumAudiences) {
		audience := r.text(item, fmt.Sprintf("%s.audiences[%d]", path, at))
		if audience == "" {
			r.fail(item, "%s.audiences[%d] is empty", path, at)
		}
		i.Audiences = append(i.Audiences, audience)
	}
	if fields["certificateAuthority"] != nil && !x509.NewCertPool().AppendCertsFromPEM([]byte(i.CertificateAuthority)) {
		r.fail(fields["certificateAuthority"], "%s.certificateAuthority holds no certificate in PEM", path)
	}
	return i
}

// checkURL checks the text of a URL. Its place is that of parent if the field is missing.
func (r *reader) checkURL(parent, n *yaml.Node, path, text string) {
	if n == nil {
		r.fail(parent, "%s is missing", path)
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || len(text) > maximumURL {
		r.fail(n, "%s must be an https URL of at most %d bytes, without a query, a fragment and credentials", path, maximumURL)
	}
}

// mapping returns the fields of a mapping, and refuses those that are not known.
func (r *reader) mapping(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	fields := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s must be an object", cmp.Or(path, "the file"))
		return fields
	}
	if path != "" {
		path += "."
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			r.fail(key, "%s%s is not supported", path, key.Value)
		case fields[key.Value] != nil:
			r.fail(key, "%s%s is repeated", path, key.Value)
		default:
			fields[key.Value] = value
		}
	}
	return fields
}

// sequence returns the items of a sequence. A missing one has none.
func (r *reader) sequence(n *yaml.Node, path string, maximum int) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.fail(n, "%s must be a list", path)
		return nil
	case len(n.Content) > maximum:
		r.fail(n, "%s has more than %d items", path, maximum)
		return nil
	}
	return n.Content
}

// text returns a string. A missing one is empty.
func (r *reader) text(n *yaml.Node, path string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		r.fail(n, "%s must be a string", path)
		return ""
	}
	return n.Value
}
