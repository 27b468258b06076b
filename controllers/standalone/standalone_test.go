package standalone_test

import (
	"encoding/base64"
	"fmt"
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

func TestUsersAndSecretsOfAFolderLogIn(t *testing.T) {
	h := newHouse(t, map[string]string{
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
	must(t, os.Mkdir(h.path("folder.yaml"), 0o700))
	for login, secret := range map[string]string{"alice": "wonderland", "hash@example.com": "hashed", "json": "right"} {
		if !h.logsIn(login, secret) {
			t.Errorf("%s does not log in", login)
		}
	}
	if h.directory.Len() != 4 || !h.known("listed") {
		t.Errorf("there are %d users, want 4", h.directory.Len())
	}
	if u := h.user("hash@example.com"); u.Key != "gatehouse-users/hash" || u.Groups[0] != "operators" || len(u.UID) != 36 || u.Created.IsZero() {
		t.Errorf("got %+v", u)
	}
	if n := h.log.count("level=ERROR"); n != 0 {
		t.Errorf("the log has errors:\n%s", h.log)
	}
}

func TestWhatAnAPIServerRefusesIsReportedWithFileAndLine(t *testing.T) {
	const line2 = "\n---\n" // what the document begins with, so that its line 1 is line 2 of the file
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
		"a password without source":          {userWith("u", "passwords:\n- hashFrom: {secretKeyRef: {name: s, key: k}}\n- expiresAt: '2030-01-01T00:00:00Z'"), 9, "exactly one of hashFrom and plaintextFrom"},
		"a password with both sources":       {userWith("u", "passwords:\n- hashFrom: {secretKeyRef: {name: s, key: k}}\n  plaintextFrom: {secretKeyRef: {name: s, key: k}}"), 8, "exactly one of hashFrom and plaintextFrom"},
		"a reference without key":            {userWith("u", "passwords:\n- hashFrom:\n    secretKeyRef: {name: s}"), 9, "spec.passwords[0].hashFrom.secretKeyRef.key: Required value"},
		"a time without zone":                {userWith("u", "expiresAt: '2030-01-01 00:00'"), 7, "spec.expiresAt"},
		"a group twice":                      {userWith("u", "groups: [a, b, a]"), 7, "spec.groups[2]: Duplicate value"},
		"a lifetime that is none":            {userWith("u", "tokenPolicy: {maximumLifetime: soon}"), 7, "spec.tokenPolicy.maximumLifetime"},
		"a default lifetime over the limit":  {userWith("u", "tokenPolicy: {defaultLifetime: 2h, maximumLifetime: 1h}"), 7, "must not be longer than maximumLifetime"},
		"a uid that is none":                 {strings.Replace(userWith("u", "revoked: true"), "name: u", "name: u, uid: one", 1), 3, "metadata.uid is no UUID"},
		"a Secret with an unknown field":     {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringdata: {a: b}", 3, "stringdata"},
		"a Secret whose data is no base64":   {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '???'}", 3, "base64"},
		"a Secret with a number for a value": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 1}", 3, "stringData"},
		"a Secret with an impossible key":    {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a/b: c", 7, "stringData[a/b]"},
		"another kind":                       {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}", 3, "only Users and Secrets are read"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, map[string]string{"good.yaml": account("good", "secret"), "z.yaml": line2 + c.text})
			if h.log.count(fmt.Sprintf(`at=z.yaml:%d `, c.line), c.want) == 0 {
				t.Errorf("want z.yaml:%d and %q; the log says\n%s", c.line, c.want, h.log)
			}
			if !h.logsIn("good", "secret") || h.directory.Len() != 1 {
				t.Errorf("%d users, want the good one only", h.directory.Len())
			}
		})
	}
}

func TestAReportHoldsNoValue(t *testing.T) {
	const hash = "$2y$10$zJnaPcLPolqMhHfmIP8I4Os2VgbXPLNCQ1"
	h := newHouse(t, map[string]string{
		"a.yaml": userWith("a", "passwords:\n- hashFrom: '"+hash+"'"),
		"b.yaml": userWith("b", "passwords:\n- hashFrom: {secretKeyRef: {name: s, key: '"+hash+"'}}"),
		"c.yaml": userWith("c", "passwords: ['"+hash+"']"),
		"d.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\ndata: {a: '" + hash + "'}",
		"e.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\nstringData: '" + hash + "'",
		"f.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\nstringData: {a: '" + hash + "}",
		"g.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: g}\nstringData: {p: '" + hash + "'}\n---\n" +
			userWith("g", "passwords:\n- hashFrom: {secretKeyRef: {name: g, key: p}}"),
	})
	if n := h.log.count("level=ERROR"); n < 6 {
		t.Errorf("%d reports, want one for each file", n)
	}
	h.says("at=g.yaml:6", "InvalidHash")
	if strings.Contains(h.log.String(), "zJnaPcLP") {
		t.Errorf("the log quotes a value:\n%s", h.log)
	}
}

func TestTheLastGoodVersionServesWhileANewOneIsBroken(t *testing.T) {
	h := newHouse(t, map[string]string{"users.yaml": account("alice", "one") + "---\n" + account("bob", "one")})
	uid := h.user("alice").UID

	h.write("users.yaml", strings.Replace(account("alice", "two"), "spec:", "spec:\n  login: 'a:b'", 1)+"---\n"+account("bob", "two"))
	h.eventually("bob has the new password", func() bool { return h.logsIn("bob", "two") })
	h.says("User gatehouse-users/alice", "spec.login")
	if !h.logsIn("alice", "two") || h.user("alice").UID != uid {
		t.Error("alice, whose User is broken, must stay, with the Secret that is not")
	}

	h.write("users.yaml", account("bob", "three")+"---\n{")
	h.eventually("bob has the third password", func() bool { return h.logsIn("bob", "three") })
	h.says("at=users.yaml:13", "not valid YAML")
	if !h.logsIn("alice", "two") {
		t.Error("nobody can say that the part that cannot be read does not hold alice")
	}

	h.write("users.yaml", account("bob", "four"))
	h.eventually("alice is gone, now that the file can be read", func() bool { return !h.known("alice") })
	h.says("no longer", "not valid YAML")
}

func TestAReportComesOnce(t *testing.T) {
	h := newHouse(t, map[string]string{"broken.yaml": userWith("u", "lgoin: a"), "lonely.yaml": userWith("lonely", "passwords:\n- hashFrom: {secretKeyRef: {name: nowhere, key: k}}")})
	for i := range 3 {
		name := fmt.Sprint("new", i)
		h.write(name+".yaml", account(name, "x"))
		h.eventually(name+" is there", func() bool { return h.known(name) })
	}
	h.write("broken.yaml", "\n\n"+userWith("u", "lgoin: a"))
	h.write("last.yaml", account("last", "x"))
	h.eventually("the last is there", func() bool { return h.known("last") })
	if n := h.log.count("lgoin"); n != 1 {
		t.Errorf("the broken user was reported %d times", n)
	}
	if n := h.log.count("SecretNotFound", "User gatehouse-users/lonely"); n != 1 {
		t.Errorf("the missing Secret was reported %d times", n)
	}
}

func TestAChangeIsSeenHoweverItIsWritten(t *testing.T) {
	cases := map[string]func(t *testing.T, h *house, text string){
		"renamed into place": func(_ *testing.T, h *house, text string) { h.write("users.yaml", text) },
		"written in place": func(t *testing.T, h *house, text string) {
			must(t, os.WriteFile(h.path("users.yaml"), []byte(text), 0o600))
		},
		"removed and written anew": func(t *testing.T, h *house, text string) {
			h.remove("users.yaml")
			must(t, os.WriteFile(h.path("users.yaml"), []byte(text), 0o600))
		},
		"emptied and filled, as > does for a slow program": func(t *testing.T, h *house, text string) {
			must(t, os.WriteFile(h.path("users.yaml"), nil, 0o600))
			h.says("file is empty, possibly mid-write")
			must(t, os.WriteFile(h.path("users.yaml"), []byte(text), 0o600))
		},
		"moved to another file": func(_ *testing.T, h *house, text string) {
			h.remove("users.yaml")
			h.write("others.yaml", text)
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, map[string]string{"users.yaml": account("alice", "aaa")})
			uid := h.user("alice").UID
			change(t, h, account("alice", "bbb")) // of the same length
			h.eventually("the new password holds", func() bool { return h.logsIn("alice", "bbb") })
			if h.user("alice").UID != uid {
				t.Error("alice is somebody else now")
			}
		})
	}
}

