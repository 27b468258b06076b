package trust_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/trust"
)

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"

func TestFileOfTrustedIssuers(t *testing.T) {
	t.Parallel()
	got, err := trust.Parse([]byte(head + `jwt:
- issuer:
    url: https://token.actions.githubusercontent.com
    audiences: [https://gatehouse.example.com, other]
- issuer:
    url: https://login.example.com
    discoveryURL: https://internal.example.com/.well-known/openid-configuration
`))
	want := []trust.Issuer{
		{URL: "https://token.actions.githubusercontent.com", Audiences: []string{"https://gatehouse.example.com", "other"}},
		{URL: "https://login.example.com", DiscoveryURL: "https://internal.example.com/.well-known/openid-configuration"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, empty := range []string{head, head + "jwt: []\n"} {
		if got, err := trust.Parse([]byte(empty)); err != nil || len(got) != 0 {
			t.Errorf("without issuers: %+v, %v", got, err)
		}
	}
}

func TestFaultsHaveNameAndLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":           {"", "line 1: the file has no content"},
		"no YAML":           {"a: [", "not valid YAML"},
		"two documents":     {head + "---\n" + head, "one document"},
		"a list":            {"- a\n", "line 1: the file must be an object"},
		"another kind":      {"apiVersion: apiserver.config.k8s.io/v1\nkind: Other\n", "kind must be AuthenticationConfiguration"},
		"another version":   {"apiVersion: v1\nkind: AuthenticationConfiguration\n", "apiVersion must be apiserver.config.k8s.io/v1"},
		"anonymous":         {head + "anonymous: {enabled: true}\n", "line 3: anonymous is not supported"},
		"claim mappings":    {head + "jwt:\n- issuer: {url: https://a.test}\n  claimMappings: {}\n", "line 5: jwt[0].claimMappings is not supported"},
		"a match policy":    {head + "jwt:\n- issuer:\n    url: https://a.test\n    audienceMatchPolicy: MatchAny\n", "line 6: jwt[0].issuer.audienceMatchPolicy is not supported"},
		"no issuer":         {head + "jwt:\n- {}\n", "line 4: jwt[0].issuer is missing"},
		"no URL":            {head + "jwt:\n- issuer: {audiences: [a]}\n", "line 4: jwt[0].issuer.url is missing"},
		"plain HTTP":        {head + "jwt:\n- issuer: {url: http://a.test}\n", "line 4: jwt[0].issuer.url must be an https URL"},
		"a query":           {head + "jwt:\n- issuer: {url: 'https://a.test?x=1'}\n", "line 4: jwt[0].issuer.url must be an https URL"},
		"a fragment":        {head + "jwt:\n- issuer: {url: 'https://a.test#x'}\n", "line 4: jwt[0].issuer.url must be an https URL"},
		"credentials":       {head + "jwt:\n- issuer: {url: 'https://a:b@a.test'}\n", "line 4: jwt[0].issuer.url must be an https URL"},
		"a long URL":        {head + "jwt:\n- issuer: {url: 'https://a.test/" + strings.Repeat("x", 500) + "'}\n", "line 4: jwt[0].issuer.url must be an https URL"},
		"a discovery URL":   {head + "jwt:\n- issuer: {url: https://a.test, discoveryURL: http://a.test}\n", "line 4: jwt[0].issuer.discoveryURL must be an https URL"},
		"many issuers":      {head + "jwt:\n" + strings.Repeat("- issuer: {url: https://a.test}\n", 65), "line 4: jwt has more than 64 items"},
		"many audiences":    {head + "jwt:\n- issuer: {url: https://a.test, audiences: [" + strings.Repeat("a,", 17) + "]}\n", "jwt[0].issuer.audiences has more than 16 items"},
		"a number":          {head + "jwt:\n- issuer: {url: 7}\n", "line 4: jwt[0].issuer.url must be a string"},
		"a repeated field":  {head + "jwt:\n- issuer:\n    url: https://a.test\n    url: https://b.test\n", "line 6: jwt[0].issuer.url is repeated"},
		"an issuer twice":   {head + "jwt:\n- issuer: {url: https://a.test}\n- issuer: {url: https://a.test}\n", "line 5: jwt[1].issuer.url is that of an earlier issuer"},
		"an empty audience": {head + "jwt:\n- issuer: {url: https://a.test, audiences: ['']}\n", "jwt[0].issuer.audiences[0] is empty"},
		"no certificate":    {head + "jwt:\n- issuer:\n    url: https://a.test\n    certificateAuthority: x\n", "line 6: jwt[0].issuer.certificateAuthority holds no certificate"},
		"too large":         {head + strings.Repeat("# comment\n", 200_000), "larger than"},
	} {
		if _, err := trust.Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "jwt:\n- issuer: {url: https://a.test, audiences: [b]}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? {}\n: 1"))
	f.Add([]byte("--- {}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		issuers, err := trust.Parse(text)
		for _, i := range issuers {
			if err == nil && !strings.HasPrefix(strings.ToLower(i.URL), "https://") {
				t.Errorf("an issuer with the URL %q", i.URL)
			}
		}
	})
}
