package password_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

const (
	salt16   = "c29tZXNhbHR2YWx1ZQ"                          // base64, 13 bytes
	digest32 = "7zDTe+jdhGlNjJ7ozR2F3/VUVCwr7lON54+KW88P6DQ" // base64, 32 bytes
	bcrypt53 = "yuNWnpv07ucFX3WPHzFA2.gI/Uc2Bx/Pnr4DEPj7Vjohpmj4xmSVa"
	crypt43  = "VwI9b7a.7btrGQHNgezrXwZrtur3E.MgJHgiBUFxfJ8"
	crypt86  = "FdxsHPQJrg4BL3ZCc6Kl5OoS3OuA44pjXPkbnXGao/nJtEe0PmROqH97spKVRgBI6PfpavU0ewfi..ZNttGvY0"
)

// hostile returns strings that Parse must refuse, by what is wrong with them. Where a tool made the
// string, it is named.
func hostile() map[string]struct {
	encoded string
	kind    error
	message string
} {
	type h = struct {
		encoded string
		kind    error
		message string
	}
	return map[string]h{
		"empty":                          {"", password.ErrMalformed, "empty"},
		"a newline":                      {"\n", password.ErrMalformed, "empty"},
		"a plaintext":                    {"Tr0ub4dor-and-3", password.ErrUnsupported, "plaintextFrom"},
		"a plaintext with spaces":        {phrase, password.ErrMalformed, "space"},
		"a dollar sign":                  {"$", password.ErrUnsupported, "unknown prefix"},
		"two newlines":                   {"$2b$10$" + bcrypt53 + "\n\n", password.ErrMalformed, "line break"},
		"a newline first":                {"\n$2b$10$" + bcrypt53, password.ErrMalformed, "line break"},
		"a carriage return inside":       {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + digest32[:20] + "\r" + digest32[20:], password.ErrMalformed, "line break"},
		"a NUL at the end":               {"$2b$10$" + bcrypt53 + "\x00", password.ErrMalformed, "character"},
		"a megabyte":                     {strings.Repeat("$", 1<<20), password.ErrUnsupported, "longer"},
		"htpasswd -nbB":                  {"user:$2y$10$" + bcrypt53, password.ErrUnsupported, "htpasswd"},
		"htpasswd -nbs":                  {"{SHA}q/eq1kOINtvlJqojGr3i0O73TUI=", password.ErrUnsupported, "{SHA}"},
		"htpasswd -nbd":                  {"s.j.eB8sWIihk", password.ErrUnsupported, "dollar"},
		"openssl passwd -1":              {"$1$cqVNcpxD$UrI.OODyMocSVvGU4NF2C0", password.ErrUnsupported, "MD5"},
		"openssl passwd -apr1":           {"$apr1$fFeYQiQI$Vy6XQw7VN4LNQIjcjlehC1", password.ErrUnsupported, "MD5"},
		"mkpasswd -m sunmd5":             {"$md5,rounds=88205$R08yb4VE$$ZLpywiP69BxuAf2vNnREY0", password.ErrUnsupported, "MD5"},
		"mkpasswd -m nt":                 {"$3$$1b9d5effd34ac283c8efe2eacaea8bbc", password.ErrUnsupported, "NT"},
		"mkpasswd -m scrypt":             {"$7$BU..../....10RHNJfP02Vi8duNhT5c31$TVCkpXOKrgT/rrsfehfyOIejY3wfBt.xVPnrCIUZue9", password.ErrUnsupported, "unknown prefix"},
		"mkpasswd -m gost-yescrypt":      {"$gy$j9T$AJTQmT3K93YuSeCBCmBqv/$gWPjjvsIzIcMg/45HHjRVnROAqV7iytTa6nnpu32TG7", password.ErrUnsupported, "unknown prefix"},
		"an LDAP salted SHA-1":           {"{SSHA}W6ZDVzjJgDZzBwCmVpFyOqVvhXBsdg4a", password.ErrUnsupported, "SSHA"},
		"PBKDF2 with SHA-1":              {"$pbkdf2$1400000$" + salt16 + "$" + digest32, password.ErrUnsupported, "SHA-1"},
		"an MD5 in hexadecimal":          {"5f4dcc3b5aa765d61d8327deb882cf99", password.ErrUnsupported, "without salt"},
		"a SHA-256 in hexadecimal":       {strings.Repeat("5F4DCC3B", 8), password.ErrUnsupported, "without salt"},
		"a hash in base64":               {"JDJ5JDEwJHl1TlduUHYwN3VjRlgzV1BIekZBMi4=", password.ErrUnsupported, "base64"},
		"argon2 -d":                      {"$argon2d$v=19$m=64,t=1,p=1$" + salt16 + "$" + digest32, password.ErrUnsupported, "argon2id"},
		"argon2 -id -v 10":               {"$argon2id$v=16$m=64,t=1,p=1$" + salt16 + "$" + digest32, password.ErrUnsupported, "v=19"},
		"argon2 without version":         {"$argon2id$m=64,t=1,p=1$" + salt16 + "$" + digest32, password.ErrUnsupported, "v=19"},
		"bcrypt of crypt_blowfish 1.0.4": {"$2x$10$" + bcrypt53, password.ErrUnsupported, "faulty"},
		"bcrypt of 1999":                 {"$2$10$" + bcrypt53, password.ErrUnsupported, "faulty"},

		"bcrypt cut short":                   {"$2b$10$" + bcrypt53[:52], password.ErrMalformed, "60 characters"},
		"bcrypt with a letter more":          {"$2b$10$" + bcrypt53 + "a", password.ErrMalformed, "60 characters"},
		"bcrypt without digest":              {"$2b$10$", password.ErrMalformed, "60 characters"},
		"bcrypt with cost 3":                 {"$2b$03$" + bcrypt53, password.ErrMalformed, "04 to 31"},
		"bcrypt with cost 32":                {"$2b$32$" + bcrypt53, password.ErrMalformed, "04 to 31"},
		"bcrypt with a signed cost":          {"$2b$+9$" + bcrypt53, password.ErrMalformed, "04 to 31"},
		"bcrypt with a wrong character":      {"$2b$10$" + bcrypt53[:52] + "!", password.ErrMalformed, "digest"},
		"bcrypt with a wrong salt":           {"$2b$10$!" + bcrypt53[1:], password.ErrMalformed, "salt"},
		"bcrypt with a digest of more bits":  {"$2b$10$" + bcrypt53[:52] + "b", password.ErrMalformed, "digest"},
		"argon2 without salt":                {"$argon2id$v=19$m=64,t=1,p=1$$" + digest32, password.ErrMalformed, "salt"},
		"argon2 without digest":              {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$", password.ErrMalformed, "digest"},
		"argon2 with one byte of digest":     {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$AA", password.ErrMalformed, "digest"},
		"argon2 with 15 bytes of digest":     {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + digest32[:20], password.ErrMalformed, "digest"},
		"argon2 with padding":                {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "==$" + digest32, password.ErrMalformed, "padding"},
		"argon2 with a field more":           {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + digest32 + "$", password.ErrMalformed, "version, parameters"},
		"argon2 with t=0":                    {"$argon2id$v=19$m=64,t=0,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"argon2 with p=0":                    {"$argon2id$v=19$m=64,t=1,p=0$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"argon2 with m=0":                    {"$argon2id$v=19$m=0,t=1,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"argon2 without t":                   {"$argon2id$v=19$m=64,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "m, t and p"},
		"argon2 with m twice":                {"$argon2id$v=19$m=64,m=64,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "m, t and p"},
		"argon2 with a negative t":           {"$argon2id$v=19$m=64,t=-1,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"argon2 with a number of 2^64":       {"$argon2id$v=19$m=18446744073709551616,t=1,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "m, t and p"},
		"argon2 with too little for p":       {"$argon2id$v=19$m=31,t=1,p=4$" + salt16 + "$" + digest32, password.ErrMalformed, "8 KiB"},
		"argon2 with a long salt":            {"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 172) + "$" + digest32, password.ErrMalformed, "salt"},
		"argon2 with a long digest":          {"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + strings.Repeat("A", 172), password.ErrMalformed, "digest"},
		"scrypt without parameters":          {"$scrypt$" + salt16 + "$" + digest32, password.ErrMalformed, "parameters"},
		"scrypt with r=0":                    {"$scrypt$ln=10,r=0,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"scrypt with ln=0":                   {"$scrypt$ln=0,r=8,p=1$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"PBKDF2 with no iterations":          {"$pbkdf2-sha256$0$" + salt16 + "$" + digest32, password.ErrMalformed, "at least 1"},
		"PBKDF2 with a leading zero":         {"$pbkdf2-sha256$01$" + salt16 + "$" + digest32, password.ErrMalformed, "number"},
		"PBKDF2 with another length":         {"$pbkdf2-sha256$i=1000,l=64$" + salt16 + "$" + digest32, password.ErrMalformed, "as long as it says"},
		"PBKDF2 with an unknown parameter":   {"$pbkdf2-sha256$i=1000,x=64$" + salt16 + "$" + digest32, password.ErrMalformed, "as long as it says"},
		"PBKDF2 without a digest field":      {"$pbkdf2-sha512$1000$" + salt16, password.ErrMalformed, "salt and digest"},
		"sha512-crypt with 999 rounds":       {"$6$rounds=999$saltsalt$" + crypt86, password.ErrMalformed, "1000"},
		"sha512-crypt with 0 rounds":         {"$6$rounds=0$saltsalt$" + crypt86, password.ErrMalformed, "1000"},
		"sha512-crypt with 10^9 rounds":      {"$6$rounds=1000000000$saltsalt$" + crypt86, password.ErrMalformed, "999999999"},
		"sha512-crypt with a wrong word":     {"$6$round=5000$saltsalt$" + crypt86, password.ErrMalformed, "rounds"},
		"sha512-crypt with the other digest": {"$6$saltsalt$" + crypt43, password.ErrMalformed, "86 after $6$"},
		"sha256-crypt with the other digest": {"$5$saltsalt$" + crypt86, password.ErrMalformed, "43 characters"},
		"sha256-crypt without salt":          {"$5$$" + crypt43, password.ErrMalformed, "salt"},
		"sha256-crypt without digest":        {"$5$saltsalt$", password.ErrMalformed, "cut off"},
		"sha256-crypt with a colon":          {"$5$salt:salt$" + crypt43, password.ErrMalformed, "colon"},
		"sha256-crypt with a long salt":      {"$5$saltsaltsaltsalts$" + crypt43, password.ErrMalformed, "16"},
		"sha256-crypt with a wrong letter":   {"$5$saltsalt$" + crypt43[:42] + "!", password.ErrMalformed, "cut off"},
		"yescrypt with other flags":          {"$y$i9T$2gBiU2bLTd2qIBlGh4mG90$" + crypt43, password.ErrUnsupported, "flags"},
		"yescrypt with N=2^9":                {"$y$j6T$2gBiU2bLTd2qIBlGh4mG90$" + crypt43, password.ErrUnsupported, "2^10"},
		"yescrypt with more parameters":      {"$y$j9T.$2gBiU2bLTd2qIBlGh4mG90$" + crypt43, password.ErrUnsupported, "flags"},
		"yescrypt without salt":              {"$y$j9T$$" + crypt43, password.ErrMalformed, "salt"},
		"yescrypt without digest":            {"$y$j9T$2gBiU2bLTd2qIBlGh4mG90$", password.ErrMalformed, "cut off"},

		"bcrypt with cost 16":            {"$2b$16$" + bcrypt53, password.ErrTooExpensive, "15 at most"},
		"bcrypt with cost 31":            {"$2b$31$" + bcrypt53, password.ErrTooExpensive, "15 at most"},
		"argon2 with 513 MiB":            {"$argon2id$v=19$m=525312,t=1,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "512 MiB"},
		"argon2 with 2 TiB":              {"$argon2id$v=19$m=2147483647,t=2147483647,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "512 MiB"},
		"argon2 with 8 passes":           {"$argon2id$v=19$m=524288,t=8,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "4000000"},
		"argon2 with many passes":        {"$argon2i$v=19$m=8,t=2147483647,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "4000000"},
		"argon2 with 17 lanes":           {"$argon2id$v=19$m=65536,t=1,p=17$" + salt16 + "$" + digest32, password.ErrTooExpensive, "16 at most"},
		"scrypt with N=2^19":             {"$scrypt$ln=19,r=8,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "512 MiB"},
		"scrypt with everything":         {"$scrypt$ln=2147483647,r=2147483647,p=2147483647$" + salt16 + "$" + digest32, password.ErrTooExpensive, "512 MiB"},
		"scrypt with N=2^64":             {"$scrypt$ln=64,r=1,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "512 MiB"},
		"scrypt with N=2 and many lanes": {"$scrypt$ln=1,r=1,p=2000000$" + salt16 + "$" + digest32, password.ErrTooExpensive, "8888888"},
		"argon2i with little memory":     {"$argon2i$v=19$m=8,t=499999,p=1$" + salt16 + "$" + digest32, password.ErrTooExpensive, "4000000"},
		"scrypt with p=9":                {"$scrypt$ln=17,r=8,p=9$" + salt16 + "$" + digest32, password.ErrTooExpensive, "8888888"},
		"PBKDF2-SHA256 above the bound":  {"$pbkdf2-sha256$13333334$" + salt16 + "$" + digest32, password.ErrTooExpensive, "13333333"},
		"PBKDF2-SHA256 of two blocks":    {"$pbkdf2-sha256$13333333$" + salt16 + "$" + digest32 + "A", password.ErrTooExpensive, "for each 32 bytes"},
		"PBKDF2-SHA512 above the bound":  {"$pbkdf2-sha512$4705883$" + salt16 + "$" + digest32, password.ErrTooExpensive, "4705882"},
		"sha512-crypt above the bound":   {"$6$rounds=666667$saltsalt$" + crypt86, password.ErrTooExpensive, "666666"},
		"sha256-crypt above the bound":   {"$5$rounds=2352942$saltsalt$" + crypt43, password.ErrTooExpensive, "2352941"},
		"yescrypt with 512 MiB":          {"$y$jFT$2gBiU2bLTd2qIBlGh4mG90$" + crypt43, password.ErrTooExpensive, "512 MiB"},
	}
}

func TestParseExplainsAndDoesNotQuote(t *testing.T) {
	t.Parallel()
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			h, err := password.Parse(c.encoded)
			if h != nil || !errors.Is(err, password.ErrInvalid) || !errors.Is(err, c.kind) {
				t.Fatalf("Parse gives %v, %v", h, err)
			}
			if !strings.Contains(err.Error(), c.message) {
				t.Errorf("%q does not contain %q", err, c.message)
			}
			for _, field := range strings.FieldsFunc(c.encoded, func(r rune) bool { return r == '$' || r == ' ' || r == '}' }) {
				if len(field) > 10 && strings.Contains(err.Error(), field) {
					t.Errorf("%q quotes the string", err)
				}
			}
		})
	}
}

func TestParseAcceptsBounds(t *testing.T) {
	t.Parallel()
	for name, encoded := range map[string]string{
		"bcrypt":                       "$2b$15$" + bcrypt53,
		"argon2 with 512 MiB":          "$argon2id$v=19$m=524288,t=7,p=1$" + salt16 + "$" + digest32,
		"argon2 with 16 lanes":         "$argon2id$v=19$m=65536,t=3,p=16$" + salt16 + "$" + digest32,
		"argon2 with the least salt":   "$argon2id$v=19$m=8,t=1,p=1$AAAAAA$" + digest32,
		"argon2 with the least digest": "$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$AAAAAAAAAAAAAAAAAAAAAA",
		"argon2 with the longest":      "$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("A", 171) + "$" + strings.Repeat("A", 171),
		"scrypt":                       "$scrypt$ln=17,r=8,p=8$" + salt16 + "$" + digest32,
		"scrypt with nearly 512 MiB":   "$scrypt$ln=18,r=15,p=1$" + salt16 + "$" + digest32,
		"PBKDF2-SHA256":                "$pbkdf2-sha256$13333333$" + salt16 + "$" + digest32,
		"PBKDF2-SHA512":                "$pbkdf2-sha512$i=4705882$" + salt16 + "$" + digest32,
		"sha512-crypt":                 "$6$rounds=666666$saltsalt$" + crypt86,
		"passlib's sha512_crypt":       "$6$rounds=656000$saltsalt$" + crypt86,
		"passlib's sha256_crypt":       "$5$rounds=535000$saltsalt$" + crypt43,
		"yescrypt with 256 MiB":        "$y$jDT$2gBiU2bLTd2qIBlGh4mG90$" + crypt43,
	} {
		t.Run(name, func(t *testing.T) {
			cost := parse(t, encoded).Cost()
			if cost.Time > password.MaximumTime || cost.Memory > password.MaximumMemory {
				t.Errorf("cost is %v", cost)
			}
		})
	}
}

func TestParseDropsOneNewlineAtTheEnd(t *testing.T) {
	t.Parallel()
	encoded := "$2b$10$" + bcrypt53
	for _, end := range []string{"\n", "\r\n"} {
		if !parse(t, encoded+end).Equal(parse(t, encoded)) {
			t.Errorf("with %q the hash is another", end)
		}
	}
	for _, end := range []string{"\r", "\n\r", "\n\n", " ", "\r\r\n"} {
		if _, err := password.Parse(encoded + end); !errors.Is(err, password.ErrMalformed) {
			t.Errorf("%q is accepted: %v", end, err)
		}
	}
}
