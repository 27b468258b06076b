// Package schemacases is one table of Users, Revocations and Tenants that the schemas of the CRDs accept or refuse.
// Tests of all that applies these schemas use it, so that none of them decides otherwise.
package schemacases

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Case is an object that a schema accepts or refuses.
type Case struct {
	Spec  string // in YAML
	Words string // part of the reason; empty if the object is accepted
}

// Users returns the cases of Users, by what is particular about each.
func Users() map[string]Case { return join(acceptedUsers(), refusedUsers()) }

// Revocations returns the cases of Revocations, by what is particular about each.
func Revocations() map[string]Case { return join(acceptedRevocations(), refusedRevocations()) }

// Tenants returns the cases of Tenants, by what is particular about each.
func Tenants() map[string]Case { return join(acceptedTenants(), refusedTenants()) }

func join(accepted map[string]string, refused map[string]Case) map[string]Case {
	for name, spec := range accepted {
		refused[name] = Case{Spec: spec}
	}
	return refused
}

// namedHashRef is the format of a password whose name ends in a number.
const namedHashRef = `{name: p%d, hashFrom: {secretKeyRef: {name: a, key: hash}}}`

func acceptedUsers() map[string]string {
	return map[string]string{ //nolint:gosec // references to passwords are none
		"an empty spec": `{}`,
		"every field at once": `{login: jeanjackson@example.com, displayName: Jean Jackson, email: jj@example.com, groups: [operators],
			passwords: [{name: laptop, hashFrom: {secretKeyRef: {name: jj-password, key: passwordHash}}, expiresAt: "2027-06-30T00:00:00Z"},
			{plaintextFrom: {secretKeyRef: {name: jj.login, key: password}}}], revoked: true, expiresAt: "2028-01-01T00:00:00Z",
			tokensValidAfter: "2026-11-22T00:00:00Z", tokenPolicy: {defaultLifetime: 1h, maximumLifetime: 24h}}`,
		"a login of one character":              `{login: x}`,
		"a login of 255 characters of any kind": `{login: ` + quoted(strings.Repeat("ß", 255)) + `}`,
		"a login with spaces and quotes":        `{login: 'o''Neil "the" boss'}`,
		"four passwords":                        `{passwords: ` + repeat(4, namedHashRef) + `}`,
		"a lifetime in days":                    `{tokenPolicy: {defaultLifetime: 1h, maximumLifetime: 30d}}`,
		"a default in days":                     `{tokenPolicy: {defaultLifetime: 1d, maximumLifetime: 24h}}`,
		"the longest lifetime in days":          `{tokenPolicy: {maximumLifetime: 99999d}}`,
		"a group that only mentions system":     `{groups: ["my-system:masters"]}`,
		"no password":                           `{passwords: []}`,
		"an identity of each form": `{identities: [{serviceAccount: {name: billing.v2, namespace: shop}},
			{federated: {issuer: https://ci.test, subject: "repo:acme/shop:ref:refs/heads/main", claims: {environment: production}}}]}`,
		"sixteen identities":                   `{identities: ` + repeat(16, `{serviceAccount: {name: "a%d", namespace: shop}}`) + `}`,
		"a hundred groups":                     `{groups: ` + repeat(100, `"group %d"`) + `}`,
		"a time with a fraction and an offset": `{expiresAt: "2027-01-01T00:00:00.123456789+05:30"}`,
		"a time at the end of the calendar":    `{expiresAt: "9999-12-31T23:59:59Z"}`,
		"a leap day":                           `{expiresAt: "2028-02-29T00:00:00Z"}`,
		"durations in every unit":              `{tokenPolicy: {defaultLifetime: 1s1ms1us1ns, maximumLifetime: 1.5h1m}}`,
		"the same default and maximum":         `{tokenPolicy: {defaultLifetime: 60m, maximumLifetime: 1h}}`,
		"the longest duration in whole hours":  `{tokenPolicy: {maximumLifetime: 2562047h}}`,
		"sixteen audiences":                    `{audiences: ` + repeat(16, `"https://%d.example.com"`) + `}`,
		"groups of almost 4096 bytes in all":   `{groups: ` + repeat(16, `"%02d`+strings.Repeat("x", 253)+`"`) + `}`,
		"an empty token policy":                `{tokenPolicy: {}}`,
	}
}

