package testdraw

import "testing"

func TestCases(t *testing.T) {
	for _, one := range []struct {
		environment string
		want        int
		many        bool
	}{{"", 5, false}, {"1", 5, false}, {"20", 100, true}} {
		t.Setenv("DRAW", one.environment)
		if got := Cases(t, 5); got != one.want {
			t.Errorf("DRAW=%s: %d cases, want %d", one.environment, got, one.want)
		}
		if got := Many(t); got != one.many {
			t.Errorf("DRAW=%s: many is %t", one.environment, got)
		}
	}
}

func TestSeed(t *testing.T) {
	for environment, want := range map[string]uint64{"": 1, "77": 77} {
		t.Setenv("SEED", environment)
		if got := Seed(t); got != want {
			t.Errorf("SEED=%s: %d, want %d", environment, got, want)
		}
	}
}
