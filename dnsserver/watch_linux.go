package dnsserver

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchedSocket is a worker's own UDP socket, which nothing watches while
// packets never cease to come.
//
// The runtime's poller watches each socket that net makes as long as it lives.
// The system then tells the poller of every packet that has left, as a chance to
// write more, and of every one that has come, which costs each answer 4 to 6 % of
// its time and is of no use to a worker that reads on and on by itself. So the
// poller watches a set of descriptors (see epoll(7)) in place of the socket, and
// the socket is in the set only while the worker has to wait now and then.
//
// But for SetReadDeadline and SetWriteDeadline, it belongs to one goroutine.
type watchedSocket struct {
	descriptor int
	local      net.Addr
	set        *os.File
	setNumber  int             // its descriptor: asking set for it would make it blocking
	poller     syscall.RawConn // of set
	watched    bool            // the socket is in the set
	streak     int             // reads since one had to wait

	ready      func(uintptr) bool // what Read was given
	onReady    func(uintptr) bool // calls ready; made once
	writeUntil atomic.Int64       // Unix time in ns after which Write gives up; 0: never
}

// busyStreak is after how many reads without waiting a socket is not watched any
// more: taking it out and in again costs as much as some ten packets.
const busyStreak = 16

// writePause is how long Write waits for a full socket at a time.
const writePause = 10 * time.Millisecond

// watchSocket makes a socket of its own of a bound one, which is to be closed.
func watchSocket(socket *net.UDPConn) (*watchedSocket, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &watchedSocket{local: socket.LocalAddr()}
	control := raw.Control(func(fd uintptr) {
		w.descriptor, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if control != nil {
		return nil, control
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := w.makeSet(); err != nil {
		unix.Close(w.descriptor)
		return nil, err
	}
	w.onReady = func(uintptr) bool { return w.ready(uintptr(w.descriptor)) }
	return w, nil
}

// makeSet makes the empty set and gives it to the poller.
func (w *watchedSocket) makeSet() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or else os does not give it to the poller
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	w.set, w.setNumber = os.NewFile(uintptr(fd), "epoll"), fd
	if w.poller, err = w.set.SyscallConn(); err == nil {
		err = w.set.SetReadDeadline(time.Time{}) // fails where the poller did not take it
	}
	if err != nil {
		w.set.Close()
	}
	return err
}

// Control is syscall.RawConn's.
func (w *watchedSocket) Control(f func(uintptr)) error {
	f(uintptr(w.descriptor))
	return nil
}

// Read is syscall.RawConn's: it calls f until that is true, and waits in between
// for something to read.
func (w *watchedSocket) Read(f func(uintptr) bool) error {
	if f(uintptr(w.descriptor)) {
		if w.streak++; w.streak == busyStreak && w.watched {
			return w.watch(false)
		}
		return nil
	}
	w.streak = 0
	if !w.watched {
		if err := w.watch(true); err != nil {
			return err
		}
	}
	w.ready = f
	return w.poller.Read(w.onReady)
}

// watch takes the socket into the set or out of it.
func (w *watchedSocket) watch(in bool) error {
	operation := unix.EPOLL_CTL_DEL
	if in {
		operation = unix.EPOLL_CTL_ADD
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN}
	if err := unix.EpollCtl(w.setNumber, operation, w.descriptor, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	w.watched = in
	return nil
}

// Write is syscall.RawConn's: it calls f until that is true, and waits in between
// for room to write, which is seldom.
func (w *watchedSocket) Write(f func(uintptr) bool) error {
	for {
		if until := w.writeUntil.Load(); until != 0 && time.Now().UnixNano() >= until {
			return os.ErrDeadlineExceeded
		}
		if f(uintptr(w.descriptor)) {
			return nil
		}
		full := []unix.PollFd{{Fd: int32(w.descriptor), Events: unix.POLLOUT}}
		if _, err := unix.Poll(full, int(writePause/time.Millisecond)); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

func (w *watchedSocket) SyscallConn() (syscall.RawConn, error) { return w, nil }
func (w *watchedSocket) LocalAddr() net.Addr                   { return w.local }

// SetReadDeadline ends the waiting of Read at a time; the zero time: never.
func (w *watchedSocket) SetReadDeadline(end time.Time) error { return w.set.SetReadDeadline(end) }

// SetWriteDeadline is that of Write.
func (w *watchedSocket) SetWriteDeadline(end time.Time) error {
	var until int64
	if !end.IsZero() {
		until = end.UnixNano()
	}
	w.writeUntil.Store(until)
	return nil
}

// Close closes the socket.
func (w *watchedSocket) Close() error {
	err := w.set.Close()
	descriptor := w.descriptor
	w.descriptor = -1 // its number may soon be another's
	if closing := unix.Close(descriptor); closing != nil {
		err = fmt.Errorf("closing the socket: %w", closing)
	}
	return err
}

// detach gives a worker a socket of its own in place of a bound one, and reports
// whether it could.
func detach(socket *net.UDPConn) (workerSocket, bool) {
	if w, err := watchSocket(socket); err == nil {
		return w, true
	}
	return socket, false // it works as well, only slower
}
