package standalone_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

func TestUsersOfFolderLogIn(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{
		"users.yaml": "# only a comment\n---\n" + account("alice", "wonderland") + "---\n" + userWith("hash", `
login: hash@example.com
groups: [operators]
passwords:
- hashFrom: {secretKeyRef: {name: hashes, key: hash}}`),
		"secrets.yml": "apiVersion: v1\nkind: Secret\nmetadata: {name: hashes, namespace: gatehouse-users}\ndata: {hash: " +
			base64.StdEncoding.EncodeToString([]byte(bcryptOf(t, "hashed"))) + "}\n",
		"more.json": `{"apiVersion":"auth.gatehouse.dev/v1alpha1","kind":"User","metadata":{"name":"json"},"spec":
			{"passwords":[{"plaintextFrom":{"secretKeyRef":{"name":"json","key":"p"}}}]}}
			{"apiVersion":"v1","kind":"Secret","metadata":{"name":"json"},"data":{"p":"d3Jvbmc="},"stringData":{"p":"right"}}`,
		"listed.yaml": `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"auth.gatehouse.dev/v1alpha1","kind":"User",
			"metadata":{"name":"listed","resourceVersion":"7"},"spec":{},"status":{"state":"Nonsense"}}]}`,
		"kustomization.yaml": "resources: [users.yaml]\n",
		"notes.txt":          "not a manifest",
		".hidden.yaml":       account("hidden", "x"),
	})
	must(t, os.Mkdir(s.path("folder.yaml"), 0o700))
	for login, secret := range map[string]string{"alice": "wonderland", "hash@example.com": "hashed", "json": "right"} {
		if !s.logsIn(login, secret) {
			t.Errorf("%s cannot log in", login)
		}
	}
	if s.directory.Len() != 4 || !s.known("listed") {
		t.Errorf("got %d users, want 4 with listed", s.directory.Len())
	}
	if u := s.user("hash@example.com"); u.Key != "gatehouse-users/hash" || u.Groups[0] != "operators" || len(u.UID) != 36 || u.Created.IsZero() {
		t.Errorf("got %+v", u)
	}
	if n := s.log.count("level=ERROR"); n != 0 {
		t.Errorf("the log has errors:\n%s", s.log)
	}
}

