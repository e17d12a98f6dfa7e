package dnsserver

import (
	"os"
	"strconv"
	"testing"
)

// drawFactor names how many times as many cases the tests draw that hold a
// property for drawn ones: what they draw by default takes seconds, even with
// the race detector.
const drawFactor = "DRAW"

// drawn gives how many cases are to be drawn, of which there are so many by
// default.
func drawn(t testing.TB, cases int) int {
	t.Helper()
	given := os.Getenv(drawFactor)
	if given == "" {
		return cases
	}
	factor, err := strconv.Atoi(given)
	if err != nil || factor < 1 {
		t.Fatalf("%s is %q, which is no number above 0", drawFactor, given)
	}
	return factor * cases
}

// drawnMany reports whether more is to be drawn than by default. Then there is
// also what takes seconds to prepare: the places of all countries, whole.
func drawnMany(t testing.TB) bool {
	t.Helper()
	return drawn(t, 1) > 1
}
