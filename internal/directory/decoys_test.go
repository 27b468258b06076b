package directory_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

const (
	argon2  = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAphArZDZ2YHeoBE"
	bcrypt  = "$2b$%02d$c8PZoWk6G.7lH9jpG1eZ2Orm0viPYInFcjQifo5Y6hMuvjabqdtyK"
	costly  = "$2b$14$c8PZoWk6G.7lH9jpG1eZ2Orm0viPYInFcjQifo5Y6hMuvjabqdtyK" // costs more than everyone may be charged with
	decoyed = "a key that the replicas share"
)

// population returns the passwords of many users by login, in the shares of its kinds.
func population(t *testing.T, users int, shares map[string]int) map[string][]*password.Hash {
	t.Helper()
	plain := password.NewKeyer().NewPlaintext([]byte("machine"))
	kinds := map[string][]*password.Hash{
		"argon2id": {parsed(t, argon2)}, "bcrypt 10": {parsed(t, fmt.Sprintf(bcrypt, 10))}, "bcrypt 12": {parsed(t, fmt.Sprintf(bcrypt, 12))},
		"two":       {parsed(t, fmt.Sprintf(bcrypt, 10)), parsed(t, fmt.Sprintf(bcrypt, 10))},
		"plaintext": {plain}, "both": {plain, parsed(t, argon2)}, "none": nil, "costly": {parsed(t, costly)},
	}
	all := map[string][]*password.Hash{}
	for _, kind := range slices.Sorted(maps.Keys(shares)) {
		for range users * shares[kind] / 100 {
			all[fmt.Sprintf("user-%d", len(all))] = kinds[kind]
		}
	}
	return all
}

func parsed(t *testing.T, encoded string) *password.Hash {
	t.Helper()
	h, err := password.Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// replica returns the directory of a process that has just started, and read the users in some order.
func replica(users map[string][]*password.Hash) *directory.Directory {
	d := directory.New()
	logins := slices.Collect(maps.Keys(users))
	rand.Shuffle(len(logins), func(i, j int) { logins[i], logins[j] = logins[j], logins[i] })
	for _, login := range logins {
		u := user(login, login, 1)
		u.Credentials = &directory.Credentials{Revision: "1"}
		for _, h := range users[login] {
			u.Credentials.Passwords = append(u.Credentials.Passwords, directory.Password{Hash: h})
		}
		d.Put(u)
	}
	d.UseDecoySecret([]byte(decoyed))
	return d
}

// work returns which hashes a refusal of a login computes, without their order.
func work(d *directory.Directory, login string) string {
	var hashes []*password.Hash
	if u, ok := d.ByLogin(login); ok {
		for _, p := range u.Credentials.Passwords {
			hashes = append(hashes, p.Hash)
		}
		hashes = append(hashes, d.TopUp(login, hashes)...)
	} else {
		hashes = d.Decoys(login)
	}
	var classes []string
	for _, h := range hashes {
		if !h.Free() {
			classes = append(classes, h.Class())
		}
	}
	slices.Sort(classes)
	return strings.Join(classes, ", ")
}

// An observer who sees exactly what work each of ten refusals does, at three replicas that restart in
// between, cannot tell logins that exist from others. The classifier is trained on half of the logins
// of each kind, and judged on the other half.
func TestRefusalsDoTheSameWorkAtEveryReplica(t *testing.T) {
	t.Parallel()
	for name, shares := range map[string]map[string]int{
		"all kinds":         {"argon2id": 20, "bcrypt 10": 20, "bcrypt 12": 20, "plaintext": 20, "none": 10, "two": 5, "both": 5},
		"plaintext":         {"plaintext": 100},
		"mostly plaintext":  {"plaintext": 98, "bcrypt 12": 2},
		"some costly":       {"bcrypt 10": 50, "plaintext": 20, "costly": 30},
		"very few costly":   {"argon2id": 98, "costly": 2},
		"everyone's costly": {"costly": 90, "none": 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const logins = 600
			users := population(t, logins, shares)
			seen := map[bool][]string{}
			var replicas [3]*directory.Directory
			observed := map[string][]string{}
			for request := range 10 {
				if request%4 == 0 { // they start, and restart
					for i := range replicas {
						replicas[i] = replica(users)
					}
				}
				for i := range logins {
					for _, login := range []string{fmt.Sprintf("user-%d", i), fmt.Sprintf("absent-%d", i)} {
						observed[login] = append(observed[login], work(replicas[request%3], login))
					}
				}
			}
			for i := range logins {
				seen[true] = append(seen[true], strings.Join(observed[fmt.Sprintf("user-%d", i)], "; "))
				seen[false] = append(seen[false], strings.Join(observed[fmt.Sprintf("absent-%d", i)], "; "))
			}
			if share := bestGuess(seen); share > 0.55 {
				t.Errorf("a classifier is right in %.1f %% of cases", 100*share)
			}
		})
	}
}