func refusedUsers() map[string]Case { //nolint:funlen // a table
	return map[string]Case{
		"an empty login":         {`{login: ""}`, "spec.login"},
		"an identity of no form": {`{identities: [{}]}`, "exactly one of serviceAccount and federated"},
		"an identity of both forms": {`{identities: [{serviceAccount: {name: a, namespace: b}, federated: {issuer: https://a.test, subject: b}}]}`,
			"exactly one of serviceAccount and federated"},
		"seventeen identities":        {`{identities: ` + repeat(17, `{serviceAccount: {name: "a%d", namespace: shop}}`) + `}`, "spec.identities"},
		"an issuer without TLS":       {`{identities: [{federated: {issuer: http://a.test, subject: b}}]}`, "must be an https URL"},
		"an empty subject":            {`{identities: [{federated: {issuer: https://a.test, subject: ""}}]}`, "spec.identities[0].federated.subject"},
		"a ServiceAccount's bad name": {`{identities: [{serviceAccount: {name: "a:b", namespace: c}}]}`, "spec.identities[0].serviceAccount.name"},
		"a claim without a name":      {`{identities: [{federated: {issuer: https://a.test, subject: b, claims: {"": c}}}]}`, "name of a claim"},
		"a claim that is a number":    {`{identities: [{federated: {issuer: https://a.test, subject: b, claims: {a: 7}}}]}`, "spec.identities[0].federated.claims"},
		"nine claims": {`{identities: [{federated: {issuer: https://a.test, subject: b, claims: {a: "", b: "", c: "", d: "", e: "", f: "", g: "", h: "", i: ""}}}]}`,
			"spec.identities[0].federated.claims"},
		"a login of 256 characters":           {`{login: ` + quoted(strings.Repeat("x", 256)) + `}`, "spec.login"},
		"a login with a colon":                {`{login: "a:b"}`, "must not contain ':'"},
		"a login with a newline":              {`{login: "a\nb"}`, "spec.login"},
		"a login that ends in a newline":      {`{login: "a\n"}`, "spec.login"},
		"a login with a zero byte":            {`{login: "a\0b"}`, "spec.login"},
		"a login with a zero width space":     {`{login: "a\u200bb"}`, "spec.login"},
		"a login that changes direction":      {`{login: "a\u202eb"}`, "spec.login"},
		"a group with a soft hyphen":          {`{groups: ["gatehouse\u00ad-admins"]}`, "spec.groups"},
		"a login with a C1 control character": {`{login: "a\x85b"}`, "spec.login"},
		"a login that is a number":            {`{login: 7}`, "spec.login"},
		"a display name with a tab":           {`{displayName: "a\tb"}`, "must not contain control characters"},
		"a display name of 256 characters":    {`{displayName: ` + quoted(strings.Repeat("x", 256)) + `}`, "spec.displayName"},
		"an email without an at sign":         {`{email: jean}`, "must be an email address, such as"},
		"an email with a space":               {`{email: "jean jackson@example.com"}`, "spec.email"},
		"an email of 255 characters":          {`{email: ` + quoted(strings.Repeat("x", 253)+"@y") + `}`, "spec.email"},
		"the same group twice":                {`{groups: [a, a]}`, "spec.groups"},
		"an empty group":                      {`{groups: [""]}`, "spec.groups"},
		"a group with a comma":                {`{groups: ["a,gatehouse-admins"]}`, "must not contain commas"},
		"a group with a newline":              {`{groups: ["a\nb"]}`, "spec.groups"},
		"a hundred and one groups":            {`{groups: ` + repeat(101, `"group %d"`) + `}`, "spec.groups"},
		"five passwords":                      {`{passwords: ` + repeat(5, namedHashRef) + `}`, "spec.passwords"},
		"two passwords without a name": {`{passwords: [{hashFrom: {secretKeyRef: {name: a, key: b}}}, {plaintextFrom: {secretKeyRef: {name: a, key: b}}}]}`,
			"spec.passwords[1]"},
		"a password with a name in capitals": {`{passwords: [{name: Laptop, hashFrom: {secretKeyRef: {name: a, key: b}}}]}`, "spec.passwords[0].name"},
		"a login that begins with a space":   {`{login: " a"}`, "spec.login"},
		"a login that ends in a space":       {`{login: "a "}`, "spec.login"},
		"a login that ends in a wide space":  {`{login: "a\u3000"}`, "spec.login"},
		"a login that is a space":            {`{login: " "}`, "nor begin or end with a space"},
		"groups too long for a token":        {`{groups: ` + repeat(20, `"%d`+strings.Repeat("x", 210)+`"`) + `}`, "more than 4096 bytes"},
		"an audience with a space":           {`{audiences: ["a b"]}`, "must not contain white space"},
		"seventeen audiences":                {`{audiences: ` + repeat(17, `"urn:%d"`) + `}`, "spec.audiences"},
		"the same audience twice":            {`{audiences: [a, a]}`, "spec.audiences"},
		"a group of Kubernetes":              {`{groups: ["system:masters"]}`, "reserved for Kubernetes"},
		"a password with neither source":     {`{passwords: [{}]}`, "exactly one of hashFrom and plaintextFrom"},
		"a password with both sources": {`{passwords: [{hashFrom: {secretKeyRef: {name: a, key: b}}, plaintextFrom: {secretKeyRef: {name: a, key: b}}}]}`,
			"exactly one of hashFrom and plaintextFrom"},
		"a password in the spec itself":        {`{passwords: [{plaintext: secret}]}`, "unknown field"},
		"a source without a reference":         {`{passwords: [{hashFrom: {}}]}`, "secretKeyRef"},
		"a reference without a name":           {`{passwords: [{hashFrom: {secretKeyRef: {key: b}}}]}`, "secretKeyRef.name"},
		"a reference without a key":            {`{passwords: [{hashFrom: {secretKeyRef: {name: a}}}]}`, "secretKeyRef.key"},
		"a Secret in another namespace":        {`{passwords: [{hashFrom: {secretKeyRef: {namespace: x, name: a, key: b}}}]}`, "unknown field"},
		"a Secret name that cannot exist":      {`{passwords: [{hashFrom: {secretKeyRef: {name: A_b, key: b}}}]}`, "must consist of lower-case letters"},
		"a key that cannot exist":              {`{passwords: [{hashFrom: {secretKeyRef: {name: a, key: "b c"}}}]}`, "must consist of letters, digits"},
		"a password that ends on a bad date":   {`{passwords: [{hashFrom: {secretKeyRef: {name: a, key: b}}, expiresAt: tomorrow}]}`, "expiresAt"},
		"a date without a time":                {`{expiresAt: "2027-01-01"}`, "spec.expiresAt"},
		"a time without a time zone":           {`{expiresAt: "2027-01-01T00:00:00"}`, "spec.expiresAt"},
		"a time in lower case":                 {`{expiresAt: "2027-01-01t00:00:00z"}`, "spec.expiresAt"},
		"an offset of a hundred hours":         {`{expiresAt: "2027-01-01T00:00:00+99:99"}`, "spec.expiresAt"},
		"a fraction after a colon":             {`{expiresAt: "2027-01-01T00:00:00:5Z"}`, "spec.expiresAt"},
		"the thirtieth of February":            {`{expiresAt: "2027-02-30T00:00:00Z"}`, "spec.expiresAt"},
		"tokensValidAfter as a number":         {`{tokensValidAfter: 1700000000}`, "spec.tokensValidAfter"},
		"tokensValidAfter without a time zone": {`{tokensValidAfter: "2027-01-01T00:00:00"}`, "spec.tokensValidAfter"},
		"revoked as a string":                  {`{revoked: "true"}`, "spec.revoked"},
		"a lifetime of zero":                   {`{tokenPolicy: {defaultLifetime: 0s}}`, "at least 1s"},
		"a lifetime below a second":            {`{tokenPolicy: {maximumLifetime: 999ms}}`, "at least 1s"},
		"a negative lifetime":                  {`{tokenPolicy: {maximumLifetime: -1h}}`, "tokenPolicy.maximumLifetime"},
		"a lifetime without a unit":            {`{tokenPolicy: {maximumLifetime: "60"}}`, "tokenPolicy.maximumLifetime"},
		"a lifetime of zero days":              {`{tokenPolicy: {maximumLifetime: 0d}}`, "tokenPolicy.maximumLifetime"},
		"a lifetime of days and hours":         {`{tokenPolicy: {defaultLifetime: 1h, maximumLifetime: 1d12h}}`, "such as 90s, 1h30m or 30d"},
		"a lifetime of too many days":          {`{tokenPolicy: {maximumLifetime: 100000d}}`, "tokenPolicy.maximumLifetime"},
		"a default of more days":               {`{tokenPolicy: {defaultLifetime: 2d, maximumLifetime: 47h}}`, "defaultLifetime must not be longer"},
		"a lifetime too long for Go":           {`{tokenPolicy: {maximumLifetime: 2562048h}}`, "tokenPolicy.maximumLifetime"},
		"a sum of lifetimes too long for Go":   {`{tokenPolicy: {maximumLifetime: 2562047h2562047h}}`, "tokenPolicy.maximumLifetime"},
		"a default longer than the maximum":    {`{tokenPolicy: {defaultLifetime: 61m, maximumLifetime: 1h}}`, "defaultLifetime must not be longer"},
		"a field that does not exist":          {`{loginn: x}`, "unknown field"},
		"a spec that is missing":               {`null`, "spec"},
	}
}

