package password

import (
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every error of Parse. The messages say what is wrong and what to do.
// They consist of constants only, so that no part of a hash, or of a password in its place, reaches
// a condition or a log.
var ErrInvalid = errors.New("invalid password hash")

// The kinds of ErrInvalid.
var (
	ErrUnsupported  = fmt.Errorf("%w: format not accepted", ErrInvalid) // another format, or not a hash at all
	ErrMalformed    = fmt.Errorf("%w: damaged", ErrInvalid)             // an accepted format, but cut short or mistyped
	ErrTooExpensive = fmt.Errorf("%w: too expensive", ErrInvalid)       // above MaximumTime or MaximumMemory
)

func unsupported(reason string) error { return fmt.Errorf("%w: %s", ErrUnsupported, reason) }

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
