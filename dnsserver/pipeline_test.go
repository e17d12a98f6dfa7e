package dnsserver

import (
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// questions gives so many of them in one piece, each with its number as ID.
func questions(n int, name string, kind uint16) []byte {
	var all []byte
	for i := range n {
		all = append(all, framed(query{id: uint16(i), name: name, qtype: kind}.bytes())...)
	}
	return all
}

// inOrder reads so many answers and reports the first that is not the next.
func inOrder(t *testing.T, c net.Conn, n, records int) {
	t.Helper()
	for i := range n {
		answer, err := receive(c)
		if err != nil {
			t.Errorf("answer %d: %v", i, err)
			return
		}
		if m := parse(t, answer); m.Id != uint16(i) || len(m.Answer) != records {
			t.Errorf("answer %d: id %d with %d records", i, m.Id, len(m.Answer))
			return
		}
	}
}

// However the bytes of many questions come, every one is answered once, and in
// order.
func TestThousandPipelinedQuestions(t *testing.T) {
	s := start(t, Config{})
	const n = 1000
	all := questions(n, "txt.example.test.", typeTXT)
	for name, sizes := range map[string][]int{
		"in one write":           {len(all)},
		"byte by byte":           {1},
		"in pieces of all kinds": {1, 2, 3, 700, 35, 5000, 1, 17000},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, "tcp", s.address(true))
			done := make(chan struct{})
			go func() {
				defer close(done)
				rest := all
				for i := 0; len(rest) > 0; i++ {
					size := min(sizes[i%len(sizes)], len(rest))
					if _, err := c.Write(rest[:size]); err != nil {
						t.Errorf("writing: %v", err)
						return
					}
					rest = rest[size:]
				}
			}()
			inOrder(t, c, n, 2)
			<-done
		})
	}
}

// Answers to questions that come together go together.
func TestAnswersAreCoalesced(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ questions, most int }{{20, 1}, {2000, 100}} {
		conn := dial(t, "tcp", s.address(false))
		if _, err := conn.Write(questions(c.questions, "txt.example.test.", typeTXT)); err != nil {
			t.Fatal(err)
		}
		one := len(framed(ask(t, dial(t, "tcp", s.address(false)), txt)))
		reads := 0
		buffer := make([]byte, 1<<20)
		for have := 0; have < c.questions*one; reads++ {
			n, err := conn.Read(buffer)
			if err != nil {
				t.Fatalf("after %d bytes: %v", have, err)
			}
			have += n
		}
		if reads > c.most {
			t.Errorf("%d answers came in %d pieces, want at most %d", c.questions, reads, c.most)
		}
	}
}

// Answers of any size between small ones: those that fill the room for answers
// and those that are larger than all of it.
func TestLargeAnswersBetweenSmallOnes(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, "tcp", s.address(false))
	var all []byte
	kinds := []struct {
		name    string
		kind    uint16
		records int
	}{
		{"txt.example.test.", typeTXT, 2},
		{"vast.example.test.", dns.TypeTXT, 0},
		{"big.example.test.", dns.TypeTXT, 30},
		{"big.example.test.", dns.TypeTXT, 30},
		{"txt.example.test.", typeTXT, 2},
		{"alias.example.test.", dns.TypeTXT, 31},
	}
	const n = 600
	for i := range n {
		k := kinds[i%len(kinds)]
		q := query{id: uint16(i), name: k.name, qtype: k.kind}
		if i%50 == 7 { // a question that is larger than the room
			q.opts = [][]byte{opt(1232, 0, option(65001, string(make([]byte, 40_000))))}
		}
		all = append(all, framed(q.bytes())...)
	}
	go c.Write(all)
	for i := range n {
		answer, err := receive(c)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		k := kinds[i%len(kinds)]
		if m := parse(t, answer); m.Id != uint16(i) || len(m.Answer) != k.records {
			t.Fatalf("answer %d: id %d with %d records of %s", i, m.Id, len(m.Answer), k.name)
		}
	}
}

