// Package lint examines manifests of Users before they reach a cluster: it applies the schema of the
// CRD, resolves Secrets and hashes as the service does, and compares the Users with each other.
package lint

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity is how grave a finding is.
type Severity int

// The severities, from the least grave to the gravest.
const (
	Note    Severity = iota // worth a look in a review
	Warning                 // works, but should not stay
	Error                   // refused by the API server, or a User who cannot log in
)

func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// MarshalText returns the name of the severity.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity returns the severity with a name, which is warning or error.
func ParseSeverity(name string) (Severity, error) {
	switch name {
	case Warning.String():
		return Warning, nil
	case Error.String():
		return Error, nil
	}
	return 0, fmt.Errorf("must be %s or %s", Warning, Error)
}

// Rule is a kind of finding.
type Rule string

// The rules. The annotation IgnoreAnnotation of an object names those that do not apply to it.
const (
	RuleSyntax           Rule = "syntax"
	RuleSchema           Rule = "schema"
	RuleDuplicateObject  Rule = "duplicate-object"
	RuleDuplicateLogin   Rule = "duplicate-login"
	RuleDuplicateID      Rule = "duplicate-identity"
	RuleMissingSecret    Rule = "missing-secret"
	RuleMissingSecretKey Rule = "missing-secret-key"
	RuleInvalidPassword  Rule = "invalid-password"
	RuleWeakHash         Rule = "weak-hash"
	RulePlaintext        Rule = "plaintext-secret"
	RuleNoPassword       Rule = "no-password"
	RuleExpired          Rule = "expired"
	RuleAdminGroup       Rule = "admin-group"
	RuleNotPermitted     Rule = "not-permitted"
	RuleTenantConflict   Rule = "tenant-conflict"
)

// Description says what a rule finds.
type Description struct{ ID, Text string }

// Rules returns the descriptions of all rules.
func Rules() []Description {
	return []Description{
		{string(RuleSyntax), "The file is not YAML or JSON, or an object has no kind."},
		{string(RuleSchema), "The API server refuses the object."},
		{string(RuleDuplicateObject), "Two objects have the same kind, namespace and name."},
		{string(RuleDuplicateLogin), "Two Users have the same login, so one of them cannot log in."},
		{string(RuleDuplicateID), "Two Users claim the same identity, so it logs in only one of them."},
		{string(RuleMissingSecret), "No manifest declares or generates the Secret that a User refers to."},
		{string(RuleMissingSecretKey), "The Secret lacks the key that a User refers to."},
		{string(RuleInvalidPassword), "The password or hash in the Secret cannot be used."},
		{string(RuleWeakHash), "The hash is weaker than recommended."},
		{string(RulePlaintext), "A password stands in the manifests in plain text."},
		{string(RuleNoPassword), "The User has no way to log in."},
		{string(RuleExpired), "The account or a password has expired."},
		{string(RuleAdminGroup), "The User is in a group of administrators."},
		{string(RuleNotPermitted), "The Tenant of the User's namespace does not permit the User."},
		{string(RuleTenantConflict), "Two Tenants allow the same thing, or name the same namespace."},
	}
}

// IgnoreAnnotation is the annotation of an object that names, separated by commas, the rules that do
// not apply to it.
const IgnoreAnnotation = "auth.gatehouse.dev/lint-ignore"

// Finding is one thing that is wrong, or worth a look.
type Finding struct {
	Path     string   `json:"path"`
	Line     int      `json:"line"`   // from 1
	Column   int      `json:"column"` // from 1
	Severity Severity `json:"severity"`
	Rule     Rule     `json:"rule"`
	Object   string   `json:"object,omitempty"` // such as User gatehouse-users/jean
	Message  string   `json:"message"`          // never quotes a password or a hash
}

// with returns a finding of the rule that has no place yet.
func (r Rule) with(severity Severity, message string) Finding {
	return Finding{Rule: r, Severity: severity, Message: message}
}

func (r Rule) warning(message string) Finding { return r.with(Warning, message) }

func (r Rule) error(message string) Finding { return r.with(Error, message) }

// Result is what was found, and how much was examined.
type Result struct {
	Findings []Finding `json:"findings"` // by path, line, column and rule
	Files    int       `json:"files"`
	Users    int       `json:"users"`
}

// Exceeds reports whether any finding is at least as grave as threshold.
func (r Result) Exceeds(threshold Severity) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity >= threshold })
}

// sort puts the findings in order.
func (r *Result) sort() {
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
}
