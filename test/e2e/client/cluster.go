package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Where the API server and the objects are that experiments change.
const (
	serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"
	apiServer      = "https://kubernetes.default.svc"
	usersPath      = "/apis/auth.gatehouse.dev/v1alpha1/namespaces/gatehouse-users/users/"
	secretsPath    = "/api/v1/namespaces/gatehouse-users/secrets/"
	podsPath       = "/api/v1/namespaces/gatehouse-system/pods"
	podSelector    = "?labelSelector=app.kubernetes.io/name%3Dgatehouse"
)

// cluster is the API server as this Pod's account sees it.
type cluster struct {
	token  string
	client *http.Client
}

func newCluster() (*cluster, error) {
	token, err := os.ReadFile(serviceAccount + "token")
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(serviceAccount + "ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return &cluster{string(token), &http.Client{Transport: transport, Timeout: 30 * time.Second}}, nil
}

// call sends a request and decodes the answer into out, unless that is nil.
func (c *cluster) call(ctx context.Context, method, path string, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, apiServer+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/merge-patch+json")
	if method == http.MethodDelete {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (c *cluster) setRevoked(ctx context.Context, user string, revoked bool) error {
	return c.call(ctx, http.MethodPatch, usersPath+user, map[string]any{"spec": map[string]any{"revoked": revoked}}, nil)
}

func (c *cluster) setSecret(ctx context.Context, name, key, value string) error {
	return c.call(ctx, http.MethodPatch, secretsPath+name, map[string]any{"stringData": map[string]string{key: value}}, nil)
}

// pod is what the experiments read of a replica.
type pod struct {
	Metadata struct {
		UID               string  `json:"uid"`
		DeletionTimestamp *string `json:"deletionTimestamp"`
	} `json:"metadata"`
	Status struct {
		PodIP      string `json:"podIP"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

func (p pod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True" && p.Metadata.DeletionTimestamp == nil
		}
	}
	return false
}

func (c *cluster) pods(ctx context.Context) ([]pod, error) {
	var list struct {
		Items []pod `json:"items"`
	}
	err := c.call(ctx, http.MethodGet, podsPath+podSelector, nil, &list)
	return list.Items, err
}

// deleteAllPods ends all replicas at once, without a grace period.
func (c *cluster) deleteAllPods(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, podsPath+podSelector, map[string]any{
		"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
	}, nil)
}