// bestGuess learns from every second observation which of the two kinds it is more often of, and
// returns the share of the others that it then assigns to the right one.
func bestGuess(seen map[bool][]string) float64 {
	votes := map[string]int{}
	for kind, observations := range seen {
		for i := 0; i < len(observations); i += 2 {
			if kind {
				votes[observations[i]]++
			} else {
				votes[observations[i]]--
			}
		}
	}
	rightly, all := 0.0, 0.0
	for kind, observations := range seen {
		for i := 1; i < len(observations); i += 2 {
			switch v := votes[observations[i]]; {
			case v == 0:
				rightly += 0.5
			case (v > 0) == kind:
				rightly++
			}
			all++
		}
	}
	return rightly / all
}

// The hash of one user must not make everyone's refusal costly.
func TestReferenceCostIsBounded(t *testing.T) {
	t.Parallel()
	d := replica(population(t, 1000, map[string]int{"bcrypt 10": 99, "costly": 1}))
	if got := work(d, "user-500"); got != "bcrypt cost=10" {
		t.Errorf("most users pay %s", got)
	}
	extra := 0
	for i := range 20_000 {
		if work(d, fmt.Sprintf("absent-%d", i)) != "bcrypt cost=10" {
			extra++
		}
	}
	if extra < 120 || extra > 280 {
		t.Errorf("%d of 20000 unknown logins cost more than the reference, want one in a hundred", extra)
	}
}

func TestDecoysFollowUsers(t *testing.T) {
	t.Parallel()
	d := directory.New()
	if len(d.Decoys("unknown")) != 0 {
		t.Error("there are decoys while no user has a password")
	}
	u := user("a", "x", 1)
	u.Credentials = &directory.Credentials{Revision: "1", Passwords: []directory.Password{{Hash: hash(t, 4)}, {Hash: hash(t, 5)}}}
	d.Put(u)
	if got := work(d, "unknown"); got != "bcrypt cost=4, bcrypt cost=5" {
		t.Errorf("an unknown login costs %s", got)
	}
	d.Put(user("a", "x", 1))
	if got := work(d, "unknown"); got != "bcrypt cost=10" {
		t.Errorf("an unknown login costs %s", got)
	}
	d.Delete("gatehouse-users/a")
	if len(d.Decoys("unknown")) != 0 {
		t.Error("there are decoys of users that are gone")
	}
}

func TestDecoysDependOnKey(t *testing.T) {
	t.Parallel()
	users := population(t, 10, map[string]int{"bcrypt 10": 100})
	one, same, other := replica(users), replica(users), replica(users)
	other.UseDecoySecret([]byte("another key"))
	if !one.Decoys("jean")[0].Equal(same.Decoys("jean")[0]) {
		t.Error("two replicas have two decoys for one login")
	}
	if one.Decoys("jean")[0].Equal(one.Decoys("joan")[0]) || one.Decoys("jean")[0].Equal(other.Decoys("jean")[0]) {
		t.Error("another login, or another key, has the same decoy")
	}
}

func TestDirectoryExpectsDecoyKey(t *testing.T) {
	t.Parallel()
	d := directory.New()
	if !d.HasDecoySecret() {
		t.Error("a directory that expects no key has none")
	}
	if d.ExpectDecoySecret(); d.HasDecoySecret() {
		t.Error("the expected key is there before it has come")
	}
	if d.UseDecoySecret([]byte(decoyed)); !d.HasDecoySecret() {
		t.Error("the key that has come is not there")
	}
}
