// Package testdraw says how many cases tests draw that hold a property for drawn ones. By
// default they draw as many as take seconds, also with the race detector: DRAW in the
// environment multiplies that.
package testdraw

import (
	"os"
	"strconv"
	"testing"
)

const variable = "DRAW"

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
