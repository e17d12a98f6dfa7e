// Package testdraw says how many cases tests draw that hold a property for drawn ones, and
// from what. By default they draw as many as take seconds, also with the race detector: DRAW
// in the environment multiplies that. Each run draws the same, but with another SEED.
package testdraw

import (
	"os"
	"strconv"
	"testing"
)

const (
	variable = "DRAW"
	seed     = "SEED"
)

// Cases gives how many cases are to be drawn, of which there are so many by default.
func Cases(t testing.TB, byDefault int) int {
	t.Helper()
	given := os.Getenv(variable)
	if given == "" {
		return byDefault
	}
	factor, err := strconv.Atoi(given)
	if err != nil || factor < 1 {
		t.Fatalf("%s is %q, which is no number above 0", variable, given)
	}
	return factor * byDefault
}

// Many reports whether more is to be drawn than by default. Then there is also what takes
// seconds to prepare.
func Many(t testing.TB) bool {
	t.Helper()
	return Cases(t, 1) > 1
}

// Seed is what cases are drawn from where a test starts other programs, whose mistakes are
// not to be found by chance.
func Seed(t testing.TB) uint64 {
	t.Helper()
	given := os.Getenv(seed)
	if given == "" {
		return 1
	}
	number, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, which is no number: %v", seed, given, err)
	}
	return number
}
