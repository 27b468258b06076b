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

// tokenReview is the answer. What was asked is not repeated, because it holds a token.
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

// question is what a review asks.
type question struct {
	apiVersion string
	token      string
	audiences  []string
}

// parse reads a TokenReview. Of an object of Kubernetes, fields that are not known are ignored. The error is for the
// client and repeats nothing of the body.
func parse(body []byte) (question, error) {
	object, err := strictjson.ParseObject(body)
	if err != nil {
		return question{}, err
	}
	version, _ := strictjson.String(object["apiVersion"])
	if k, _ := strictjson.String(object["kind"]); k != kind || (version != v1 && version != v1beta1) {
		return question{}, fmt.Errorf("send kind %s of apiVersion %s or %s", kind, v1, v1beta1)
	}
	spec, err := strictjson.ParseObject(object["spec"])
	if err != nil {
		return question{}, errors.New("spec must be an object")
	}
	q := question{apiVersion: version}
	if q.token, _ = strictjson.String(spec["token"]); q.token == "" {
		return question{}, errors.New("spec.token must be a string that is not empty")
	}
	q.audiences, err = audiences(spec["audiences"])
	return q, err
}

// audiences reads a list of strings, which may be null or missing.
func audiences(value json.RawMessage) ([]string, error) {
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
