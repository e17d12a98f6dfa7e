package dnsserver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// overStreams does a test with connections that are read as this system does, and
// as others do.
func overStreams(t *testing.T, test func(t *testing.T, portable bool)) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) { test(t, portable) })
	}
}

func framed(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
}

func TestPipelinedQuestionsAreAnsweredInOrder(t *testing.T) {
	overStreams(t, testPipelinedQuestionsAreAnsweredInOrder)
}

func testPipelinedQuestionsAreAnsweredInOrder(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable})
	c := dial(t, "tcp", s.address(true))
	var all []byte
	const n = 100
	for i := range n {
		all = append(all, framed(query{id: uint16(i), name: "txt.example.test.", qtype: typeTXT}.bytes())...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		answer, err := receive(c)
		if err != nil {
			t.Fatal(err)
		}
		if m := parse(t, answer); m.Id != uint16(i) || len(m.Answer) != 2 {
			t.Fatalf("answer %d: id %d with %d records", i, m.Id, len(m.Answer))
		}
	}
	if got := counted(s.metrics.queries, "", "NOERROR", "tcp"); got != n {
		t.Errorf("counted %v, want %d", got, n)
	}
}

func TestQuestionThatComesInPieces(t *testing.T) { overStreams(t, testQuestionThatComesInPieces) }

func testQuestionThatComesInPieces(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable})
	c := dial(t, "tcp", s.address(false))
	for _, b := range framed(query{id: 9, name: "txt.example.test.", qtype: typeTXT}.bytes()) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := receive(c)
	if err != nil {
		t.Fatal(err)
	}
	if m := parse(t, answer); m.Id != 9 {
		t.Errorf("id %d, want 9", m.Id)
	}
}

// The largest question that can be framed is read whole, and answered.
func TestLargestQuestion(t *testing.T) { overStreams(t, testLargestQuestion) }

func testLargestQuestion(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable})
	q := query{id: 5, name: "txt.example.test.", qtype: typeTXT}
	q.opts = [][]byte{opt(1232, 0, option(65001, string(make([]byte, maxMessage-len(q.bytes())-optFixed-4))))}
	packet := q.bytes()
	if len(packet) != maxMessage {
		t.Fatalf("the question has %d bytes", len(packet))
	}
	if m := parse(t, ask(t, dial(t, "tcp", s.address(false)), packet)); m.Id != 5 || m.Rcode != 0 || len(m.Answer) != 2 {
		t.Errorf("got %v", m)
	}
}

// A length alone makes nobody hold the room for it, and what has come is held
// in no more than it needs.
func TestRoomGrowsWithWhatArrives(t *testing.T) {
	const beyondTheRoom = len(room{}.in) + 600
	for _, c := range []struct {
		bytes int // after a length of 65535
		most  int // of what is held
	}{{0, 16}, {600, 1024}, {beyondTheRoom, 2 * beyondTheRoom}} {
		t.Run(strconv.Itoa(c.bytes), func(t *testing.T) {
			here, there := tcpPair(t)
			s := unbound(Config{Table: func() Answerer { return nil }}.withDefaults())
			s.open = newOpenConnections(s.config.Settings.TCP, s.metrics.connections)
			server := newTCPServer(s)
			conn := newConnection(server, there, overTCP)
			server.open.join(conn)
			defer server.finish()
			ended := make(chan struct{})
			go func() { conn.run(); close(ended) }()
			if _, err := here.Write(append([]byte{0xFF, 0xFF}, make([]byte, c.bytes)...)); err != nil {
				t.Fatal(err)
			}
			arrived(t, here)
			there.SetReadDeadline(time.Now())
			<-ended
			if got := len(conn.rest); got != prefixSize+c.bytes {
				t.Errorf("holds %d bytes of %d", got, prefixSize+c.bytes)
			}
			if got := cap(conn.rest); got > c.most {
				t.Errorf("holds room for %d bytes where %d have come", got, prefixSize+c.bytes)
			}
		})
	}
}

func tcpPair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func TestIdleConnectionsEnd(t *testing.T) { overStreams(t, testIdleConnectionsEnd) }

