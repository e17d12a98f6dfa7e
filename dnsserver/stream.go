package dnsserver

import "io"

// stream is what the questions of a connection come from and its answers go to.
type stream interface {
	// read gives what is there, at least a byte; or errNothing where there is
	// nothing for now; or io.EOF.
	read(into []byte) (int, error)
	// write sends all of the bytes, for which it waits where it has to.
	write(from []byte) error
}

// errNothing: for now there is nothing to read. To crypto/tls it is a time-out,
// after which it goes on reading where it was.
var errNothing error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// waitingStream reads and writes a connection the portable way, which can only
// wait. It waits with a small buffer of its own, so that no connection holds a
// room meanwhile, and gives in each round what that brought, and then nothing.
type waitingStream struct {
	connection *connection
	wire       io.ReadWriter
	came       []byte        // and was not given yet
	buffer     [1 << 10]byte // that it came in: some twenty questions
}

// runWaiting serves whenever there is something to read, until the connection
// ends.
func (c *connection) runWaiting(wire io.ReadWriter) {
	s := &waitingStream{connection: c, wire: wire}
	for {
		n, err := wire.Read(s.buffer[:])
		s.came = s.buffer[:n]
		if n > 0 && c.serve(s) {
			return
		}
		if err != nil {
			c.tcp.failed(c.over, "read", err)
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
	s.connection.taken += n
	return n, nil
}

func (s *waitingStream) write(from []byte) error {
	_, err := s.wire.Write(from)
	return err
}
