// Package testport gives tests ports of this machine that nobody else has while they run:
// for a program that cannot choose its own, and for asking where nobody listens. Whoever can
// should listen at port 0 instead.
//
// A port that was listened at and closed again does not do. The system may give it to
// somebody else, or to a connection, before the program listens there, and several packages
// are tested at once.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports from first on and below end are none that systems give to who asks for any: Linux
// begins at 32768, and some containers at 16000. Those that are even are given, and who
// listens at the odd one after it has it.
const (
	first = 10000
	end   = 16000
	tries = 1000
)

// Unused gives an even port from 10000 to 15998 at which nobody listens, over UDP or TCP, on any
// address. No other test has it until this one ends, in this process or another.
func Unused(t testing.TB) uint16 {
	t.Helper()
	for range tries {
		port := first + 2*rand.IntN((end-first)/2)
		release, ok := reserve(port)
		if !ok {
			continue
		}
		if isFree(port) {
			t.Cleanup(release)
			return uint16(port)
		}
		release()
	}
	t.Fatalf("of %d even ports from %d to %d none is free for UDP and TCP", tries, first, end-2)
	return 0
}

// reserve takes a port from all other tests on this machine: until release, or until the
// process ends, however it does.
func reserve(port int) (release func(), ok bool) {
	marker, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port+1))
	if err != nil {
		return nil, false
	}
	return func() { marker.Close() }, true
}

func isFree(port int) bool {
	address := fmt.Sprintf(":%d", port)
	stream, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer stream.Close()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	packets.Close()
	return true
}
