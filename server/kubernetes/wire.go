package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

const (
	kind    = "TokenReview"
	v1      = "authentication.k8s.io/v1"
	v1beta1 = "authentication.k8s.io/v1beta1"
)

// tokenReview is the response. It does not repeat the spec of the request, because that holds a
// token.
type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Status     status `json:"status"`
}

type status struct {
	Authenticated bool     `json:"authenticated"`
	User          *user    `json:"user,omitempty"`
	Audiences     []string `json:"audiences,omitempty"`
}

type user struct {
	Username string   `json:"username"`
	UID      string   `json:"uid"`
	Groups   []string `json:"groups,omitempty"`
}

// reviewRequest is what a client asks with a TokenReview.
type reviewRequest struct {
	apiVersion string
	token      string
	audiences  []string
}

// parseReview parses a TokenReview. It ignores unknown fields, as usual for Kubernetes objects. The
// error is meant for the client and repeats nothing of the body.
func parseReview(body []byte) (reviewRequest, error) {
	object, err := strictjson.ParseObject(body)
	if err != nil {
		return reviewRequest{}, err
	}
	version, _ := strictjson.String(object["apiVersion"])
	if k, _ := strictjson.String(object["kind"]); k != kind || (version != v1 && version != v1beta1) {
		return reviewRequest{}, fmt.Errorf("expected kind %s with apiVersion %s or %s", kind, v1, v1beta1)
	}
	spec, err := strictjson.ParseObject(object["spec"])
	if err != nil {
		return reviewRequest{}, errors.New("spec must be an object")
	}
	q := reviewRequest{apiVersion: version}
	if q.token, _ = strictjson.String(spec["token"]); q.token == "" {
		return reviewRequest{}, errors.New("spec.token must be a non-empty string")
	}
	q.audiences, err = parseAudiences(spec["audiences"])
	return q, err
}

// parseAudiences parses a list of strings. A missing or null list is empty.
func parseAudiences(value json.RawMessage) ([]string, error) {
	if len(value) == 0 || strictjson.IsNull(value) {
		return nil, nil
	}
	var items []*string
	if err := json.Unmarshal(value, &items); err != nil {
		return nil, errors.New("spec.audiences must be a list of strings")
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if item == nil {
			return nil, errors.New("spec.audiences must be a list of strings")
		}
		out = append(out, *item)
	}
	return out, nil
}
