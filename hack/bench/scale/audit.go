package scale

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// auditPolicy logs the requests of the measured process and no others, when the answer begins or
// ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [` + serviceUser + `]
- level: None
`

// requests counts the requests to an API server by verb and resource: "list users",
// "patch users/status".
type requests map[string]int

// readAudit counts the requests in an audit log, each once.
func readAudit(path string) (requests, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	counts, seen := requests{}, map[string]bool{}
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
		counts[e.Verb+" "+objectName(e.ObjectRef.Resource, e.ObjectRef.Subresource)]++
	}
	return counts, lines.Err()
}

// objectName returns the resource as RBAC writes it. Requests without one ask for discovery.
func objectName(resource, subresource string) string {
	switch {
	case resource == "":
		return "discovery"
	case subresource != "":
		return resource + "/" + subresource
	}
	return resource
}

// total returns the number of all requests, and of those that change something.
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
