package dnsserver

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directStream reads and writes a connection's socket without waiting, and
// without telling the scheduler, which pays for calls as short as these.
type directStream struct {
	connection *connection
	socket     uintptr
}

// boundBuffers bounds what the system holds for each connection that a socket,
// which does not listen yet, will accept. By itself it would take megabytes of a
// client that asks without reading.
func boundBuffers(raw syscall.RawConn) {
	// Best effort: the server works with what it gets.
	_ = setOption(raw, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	_ = setOption(raw, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
}

// run serves whenever there is something to read, until the connection ends. A
// goroutine that waits here holds no buffer.
func (c *connection) run() {
	if !c.greet() {
		return
	}
	if c.tcp.server.config.portable {
		c.runWaiting(c.wire())
		return
	}
	raw, err := c.socket.SyscallConn()
	if err != nil {
		c.tcp.failed(c.over, "read", err)
		return
	}
	direct := &directStream{connection: c}
	var s stream = direct
	if c.secure != nil {
		s = c.secure.serveFrom(direct)
	}
	serve := func(socket uintptr) bool {
		direct.socket = socket
		return c.serve(s)
	}
	err = raw.Read(serve) // which serves what TLS has read already before it waits
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The server ends: what has come together with the deadline counts.
		err = raw.Control(func(socket uintptr) { serve(socket) })
	}
	if err != nil {
		c.tcp.failed(c.over, "read", err)
	}
}

// hasGone reports, without waiting, whether the other side has ended what it says,
// also where not all of that was read.
func hasGone(socket *net.TCPConn) bool {
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(descriptor uintptr) {
		one := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(one, 0)
		gone = err == nil && n > 0 // it tells of errors and of a reset unasked
	})
	return gone || err != nil
}

// read gives what is there, at least a byte, or errNothing, or io.EOF.
func (s *directStream) read(into []byte) (int, error) {
	for {
		n, _, err := unix.RawSyscall(unix.SYS_READ, s.socket, uintptr(unsafe.Pointer(&into[0])), uintptr(len(into)))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, errNothing
		case err != 0:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			s.connection.taken += int(n)
			return int(n), nil
		}
	}
}

// write sends at once what it can. Where it has to wait for the rest, the
// connection's clock is set anew.
func (s *directStream) write(from []byte) error {
	n, err := s.writeNow(from)
	if err != nil || n == len(from) {
		return err
	}
	c := s.connection
	if _, goesOn := c.tcp.open.active(c, false); !goesOn {
		return errEnding
	}
	_, err = c.socket.Write(from[n:])
	c.tcp.open.active(c, true)
	return err
}

// writeNow gives the number of bytes that were taken at once.
func (s *directStream) writeNow(from []byte) (int, error) {
	for {
		n, _, err := unix.RawSyscall(unix.SYS_WRITE, s.socket, uintptr(unsafe.Pointer(&from[0])), uintptr(len(from)))
		switch err {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("write", syscall.Errno(err))
		}
	}
}
