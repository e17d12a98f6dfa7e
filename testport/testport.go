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
	"runtime"
	"testing"
)

// Ports from first on and below end are none that systems give to who asks for any: Linux
// begins at 32768, and some containers at 16000.
const (
	first = 10000
	end   = 16000
	tries = 1000
)

// Unused gives a port from 10000 to 15999 at which nobody listens, over UDP or TCP, on any
// address. No other test has it until this one ends, in this process or another.
func Unused(t testing.TB) uint16 {
	t.Helper()
	for range tries {
		port := first + rand.IntN(end-first)
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
	t.Fatalf("of %d ports from %d to %d none is free for UDP and TCP", tries, first, end-1)
	return 0
}

// reserve takes a port from all other tests on this machine, where the system has names that
// end with their process.
func reserve(port int) (release func(), ok bool) {
	if runtime.GOOS != "linux" {
		return func() {}, true
	}
	name, err := net.Listen("unix", fmt.Sprintf("@mirrorpool/testport/%d", port))
	if err != nil {
		return nil, false
	}
	return func() { name.Close() }, true
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
