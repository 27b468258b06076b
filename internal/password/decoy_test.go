package password

import (
	"fmt"
	"testing"
)

// A decoy that Parse refuses would fail in microseconds and give unknown logins away.
func TestParseReadsEveryDecoy(t *testing.T) {
	t.Parallel()
	for name, encoded := range map[string]string{
		"bcrypt":        "$2y$10$yuNWnpv07ucFX3WPHzFA2.gI/Uc2Bx/Pnr4DEPj7Vjohpmj4xmSVa",
		"argon2id":      "$argon2id$v=19$m=64,t=1,p=4$c29tZXNhbHR2YWx1ZQ$PYGf0AdaKwZzjwSzDnJlOA",
		"argon2i":       "$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHR2YWx1ZQ$Z52/VicgKHbGRuUD3GPIRzJY7Tpvzt5dTiW16ynfB94",
		"scrypt":        "$scrypt$ln=10,r=8,p=2$J1sDVsXNZoNQRbJYOq4RJg$lJ/37m72rCBUTC50QTvZnuHbkTm9hrJ8IADMWG8K7Wk",
		"PBKDF2-SHA256": "$pbkdf2-sha256$i=29000,l=32$EUJ0w+oGTMR5/s8J5URcaA$+C6TllcJqW9z9+K4a0y1LOk+cGzjy5ryOqCEZNUF00Y",
		"PBKDF2-SHA512": "$pbkdf2-sha512$25000$EUJ0w.oGTMR5/s8J5URcaA$.C6TllcJqW9z9.K4a0y1LOk.cGzjy5ryOqCEZNUF00Y",
		"sha256-crypt":  "$5$I7xzJwQwo9ljpuz7$VwI9b7a.7btrGQHNgezrXwZrtur3E.MgJHgiBUFxfJ8",
		"sha512-crypt":  "$6$a$FdxsHPQJrg4BL3ZCc6Kl5OoS3OuA44pjXPkbnXGao/nJtEe0PmROqH97spKVRgBI6PfpavU0ewfi..ZNttGvY0",
		"yescrypt":      "$y$j75$nZLhg1q/YQNwndi7mV8Uw/$DNQSU3UbQ9kuBM65yy0ZfIESCN8MjTf9mbhAPDUYbV9",
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Parse(encoded)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			key := random(32)
			for i := range 200 {
				decoy := h.Decoy()
				if i%2 == 0 {
					decoy = h.KeyedDecoy(key, fmt.Sprint(i))
				}
				d, err := Parse(decoy.encoded)
				if err != nil {
					t.Fatalf("the decoy is not valid: %v", err)
				}
				if d.Class() != h.Class() || d.Cost() != h.Cost() {
					t.Fatalf("the decoy of %s is %s", h.Class(), d.Class())
				}
			}
		})
	}
}

func TestKeyedDecoyDependsOnKeyAndNameAlone(t *testing.T) {
	t.Parallel()
	one, err := Parse("$2y$10$yuNWnpv07ucFX3WPHzFA2.gI/Uc2Bx/Pnr4DEPj7Vjohpmj4xmSVa")
	if err != nil {
		t.Fatal(err)
	}
	another := one.Decoy()
	key, name := random(32), "jean"
	if !one.KeyedDecoy(key, name).Equal(another.KeyedDecoy(key, name)) {
		t.Error("two hashes of one class have two decoys")
	}
	if one.KeyedDecoy(key, name).Equal(one.KeyedDecoy(key, "joan")) || one.KeyedDecoy(key, name).Equal(one.KeyedDecoy(random(32), name)) {
		t.Error("another name or key gives the same decoy")
	}
}
