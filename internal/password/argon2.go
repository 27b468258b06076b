package password

import (
	"fmt"

	"golang.org/x/crypto/argon2"
)

const (
	argon2Version = "v=19" // RFC 9106; the draft before it was v=16
	maximumLanes  = 16     // each lane is a goroutine
)

// argon2Hash is the string $argon2id$v=19$m=19456,t=2,p=1$salt$digest, or the same string with
// argon2i.
type argon2Hash struct {
	variant      string
	memory       int // KiB
	passes       int
	lanes        int
	salt, digest []byte
}

func readArgon2(variant string, fields []string) (scheme, error) {
	if len(fields) > 0 && fields[0] != argon2Version {
		return nil, unsupported("argon2 hashes must be of version 19 and say v=19; " + makeNew)
	}
	if len(fields) != 4 {
		return nil, malformed("an argon2 hash has version, parameters, salt and digest; copy it whole, in single quotes")
	}
	n, ok := parameters(fields[1], "m", "t", "p")
	if !ok {
		return nil, malformed("the parameters of argon2 are m, t and p, each at least 1")
	}
	h := argon2Hash{variant: variant, memory: n[0], passes: n[1], lanes: n[2]}
	if h.lanes > maximumLanes {
		return nil, fmt.Errorf("%w: the parallelism p of argon2 may be %d at most", ErrTooExpensive, maximumLanes)
	}
	if h.memory < 8*h.lanes {
		return nil, malformed("the memory m of argon2 must be at least 8 KiB for each lane p")
	}
	var err error
	h.salt, h.digest, err = saltAndDigest(fields[2:])
	return h, err
}

func (h argon2Hash) matches(password []byte) bool { return equal(h.derive(password), h.digest) }

func (h argon2Hash) derive(password []byte) []byte {
	key := argon2.IDKey
	if h.variant == "argon2i" {
		key = argon2.Key
	}
	passes, memory, lanes := uint32(h.passes), uint32(h.memory), uint8(h.lanes) //nolint:gosec // Parse has bounded them
	return key(password, h.salt, passes, memory, lanes, uint32(len(h.digest)))  //nolint:gosec // at most maximumDigest
}

func (h argon2Hash) parameters() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.passes, h.lanes)
}

func (h argon2Hash) encode() string {
	return fmt.Sprintf("$%s$%s$%s$%s$%s", h.variant, argon2Version, h.parameters(), encode(h.salt), encode(h.digest))
}

func (h argon2Hash) class() string { return h.variant + " " + h.parameters() }

// cost counts the whole work, although the lanes share it between cores, because other requests
// lose as much either way. RFC 9106 section 3.2 rounds the memory down to a multiple of four blocks
// for each lane.
func (h argon2Hash) cost() Cost {
	segment := h.memory / (4 * h.lanes)
	segments := 4 * h.lanes
	perPass := segment * segments
	if h.variant == "argon2i" {
		// Section 3.4.1.1: two compressions give the addresses of 128 blocks, again in every
		// segment.
		perPass += 2 * ((segment + 127) / 128) * segments
	}
	return work(float64(h.passes)*float64(perPass), argon2Time, float64(segment*segments)*1024)
}

func (argon2Hash) bound() string {
	return "argon2 may have m=524288 at most, and m times t may be 4000000 at most"
}

// weak compares with the five settings for argon2id that the OWASP Password Storage Cheat Sheet
// calls equivalent. The sheet does not name argon2i.
func (h argon2Hash) weak() string {
	if h.variant == "argon2i" {
		return "argon2i is easier to guess than argon2id"
	}
	switch m, t := h.memory, h.passes; {
	case t >= 5 && m >= 7<<10, t == 4 && m >= 9<<10, t == 3 && m >= 12<<10, t == 2 && m >= 19<<10, m >= 46<<10:
		return ""
	}
	return "argon2id is below m=19456,t=2 and its equivalents"
}

func (h argon2Hash) decoy(random source) string {
	h.salt, h.digest = random(len(h.salt)), random(len(h.digest))
	return h.encode()
}