func testIdleConnectionsEnd(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable, Settings: Settings{TCP: TCPLimits{Idle: 50 * time.Millisecond}}})
	for _, begun := range []string{"", "\x00", "\x00\x40abc"} {
		c := dial(t, "tcp", s.address(false))
		if _, err := io.WriteString(c, begun); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
			t.Errorf("after %q: %v, want the end", begun, err)
		}
	}
}

// A question has to be there in time as a whole: neither single bytes nor the
// pieces in which it is read buy more time.
func TestDrippingConnectionsEnd(t *testing.T) { overStreams(t, testDrippingConnectionsEnd) }

func testDrippingConnectionsEnd(t *testing.T, portable bool) {
	const idle = 200 * time.Millisecond
	s := start(t, Config{portable: portable, Settings: Settings{TCP: TCPLimits{Idle: idle}}})
	small := query{id: 5, name: "txt.example.test.", qtype: typeTXT}
	large := small
	large.opts = [][]byte{opt(1232, 0, option(65001, string(make([]byte, 8192))))}
	for name, c := range map[string]struct {
		packet []byte
		next   func(sent int) int // how many bytes come at a time
		pause  time.Duration
	}{
		"bytes":  {small.bytes(), func(int) int { return 1 }, idle / 4},
		"pieces": {large.bytes(), func(sent int) int { return max(sent, 512+prefixSize) }, idle / 2},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, "tcp", s.address(false))
			packet := framed(c.packet)
			for sent := 0; sent < len(packet); time.Sleep(c.pause) {
				step := min(c.next(sent), len(packet)-sent)
				if _, err := conn.Write(packet[sent : sent+step]); err != nil {
					return // cut
				}
				sent += step
			}
			if answer, err := receive(conn); !errors.Is(err, io.EOF) && !isReset(err) {
				t.Errorf("got %x, %v, want the end", answer, err)
			}
		})
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func TestTheQuietestMakesRoom(t *testing.T) { overStreams(t, testTheQuietestMakesRoom) }

func testTheQuietestMakesRoom(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable, shortest: patience, Settings: Settings{TCP: TCPLimits{Connections: 3, PerNetwork: 3, Idle: patience}}})
	q := query{name: "txt.example.test.", qtype: typeTXT}.bytes()
	var all []net.Conn
	for range 3 {
		c := dial(t, "tcp", s.address(false))
		ask(t, c, q)
		all = append(all, c)
	}
	ask(t, all[0], q) // now the second is the one that was quiet the longest
	late := dial(t, "tcp", s.address(true))
	ask(t, late, q)
	if _, err := receive(all[1]); err == nil {
		t.Error("the quietest connection is still open")
	}
	for _, c := range []net.Conn{all[0], all[2], late} {
		ask(t, c, q)
	}
	if got := counted(s.metrics.connections.evicted, "total"); got != 1 {
		t.Errorf("evicted = %v, want 1", got)
	}
}

func TestConnectionsAreCountedWhileOpen(t *testing.T) {
	overStreams(t, testConnectionsAreCountedWhileOpen)
}

func testConnectionsAreCountedWhileOpen(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable})
	c := dial(t, "tcp", s.address(false))
	ask(t, c, query{name: "txt.example.test.", qtype: typeTXT}.bytes())
	if got := testutil.ToFloat64(s.metrics.connections.open); got != 1 {
		t.Errorf("connections = %v, want 1", got)
	}
	c.(*net.TCPConn).CloseWrite()
	if _, err := receive(c); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want the end", err)
	}
	eventually(t, "no connection is counted", func() bool { return testutil.ToFloat64(s.metrics.connections.open) == 0 })
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

// A client that asks and does not read holds up nobody for longer than the
// idle time.
func TestClientThatDoesNotRead(t *testing.T) { overStreams(t, testClientThatDoesNotRead) }

func testClientThatDoesNotRead(t *testing.T, portable bool) {
	s := start(t, Config{portable: portable, Settings: Settings{TCP: TCPLimits{Idle: 100 * time.Millisecond}}})
	c := dial(t, "tcp", s.address(false))
	q := framed(query{name: "vast.example.test.", qtype: dns.TypeTXT}.bytes())
	big := framed(query{name: "big.example.test.", qtype: dns.TypeTXT}.bytes())
	for range 100_000 {
		if _, err := c.Write(append(q, big...)); err != nil {
			return // the server has had enough
		}
	}
	t.Error("the connection is still open")
}
