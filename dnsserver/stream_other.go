//go:build !linux

package dnsserver

import (
	"net"
	"syscall"
)

// stream reads and writes a connection's socket the portable way, which can
// only wait. It waits with a small buffer of its own, so that no connection holds
// a room meanwhile, and gives in each round what that brought, and then nothing.
type stream = *waitingStream

type waitingStream struct {
	socket *net.TCPConn
	came   []byte        // and was not given yet
	buffer [1 << 10]byte // that it came in: some twenty questions
}

// boundBuffers leaves the system's buffers as they are: what a listener has is
// not what its connections get everywhere.
func boundBuffers(syscall.RawConn) {}

// run serves whenever there is something to read, until the connection ends.
func (c *connection) run() {
	s := &waitingStream{socket: c.socket}
	for {
		n, err := c.socket.Read(s.buffer[:])
		if err != nil {
			c.tcp.failed("tcp_read", err)
			return
		}
		s.came = s.buffer[:n]
		if c.serve(s) {
			return
		}
	}
}

// read gives what is there, at least a byte, or errNothing.
func (s *waitingStream) read(into []byte) (int, error) {
	if len(s.came) == 0 {
		return 0, errNothing
	}
	n := copy(into, s.came)
	s.came = s.came[n:]
	return n, nil
}

// write gives the number of bytes that were taken.
func (s *waitingStream) write(from []byte) (int, error) { return s.socket.Write(from) }
