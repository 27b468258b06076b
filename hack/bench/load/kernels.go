package load

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The kernels that the bare handler can compute, as the last part of the path.
const (
	signKernel  = "signature"
	checkKernel = "signature-check"
	// assertKernel is an RS256 check of an assertion and the signature of a token.
	assertKernel = "RS256-check-and-signature"
)

// kernels are the computations that no implementation can do without, ready to be repeated.
type kernels struct {
	sign, check, assert, bcrypt func()
}

func newKernels() (kernels, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return kernels{}, err
	}
	digest := sha256.Sum256([]byte("a JWT"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return kernels{}, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return kernels{}, err
	}
	rsaSignature, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest[:])
	if err != nil {
		return kernels{}, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
	if err != nil {
		return kernels{}, err
	}
	return kernels{
		sign:  func() { _, _ = ecdsa.SignASN1(rand.Reader, key, digest[:]) },
		check: func() { _ = ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) },
		assert: func() {
			_ = rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest[:], rsaSignature)
			_, _ = ecdsa.SignASN1(rand.Reader, key, digest[:])
		},
		bcrypt: func() { _ = bcrypt.CompareHashAndPassword(hash, []byte(password)) },
	}, nil
}

// perSecond returns how often a second so many cores together can run f, measured for d.
func perSecond(cores int, d time.Duration, f func()) float64 {
	var count atomic.Int64
	var stop atomic.Bool
	start := time.Now()
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	var all sync.WaitGroup
	for range cores {
		all.Go(func() {
			for !stop.Load() {
				f()
				count.Add(1)
			}
		})
	}
	all.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}

// hashSlots is how many password hashes the service computes at once by default.
func hashSlots() int { return max(1, runtime.GOMAXPROCS(0)*3/4) }