func acceptedRevocations() map[string]string {
	return map[string]string{
		"no end": `{userRef: {name: jean}, reason: "laptop stolen, ticket 4711"}`,
		"an end": `{userRef: {name: jean.jackson}, reason: left, expiresAt: "2028-01-01T00:00:00+01:00"}`,
	}
}

func refusedRevocations() map[string]Case {
	return map[string]Case{
		"no user":             {`{reason: left}`, "spec.userRef"},
		"no reason":           {`{userRef: {name: jean}}`, "spec.reason"},
		"an empty reason":     {`{userRef: {name: jean}, reason: ""}`, "spec.reason"},
		"a reason in lines":   {`{userRef: {name: jean}, reason: "a\nb"}`, "spec.reason"},
		"a very long reason":  {`{userRef: {name: jean}, reason: ` + strings.Repeat("x", 1025) + `}`, "spec.reason"},
		"a name of no object": {`{userRef: {name: Jean}, reason: left}`, "spec.userRef.name"},
		"a date":              {`{userRef: {name: jean}, reason: left, expiresAt: "2028-01-01"}`, "spec.expiresAt"},
	}
}

func acceptedTenants() map[string]string {
	return map[string]string{
		"every field at once": `{namespaces: [team-a-users, team-a-bots], logins: {suffixes: ["@team-a.example.com"], exact: [deploy]},
			groups: {prefixes: ["team-a:"], exact: [developers]}, identities: {serviceAccountNamespaces: [team-a],
			federated: [{issuer: https://token.actions.githubusercontent.com, subjectPrefix: "repo:acme/team-a-"}]}, maximumLifetime: 24h}`,
		"one login": `{namespaces: [team-a-users], logins: {exact: [deploy]}}`,
	}
}

