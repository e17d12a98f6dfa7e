package dnsserver

import (
	crand "crypto/rand"
	"math/rand/v2"

	"mirrorpool/zones"
)

// newRandom makes a source of draws that nobody outside can foretell from the
// answers that it led to.
func newRandom() zones.Random {
	var seed [32]byte
	crand.Read(seed[:]) // never fails: it ends the program where it would
	return rand.NewChaCha8(seed)
}
