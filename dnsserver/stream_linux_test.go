package dnsserver

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A question that has come when the server ends is answered, also where its
// goroutine gets the core only after the deadline.
func TestQuestionThatCameBeforeTheDeadlineIsAnswered(t *testing.T) {
	here, there := tcpPair(t)
	server := newFramingServer(t, testTable())
	c := newConnection(server, there, overTCP)
	server.open.join(c)
	if _, err := here.Write(framed(txt)); err != nil {
		t.Fatal(err)
	}
	arrived(t, here)
	there.SetReadDeadline(time.Now())
	c.run()
	server.open.leave(c)
	here.SetDeadline(time.Now().Add(patience))
	answer, err := receive(here)
	if err != nil {
		t.Fatal(err)
	}
	if m := parse(t, answer); len(m.Answer) != 2 {
		t.Errorf("got %v", m)
	}
}

// What a connection may take of the system's memory is bound without a system
// call for each.
func TestSystemBuffersAreBound(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, "tcp", s.address(false))
	ask(t, c, txt)
	s.open.mu.Lock()
	socket := s.open.all.front.socket
	s.open.mu.Unlock()
	for name, one := range map[string]struct{ option, most int }{
		"send": {unix.SO_SNDBUF, 2 * sendBuffer}, "receive": {unix.SO_RCVBUF, 2 * receiveBuffer},
	} {
		if got := socketOption(t, socket, one.option); got > one.most {
			t.Errorf("the %s buffer may have %d bytes, want at most %d", name, got, one.most)
		} else if got < one.most/4 {
			t.Errorf("the %s buffer has %d bytes, want some %d", name, got, one.most)
		}
	}
}

func socketOption(t *testing.T, socket *net.TCPConn, option int) (value int) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) {
		value, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option)
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return value
}
