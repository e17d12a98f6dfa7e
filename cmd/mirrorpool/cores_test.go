package main

import (
	"runtime"
	"testing"
)

// One thread more than there are workers is for everything else, unless the
// operator says how many there are.
func TestShareCores(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "")
	shareCores()
	if got := runtime.GOMAXPROCS(0); got != before+1 {
		t.Errorf("%d, want %d", got, before+1)
	}
	runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "3")
	shareCores()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d, want %d", got, before)
	}
}
