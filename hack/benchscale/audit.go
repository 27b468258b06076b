package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// auditPolicy notes every request of the measured process and of nobody else, when its answer begins or ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [` + serviceUser + `]
- level: None
`

// requests counts what was asked of an API server, by verb and resource: "list users", "patch users/status".
type requests map[string]int

// readAudit counts the requests in an audit log, each once.
func readAudit(path string) (requests, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out, seen := requests{}, map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			AuditID, Verb, RequestURI string
			ObjectRef                 struct{ Resource, Subresource string }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if seen[e.AuditID] {
			continue
		}
		seen[e.AuditID] = true
		out[e.Verb+" "+object(e.ObjectRef.Resource, e.ObjectRef.Subresource)]++
	}
	return out, lines.Err()
}

func object(resource, subresource string) string {
	switch {
	case resource == "":
		return "discovery"
	case subresource != "":
		return resource + "/" + subresource
	}
	return resource
}

// total is the number of all requests, writes of those that change something.
func (r requests) total() (all, writes int) {
	for name, n := range r {
		all += n
		switch verb, _, _ := strings.Cut(name, " "); verb {
		case "create", "update", "patch", "delete":
			writes += n
		}
	}
	return all, writes
}