func TestAMountedConfigMapIsFollowed(t *testing.T) {
	h := &house{t: t, dir: t.TempDir()}
	version := func(n int, text string) {
		t.Helper()
		data := fmt.Sprint("..2026_", n)
		must(t, os.Mkdir(h.path(data), 0o700))
		must(t, os.WriteFile(filepath.Join(h.path(data), "users.yaml"), []byte(text), 0o600))
		must(t, os.Symlink(data, h.path("..data_tmp")))
		must(t, os.Rename(h.path("..data_tmp"), h.path("..data")))
	}
	version(1, account("alice", "one"))
	must(t, os.Symlink("..data/users.yaml", h.path("users.yaml")))
	h.start()
	if !h.logsIn("alice", "one") {
		t.Fatal("the first version is not read")
	}
	version(2, account("alice", "two"))
	h.eventually("the second version is read", func() bool { return h.logsIn("alice", "two") })
}

func TestASecretReachesItsUsersWheneverItComes(t *testing.T) {
	both := strings.Split(account("late", "one"), "---\n")
	h := newHouse(t, map[string]string{"user.yaml": both[0]})
	if !h.known("late") || h.logsIn("late", "one") {
		t.Error("a user without its Secret must be known and not log in")
	}
	h.says("SecretNotFound")
	h.write("secret.yaml", both[1])
	h.eventually("the user logs in", func() bool { return h.logsIn("late", "one") })
	h.says("no longer", "SecretNotFound")
	h.remove("secret.yaml")
	h.eventually("the user logs in no more", func() bool { return !h.logsIn("late", "one") })
}