func TestFaultsAreLoggedWithFileAndLine(t *testing.T) {
	t.Parallel()
	const line2 = "\n---\n" // line 1 of the document is line 2 of the file
	long := strings.Repeat("x", 300)
	cases := map[string]struct {
		text string
		line int
		want string
	}{
		"a tab":                              {"kind: User\n\tmetadata: {}\n", 4, "not valid YAML"},
		"an open brace":                      {"apiVersion: {", 3, "not valid YAML"},
		"a key twice":                        {userWith("u", "login: a\nlogin: b"), 8, "already set"},
		"text":                               {"just text", 3, "not an object"},
		"no kind":                            {"metadata: {name: u}", 3, "apiVersion and kind are missing"},
		"another version":                    {"apiVersion: auth.gatehouse.dev/v1\nkind: User\nmetadata: {name: u}\nspec: {}", 3, "apiVersion must be"},
		"no name":                            {"apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {}\nspec: {}", 5, "metadata.name"},
		"no spec":                            {"apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: u}", 3, "spec: Required value"},
		"a name with capitals":               {userWith("Upper", "revoked: true"), 5, "metadata.name"},
		"an unknown field":                   {userWith("u", "lgoin: a"), 7, "spec.lgoin: unknown field"},
		"an unknown field of metadata":       {"apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: u,\n  nmespace: x}\nspec: {}", 6, "unknown field"},
		"a login with a colon":               {userWith("u", "login: 'a:b'"), 7, "spec.login"},
		"an empty login":                     {userWith("u", "login: ''"), 7, "spec.login"},
		"a login too long":                   {userWith("u", "login: "+long), 7, "spec.login"},
		"a number as login":                  {userWith("u", "login: 5"), 7, "spec.login"},
		"five passwords":                     {userWith("u", "passwords:"+strings.Repeat("\n- hashFrom: {secretKeyRef: {name: s, key: k}}", 5)), 7, "spec.passwords"},
		"a password without source":          {userWith("u", "passwords:\n- hashFrom: {secretKeyRef: {name: s, key: k}}\n- name: b\n  expiresAt: '2030-01-01T00:00:00Z'"), 9, "exactly one of hashFrom and plaintextFrom"},
		"a password with both sources":       {userWith("u", "passwords:\n- hashFrom: {secretKeyRef: {name: s, key: k}}\n  plaintextFrom: {secretKeyRef: {name: s, key: k}}"), 8, "exactly one of hashFrom and plaintextFrom"},
		"a reference without key":            {userWith("u", "passwords:\n- hashFrom:\n    secretKeyRef: {name: s}"), 9, "spec.passwords[0].hashFrom.secretKeyRef.key: Required value"},
		"a time without zone":                {userWith("u", "expiresAt: '2030-01-01 00:00'"), 7, "spec.expiresAt"},
		"a group twice":                      {userWith("u", "groups: [a, b, a]"), 7, "spec.groups[2]: Duplicate value"},
		"an invalid lifetime":                {userWith("u", "tokenPolicy: {maximumLifetime: soon}"), 7, "spec.tokenPolicy.maximumLifetime"},
		"a default lifetime over the limit":  {userWith("u", "tokenPolicy: {defaultLifetime: 2h, maximumLifetime: 1h}"), 7, "must not be longer than maximumLifetime"},
		"an invalid uid":                     {strings.Replace(userWith("u", "revoked: true"), "name: u", "name: u, uid: one", 1), 3, "metadata.uid is not a UUID"},
		"a Secret with an unknown field":     {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringdata: {a: b}", 3, "stringdata"},
		"a Secret with invalid base64":       {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '???'}", 3, "base64"},
		"a Secret with a number for a value": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 1}", 3, "stringData"},
		"a Secret with an impossible key":    {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a/b: c", 7, "stringData[a/b]"},
		"another kind":                       {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}", 3, "only Users, Secrets and Revocations are read"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, map[string]string{"good.yaml": account("good", "secret"), "z.yaml": line2 + c.text})
			if s.log.count(fmt.Sprintf(`at=z.yaml:%d `, c.line), c.want) == 0 {
				t.Errorf("want z.yaml:%d and %q in the log:\n%s", c.line, c.want, s.log)
			}
			if !s.logsIn("good", "secret") || s.directory.Len() != 1 {
				t.Errorf("got %d users, want only good, with its password", s.directory.Len())
			}
		})
	}
}

func TestReportsQuoteNoValue(t *testing.T) {
	t.Parallel()
	const hash = "$2y$10$zJnaPcLPolqMhHfmIP8I4Os2VgbXPLNCQ1"
	s := newService(t, map[string]string{
		"a.yaml": userWith("a", "passwords:\n- hashFrom: '"+hash+"'"),
		"b.yaml": userWith("b", "passwords:\n- hashFrom: {secretKeyRef: {name: s, key: '"+hash+"'}}"),
		"c.yaml": userWith("c", "passwords: ['"+hash+"']"),
		"d.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\ndata: {a: '" + hash + "'}",
		"e.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\nstringData: '" + hash + "'",
		"f.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\nstringData: {a: '" + hash + "}",
		"g.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: g}\nstringData: {p: '" + hash + "'}\n---\n" +
			userWith("g", "passwords:\n- hashFrom: {secretKeyRef: {name: g, key: p}}"),
	})
	if n := s.log.count("level=ERROR"); n < 6 {
		t.Errorf("got %d reports, want at least 6", n)
	}
	s.logs("at=g.yaml:6", "InvalidHash")
	if strings.Contains(s.log.String(), "zJnaPcLP") {
		t.Errorf("the log quotes a value:\n%s", s.log)
	}
}

func TestLastGoodVersionStaysInForce(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "one") + "---\n" + account("bob", "one")})
	uid := s.user("alice").UID

	s.write("users.yaml", strings.Replace(account("alice", "two"), "spec:", "spec:\n  login: 'a:b'", 1)+"---\n"+account("bob", "two"))
	s.eventually("bob has the new password", func() bool { return s.logsIn("bob", "two") })
	s.logs("User gatehouse-users/alice", "spec.login")
	if !s.logsIn("alice", "two") || s.user("alice").UID != uid {
		t.Error("alice did not keep her User with the new version of her Secret")
	}

	s.write("users.yaml", account("bob", "three")+"---\n{")
	s.eventually("bob has the third password", func() bool { return s.logsIn("bob", "three") })
	s.logs("at=users.yaml:13", "not valid YAML")
	if !s.logsIn("alice", "two") {
		t.Error("alice is gone, although the part that cannot be parsed may declare her")
	}

	s.write("users.yaml", account("bob", "four"))
	s.eventually("alice is gone once the file can be parsed", func() bool { return !s.known("alice") })
	s.logs("resolved", "not valid YAML")
}

func TestProblemsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"broken.yaml": userWith("u", "lgoin: a"), "lonely.yaml": userWith("lonely", "passwords:\n- hashFrom: {secretKeyRef: {name: nowhere, key: k}}")})
	for i := range 3 {
		name := fmt.Sprint("new", i)
		s.write(name+".yaml", account(name, "x"))
		s.eventually(name+" is in the directory", func() bool { return s.known(name) })
	}
	s.write("broken.yaml", "\n\n"+userWith("u", "lgoin: a"))
	s.write("last.yaml", account("last", "x"))
	s.eventually("last is in the directory", func() bool { return s.known("last") })
	if n := s.log.count("lgoin"); n != 1 {
		t.Errorf("the broken User was reported %d times, want once", n)
	}
	if n := s.log.count("SecretNotFound", "User gatehouse-users/lonely"); n != 1 {
		t.Errorf("the missing Secret was reported %d times, want once", n)
	}
}

func TestChangesAreSeenHoweverWritten(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, s *service, text string){
		"renamed into place": func(_ *testing.T, s *service, text string) { s.write("users.yaml", text) },
		"written in place": func(t *testing.T, s *service, text string) {
			must(t, os.WriteFile(s.path("users.yaml"), []byte(text), 0o600))
		},
		"removed and written again": func(t *testing.T, s *service, text string) {
			s.remove("users.yaml")
			must(t, os.WriteFile(s.path("users.yaml"), []byte(text), 0o600))
		},
		"truncated and filled later": func(t *testing.T, s *service, text string) {
			must(t, os.WriteFile(s.path("users.yaml"), nil, 0o600))
			s.logs("file is empty, possibly mid-write")
			must(t, os.WriteFile(s.path("users.yaml"), []byte(text), 0o600))
		},
		"moved to another file": func(_ *testing.T, s *service, text string) {
			s.remove("users.yaml")
			s.write("others.yaml", text)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, map[string]string{"users.yaml": account("alice", "aaa")})
			uid := s.user("alice").UID
			change(t, s, account("alice", "bbb")) // of the same length
			s.eventually("the new password is accepted", func() bool { return s.logsIn("alice", "bbb") })
			if s.user("alice").UID != uid {
				t.Error("alice has another UID")
			}
		})
	}
}

func TestMountedConfigMapIsFollowed(t *testing.T) {
	t.Parallel()
	s := &service{t: t, dir: t.TempDir()}
	version := func(n int, text string) {
		t.Helper()
		data := fmt.Sprint("..2026_", n)
		must(t, os.Mkdir(s.path(data), 0o700))
		must(t, os.WriteFile(filepath.Join(s.path(data), "users.yaml"), []byte(text), 0o600))
		must(t, os.Symlink(data, s.path("..data_tmp")))
		must(t, os.Rename(s.path("..data_tmp"), s.path("..data")))
	}
	version(1, account("alice", "one"))
	must(t, os.Symlink("..data/users.yaml", s.path("users.yaml")))
	s.start()
	if !s.logsIn("alice", "one") {
		t.Fatal("alice cannot log in with the first version")
	}
	version(2, account("alice", "two"))
	s.eventually("alice can log in with the second version", func() bool { return s.logsIn("alice", "two") })
}

func TestSecretMayFollowItsUser(t *testing.T) {
	t.Parallel()
	both := strings.Split(account("late", "one"), "---\n")
	s := newService(t, map[string]string{"user.yaml": both[0]})
	if !s.known("late") || s.logsIn("late", "one") {
		t.Error("a user without its Secret must be in the directory and not log in")
	}
	s.logs("SecretNotFound")
	s.write("secret.yaml", both[1])
	s.eventually("the user logs in", func() bool { return s.logsIn("late", "one") })
	s.logs("resolved", "SecretNotFound")
	s.remove("secret.yaml")
	s.eventually("the user cannot log in", func() bool { return !s.logsIn("late", "one") })
}

