package dnsserver

import (
	"errors"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stream reads and writes a connection's socket without waiting, and without
// telling the scheduler, which pays for calls as short as these.
type stream uintptr

// boundBuffers bounds what the system holds for each connection that a socket,
// which does not listen yet, will accept. By itself it would take megabytes of a
// client that asks without reading.
func boundBuffers(raw syscall.RawConn) {
	// Best effort: the server works with what it gets.
	_ = setOption(raw, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	_ = setOption(raw, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
}

// run serves whenever there is something to read, until the connection ends. A goroutine that waits here holds no buffer.
func (c *connection) run() {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		c.tcp.failed("tcp_read", err)
		return
	}
	err = raw.Read(func(socket uintptr) bool { return c.serve(stream(socket)) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The server ends: what has come together with the deadline counts.
		err = raw.Control(func(socket uintptr) { c.serve(stream(socket)) })
	}
	if err != nil {
		c.tcp.failed("tcp_read", err)
	}
}

// read gives what is there, at least a byte, or errNothing, or io.EOF.
func (s stream) read(into []byte) (int, error) {
	for {
		n, _, err := unix.RawSyscall(unix.SYS_READ, uintptr(s), uintptr(unsafe.Pointer(&into[0])), uintptr(len(into)))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, errNothing
		case err != 0:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return int(n), nil
		}
	}
}

// write gives the number of bytes that were taken at once.
func (s stream) write(from []byte) (int, error) {
	for {
		n, _, err := unix.RawSyscall(unix.SYS_WRITE, uintptr(s), uintptr(unsafe.Pointer(&from[0])), uintptr(len(from)))
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
