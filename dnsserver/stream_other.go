//go:build !linux

package dnsserver

import (
	"net"
	"syscall"
)

// stream reads and writes a connection's socket the portable way, which can
// only wait. In each round it gives the byte that was waited for, what the next
// read brings, and then nothing, so that the next wait is without a buffer.
type stream = *waitingStream

type waitingStream struct {
	socket *net.TCPConn
	first  [1]byte
	reads  int // in this round
}

// boundBuffers leaves the system's buffers as they are: what a listener has is
// not what its connections get everywhere.
func boundBuffers(syscall.RawConn) {}

// run serves whenever there is something to read, until the connection ends. A goroutine that waits here holds no buffer.
func (c *connection) run() {
	s := &waitingStream{socket: c.socket}
	for {
		if _, err := c.socket.Read(s.first[:]); err != nil {
			c.tcp.failed("tcp_read", err)
			return
		}
		s.reads = 0
		if c.serve(s) {
			return
		}
	}
}

// read gives what is there, at least a byte, or errNothing, or io.EOF.
func (s *waitingStream) read(into []byte) (int, error) {
	s.reads++
	switch s.reads {
	case 1:
		return copy(into, s.first[:]), nil
	case 2:
		return s.socket.Read(into)
	}
	return 0, errNothing
}

// write gives the number of bytes that were taken.
func (s *waitingStream) write(from []byte) (int, error) { return s.socket.Write(from) }
