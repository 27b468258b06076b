package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

const longPhrase = "correct horse battery staple"

// runHashPassword runs the command with this standard input and these arguments.
func runHashPassword(stdin string, args ...string) (stdout, stderr string, err error) {
	cmd := newHashPasswordCommand()
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin string
		args  []string
		class string
	}{
		"argon2id by default":       {longPhrase + "\n", nil, "argon2id m=19456,t=2,p=1"},
		"a Windows newline":         {longPhrase + "\r\n", nil, "argon2id m=19456,t=2,p=1"},
		"no newline":                {longPhrase, nil, "argon2id m=19456,t=2,p=1"},
		"argon2id with other costs": {longPhrase, []string{"--memory", "65536", "--iterations", "1", "--parallelism", "2"}, "argon2id m=65536,t=1,p=2"},
		"bcrypt by default":         {longPhrase, []string{"--format", "bcrypt"}, "bcrypt cost=12"},
		"bcrypt with another cost":  {longPhrase, []string{"--format=bcrypt", "--cost=10"}, "bcrypt cost=10"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := runHashPassword(c.stdin, c.args...)
			if err != nil || stderr != "" {
				t.Fatalf("error %v, standard error %q", err, stderr)
			}
			h, err := password.Parse(stdout)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if h.Class() != c.class {
				t.Errorf("got class %s, want %s", h.Class(), c.class)
			}
			if h.Cost().Time < 100*time.Millisecond && !h.Verify([]byte(longPhrase)) {
				t.Error("got the hash of another password")
			}
		})
	}
}

func TestHashPasswordPrintsSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args                 []string
		name, namespace, key string
	}{
		"with the defaults":                 {[]string{"--secret", "jean"}, "jean", "gatehouse-users", "passwordHash"},
		"with all flags":                    {[]string{"--secret", "a.b", "--namespace", "team", "--key", "old_hash"}, "a.b", "team", "old_hash"},
		"with names that look like numbers": {[]string{"--secret", "1e3", "--namespace", "007", "--key", "true"}, "1e3", "007", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := runHashPassword(longPhrase, c.args...)
			if err != nil || stderr != "" {
				t.Fatalf("error %v, standard error %q", err, stderr)
			}
			var secret corev1.Secret
			if err := yaml.UnmarshalStrict([]byte(stdout), &secret); err != nil {
				t.Fatalf("read manifest: %v", err)
			}
			if secret.APIVersion != "v1" || secret.Kind != "Secret" || secret.Type != corev1.SecretTypeOpaque ||
				secret.Name != c.name || secret.Namespace != c.namespace {
				t.Errorf("manifest is\n%s", stdout)
			}
			h, err := password.Parse(secret.StringData[c.key])
			if err != nil || !h.Verify([]byte(longPhrase)) {
				t.Errorf("the key %s does not hold the hash: %v", c.key, err)
			}
		})
	}
}

func TestHashPasswordWarns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"14 characters":              {"fourteen chars", []string{"--memory=19456"}, "14 characters"},
		"14 characters of two bytes": {strings.Repeat("ü", 14), nil, "14 characters"},
		"a weak cost":                {longPhrase, []string{"--format=bcrypt", "--cost=4"}, "below 10"},
		"too little memory":          {longPhrase, []string{"--memory=64"}, "m=19456"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := runHashPassword(c.stdin, c.args...)
			if err != nil || !strings.Contains(stderr, "warning: ") || !strings.Contains(stderr, c.want) {
				t.Errorf("error %v, standard error %q", err, stderr)
			}
			if strings.Contains(stderr, c.stdin) || !strings.HasPrefix(stdout, "$") {
				t.Errorf("standard output %q, standard error %q", stdout, stderr)
			}
		})
	}
}

func TestHashPasswordRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"an empty input":             {"", nil, "empty"},
		"an empty line":              {"\n", nil, "empty"},
		"two lines":                  {longPhrase + "\nmore\n", nil, "more than one line"},
		"an empty line after it":     {longPhrase + "\n\n", nil, "more than one line"},
		"1025 bytes":                 {strings.Repeat("a", 1025) + "\n", nil, "longer than 1024"},
		"a megabyte":                 {strings.Repeat("a", 1<<20), nil, "longer than 1024"},
		"73 bytes for bcrypt":        {strings.Repeat("a", 73), []string{"--format=bcrypt"}, "72 bytes"},
		"an unknown format":          {longPhrase, []string{"--format=md5"}, "argon2id or bcrypt"},
		"--cost for argon2id":        {longPhrase, []string{"--cost=10"}, "does not apply"},
		"--memory for bcrypt":        {longPhrase, []string{"--format=bcrypt", "--memory=64"}, "does not apply"},
		"a cost above the bound":     {longPhrase, []string{"--format=bcrypt", "--cost=31"}, "15 at most"},
		"memory above the bound":     {longPhrase, []string{"--memory=1048576"}, "512 MiB"},
		"--namespace without Secret": {longPhrase, []string{"--namespace=team"}, "require --secret"},
		"a Secret name in capitals":  {longPhrase, []string{"--secret=Jean"}, "--secret: "},
		"a namespace with a dot":     {longPhrase, []string{"--secret=jean", "--namespace=a.b"}, "--namespace: "},
		"a key with a slash":         {longPhrase, []string{"--secret=jean", "--key=a/b"}, "--key: "},
		"the password as argument":   {"", []string{longPhrase}, "not an argument"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, _, err := runHashPassword(c.stdin, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if stdout != "" || strings.Contains(err.Error(), longPhrase) {
				t.Errorf("standard output is %q, error %q", stdout, err)
			}
		})
	}
}