// Whoever asks much and reads late gets everything, once, in order: nothing is
// read from it meanwhile.
func TestClientThatReadsLate(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, "tcp", s.address(false))
	c.SetDeadline(time.Now().Add(time.Minute))
	const n = 5000 // some 17 MB of answers: more than the system's buffers take
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(questions(n, "big.example.test.", dns.TypeTXT))
		wrote <- err
	}()
	time.Sleep(200 * time.Millisecond)
	ask(t, dial(t, "tcp", s.address(false)), txt) // it holds up nobody
	inOrder(t, c, n, 30)
	if err := <-wrote; err != nil {
		t.Errorf("writing: %v", err)
	}
}

// Whoever asks and never reads loses the connection, and no answer is made for
// it meanwhile.
func TestGreedyClientEnds(t *testing.T) {
	s := start(t, Config{Settings: Settings{TCP: TCPLimits{Idle: 200 * time.Millisecond}}})
	c := dial(t, "tcp", s.address(false))
	c.(*net.TCPConn).SetReadBuffer(8 << 10)
	all := questions(1000, "big.example.test.", dns.TypeTXT)
	for {
		if _, err := c.Write(all); err != nil {
			break // the server has had enough
		}
	}
	eventually(t, "the connection is counted as expired", func() bool {
		return testutil.ToFloat64(s.metrics.connections.expired) == 1
	})
	if err := s.Set(Settings{TCP: TCPLimits{Idle: patience}}); err != nil {
		t.Fatal(err)
	}
	ask(t, dial(t, "tcp", s.address(false)), txt)
}

// What gets silence ends the connection, after the answers to what came before.
func TestGarbageEndsTheConnection(t *testing.T) {
	s := start(t, Config{})
	response := query{flags: flagQR, name: "txt.example.test.", qtype: typeTXT}.bytes()
	for name, garbage := range map[string][]byte{
		"no bytes": framed(nil), "less than a header": framed(make([]byte, 11)), "a response": framed(response),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, "tcp", s.address(false))
			if _, err := c.Write(slices.Concat(questions(3, "txt.example.test.", typeTXT), garbage)); err != nil {
				t.Fatal(err)
			}
			inOrder(t, c, 3, 2)
			if answer, err := receive(c); !errors.Is(err, io.EOF) {
				t.Errorf("got %x, %v, want the end", answer, err)
			}
		})
	}
}

// A client that has said all that it had to say gets its answers.
func TestHalfClosedConnectionIsAnswered(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, "tcp", s.address(false))
	if _, err := c.Write(append(questions(500, "txt.example.test.", typeTXT), 0, 50, 'x')); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	inOrder(t, c, 500, 2)
	if answer, err := receive(c); !errors.Is(err, io.EOF) {
		t.Errorf("got %x, %v, want the end", answer, err)
	}
}

// Thousands of connections that wait hold little, before they have asked and
// after.
func TestIdleConnectionsHoldLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 5,000 connections")
	}
	const n = 5000
	s := start(t, Config{Settings: Settings{TCP: TCPLimits{Connections: n, PerNetwork: n, Idle: time.Hour}}})
	// Within this process is the other end of each as well.
	ask(t, dial(t, "tcp", s.address(false)), txt)
	before := memoryInUse()
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	if err := s.Set(Settings{TCP: TCPLimits{Connections: 3 * n, PerNetwork: 3 * n, Idle: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	for range n {
		c, err := net.Dial("tcp4", s.address(false).String())
		if err != nil {
			t.Skipf("this machine does not let one process hold so many sockets: %v", err)
		}
		all = append(all, c)
	}
	eventually(t, "all are accepted", func() bool { return testutil.ToFloat64(s.metrics.connections.open) >= n })
	check := func(what string, most uint64) {
		t.Helper()
		// What they have borrowed for the moment, stacks among it, goes back with
		// the next collections.
		var each uint64
		for range 20 {
			inUse := memoryInUse()
			if each = (inUse - min(before, inUse)) / n; each <= most {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("%s: %d bytes for each connection, both ends together", what, each)
		if each > most {
			t.Errorf("%s: %d bytes for each connection, want at most %d", what, each, most)
		}
	}
	check("quiet", 6<<10)
	for _, c := range all {
		ask(t, c, txt)
	}
	check("after a question", 12<<10)
	for _, c := range all {
		c.Write([]byte{0xFF})
	}
	check("after a single byte", 12<<10)
	for _, c := range all {
		c.Write([]byte{0xFF, 1})
	}
	check("after the beginning of a large one", 16<<10) // not the 64 KiB that it claims to have
}

func memoryInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
