package dnsserver

import (
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// While packets never cease to come, who waits for another socket gets its turn
// on the same core soon, and not when the runtime's monitor finds it.
func TestTurnLooksAtSockets(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	flood := newEndless(batchSize, 0)
	w := newTestWorker(testTable(), bindLoose(t, "127.0.0.1"), flood)
	defer w.turn.close()
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			if _, err := w.serve(); err != nil {
				t.Error(err)
				return
			}
		}
	}()

	// One goroutine writes and then waits for its next turn; the other waits for
	// what is written, in the poller.
	here := bindLoose(t, "127.0.0.1")
	there := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(here)))
	var waited []int64
	for range 30 {
		var before atomic.Int64
		go func() {
			before.Store(flood.received.Load())
			there.Write([]byte("x"))
		}()
		var packet [1]byte
		if _, _, err := here.ReadFromUDPAddrPort(packet[:]); err != nil {
			t.Fatal(err)
		}
		waited = append(waited, flood.received.Load()-before.Load())
	}
	over.Store(true)
	<-done
	// The system may take its time for one or another.
	slices.Sort(waited)
	if median := waited[len(waited)/2]; median > 8*turnEvery {
		t.Errorf("%d packets before who waited for a socket had its turn, want some %d", median, turnEvery)
	}
}

// A turn costs no allocation, and there is no end to them.
func TestTurns(t *testing.T) {
	turn := newTurn()
	defer turn.close()
	if turn.event == nil {
		t.Fatal("there is no event")
	}
	waits := 0
	wait := turn.onTurn
	turn.onTurn = func(fd uintptr) bool {
		ready := wait(fd)
		if !ready {
			waits++
		}
		return ready
	}
	const turns = 2000
	if got := testing.AllocsPerRun(turns, turn.take); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if waits != turns+1 {
		t.Errorf("%d turns were waited for, want %d", waits, turns+1)
	}
}

// Without an event, and with one that does not happen, there are turns all the
// same.
func TestTurnsWithoutEvent(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	unwritable, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	raw, err := unwritable.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	failing := &turn{event: unwritable, raw: raw}
	failing.onTurn = failing.ring
	for name, turn := range map[string]*turn{"none": {}, "failing": failing} {
		var ran atomic.Bool
		go ran.Store(true)
		for range 100 {
			turn.take()
		}
		turn.close()
		if !ran.Load() {
			t.Errorf("%s: nobody else ran", name)
		}
	}
}