func TestAUserMadeAnewIsAnother(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": account("alice", "x"), "b.yaml": account("bob", "x")})
	alice, bob := h.user("alice"), h.user("bob")
	_, err := h.records.CreateLabelled(t.Context(), record(alice, "token"), live)
	must(t, err)
	h.remove("a.yaml")
	h.eventually("alice is gone", func() bool { return !h.known("alice") })
	if _, ok := h.directory.ByUID(alice.UID); ok {
		t.Error("her UID is still known")
	}
	if _, ok := h.directory.Record(alice.UID, "token"); ok {
		t.Error("the record of her token is still known")
	}
	h.write("a.yaml", account("alice", "x"))
	h.eventually("alice is back", func() bool { return h.known("alice") })
	if h.user("alice").UID == alice.UID || h.user("bob").UID != bob.UID {
		t.Error("want another UID for alice and the same for bob")
	}
}

func TestAUserIsNotForgottenOverAFileThatCannotBeReadAtStart(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": account("alice", "x"), "b.yaml": account("bob", "x"), "c.yaml": account("carol", "x")})
	alice, bob, carol := h.user("alice").UID, h.user("bob").UID, h.user("carol").UID
	h.stop()
	h.write("a.yaml", account("alice", "x")[:50])
	h.write("b.yaml", userWith("bob", "lgoin: b"))
	h.start()
	if h.directory.Len() != 1 {
		t.Errorf("there are %d users, want carol alone", h.directory.Len())
	}
	h.write("a.yaml", account("alice", "x"))
	h.write("b.yaml", account("bob", "x"))
	h.eventually("all are back", func() bool { return h.directory.Len() == 3 })
	if h.user("alice").UID != alice || h.user("bob").UID != bob || h.user("carol").UID != carol {
		t.Error("somebody is somebody else now")
	}
}

func TestAUserWhoLeftWhileTheServiceWasDownIsAnotherWhenMadeAnew(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": account("alice", "x")})
	uid := h.user("alice").UID
	h.stop()
	h.remove("a.yaml")
	h.start()
	h.write("a.yaml", account("alice", "x"))
	h.eventually("alice is back", func() bool { return h.known("alice") })
	if h.user("alice").UID == uid {
		t.Error("she has the same UID")
	}
}

func TestTheFolderMayBeAwayForAWhile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "manifests")
	must(t, os.Mkdir(dir, 0o700))
	h := &house{t: t, dir: dir}
	h.write("a.yaml", account("alice", "x"))
	h.start()
	uid := h.user("alice").UID
	must(t, os.Rename(dir, dir+".away"))
	h.says("cannot be read; everything stays")
	if !h.logsIn("alice", "x") {
		t.Error("alice is gone with the folder")
	}
	must(t, os.Rename(dir+".away", dir))
	h.write("a.yaml", account("alice", "back"))
	h.eventually("the folder is followed again", func() bool { return h.logsIn("alice", "back") })
	if h.user("alice").UID != uid {
		t.Error("alice is somebody else")
	}
}

func TestAnObjectInTwoFilesIsThatOfTheFirst(t *testing.T) {
	h := newHouse(t, map[string]string{"b.yaml": account("alice", "second"), "a.yaml": account("alice", "first")})
	if !h.logsIn("alice", "first") {
		t.Error("the first file must win")
	}
	h.says("at=b.yaml:1", "it is also in a.yaml:1")
	h.remove("a.yaml")
	h.eventually("the second takes over", func() bool { return h.logsIn("alice", "second") })
}

const (
	uidA = "11111111-1111-4111-8111-111111111111"
	uidB = "22222222-2222-4222-8222-222222222222"
)