func TestRecreatedUserGetsNewUID(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("alice", "x"), "b.yaml": account("bob", "x")})
	alice, bob := s.user("alice"), s.user("bob")
	_, err := s.records.Create(t.Context(), record(alice, "token"), live)
	must(t, err)
	s.remove("a.yaml")
	s.eventually("alice is gone", func() bool { return !s.known("alice") })
	if _, ok := s.directory.ByUID(alice.UID); ok {
		t.Error("alice's UID is still in the directory")
	}
	if _, ok := s.directory.Record(alice.UID, "token"); ok {
		t.Error("the record of alice's token is still in the directory")
	}
	s.write("a.yaml", account("alice", "x"))
	s.eventually("alice is back", func() bool { return s.known("alice") })
	if s.user("alice").UID == alice.UID || s.user("bob").UID != bob.UID {
		t.Error("want a new UID for alice and the same for bob")
	}
}

func TestUserKeepsUIDWhenFileIsBrokenAtStart(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("alice", "x"), "b.yaml": account("bob", "x"), "c.yaml": account("carol", "x")})
	alice, bob, carol := s.user("alice").UID, s.user("bob").UID, s.user("carol").UID
	s.stop()
	s.write("a.yaml", account("alice", "x")[:50])
	s.write("b.yaml", userWith("bob", "lgoin: b"))
	s.start()
	if s.directory.Len() != 1 {
		t.Errorf("got %d users, want only carol", s.directory.Len())
	}
	s.write("a.yaml", account("alice", "x"))
	s.write("b.yaml", account("bob", "x"))
	s.eventually("all are back", func() bool { return s.directory.Len() == 3 })
	if s.user("alice").UID != alice || s.user("bob").UID != bob || s.user("carol").UID != carol {
		t.Error("a user has another UID")
	}
}

func TestUserRemovedWhileDownGetsNewUID(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("alice", "x")})
	uid := s.user("alice").UID
	s.stop()
	s.remove("a.yaml")
	s.start()
	s.write("a.yaml", account("alice", "x"))
	s.eventually("alice is back", func() bool { return s.known("alice") })
	if s.user("alice").UID == uid {
		t.Error("alice has the same UID")
	}
}

func TestMissingFolderKeepsUsers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "manifests")
	must(t, os.Mkdir(dir, 0o700))
	s := &service{t: t, dir: dir}
	s.write("a.yaml", account("alice", "x"))
	s.start()
	uid := s.user("alice").UID
	must(t, os.Rename(dir, dir+".away"))
	s.logs("cannot read the manifest folder; keeping all users")
	if !s.logsIn("alice", "x") {
		t.Error("alice is gone with the folder")
	}
	must(t, os.Rename(dir+".away", dir))
	s.write("a.yaml", account("alice", "back"))
	s.eventually("the folder is followed again", func() bool { return s.logsIn("alice", "back") })
	if s.user("alice").UID != uid {
		t.Error("alice has another UID")
	}
}

func TestFirstFileWins(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"b.yaml": account("alice", "second"), "a.yaml": account("alice", "first")})
	if !s.logsIn("alice", "first") {
		t.Error("alice does not have the password of the first file")
	}
	s.logs("at=b.yaml:1", "duplicate of a.yaml:1")
	s.remove("a.yaml")
	s.eventually("the second file takes effect", func() bool { return s.logsIn("alice", "second") })
}

const (
	uidA = "11111111-1111-4111-8111-111111111111"
	uidB = "22222222-2222-4222-8222-222222222222"
)

func withUID(name, uid string) string {
	return strings.Replace(account(name, "x"), "metadata: {name: "+name+"}\nspec", "metadata: {name: "+name+", uid: "+uid+
		", creationTimestamp: '2020-01-01T00:00:00Z'}\nspec", 1)
}

