//go:build race

package authn_test

func init() { raceDetector = true }