func withUID(name, uid string) string {
	return strings.Replace(account(name, "x"), "metadata: {name: "+name+"}\nspec", "metadata: {name: "+name+", uid: "+uid+
		", creationTimestamp: '2020-01-01T00:00:00Z'}\nspec", 1)
}

func TestAGivenUIDIsKept(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": withUID("alice", uidA)})
	alice := h.user("alice")
	if alice.UID != uidA || alice.Created.Year() != 2020 {
		t.Errorf("got %s, created %s", alice.UID, alice.Created)
	}
	must(t, h.records.Revoke(t.Context(), record(alice, "revoked")))
	must(t, h.records.RevokeUser(t.Context(), alice, time.Now()))
	h.remove("a.yaml")
	h.eventually("alice is gone", func() bool { return !h.known("alice") })
	h.write("a.yaml", withUID("alice", uidA))
	h.eventually("alice is back", func() bool { return h.known("alice") })
	back := h.user("alice")
	if r, ok := h.directory.Record(alice.UID, "revoked"); back.UID != uidA || !ok || !r.Revoked || back.CheckToken(alice.Created) == nil {
		t.Error("a user who comes back under the same UID must find every revocation")
	}
	h.write("a.yaml", withUID("alice", uidB))
	h.eventually("alice is another", func() bool { return h.user("alice").UID == uidB })
}

func TestOneUIDIsOneUser(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": withUID("alice", uidA), "b.yaml": withUID("bob", uidA)})
	if h.directory.Len() != 1 || !h.known("alice") {
		t.Errorf("%d users, want alice alone", h.directory.Len())
	}
	h.says("at=b.yaml:1", "metadata.uid is that of User gatehouse-users/alice, in a.yaml:1")
	h.write("b.yaml", withUID("bob", uidB))
	h.eventually("bob is there", func() bool { return h.known("bob") })
	h.write("a.yaml", withUID("alice", uidB))
	h.write("c.yaml", account("carol", "x"))
	h.eventually("carol is there", func() bool { return h.known("carol") })
	if h.user("alice").UID == h.user("bob").UID {
		t.Error("alice and bob are one")
	}
}

func TestAUserMayBeRenamedUnderItsUID(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": account("alice", "x")})
	alice := h.user("alice")
	must(t, h.records.Revoke(t.Context(), record(alice, "revoked")))
	h.write("a.yaml", withUID("alicia", alice.UID))
	h.eventually("the new name has the UID", func() bool { return h.known("alicia") && !h.known("alice") })
	if r, ok := h.directory.Record(alice.UID, "revoked"); h.user("alicia").UID != alice.UID || !ok || !r.Revoked {
		t.Error("the revocation is forgotten")
	}
}

func TestOfTwoUsersWithOneLoginTheOlderHasIt(t *testing.T) {
	h := newHouse(t, map[string]string{
		"a.yaml": userWith("younger", "login: shared") + "---\n" + userWith("later", "login: same"),
		"b.yaml": "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: older, creationTimestamp: '2020-01-01T00:00:00Z'}\nspec: {login: shared}",
		"c.yaml": userWith("last", "login: same"),
	})
	if got := h.user("shared").Key; got != "gatehouse-users/older" {
		t.Errorf("shared is the login of %s", got)
	}
	if got := h.user("same").Key; got != "gatehouse-users/later" {
		t.Errorf("same is the login of %s, want that of the first file", got)
	}
	h.says("at=a.yaml:1", "LoginConflict", "gatehouse-users/older")
}

func TestStartSaysWhatIsWrongWithItsFolders(t *testing.T) {
	h := newHouse(t, nil)
	config := standalone.Config{
		Dir: filepath.Join(h.dir, "nowhere"), Store: h.store, Records: h.records, Directory: directory.New(),
		Keyer: password.NewKeyer(), Log: settle(), Now: time.Now,
	}
	m, err := standalone.New(config)
	must(t, err)
	if err := m.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "--manifests") {
		t.Errorf("got error %v", err)
	}
	config.Dir = h.store.Dir()
	if _, err := standalone.New(config); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("got error %v", err)
	}
}

func TestTheLossOfMostUsersIsSaidAloud(t *testing.T) {
	var all []string
	for i := range 20 {
		all = append(all, account(fmt.Sprint("u", i), "x"))
	}
	h := newHouse(t, map[string]string{"users.yaml": strings.Join(all, "---\n")})
	_, err := statedir.ReadEntries(h.store.Dir(), "revisions")
	must(t, err)
	h.write("users.yaml", all[0])
	h.eventually("one is left", func() bool { return h.directory.Len() == 1 })
	h.says("more than half of all users were removed", "removed=19", "before=20")
}