func TestUIDFromManifest(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": withUID("alice", uidA)})
	alice := s.user("alice")
	if alice.UID != uidA || alice.Created.Year() != 2020 {
		t.Errorf("got UID %s, created %s", alice.UID, alice.Created)
	}
	must(t, s.records.Revoke(t.Context(), record(alice, "revoked")))
	must(t, s.records.RevokeUser(t.Context(), alice, time.Now()))
	s.remove("a.yaml")
	s.eventually("alice is gone", func() bool { return !s.known("alice") })
	s.write("a.yaml", withUID("alice", uidA))
	s.eventually("alice is back", func() bool { return s.known("alice") })
	back := s.user("alice")
	if r, ok := s.directory.Record(alice.UID, "revoked"); back.UID != uidA || !ok || !r.Revoked || back.CheckToken(alice.Created) == nil {
		t.Error("a user who comes back with the same UID must have all revocations")
	}
	s.write("a.yaml", withUID("alice", uidB))
	s.eventually("alice has the new UID", func() bool {
		u, ok := s.directory.ByLogin("alice") // which no one has while one user makes room for the other
		return ok && u.UID == uidB
	})
}

func TestDuplicateUIDIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": withUID("alice", uidA), "b.yaml": withUID("bob", uidA)})
	if s.directory.Len() != 1 || !s.known("alice") {
		t.Errorf("got %d users, want only alice", s.directory.Len())
	}
	s.logs("at=b.yaml:1", "metadata.uid is that of User gatehouse-users/alice in a.yaml:1")
	s.write("b.yaml", withUID("bob", uidB))
	s.eventually("bob is in the directory", func() bool { return s.known("bob") })
	s.write("a.yaml", withUID("alice", uidB))
	s.write("c.yaml", account("carol", "x"))
	s.eventually("carol is in the directory", func() bool { return s.known("carol") })
	if s.user("alice").UID == s.user("bob").UID {
		t.Error("alice and bob have the same UID")
	}
}

func TestRenamedUserKeepsUID(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("alice", "x")})
	alice := s.user("alice")
	must(t, s.records.Revoke(t.Context(), record(alice, "revoked")))
	s.write("a.yaml", withUID("alicia", alice.UID))
	s.eventually("the new name has the UID", func() bool { return s.known("alicia") && !s.known("alice") })
	if r, ok := s.directory.Record(alice.UID, "revoked"); s.user("alicia").UID != alice.UID || !ok || !r.Revoked {
		t.Error("the UID or the revocation is lost")
	}
}

func TestOlderUserHasSharedLogin(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{
		"a.yaml": userWith("younger", "login: shared") + "---\n" + userWith("later", "login: same"),
		"b.yaml": "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: older, creationTimestamp: '2020-01-01T00:00:00Z'}\nspec: {login: shared}",
		"c.yaml": userWith("last", "login: same"),
	})
	if got := s.user("shared").Key; got != "gatehouse-users/older" {
		t.Errorf("shared is the login of %s, want the older user", got)
	}
	if got := s.user("same").Key; got != "gatehouse-users/later" {
		t.Errorf("same is the login of %s, want the user of the first file", got)
	}
	s.logs("at=a.yaml:1", "LoginConflict", "gatehouse-users/older")
}

func TestFolderErrorsNameTheFlag(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	config := standalone.Config{
		Dir: filepath.Join(s.dir, "nowhere"), Store: s.store, Records: s.records, Directory: directory.New(),
		Keyer: password.NewKeyer(), Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	m, err := standalone.New(config)
	must(t, err)
	if err := m.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "--manifests") {
		t.Errorf("got error %v, want one that names --manifests", err)
	}
	config.Dir = s.store.Dir()
	if _, err := standalone.New(config); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("got error %v, want one that names --state-dir", err)
	}
}

func TestLossOfMostUsersIsLogged(t *testing.T) {
	t.Parallel()
	var all []string
	for i := range 20 {
		all = append(all, account(fmt.Sprint("u", i), "x"))
	}
	s := newService(t, map[string]string{"users.yaml": strings.Join(all, "---\n")})
	_, err := statedir.ReadEntries(s.store.Dir(), "revisions")
	must(t, err)
	s.write("users.yaml", all[0])
	s.eventually("one user is left", func() bool { return s.directory.Len() == 1 })
	s.logs("more than half of all users were removed", "removed=19", "before=20")
}

// Without a cluster a Tenant bounds nobody, so the service says so instead of ignoring it.
func TestTenantInAFolderIsReported(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("jean", "first") + "---\n" +
		"apiVersion: auth.gatehouse.dev/v1alpha1\nkind: Tenant\nmetadata: {name: team-a}\nspec: {namespaces: [team-a-users], logins: {exact: [a]}}\n"})
	s.logs("team-a", "a folder has no Tenants")
	s.eventually("the User in the same file logs in", func() bool { return s.logsIn("jean", "first") })
}
