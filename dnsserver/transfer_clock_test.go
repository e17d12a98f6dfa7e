package dnsserver

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// scripted is a client that says one thing after another, and takes what it gets.
type scripted struct {
	connection *connection
	says       [][]byte
	writes     int
}

func (s *scripted) read(into []byte) (int, error) {
	if len(s.says) == 0 {
		return 0, errNothing
	}
	n := copy(into, s.says[0])
	s.says = s.says[1:]
	s.connection.taken += n
	return n, nil
}

func (s *scripted) write([]byte) error {
	s.writes++
	return nil
}

// TestWaitingForTheServer: who waits for a turn of the server's own is not idle, however
// long that takes, and others make room before it does; but it does where there is nobody
// else.
func TestWaitingForTheServer(t *testing.T) {
	full := questions(yieldEvery/len(framed(txt)), "txt.example.test.", typeTXT)
	for name, test := range map[string]struct {
		turns func(*tcpServer) chan *turn
		says  [][]byte
		// How many writes there are before it waits, and when it has got all.
		before, all int
	}{
		"a transfer":                {func(s *tcpServer) chan *turn { return s.transfers }, [][]byte{framed(axfr())}, 0, 1},
		"questions without a pause": {func(s *tcpServer) chan *turn { return s.turns }, [][]byte{full, framed(txt)}, 1, 2},
	} {
		for _, evicted := range []bool{false, true} {
			if evicted {
				name += ", the last one"
			}
			t.Run(name, func(t *testing.T) {
				given := testTransfers(3)
				server := unbound(Config{
					Workers: 1, Settings: everybody(t),
					Transfers: func() Transfers { return given }, Table: func() Answerer { return testTable() },
				}.withDefaults())
				o := newOpenConnections(TCPLimits{Connections: 8, PerNetwork: 8, Idle: time.Hour}, server.metrics.connections)
				server.open = o
				streams := newTCPServer(server)
				t.Cleanup(streams.finish)
				turns := test.turns(streams)
				held := <-turns
				release := sync.OnceFunc(func() { turns <- held })
				t.Cleanup(release)
				join := func() *connection {
					_, there := tcpPair(t)
					c := newConnection(streams, there, overTCP)
					o.join(c)
					return c
				}
				c := join()
				client := &scripted{connection: c, says: test.says}
				ends := make(chan bool, 1)
				go func() { ends <- c.serve(client) }()
				eventually(t, "it waits", func() bool {
					o.mu.Lock()
					defer o.mu.Unlock()
					return c.inLine
				})

				idle, expired := join(), 0.0
				expire := func() {
					expired++
					setIdle(o, 1)
					eventually(t, "who is idle loses its place", func() bool {
						o.expire()
						return testutil.ToFloat64(o.metrics.expired) >= expired
					})
					setIdle(o, time.Hour)
				}
				expire()
				if o.has(idle) || !o.has(c) {
					t.Errorf("idle %v, waits %v: who waits for the server is taken for idle", o.has(idle), o.has(c))
				}
				idle = join()
				o.endQuietest()
				if o.has(idle) || !o.has(c) {
					t.Errorf("idle %v, waits %v: who waits for the server makes room first", o.has(idle), o.has(c))
				}
				want := test.all
				if evicted {
					want = test.before
					if o.endQuietest(); o.has(c) {
						t.Error("nobody makes room")
					}
				}
				release()
				if ended := <-ends; ended != evicted || client.writes != want {
					t.Errorf("ended %v after %d writes, want %v after %d", ended, client.writes, evicted, want)
				}
				if evicted && len(c.transfers) > 0 && c.transfers[0].records != nil {
					t.Error("a message is made for who has lost its place")
				}
				if !evicted {
					expire()
					if o.has(c) {
						t.Error("its client's time never is over")
					}
				}
			})
		}
	}
}

func setIdle(o *openConnections, idle time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits.Idle = idle
}
