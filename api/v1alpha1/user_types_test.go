package v1alpha1_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// namedHashRef is the format of a password whose name ends in a number.
const namedHashRef = `{name: p%d, hashFrom: {secretKeyRef: {name: a, key: hash}}}`

func TestUserSchemaAccepts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cases := map[string]string{
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
	for name, spec := range cases {
		t.Run(name, func(t *testing.T) {
			o := s.object(t, "User", spec)
			if err := s.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			// A single object that Go cannot decode would fail the list of all objects.
			typed := &authv1alpha1.User{}
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), typed); err != nil {
				t.Errorf("accepted by the schema, but Go cannot read it: %v", err)
			}
		})
	}
}

func TestUserSchemaRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cases := map[string]struct{ spec, words string }{
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
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, s.Create(t.Context(), s.object(t, "User", c.spec)), c.words)
		})
	}
}

func TestUserStatusSchema(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	steps := []struct{ name, status, refusal string }{
		{"a state that does not exist is rejected", `{"state":"Asleep"}`, "status.state"},
		{"negative failures are rejected", `{"failedLogins":-1}`, "status.failedLogins"},
		{"more failures than an int32 holds are rejected", `{"failedLogins":2147483648}`, "status.failedLogins"},
		{"a lock without a time zone is rejected", `{"lockedUntil":"2027-01-01T00:00:00"}`, "status.lockedUntil"},
		{"a lock is set", `{"lockedUntil":"2027-01-01T00:00:00Z","state":"Locked"}`, ""},
		{"a lock is lifted", `{"lockedUntil":null}`, ""},
		{"tokens are revoked", `{"tokensRevokedAt":"2026-11-22T10:00:00Z"}`, ""},
		{"tokens are revoked once more in the same second", `{"tokensRevokedAt":"2026-11-22T10:00:00Z"}`, ""},
		{"the revocation moves on", `{"tokensRevokedAt":"2026-11-22T10:00:01Z"}`, ""},
		{"the revocation does not move back", `{"tokensRevokedAt":"2026-11-22T10:00:00Z"}`, "never moves back"},
		{"the revocation does not go away", `{"tokensRevokedAt":null}`, "cannot be removed"},
		{"a time in the far future", `{"tokensRevokedAt":"2099-01-01T00:00:00Z"}`, ""},
		{"a correction to another time is rejected",
			`{"tokensRevokedAt":"2026-11-22T10:00:02Z","tokensRevokedAtCorrected":"2026-11-22T10:00:03Z"}`, "never moves back"},
		{"a correction of the future", `{"tokensRevokedAt":"2026-11-22T10:00:02Z","tokensRevokedAtCorrected":"2026-11-22T10:00:02Z"}`, ""},
		{"a correction that happened is no way back", `{"tokensRevokedAt":"2026-11-22T10:00:01Z"}`, "never moves back"},
		{"a correction of less than a minute is rejected",
			`{"tokensRevokedAt":"2026-11-22T10:00:01Z","tokensRevokedAtCorrected":"2026-11-22T10:00:01Z"}`, "never moves back"},
	}
	for _, step := range steps {
		err := s.status(t, o, step.status)
		if step.refusal != "" {
			mustRefuse(t, err, step.refusal)
		} else if err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":null}`))
	mustRefuse(t, s.Status().Patch(t.Context(), o.DeepCopy(), patch), "cannot be removed")
}

func TestNewUserIsPending(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{passwords: [{hashFrom: {secretKeyRef: {name: a, key: b}}}]}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	u := &authv1alpha1.User{}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), u); err != nil {
		t.Fatal(err)
	}
	if got := u.Status.Conditions; len(got) != 1 || got[0].Type != "Ready" || got[0].Status != "Unknown" || got[0].Reason != "Pending" {
		t.Errorf("conditions = %+v, want Ready Unknown for Pending", got)
	}
	if got := u.Spec.Passwords[0].Name; got != "default" {
		t.Errorf("the password is named %q, want default", got)
	}
}

func TestUserRoundTrip(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{expiresAt: "2027-01-01T02:00:00+02:00", tokenPolicy: {defaultLifetime: 90m}}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	u := &authv1alpha1.User{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, u); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC); !u.Spec.ExpiresAt.Time.Equal(want) {
		t.Errorf("expiresAt = %v, want %v", u.Spec.ExpiresAt, want)
	}
	if got, err := u.Spec.TokenPolicy.DefaultLifetime.Duration(); got != 90*time.Minute || err != nil {
		t.Errorf("defaultLifetime = %v (%v), want 90m", got, err)
	}
	if got := u.EffectiveLogin(); got != u.Name {
		t.Errorf("login = %q, want the object's name", got)
	}
}
