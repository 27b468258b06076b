package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/test/schemacases"
)

// TestVerdictIsThatOfTheAPIServer uses the table that the test of the CRDs tries on an API server.
func TestVerdictIsThatOfTheAPIServer(t *testing.T) {
	t.Parallel()
	for kind, cases := range map[string]map[string]schemacases.Case{"User": schemacases.Users(), "Revocation": schemacases.Revocations(), "Tenant": schemacases.Tenants()} {
		for name, c := range cases {
			t.Run(kind+" with "+name, func(t *testing.T) {
				t.Parallel()
				refuses(t, kind, c)
			})
		}
	}
}

// indented matches what separates the lines of a case. A tab indents no YAML.
var indented = regexp.MustCompile(`\n\t+`)

// refuses checks that an object of a kind is refused by the schema if and only if the case says so, and
// for the same reason.
func refuses(t *testing.T, kind string, c schemacases.Case) {
	t.Helper()
	manifest := fmt.Sprintf("apiVersion: auth.gatehouse.dev/v1alpha1\nkind: %s\nmetadata: {name: case}\nspec: %s\n", kind, indented.ReplaceAllString(c.Spec, " "))
	findings := run(t, Config{Paths: []string{"-"}, Stdin: strings.NewReader(manifest)}).Findings
	findings = slices.DeleteFunc(findings, func(f Finding) bool { return f.Rule != RuleSchema && f.Rule != RuleSyntax })
	if (len(findings) > 0) != (c.Words != "") {
		t.Fatalf("got findings %+v, want one: %t", findings, c.Words != "")
	}
	if c.Words != "" && !slices.ContainsFunc(findings, func(f Finding) bool { return strings.Contains(f.Message, c.Words) }) {
		t.Errorf("no message has %q: %+v", c.Words, findings)
	}
}