func refusedTenants() map[string]Case {
	const rest = `namespaces: [team-a-users], logins: {exact: [deploy]}, `
	return map[string]Case{
		"no namespace":                {`{logins: {exact: [deploy]}}`, "spec.namespaces"},
		"an empty list of namespaces": {`{namespaces: [], logins: {exact: [deploy]}}`, "spec.namespaces"},
		"a namespace twice":           {`{namespaces: [a, a], logins: {exact: [deploy]}}`, "spec.namespaces"},
		"a namespace of no object":    {`{namespaces: [Team], logins: {exact: [deploy]}}`, "spec.namespaces"},
		"seventeen namespaces":        {`{namespaces: ` + repeat(17, `team-%d`) + `, logins: {exact: [deploy]}}`, "spec.namespaces"},
		"no logins":                   {`{namespaces: [team-a-users]}`, "spec.logins"},
		"logins of neither kind":      {`{namespaces: [team-a-users], logins: {}}`, "set at least one of suffixes and exact"},
		"empty lists of logins":       {`{namespaces: [team-a-users], logins: {suffixes: [], exact: []}}`, "set at least one of suffixes and exact"},
		"an empty suffix":             {`{namespaces: [team-a-users], logins: {suffixes: [""]}}`, "spec.logins.suffixes"},
		"an invisible suffix":         {`{namespaces: [team-a-users], logins: {suffixes: ["a\u200b"]}}`, "spec.logins.suffixes"},
		"an empty prefix":             {`{` + rest + `groups: {prefixes: [""]}}`, "spec.groups.prefixes"},
		"a group with a comma":        {`{` + rest + `groups: {exact: ["a,b"]}}`, "spec.groups.exact"},
		"an issuer without TLS":       {`{` + rest + `identities: {federated: [{issuer: "http://ci.test", subjectPrefix: x}]}}`, "spec.identities.federated"},
		"no prefix of subjects":       {`{` + rest + `identities: {federated: [{issuer: "https://ci.test"}]}}`, "subjectPrefix"},
		"an empty prefix of subjects": {`{` + rest + `identities: {federated: [{issuer: "https://ci.test", subjectPrefix: ""}]}}`, "subjectPrefix"},
		"no lifetime":                 {`{` + rest + `maximumLifetime: 0s}`, "spec.maximumLifetime"},
	}
}

func quoted(s string) string {
	raw, _ := json.Marshal(s) // a string always encodes
	return string(raw)
}

// repeat returns a YAML list of n items made from a format with one %d.
func repeat(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return "[" + strings.Join(items, ", ") + "]"
}
