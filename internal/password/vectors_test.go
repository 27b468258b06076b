package password_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

const phrase = "correct horse battery staple"

// vector is a hash of phrase that another implementation made.
type vector struct {
	encoded string
	class   string
	weak    bool
}

// vectors returns hashes by the command that made them: htpasswd of Apache 2.4.71, mkpasswd 5.5.17
// with libxcrypt 4.4.33, OpenSSL 3.0.22, argon2 0~20171227, passlib 1.7.4. Each hashed phrase. For
// those with hashlib, Python 3.11 derived the digest, and the string follows the documentation of
// the format.
func vectors() map[string]vector {
	return map[string]vector{
		"htpasswd -nbBC 10 user PHRASE": {
			"$2y$10$yuNWnpv07ucFX3WPHzFA2.gI/Uc2Bx/Pnr4DEPj7Vjohpmj4xmSVa", "bcrypt cost=10", false},
		"mkpasswd -m bcrypt-a -R 6 PHRASE": {
			"$2a$06$9zIhm4ff6UaBShNbDSSTduw4vv3w1tAq6lbWrFt05iY5GcpSzFfeq", "bcrypt cost=6", true},
		"mkpasswd -m bcrypt -R 6 PHRASE": {
			"$2b$06$PEP9aI5XMxWhJfx8u7dtmOvKuvNQT48FgVU.8KxklrMy1/wWTRjhy", "bcrypt cost=6", true},

		"argon2 somesaltvalue -id -k 19456 -t 2 -p 1 -e": {
			"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHR2YWx1ZQ$7zDTe+jdhGlNjJ7ozR2F3/VUVCwr7lON54+KW88P6DQ",
			"argon2id m=19456,t=2,p=1", false},
		"argon2 somesaltvalue -id -k 64 -t 1 -p 4 -l 16 -e": {
			"$argon2id$v=19$m=64,t=1,p=4$c29tZXNhbHR2YWx1ZQ$PYGf0AdaKwZzjwSzDnJlOA",
			"argon2id m=64,t=1,p=4", true},
		"argon2 somesaltvalue -i -k 4096 -t 3 -p 1 -e": {
			"$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHR2YWx1ZQ$Z52/VicgKHbGRuUD3GPIRzJY7Tpvzt5dTiW16ynfB94",
			"argon2i m=4096,t=3,p=1", true},

		"openssl passwd -6 PHRASE": {
			"$6$1ejiFFh5UQZLDTVP$FdxsHPQJrg4BL3ZCc6Kl5OoS3OuA44pjXPkbnXGao/nJtEe0PmROqH97spKVRgBI6PfpavU0ewfi..ZNttGvY0",
			"sha512-crypt rounds=5000,salt=16", true},
		"openssl passwd -6 -salt abc PHRASE": {
			"$6$abc$ahFduufWqlLbksqxwzfC1qYzLSyha4pPG7EaqNTDSjXfU3ImPI0.07rEaTSUoZ7JvkhHFizh1dRAMa6N6LUvq/",
			"sha512-crypt rounds=5000,salt=3", true},
		"mkpasswd -m sha512crypt -R 1000 PHRASE": {
			"$6$rounds=1000$74GOqHO9FdCOAF4B$A3yDmqn./EWTfLbXkUoewVetOfsBKPA5N8VVJu51Bxpl9ki4vlmcbae2nghAufgsEOPFfN8mQY7JkTkzLZy261",
			"sha512-crypt rounds=1000,salt=16", true},
		"openssl passwd -5 PHRASE": {
			"$5$I7xzJwQwo9ljpuz7$VwI9b7a.7btrGQHNgezrXwZrtur3E.MgJHgiBUFxfJ8",
			"sha256-crypt rounds=5000,salt=16", true},
		"mkpasswd -m sha256crypt -R 10000 PHRASE": {
			"$5$rounds=10000$/r1QxyXWuvMkRfiZ$eoa85HKawWfkS/N0zqXiONgryDW64mHlHwAkLhnhJ59",
			"sha256-crypt rounds=10000,salt=16", true},

		"mkpasswd -m yescrypt PHRASE": {
			"$y$j9T$2gBiU2bLTd2qIBlGh4mG90$TycDCO7FfsauiqSsZe0fQw9EBB0TFqTpDfXIiYqueD6", "yescrypt N=2^12,r=32", false},
		"mkpasswd -m yescrypt -R 1 PHRASE": {
			"$y$j75$nZLhg1q/YQNwndi7mV8Uw/$DNQSU3UbQ9kuBM65yy0ZfIESCN8MjTf9mbhAPDUYbV9", "yescrypt N=2^10,r=8", true},

		"hashlib.pbkdf2_hmac('sha256', PHRASE, salt, 29000), spelled as passlib does": {
			"$pbkdf2-sha256$29000$EUJ0w.oGTMR5/s8J5URcaA$.C6TllcJqW9z9.K4a0y1LOk.cGzjy5ryOqCEZNUF00Y",
			"pbkdf2-sha256 i=29000,l=32", true},
		"the same, in the PHC spelling": {
			"$pbkdf2-sha256$i=29000$EUJ0w+oGTMR5/s8J5URcaA$+C6TllcJqW9z9+K4a0y1LOk+cGzjy5ryOqCEZNUF00Y",
			"pbkdf2-sha256 i=29000,l=32", true},
		"the same, in the PHC spelling with the length": {
			"$pbkdf2-sha256$i=29000,l=32$EUJ0w+oGTMR5/s8J5URcaA$+C6TllcJqW9z9+K4a0y1LOk+cGzjy5ryOqCEZNUF00Y",
			"pbkdf2-sha256 i=29000,l=32", true},
		"hashlib.pbkdf2_hmac('sha512', PHRASE, salt, 25000), spelled as passlib does": {
			"$pbkdf2-sha512$25000$MNvoOkjQZazdtBocV.mGaQ$v5OXKBcmhIwOr8Q46OfZSeesy3VL/YkTpKNx6UT4.4YcwLRApvCdfWu5qdw8diSIkzRKcDrwVkfhsqua963X4g",
			"pbkdf2-sha512 i=25000,l=64", true},
		"the same with SHA-512, in the PHC spelling": {
			"$pbkdf2-sha512$i=25000$MNvoOkjQZazdtBocV+mGaQ$v5OXKBcmhIwOr8Q46OfZSeesy3VL/YkTpKNx6UT4+4YcwLRApvCdfWu5qdw8diSIkzRKcDrwVkfhsqua963X4g",
			"pbkdf2-sha512 i=25000,l=64", true},

		"passlib.hash.pbkdf2_sha256.using(rounds=29000).hash(PHRASE)": {
			"$pbkdf2-sha256$29000$pXTOGeO8F4JwDoGwNuYcQw$/csJTmJ80mAjBZj1uqR6ONBfzbilhf5KXMRx3PZNwbM",
			"pbkdf2-sha256 i=29000,l=32", true},
		"passlib.hash.pbkdf2_sha512.using(rounds=25000).hash(PHRASE)": {
			"$pbkdf2-sha512$25000$5Ny7NwYgJESoda619n6vdQ$kNSbKxviY9.PlTVkvd4ACLaIWyeoc4xeQe9n/MEWdMstr00qjRbuk1Q0v2IB.2xRwZaBiQEhkz4m1Vr9o9DqWA",
			"pbkdf2-sha512 i=25000,l=64", true},
		"passlib.hash.scrypt.using(rounds=10, block_size=8).hash(PHRASE)": {
			"$scrypt$ln=10,r=8,p=1$f48xZsw5Z+w9pxSCMEZoTQ$OyB6XhuHRZfIHYs8yJmUAa5niDvq/1uGCfF/7L1DoVM",
			"scrypt ln=10,r=8,p=1", true},

		"hashlib.scrypt(PHRASE, salt=salt, n=1<<14, r=8, p=1, dklen=32), spelled as passlib does": {
			"$scrypt$ln=14,r=8,p=1$+K0sDgpgOBjxJiLx2329vA$rV5gYWAGA5s8SZGVpAqURbMd5IH41LduonKra/GZMlQ",
			"scrypt ln=14,r=8,p=1", true},
		"hashlib.scrypt(PHRASE, salt=salt, n=1<<10, r=8, p=2, dklen=32), spelled as passlib does": {
			"$scrypt$ln=10,r=8,p=2$J1sDVsXNZoNQRbJYOq4RJg$lJ/37m72rCBUTC50QTvZnuHbkTm9hrJ8IADMWG8K7Wk",
			"scrypt ln=10,r=8,p=2", true},
	}
}

// cheap returns those vectors that take little time even under the race detector; at least one of
// each scheme.
func cheap(t testing.TB) map[string]*password.Hash {
	t.Helper()
	hashes := map[string]*password.Hash{}
	for command, v := range vectors() {
		if h := parse(t, v.encoded); h.Cost().Time < 20*time.Millisecond {
			hashes[command] = h
		}
	}
	return hashes
}

func parse(t testing.TB, encoded string) *password.Hash {
	t.Helper()
	h, err := password.Parse(encoded)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return h
}

func TestForeignHashesVerify(t *testing.T) {
	t.Parallel()
	for command, v := range vectors() {
		t.Run(command, func(t *testing.T) {
			h := parse(t, v.encoded)
			if !h.Verify([]byte(phrase)) {
				t.Error("the right password does not match")
			}
			if h.Verify([]byte(phrase + " ")) {
				t.Error("a wrong password matches")
			}
			if h.Class() != v.class {
				t.Errorf("class is %q, want %q", h.Class(), v.class)
			}
			if weak := h.Weak(); (weak != "") != v.weak {
				t.Errorf("weak is %q, want weak: %v", weak, v.weak)
			}
		})
	}
}
