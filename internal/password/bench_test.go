package password_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

func BenchmarkVerify(b *testing.B) {
	for _, command := range []string{
		"htpasswd -nbBC 10 user PHRASE",
		"argon2 somesaltvalue -id -k 19456 -t 2 -p 1 -e",
		"argon2 somesaltvalue -i -k 4096 -t 3 -p 1 -e",
		"hashlib.scrypt(PHRASE, salt=salt, n=1<<14, r=8, p=1, dklen=32), spelled as passlib does",
		"hashlib.pbkdf2_hmac('sha256', PHRASE, salt, 29000), spelled as passlib does",
		"hashlib.pbkdf2_hmac('sha512', PHRASE, salt, 25000), spelled as passlib does",
		"openssl passwd -6 PHRASE",
		"openssl passwd -5 PHRASE",
		"mkpasswd -m yescrypt PHRASE",
	} {
		h := parse(b, vectors()[command].encoded)
		for name, tried := range map[string][]byte{"": []byte(phrase), ", longest": make([]byte, password.MaximumLength)} {
			b.Run(h.Class()+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.Verify(tried)
				}
			})
		}
	}
}

func BenchmarkVerifyPlaintext(b *testing.B) {
	h := password.NewKeyer().NewPlaintext([]byte(phrase))
	b.ReportAllocs()
	for b.Loop() {
		h.Verify([]byte(phrase))
	}
}

func BenchmarkParse(b *testing.B) {
	for _, v := range vectors() {
		b.Run(v.class, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := password.Parse(v.encoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
