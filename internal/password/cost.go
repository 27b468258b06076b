package password

import (
	"fmt"
	"math"
	"time"
)

// The bounds of what Parse accepts. A hash beyond them would let anyone who knows a login occupy a
// core, or the memory of the service, with a single request.
const (
	MaximumTime   = 4 * time.Second
	MaximumMemory = 512 << 20 // bytes

	// MaximumLength is the length in bytes of the longest password that can match. For bcrypt it is
	// 72.
	MaximumLength = 1024
)

// What one unit of work takes on one core of a current x86 server, as measured with the benchmarks
// of this package and rounded. A machine that is half as fast takes twice the time. MaximumTime
// divided by the unit is the most work that Parse accepts.
const (
	bcryptTime       = 70 * time.Microsecond  // per key expansion, of which there are 2^cost: 2.3 s at cost 15, 4.6 s at 16
	argon2Time       = 1 * time.Microsecond   // per KiB and pass: 4,000,000 of them, so 512 MiB with t=7
	scryptTime       = 450 * time.Nanosecond  // per N*r*p: 8,888,888 of them; N=2^17, r=8, p=8 takes 3.8 s
	yescryptTime     = 500 * time.Nanosecond  // per N*r: its memory ends before its time does
	pbkdf2SHA256Time = 300 * time.Nanosecond  // per iteration and block of 32 bytes: 13,333,333 of them
	pbkdf2SHA512Time = 850 * time.Nanosecond  // per iteration and block of 64 bytes: 4,705,882 of them
	sha256CryptTime  = 1700 * time.Nanosecond // per round, for a password of MaximumLength: 2,352,941 of them
	sha512CryptTime  = 6 * time.Microsecond   // per round, for a password of MaximumLength: 666,666 of them
)

// scryptEnds is what the first and last steps of scrypt take for each block of input, in units of
// scryptTime.
const scryptEnds = 4

// smallMemory is the memory of derivations that need a few kilobytes and have no parameter for it.
const smallMemory = 8 << 10

// Cost is what one verification takes. Time is an estimate for one core of a current server and for
// the longest password; only sha-crypt is faster for shorter ones. Memory is what the derivation
// allocates, in bytes.
type Cost struct {
	Time   time.Duration
	Memory int64
}

// work estimates a cost from units of work and bytes. The result saturates, because parameters may
// be absurd here.
func work(units float64, unit time.Duration, bytes float64) Cost {
	const most = math.MaxInt64 / 2
	return Cost{
		Time:   time.Duration(min(units*float64(unit), most)),
		Memory: int64(min(bytes, most)),
	}
}

// check returns an error for a cost beyond the bounds. The error includes bound, which names the
// largest accepted parameters of the format.
func (c Cost) check(bound string) error {
	switch {
	case c.Memory > MaximumMemory:
		return fmt.Errorf("%w: verifying takes more than %d MiB of memory; %s", ErrTooExpensive, MaximumMemory>>20, bound)
	case c.Time > MaximumTime:
		return fmt.Errorf("%w: verifying takes more than %v; %s", ErrTooExpensive, MaximumTime, bound)
	}
	return nil
}
