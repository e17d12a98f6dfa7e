package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/zones"
)

func TestValidateNamesTheKey(t *testing.T) {
	table := func() Answerer { return nil }
	good := []string{"127.0.0.1:53"}
	for _, c := range []struct {
		name   string
		config Config
		want   []string // parts of the error; none: it is valid
	}{
		{"good", Config{Listen: []string{"0.0.0.0:53", "[::]:53", "127.0.0.1:0", "127.0.0.1:0"}, Table: table}, nil},
		{"limits", Config{Listen: good, Table: table, Settings: Settings{UDPSize: 512, NSID: strings.Repeat("x", 128)}}, nil},
		{"no address", Config{Table: table}, []string{"dns.listen"}},
		{"no port", Config{Listen: []string{"127.0.0.1"}, Table: table}, []string{"dns.listen[0]", `"127.0.0.1"`}},
		{"a name", Config{Listen: []string{"127.0.0.1:53", "localhost:53"}, Table: table}, []string{"dns.listen[1]"}},
		{"no address before the port", Config{Listen: []string{":53"}, Table: table}, []string{"dns.listen[0]"}},
		{"twice", Config{Listen: []string{"127.0.0.1:53", "127.0.0.1:53"}, Table: table}, []string{"dns.listen[1]", "second time"}},
		{"mapped", Config{Listen: []string{"[::ffff:127.0.0.1]:53"}, Table: table}, []string{"dns.listen[0]", "127.0.0.1:53"}},
		{"no table", Config{Listen: good}, []string{"table"}},
		{"NSID", Config{Listen: good, Table: table, Settings: Settings{NSID: strings.Repeat("x", 129)}}, []string{"dns.nsid", "129"}},
		{"small", Config{Listen: good, Table: table, Settings: Settings{UDPSize: 511}}, []string{"dns.udp_size", "511"}},
		{"large", Config{Listen: good, Table: table, Settings: Settings{UDPSize: 4097}}, []string{"dns.udp_size"}},
		{"connections", Config{Listen: good, Table: table, Settings: Settings{TCP: TCPLimits{Connections: -1}}}, []string{"dns.tcp_connections"}},
		{"connections of a network", Config{Listen: good, Table: table, Settings: Settings{TCP: TCPLimits{PerNetwork: -1}}}, []string{"dns.tcp_connections_per_network"}},
		{"idle", Config{Listen: good, Table: table, Settings: Settings{TCP: TCPLimits{Idle: -1}}}, []string{"dns.tcp_idle"}},
		{"all at once", Config{Listen: []string{"x"}, Settings: Settings{UDPSize: 1}}, []string{"dns.listen[0]", "dns.udp_size", "table"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.config.Validate()
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("Validate: %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
		})
	}
}

func TestListenFailsWhole(t *testing.T) {
	table := func() Answerer { return nil }
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for _, taken := range []string{udp.LocalAddr().String(), tcp.Addr().String()} {
		_, err := Listen(Config{Listen: []string{loopback()[1], taken}, Table: table})
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("Listen: %v, want address in use", err)
		}
		for _, part := range []string{"dns.listen[1]", taken} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q lacks %q", err, part)
			}
		}
	}
	// What was bound before the error is free again.
	s, err := Listen(Config{Listen: []string{"127.0.0.1:0"}, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	address := s.Addresses()[0].String()
	s.Close()
	if _, err := Listen(Config{Listen: []string{address, tcp.Addr().String()}, Table: table}); err == nil {
		t.Fatal("Listen bound what is taken")
	}
	if s, err = Listen(Config{Listen: []string{address}, Table: table}); err != nil {
		t.Fatalf("the first address stayed bound: %v", err)
	}
	// A second server of the same user does not share the packets of the first.
	if _, err := Listen(Config{Listen: []string{address}, Table: table}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second server: %v, want address in use", err)
	}
	s.Close()
	// Nor where only UDP would tell, and the other's socket may be shared.
	held, err := bindUDP("udp4", netip.MustParseAddrPort(address), true)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := Listen(Config{Listen: []string{address}, Table: table}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("beside a socket that may be shared: %v, want address in use", err)
	}
}

func TestPortZeroIsTheSameForBoth(t *testing.T) {
	s := start(t, Config{})
	if len(s.Addresses()) != 2 {
		t.Fatalf("addresses %v", s.Addresses())
	}
	for i, b := range s.bindings {
		if b.address != s.Addresses()[i] || b.address.Port() == 0 {
			t.Errorf("address %v, binding %v", s.Addresses()[i], b.address)
		}
		if tcp := b.listener.Addr().(*net.TCPAddr).AddrPort(); tcp != b.address {
			t.Errorf("TCP at %v, UDP at %v", tcp, b.address)
		}
		for _, socket := range b.sockets {
			if udp := socket.LocalAddr().(*net.UDPAddr).AddrPort(); udp != b.address {
				t.Errorf("a worker's socket at %v, want %v", udp, b.address)
			}
		}
		if got := len(b.workers()); got != runtime.GOMAXPROCS(0) {
			t.Errorf("%d workers, want %d", got, runtime.GOMAXPROCS(0))
		}
	}
}

// A connected socket takes packets only from the address that it sent to.
func TestWildcardAnswersFromTheAddressThatWasAsked(t *testing.T) {
	s, port := startWildcard(t)
	q := query{name: "txt.example.test.", qtype: typeTXT}.bytes()
	asked := []string{"127.0.0.1", "127.0.0.2", "127.9.8.7"}
	if haveIPv6() {
		asked = append(asked, "::1")
	}
	for _, to := range asked {
		for _, network := range []string{"udp", "tcp"} {
			c := dial(t, network, netip.AddrPortFrom(netip.MustParseAddr(to), port))
			for range 3 {
				if m := parse(t, ask(t, c, q)); len(m.Answer) != 2 {
					t.Errorf("%s over %s: %v", to, network, m)
				}
			}
		}
	}
	if got := counted(s.metrics.sockets, "write"); got != 0 {
		t.Errorf("%v answers could not be sent", got)
	}
}

// startWildcard serves 0.0.0.0 and [::] on one port.
func startWildcard(t *testing.T) (*running, uint16) {
	t.Helper()
	for range 20 {
		probe, err := Listen(Config{Listen: []string{"0.0.0.0:0"}, Table: func() Answerer { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		port := probe.Addresses()[0].Port()
		probe.Close()
		listen := []string{fmt.Sprintf("0.0.0.0:%d", port)}
		if haveIPv6() {
			listen = append(listen, fmt.Sprintf("[::]:%d", port))
		}
		if check, err := Listen(Config{Listen: listen, Table: func() Answerer { return nil }}); err == nil {
			check.Close()
			return start(t, Config{Listen: listen}), port
		}
	}
	t.Fatal("no port is free on both wildcards")
	return nil, 0
}

// While the table is swapped all the time, every question gets an answer that
// is one table's or the other's.
func TestEveryQuestionIsAnsweredWhileTablesSwap(t *testing.T) {
	tables := [2]fakeTable{testTable(), testTable()}
	tables[1]["pool.example.test."] = fromPool(records(repeat(4, "pool.example.test. 60 IN A 127.0.2.%d")...), 4, members(4)...)
	var current atomic.Pointer[fakeTable]
	current.Store(&tables[0])
	s := start(t, Config{Table: func() Answerer { return *current.Load() }})
	var clients sync.WaitGroup
	const each = 2000
	for n := range 8 {
		way := ways[n%len(ways)]
		c := dial(t, way.network, s.address(way.v6))
		c.SetDeadline(time.Now().Add(time.Minute))
		clients.Go(func() {
			for i := range each {
				send(t, c, query{id: uint16(i), name: "pool.example.test.", qtype: dns.TypeA}.bytes())
				current.Store(&tables[(n+i)%2])
				answer, err := receive(c)
				if err != nil {
					t.Errorf("question %d over %s: %v", i, way.name, err)
					return
				}
				m := new(dns.Msg)
				if err := m.Unpack(answer); err != nil || m.Id != uint16(i) || m.Rcode != 0 || len(m.Answer) != 4 {
					t.Errorf("question %d over %s: %v %v", i, way.name, err, m)
					return
				}
				third := m.Answer[0].(*dns.A).A.To4()[2]
				for _, rr := range m.Answer {
					if rr.(*dns.A).A.To4()[2] != third {
						t.Errorf("records of two tables in one answer: %v", m.Answer)
						return
					}
				}
			}
		})
	}
	clients.Wait()
	sum := counted(s.metrics.queries, "pool.example.test", "NOERROR", "udp") + counted(s.metrics.queries, "pool.example.test", "NOERROR", "tcp")
	if sum != 8*each {
		t.Errorf("counted %v answers, want %d", sum, 8*each)
	}
}

// What has arrived when the server is told to end is answered.
func TestStopAnswersWhatHasArrived(t *testing.T) {
	entered, gate := make(chan struct{}), make(chan struct{})
	table := testTable()
	table["gate.example.test."] = func(zones.Question) zones.Answer {
		close(entered)
		<-gate
		return zones.Answer{Authoritative: true}
	}
	s, err := Listen(Config{Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table }})
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	idle := dial(t, "tcp", s.Addresses()[0])
	busy := dial(t, "tcp", s.Addresses()[0])
	ask(t, busy, query{name: "txt.example.test.", qtype: typeTXT}.bytes())
	udp := dial(t, "udp", s.Addresses()[0])
	// The first question holds up the worker; the others wait in the socket.
	send(t, udp, query{id: 100, name: "gate.example.test.", qtype: dns.TypeA}.bytes())
	<-entered
	const waiting = 50
	for i := range waiting {
		send(t, udp, query{id: uint16(i), name: "txt.example.test.", qtype: typeTXT}.bytes())
	}
	send(t, busy, query{id: 200, name: "txt.example.test.", qtype: typeTXT}.bytes())
	arrived(t, busy)
	cancel()
	answer, err := receive(busy)
	if err != nil {
		t.Fatalf("the question over TCP: %v", err)
	}
	if m := parse(t, answer); m.Id != 200 {
		t.Errorf("answer to %d, want 200", m.Id)
	}
	// Once the connections have ended, the sockets have been told as well.
	for _, c := range []net.Conn{idle, busy} {
		if _, err := receive(c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection outlives the server: %v", err)
		}
	}
	close(gate)

	for i := range waiting + 1 {
		answer, err := receive(udp)
		want := uint16(i - 1)
		if i == 0 {
			want = 100
		}
		if err != nil {
			t.Fatalf("question %d: %v", want, err)
		}
		if m := parse(t, answer); m.Id != want {
			t.Fatalf("answer to %d, want %d", m.Id, want)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	// The addresses are free.
	if again, err := Listen(Config{Listen: []string{s.Addresses()[0].String()}, Table: func() Answerer { return nil }}); err != nil {
		t.Error(err)
	} else {
		again.Close()
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("a server runs twice")
	}
}

// A server that is told to end before it has looked at its sockets looks once.
func TestStopBeforeTheFirstQuestion(t *testing.T) {
	table := testTable()
	s, err := Listen(Config{Listen: loopback(), Table: func() Answerer { return table }})
	if err != nil {
		t.Fatal(err)
	}
	var clients []net.Conn
	for i := range 100 {
		for _, network := range []string{"udp", "tcp"} {
			c := dial(t, network, s.Addresses()[i%2])
			send(t, c, query{id: 3, name: "txt.example.test.", qtype: typeTXT}.bytes())
			clients = append(clients, c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, c := range clients {
		answer, err := receive(c)
		if err != nil {
			t.Fatalf("over %s: %v", c.RemoteAddr().Network(), err)
		}
		if m := parse(t, answer); m.Id != 3 || len(m.Answer) != 2 {
			t.Errorf("over %s: %v", c.RemoteAddr().Network(), m)
		}
	}
}

func TestDeadSocketEndsRun(t *testing.T) {
	s, err := Listen(Config{Listen: loopback(), Table: func() Answerer { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	s.bindings[1].sockets[0].Close()
	err = s.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), s.Addresses()[1].String()) {
		t.Errorf("Run: %v, want an error that names %v", err, s.Addresses()[1])
	}
}

// Clients that are gone before their answer comes make their kernels say so;
// that must not disturb the others.
func TestICMPErrorsEndNothing(t *testing.T) {
	s := start(t, Config{})
	q := query{name: "txt.example.test.", qtype: typeTXT}.bytes()
	for range 200 {
		c, err := net.Dial("udp", s.address(false).String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		ask(t, dial(t, "udp", s.address(false)), q)
	}
}

func TestCollectorsRegister(t *testing.T) {
	s := start(t, Config{})
	registry := prometheus.NewPedanticRegistry()
	for _, c := range s.Collectors() {
		if err := registry.Register(c); err != nil {
			t.Error(err)
		}
	}
	ask(t, dial(t, "udp", s.address(false)), query{name: "pool.example.test.", qtype: dns.TypeA}.bytes())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		for _, m := range f.GetMetric() {
			if strings.Contains(m.String(), "127.0.0.1") {
				t.Errorf("an address in %v", m)
			}
		}
	}
	for _, want := range []string{"mirrorpool_dns_queries_total", "mirrorpool_dns_choices_total", "mirrorpool_dns_tcp_connections"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
}

func TestDrawsDifferFromWorkerToWorker(t *testing.T) {
	if a, b := newRandom().Uint64(), newRandom().Uint64(); a == b {
		t.Error("two sources give the same draws")
	}
}
