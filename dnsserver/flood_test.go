package dnsserver

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// flooders are clients that always have one more question and take their answers,
// so that the server never has to wait for them.
type flooders struct {
	clients sync.WaitGroup
	all     []net.Conn
}

// flood starts so many of them, on the server's first address, which go on
// until the server ends them, or the test does.
func flood(t *testing.T, s *Server, n int) *flooders {
	t.Helper()
	f := &flooders{}
	t.Cleanup(f.stop)
	all := questions(2000, "txt.example.test.", typeTXT)
	for range n {
		c, err := net.Dial("tcp", s.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		f.all = append(f.all, c)
		f.clients.Go(func() {
			for {
				if _, err := c.Write(all); err != nil {
					return
				}
			}
		})
		f.clients.Go(func() { io.Copy(io.Discard, c) })
	}
	return f
}

func (f *flooders) stop() {
	for _, c := range f.all {
		c.Close()
	}
	f.clients.Wait()
}

// within fails the test where something takes longer, and does not wait for its
// end.
func within(t *testing.T, limit time.Duration, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s is not over after %v", what, limit)
	}
}

// A client that never ceases to ask does not keep the server from ending.
func TestFloodDoesNotOutliveTheServer(t *testing.T) {
	table := testTable()
	s, err := Listen(Config{Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	flood(t, s, 3)
	eventually(t, "the flood has begun", func() bool { return counted(s.metrics.queries, "", "NOERROR", "tcp") > 1000 })
	cancel()
	within(t, patience, "the server", func() {
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A network that has all its places, and never ceases to ask, neither gets more
// nor keeps the others from theirs.
func TestFloodIsHeldToItsPlaces(t *testing.T) {
	const places, most = 10, 40
	s := start(t, Config{Listen: []string{"127.0.0.1:0"}, Settings: Settings{TCP: TCPLimits{Connections: most}}})
	flood(t, s.Server, places+4)
	eventually(t, "the network is held to its places", func() bool {
		return counted(s.metrics.connections.evicted, "network") >= 4 &&
			testutil.ToFloat64(s.metrics.connections.open) == places
	})
	for range 3 {
		ask(t, dialFrom(t, "127.0.1.1", s), txt)
	}
	// Those that made room are gone: no more than the places are served.
	s.open.mu.Lock()
	defer s.open.mu.Unlock()
	if n := s.open.networks[networkOf(s.address(false).Addr())].length; n != places || s.open.ending != 0 {
		t.Errorf("%d connections of the network, and %d that ought to have ended, want %d and 0", n, s.open.ending, places)
	}
}

// Lower limits hold at once, also for who never ceases to ask.
func TestFloodIsHeldToLowerLimits(t *testing.T) {
	s := start(t, Config{Listen: []string{"127.0.0.1:0"}, Settings: Settings{TCP: TCPLimits{Connections: 40}}})
	flood(t, s.Server, 6)
	eventually(t, "the flood has begun", func() bool {
		return testutil.ToFloat64(s.metrics.connections.open) == 6 && counted(s.metrics.queries, "", "NOERROR", "tcp") > 1000
	})
	within(t, patience, "setting the limits", func() {
		if err := s.Set(Settings{TCP: TCPLimits{Connections: 2, PerNetwork: 2}}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the connections that are too many are gone", func() bool {
		return testutil.ToFloat64(s.metrics.connections.open) == 2
	})
}

// Connections that have been told to end and have not yet are bounded: whoever
// comes meanwhile waits for the first that has.
func TestJoinWaitsForThoseThatEnd(t *testing.T) {
	o := newOpenConnections(TCPLimits{Connections: 8, PerNetwork: 8, Idle: time.Hour}, newTCPMetrics())
	defer o.end()
	server := &tcpServer{server: unbound(Config{}), open: o}
	next := func() *connection {
		_, there := tcpPair(t)
		return newConnection(server, there, overTCP)
	}
	var all []*connection
	for range 8 + 8/endingShare {
		c := next()
		o.join(c)
		all = append(all, c)
	}
	joined := make(chan *connection)
	for range 3 {
		c := next()
		go func() {
			o.join(c)
			joined <- c
		}()
		select {
		case <-joined:
			t.Fatal("a connection was taken in before another one had ended")
		case <-time.After(10 * time.Millisecond):
		}
		o.leave(all[0])
		within(t, patience, "taking in the next", func() { all = append(all[1:], <-joined) })
	}
	for _, c := range all {
		o.leave(c)
	}
	if o.ending != 0 || o.all.length != 0 {
		t.Errorf("%d are about to end and %d are there, want none", o.ending, o.all.length)
	}
}

// What is told to end does so also where its client does not take the answers.
func TestEvictedWriterEnds(t *testing.T) {
	here, there := tcpPair(t)
	here.SetReadBuffer(8 << 10)
	server := newFramingServer(t, testTable())
	c := newConnection(server, there, overTCP)
	server.open.join(c)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run()
		server.open.leave(c)
	}()
	here.SetDeadline(time.Now().Add(patience))
	if _, err := here.Write(questions(5000, "big.example.test.", typeTXT)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // by then the answers fill all there is
	server.open.endQuietest()
	within(t, patience, "the connection", func() { <-ended })
}
