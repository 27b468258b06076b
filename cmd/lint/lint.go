package lint

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// Config says what to examine.
type Config struct {
	Paths       []string  // files, folders, or - for standard input
	Base        []string  // the manifests before the change, if any; only new administrators are then warned about
	AdminGroups []string  // members are administrators of the service
	Stdin       io.Reader // read if a path is -
	Now         time.Time // against which expiries are compared
}

// Run examines manifests. An error means that something could not be looked at.
func Run(c Config) (Result, error) {
	l, err := read(c.Paths, c)
	if err != nil {
		return Result{}, err
	}
	if len(c.Base) > 0 {
		base, err := read(c.Base, c)
		if err != nil {
			return Result{}, fmt.Errorf("--base: %w", err)
		}
		l.admins = base.administrators()
	}
	l.examine()
	l.result.sort()
	return l.result, nil
}

// located is an object with the file that declares it.
type located struct {
	manifest.Object
	source *source
}

// linter holds everything that has been read, and what has been found.
type linter struct {
	Config
	extras
	projector *projection.Projector
	generated map[string]bool
	users     []located
	secrets   map[manifest.Key]located
	used      map[manifest.Key]bool // Secrets that a User refers to
	tenants   []located
	faults    []faultAt
	admins    map[string]bool // administrators before the change; nil if that is unknown
	result    Result
}

// faultAt is a fault with the file that has it.
type faultAt struct {
	manifest.Fault
	source *source
}

// read reads the manifests at the paths.
func read(paths []string, c Config) (*linter, error) {
	all, err := load(paths, c.Stdin)
	if err != nil {
		return nil, err
	}
	reader, err := manifest.NewReader()
	if err != nil {
		return nil, err
	}
	keyer := password.NewKeyer()
	l := &linter{
		Config: c, extras: extras{map[manifest.Key]string{}, map[manifest.Key]bool{}}, generated: all.generated,
		projector: projection.NewProjector(keyer, nil), secrets: map[manifest.Key]located{}, used: map[manifest.Key]bool{},
		result: Result{Findings: []Finding{}, Files: len(all.manifests)},
	}
	seen := map[manifest.Key]located{}
	for i := range all.manifests {
		s := &all.manifests[i]
		l.readExtras(s)
		file := reader.Read(s.text, s.isJSON)
		for _, f := range file.Faults {
			l.faults = append(l.faults, faultAt{f, s})
		}
		for _, o := range file.Objects {
			l.add(located{o, s}, seen)
		}
	}
	l.result.Users = len(l.users)
	return l, nil
}

// add adds an object, or reports that it was there already.
func (l *linter) add(o located, seen map[manifest.Key]located) {
	if first, ok := seen[o.Key]; ok {
		if o.User != nil || first.User != nil {
			l.report(o, "metadata.name", RuleDuplicateObject.error(fmt.Sprintf("%s:%d declares the same object", first.source.path, first.Line)))
		}
		return
	}
	seen[o.Key] = o
	switch {
	case o.User != nil:
		l.users = append(l.users, o)
	case o.Tenant != nil:
		l.tenants = append(l.tenants, o)
	default:
		l.secrets[o.Key] = o
	}
}

// examine applies all rules.
func (l *linter) examine() {
	logins, identities, tenants := map[string]located{}, claims{}, l.examineTenants()
	for _, u := range l.users {
		l.examinePermission(u, tenants)
		l.examineLogin(u, logins)
		l.examineIdentities(u, identities)
		l.examineExpiry(u)
		l.examineGroups(u)
		l.examinePasswords(u)
	}
	for _, f := range l.faults {
		l.reportFault(f)
	}
}

// reportFault reports what the schema or the parser refuses, unless it is not for this service.
func (l *linter) reportFault(f faultAt) {
	rule := RuleSchema
	switch {
	case f.Foreign || (f.Key.Kind == "Secret" && !l.used[f.Key]):
		return
	case f.Key == manifest.Key{}:
		if !f.source.ours() {
			return
		}
		rule = RuleSyntax
	}
	l.addFinding(Finding{
		Path: f.source.path, Line: max(f.Line, 1), Column: max(f.Column, 1), Severity: Error, Rule: rule, Object: objectName(f.Key), Message: f.Message,
	}, f.Key)
}

// examineLogin reports a login that an earlier User has. Logins of different namespaces count too,
// because one service may serve them all.
func (l *linter) examineLogin(u located, logins map[string]located) {
	login := u.User.EffectiveLogin()
	first, taken := logins[login]
	if !taken {
		logins[login] = u
		return
	}
	l.report(u, "spec.login", RuleDuplicateLogin.error(fmt.Sprintf("User %s (%s:%d) has the login %q as well; only one of the two logs in",
		first.Key.DirectoryKey(), first.source.path, first.Line, login)))
}

func (l *linter) examineExpiry(u located) {
	if at := u.User.Spec.ExpiresAt; at != nil && !at.After(l.Now) {
		l.report(u, "spec.expiresAt", RuleExpired.warning("the account has expired; remove the User, or set a later time"))
	}
}

// examineGroups reports administrators: as a warning if the change makes the user one, and
// otherwise as a note if it is not known who was one before.
func (l *linter) examineGroups(u located) {
	groups := l.adminGroups(u.User)
	if len(groups) == 0 || l.admins[u.Key.String()] {
		return
	}
	severity, verb := Note, "is"
	if l.admins != nil {
		severity, verb = Warning, "becomes"
	}
	l.report(u, "spec.groups", RuleAdminGroup.with(severity, fmt.Sprintf("the user %s an administrator, who may list and revoke the tokens of all users (group %s)",
		verb, strings.Join(groups, ", "))))
}

// adminGroups returns the groups of a user whose members are administrators.
func (l *linter) adminGroups(u *authv1alpha1.User) []string {
	var groups []string
	for _, g := range u.Spec.Groups {
		if slices.Contains(l.AdminGroups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// administrators returns the Users that are administrators.
func (l *linter) administrators() map[string]bool {
	admins := map[string]bool{}
	for _, u := range l.users {
		if len(l.adminGroups(u.User)) > 0 {
			admins[u.Key.String()] = true
		}
	}
	return admins
}

// report adds a finding about a field of an object.
func (l *linter) report(o located, path string, f Finding) {
	at := o.source.find(o.Line, path)
	f.Path, f.Line, f.Column, f.Object = o.source.path, at.Line, at.Column, objectName(o.Key)
	l.addFinding(f, o.Key)
}

// addFinding adds a finding, unless the object has the annotation to ignore its rule.
func (l *linter) addFinding(f Finding, key manifest.Key) {
	for rule := range strings.SplitSeq(l.ignored[key], ",") {
		if Rule(strings.TrimSpace(rule)) == f.Rule {
			return
		}
	}
	l.result.Findings = append(l.result.Findings, f)
}

func objectName(key manifest.Key) string {
	if key == (manifest.Key{}) {
		return ""
	}
	return key.String()
}

// secretKey returns the key of a Secret in the namespace of a User.
func secretKey(u located, name string) manifest.Key {
	return manifest.Key{Kind: "Secret", Namespace: u.Key.Namespace, Name: name}
}

// secret returns a Secret that the manifests declare, or nil.
func (l *linter) secret(key manifest.Key) *corev1.Secret {
	return l.secrets[key].Secret
}
