package dnsserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server whose listener fails ends, however long its clients may be quiet.
func TestDeadListenerEndsRun(t *testing.T) {
	table := testTable()
	s, err := Listen(Config{
		Listen:   []string{"127.0.0.1:0"},
		Table:    func() Answerer { return table },
		Settings: Settings{TCP: TCPLimits{Idle: time.Hour}},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	ask(t, dial(t, "tcp", s.Addresses()[0]), txt)
	s.bindings[0].listener.Close()
	within(t, patience, "the server", func() {
		if err := <-done; err == nil {
			t.Error("no error")
		}
	})
}

// While a server waits for its clients to end, the address is free for another
// one.
func TestAddressIsFreeBeforeTheClientsEnd(t *testing.T) {
	table := testTable()
	s, err := Listen(Config{Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table }, drains: patience})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := dial(t, "tcp", s.Addresses()[0])
	ask(t, c, txt)
	if _, err := c.Write(framed(txt)[:20]); err != nil { // it is waited for
		t.Fatal(err)
	}
	hasBegun(t, s)
	cancel()
	eventually(t, "the address is free", func() bool {
		other, err := Listen(Config{Listen: []string{s.Addresses()[0].String()}, Table: func() Answerer { return nil }})
		if err != nil {
			return false
		}
		other.Close()
		return true
	})
	select {
	case <-done:
		t.Fatal("the server has ended before its address was free")
	default:
	}
	if _, err := c.Write(framed(txt)[20:]); err != nil {
		t.Fatal(err)
	}
	if _, err := receive(c); err != nil {
		t.Errorf("the question that had begun: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// While a server ends, a question over UDP is answered or refused, so that
// whoever asks turns to another server at once; none gets silence.
func TestNoQuestionIsLostWhileTheServerEnds(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		for range 3 {
			table := testTable()
			s, err := Listen(Config{Listen: []string{listen}, Table: func() Answerer { return table }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addresses()[0].Port())
			busy := dial(t, "tcp", to)
			if _, err := busy.Write(framed(txt)[:20]); err != nil { // it is waited for
				t.Fatal(err)
			}
			var clients sync.WaitGroup
			for range 8 {
				c := dial(t, "udp", to)
				clients.Go(func() { askUntilRefused(t, c) })
			}
			time.Sleep(20 * time.Millisecond)
			cancel()
			clients.Wait()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
}

// askUntilRefused asks one question after the other, none of which may get
// silence, until the client's system is told that nobody is there.
func askUntilRefused(t *testing.T, c net.Conn) {
	for n := 0; ; n++ {
		c.SetDeadline(time.Now().Add(patience / 5))
		_, err := c.Write(txt)
		if err == nil {
			_, err = receive(c)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err != nil {
			t.Errorf("question %d: %v", n, err)
			return
		}
	}
}
