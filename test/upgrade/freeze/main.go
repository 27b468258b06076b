// Command freeze writes what later sources must still accept: the CRDs of this source, and objects that they
// accept. It leaves no exception, because nothing differs then.
//
//	freeze DIR
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/config/crd"
	"github.com/gatehouse-auth/gatehouse/test/schemacases"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "freeze:", err)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: freeze DIR")
	}
	crds := filepath.Join(args[0], "crds")
	if err := os.RemoveAll(crds); err != nil { //nolint:gosec // the folder that the caller names
		return err
	}
	bases, err := fs.Sub(crd.Bases, "bases")
	if err != nil {
		return err
	}
	if err := os.CopyFS(crds, bases); err != nil {
		return err
	}
	objects, err := accepted()
	if err != nil {
		return err
	}
	for name, raw := range map[string][]byte{"objects.yaml": objects, "exceptions.yaml": []byte("{}\n")} {
		if err := os.WriteFile(filepath.Join(args[0], name), raw, 0o644); err != nil { //nolint:gosec // part of the source
			return err
		}
	}
	return nil
}

// accepted returns one object for each case that a schema accepts.
func accepted() ([]byte, error) {
	var out bytes.Buffer
	for _, kind := range []string{"User", "Revocation", "Tenant", "Token"} {
		specs := map[string]map[string]schemacases.Case{
			"User": schemacases.Users(), "Revocation": schemacases.Revocations(), "Tenant": schemacases.Tenants(), "Token": tokens(),
		}[kind]
		for _, about := range slices.Sorted(maps.Keys(specs)) {
			if specs[about].Words != "" {
				continue
			}
			var spec any
			if err := yaml.Unmarshal([]byte(specs[about].Spec), &spec); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", kind, about, err)
			}
			raw, err := yaml.Marshal(map[string]any{"apiVersion": "auth.gatehouse.dev/v1alpha1", "kind": kind, "spec": spec})
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&out, "---\n# %s\n%s", about, raw)
		}
	}
	return out.Bytes(), nil
}

// tokens returns the records of tokens that the service writes.
func tokens() map[string]schemacases.Case {
	const times = `issuedAt: "2026-11-22T08:00:00.123000Z", expiresAt: "2026-11-22T12:00:00.123000Z"`
	return map[string]schemacases.Case{
		"an opaque token with every field": {Spec: `{userRef: {name: jj, uid: 4fe8a1d0}, tokenID: AAECAwQFBgcICQoLDA0ODw, kind: Opaque, label: "four-hour token",
			description: d, client: c, authenticatedAt: "2026-11-22T07:00:00.123000Z", final: true, revoked: true, ` + times + `}`},
		"a JWT with what it needs": {Spec: `{userRef: {name: jj, uid: 4fe8a1d0}, tokenID: a-b_c, kind: JWT, ` + times + `}`},
	}
}
