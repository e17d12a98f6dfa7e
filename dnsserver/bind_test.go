package dnsserver

import (
	"runtime"
	"slices"
	"testing"
)

// The number of cores may change between Listen and Run, and no socket must be
// left without a reader.
func TestEverySocketIsRead(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct{ atListen, atRun int }{{4, 1}, {1, 4}, {3, 3}} {
		runtime.GOMAXPROCS(c.atListen)
		s, err := Listen(Config{Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		runtime.GOMAXPROCS(c.atRun)
		workers := s.bindings[0].workers()
		if len(workers) != c.atListen {
			t.Errorf("%d cores, then %d: %d workers, want %d", c.atListen, c.atRun, len(workers), c.atListen)
		}
		for i, socket := range s.bindings[0].sockets {
			if !slices.Contains(workers, socket) {
				t.Errorf("%d cores, then %d: nobody reads socket %d", c.atListen, c.atRun, i)
			}
		}
	}
}
