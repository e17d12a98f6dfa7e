package dnsserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// packetMaker is a way to move datagrams.
type packetMaker struct {
	name string
	make func(workerSocket, bool) packets
	own  bool // over a socket that is the worker's own
}

// packetMakers are those of this system, with a socket that is the worker's own
// and without, and that of every system.
var packetMakers = []packetMaker{
	{"system", newPackets, false},
	{"own", newPackets, true},
	{"single", func(socket workerSocket, wildcard bool) packets {
		return newSinglePackets(socket.(*net.UDPConn), wildcard)
	}, false},
}

// over gives the packets of a bound socket, and the socket to be used with them.
func (m packetMaker) over(t testing.TB, bound *net.UDPConn, wildcard bool) (packets, workerSocket) {
	t.Helper()
	if !m.own {
		return m.make(bound, wildcard), bound
	}
	own, detached := detach(bound)
	if !detached {
		t.Skip("this system has no sockets of a worker's own")
	}
	bound.Close()
	t.Cleanup(func() { own.Close() })
	return m.make(own, wildcard), own
}

// worker makes one that answers from the table over a bound socket.
func (m packetMaker) worker(t testing.TB, table fakeTable, bound *net.UDPConn, wildcard bool) *udpWorker {
	t.Helper()
	p, socket := m.over(t, bound, wildcard)
	return newTestWorker(table, socket, p)
}

// bindLoose binds one socket on any port.
func bindLoose(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	a := netip.MustParseAddr(address)
	network := "udp4"
	if a.Is6() {
		network = "udp6"
	}
	socket, err := bindUDP(network, netip.AddrPortFrom(a, 0), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket
}

func portOf(socket *net.UDPConn) uint16 { return socket.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// newTestWorker makes a worker that answers from the table.
func newTestWorker(table fakeTable, socket workerSocket, p packets) *udpWorker {
	config := Config{Table: func() Answerer { return table }}.withDefaults()
	s := unbound(config)
	w := newUDPWorker(s, socket, false)
	w.packets = p
	return w
}

// runWorker runs it until the test ends or stop is called.
func runWorker(t testing.TB, w *udpWorker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// families are the addresses that a socket is bound to and those that it is
// asked at.
func families() map[string][]string {
	all := map[string][]string{
		"127.0.0.1": {"127.0.0.1"},
		"0.0.0.0":   {"127.0.0.1", "127.0.0.2", "127.9.8.7"},
	}
	if haveIPv6() {
		all["::1"] = []string{"::1"}
		all["::"] = []string{"::1"}
	}
	return all
}

// padded is a question of so many bytes.
func padded(id uint16, size int) []byte {
	bare := query{id: id, name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(12, ""))}}.bytes()
	fill := string(make([]byte, size-len(bare)))
	return query{id: id, name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(12, fill))}}.bytes()
}

// Every size of question is answered or not, over every family, from the
// address that was asked: a connected socket takes packets from no other.
func TestUDPSizes(t *testing.T) {
	response := query{id: 7, flags: flagQR, name: "txt.example.test.", qtype: typeTXT}.bytes()
	whole := padded(7, roomSize)
	cases := []struct {
		name     string
		question []byte
		rcode    int // -1: silence
		records  int
	}{
		{"empty", nil, -1, 0},
		{"one byte", []byte{0}, -1, 0},
		{"less than a header", make([]byte, 11), -1, 0},
		{"a header", make([]byte, 12), dns.RcodeFormatError, 0},
		{"a question", query{id: 7, name: "txt.example.test.", qtype: typeTXT}.bytes(), 0, 2},
		{"a large question", padded(7, 2000), 0, 2},
		{"as large as the room", whole, 0, 2},
		{"as large as the room, cut short", whole[:roomSize-1], dns.RcodeFormatError, 0},
		{"larger by a byte", append(bytes.Clone(whole), 0), dns.RcodeFormatError, 0},
		{"larger, a whole question", padded(7, roomSize+1), dns.RcodeFormatError, 0},
		{"larger, without a question", append(make([]byte, 12), whole...), dns.RcodeFormatError, 0},
		{"larger, a response", append(bytes.Clone(response), whole...), -1, 0},
		{"larger, NOTIFY", append([]byte{0, 7, dns.OpcodeNotify << 3, 0}, whole...), dns.RcodeNotImplemented, 0},
		{"as large as can be", append(bytes.Clone(whole), make([]byte, 65507-len(whole))...), dns.RcodeFormatError, 0},
	}
	for _, maker := range packetMakers {
		for bound, asked := range families() {
			t.Run(maker.name+" "+bound, func(t *testing.T) {
				socket := bindLoose(t, bound)
				w := maker.worker(t, testTable(), socket, netip.MustParseAddr(bound).IsUnspecified())
				runWorker(t, w)
				for _, to := range asked {
					client := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr(to), portOf(socket)))
					for _, c := range cases {
						checkAnswer(t, c.name+" at "+to, client, c.question, c.rcode, c.records)
					}
				}
				if got := counted(w.metrics.sockets, "write"); got != 0 {
					t.Errorf("%v answers could not be sent", got)
				}
			})
		}
	}
}

// checkAnswer asks, and asks something else after it, whose answer shows that
// there was silence.
func checkAnswer(t *testing.T, where string, client net.Conn, question []byte, rcode, records int) {
	t.Helper()
	send(t, client, question)
	send(t, client, query{id: 9999, name: "nothing.example.test.", qtype: typeTXT}.bytes())
	answer, err := receive(client)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	m := parse(t, answer)
	if rcode < 0 {
		if m.Id != 9999 {
			t.Errorf("%s: want silence, got %v", where, m)
		}
		return
	}
	if m.Id != binary.BigEndian.Uint16(question) || m.Rcode != rcode || len(m.Answer) != records {
		t.Errorf("%s: want code %d and %d records, got %v", where, rcode, records, m)
	}
	if answer, err = receive(client); err != nil || parse(t, answer).Id != 9999 {
		t.Errorf("%s: the next question: %v %v", where, answer, err)
	}
}

// Bursts of many batches, from many clients, with silence in between: each
// client gets its own answers, in order.
func TestUDPBursts(t *testing.T) {
	for _, maker := range packetMakers {
		for bound, asked := range families() {
			t.Run(maker.name+" "+bound, func(t *testing.T) {
				socket := bindLoose(t, bound)
				w := maker.worker(t, testTable(), socket, netip.MustParseAddr(bound).IsUnspecified())
				var clients []net.Conn
				for i := range 7 {
					to := netip.MustParseAddr(asked[i%len(asked)])
					clients = append(clients, dial(t, "udp", netip.AddrPortFrom(to, portOf(socket))))
				}
				burst := func(size int) {
					for i := range size {
						q := query{id: uint16(i), name: "txt.example.test.", qtype: typeTXT}
						if i%5 == 3 {
							q.flags = flagQR
						}
						send(t, clients[i%7], q.bytes())
					}
				}
				check := func(size int) {
					t.Helper()
					for i := range size {
						if i%5 == 3 {
							continue
						}
						answer, err := receive(clients[i%7])
						if err != nil {
							t.Fatalf("question %d: %v", i, err)
						}
						if m := parse(t, answer); int(m.Id) != i || len(m.Answer) != 2 {
							t.Fatalf("question %d: %v", i, m)
						}
					}
				}
				burst(2*batchSize + 20) // waits for the worker in the socket
				runWorker(t, w)
				check(2*batchSize + 20)
				for _, size := range []int{1, 4, batchSize, batchSize + 1, 2 * batchSize} {
					burst(size)
					check(size)
				}
			})
		}
	}
}

// What has arrived before a worker is told to end is answered, though packets
// keep coming.
func TestUDPStopUnderLoad(t *testing.T) {
	for _, maker := range packetMakers {
		t.Run(maker.name, func(t *testing.T) {
			socket := bindLoose(t, "127.0.0.1")
			w := maker.worker(t, testTable(), socket, false)
			stop := runWorker(t, w)
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(socket))
			q := query{name: "txt.example.test.", qtype: typeTXT}.bytes()

			over := make(chan struct{})
			var others, clients sync.WaitGroup
			for range 4 {
				c := dial(t, "udp", to)
				others.Go(func() { keepAsking(c, q, over) })
			}
			const each = 30 // no more than a socket's default room holds
			var counts [4]int
			var open [4]net.Conn
			for i := range counts {
				open[i] = dial(t, "udp", to)
				clients.Go(func() {
					for range each {
						send(t, open[i], q)
					}
				})
			}
			clients.Wait()
			stop()
			close(over)
			others.Wait()
			for i, c := range open {
				for counts[i] < each {
					c.SetReadDeadline(time.Now().Add(time.Second))
					if _, err := receive(c); err != nil {
						break
					}
					counts[i]++
				}
				if counts[i] != each {
					t.Errorf("client %d: %d of %d questions were answered", i, counts[i], each)
				}
			}
		})
	}
}

// keepAsking has one question on its way until over is closed.
func keepAsking(c net.Conn, q []byte, over <-chan struct{}) {
	answer := make([]byte, maxMessage)
	for {
		select {
		case <-over:
			return
		default:
		}
		c.Write(q)
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		c.Read(answer)
	}
}

// endless is a socket into which packets never cease to come.
type endless struct {
	batch    []datagram
	pause    time.Duration
	received atomic.Int64
}

func newEndless(size int, pause time.Duration) *endless {
	e := &endless{batch: make([]datagram, size), pause: pause}
	for i := range e.batch {
		e.batch[i] = datagram{room: make([]byte, roomSize), client: netip.MustParseAddrPort("127.0.0.1:5")}
	}
	return e
}

func (e *endless) receive() ([]datagram, error) {
	if e.pause > 0 {
		time.Sleep(e.pause)
	}
	e.received.Add(int64(len(e.batch)))
	return e.batch, nil
}

func (e *endless) send([]datagram) int { return 0 }

// A worker ends though packets keep coming, once all has been answered that the
// socket can have held, or time is up.
func TestUDPDrainEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration
		want  int64
	}{
		{"fast", 0, drainMost},
		{"slow", drainLongest / 10, 10 * batchSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				socket := bindLoose(t, "127.0.0.1")
				flood := newEndless(batchSize, c.pause)
				w := newTestWorker(testTable(), socket, flood)
				w.drain()
				if got := flood.received.Load(); got != c.want {
					t.Errorf("%d packets were answered, want %d", got, c.want)
				}
			})
		})
	}
}

// While packets never cease to come, others run on the same core.
func TestUDPYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	socket := bindLoose(t, "127.0.0.1")
	flood := newEndless(batchSize, 0)
	w := newTestWorker(testTable(), socket, flood)
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			if _, err := w.serve(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 20 {
		before := flood.received.Load()
		runtime.Gosched()
		if got := flood.received.Load() - before; got > 2*turnEvery {
			t.Errorf("%d packets before another had its turn, want %d", got, turnEvery)
		}
	}
	over.Store(true)
	<-done
	if flood.received.Load() < turnEvery {
		t.Error("the worker never ran")
	}
}

// Nobody can be answered at port 0.
func TestUDPPortZero(t *testing.T) {
	socket := bindLoose(t, "127.0.0.1")
	p := newEndless(2, 0)
	w := newTestWorker(testTable(), socket, p)
	for i := range p.batch {
		p.batch[i].length = copy(p.batch[i].room, query{id: 5, name: "txt.example.test.", qtype: typeTXT}.bytes())
	}
	p.batch[0].client = netip.MustParseAddrPort("127.0.0.1:0")
	w.answer(p.batch)
	if p.batch[0].answer != 0 || p.batch[1].answer == 0 {
		t.Errorf("answers of %d and %d bytes, want none to port 0 only", p.batch[0].answer, p.batch[1].answer)
	}
	if got := counted(w.metrics.dropped, dropSource); got != 1 {
		t.Errorf("counted %v packets from port 0, want 1", got)
	}
}

// failing is a socket that nothing can be read from, for a time.
type failing struct {
	packets
	errors []error
}

func (f *failing) receive() ([]datagram, error) {
	if len(f.errors) == 0 {
		return f.packets.receive()
	}
	err := f.errors[0]
	f.errors = f.errors[1:]
	return nil, err
}

// An error of reading is reported and passes.
func TestUDPReadErrors(t *testing.T) {
	socket := bindLoose(t, "127.0.0.1")
	p := &failing{newPackets(socket, false), []error{syscall.ENOMEM, syscall.ECONNREFUSED}}
	w := newTestWorker(testTable(), socket, p)
	var reports []error
	w.report = func(err error) { reports = append(reports, err) }
	stop := runWorker(t, w)
	client := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(socket)))
	ask(t, client, query{name: "txt.example.test.", qtype: typeTXT}.bytes())
	stop()
	if len(reports) != 2 || !errors.Is(reports[0], syscall.ENOMEM) || !errors.Is(reports[1], syscall.ECONNREFUSED) {
		t.Errorf("reports %v", reports)
	}
	if got := counted(w.metrics.sockets, "read"); got != 2 {
		t.Errorf("counted %v errors, want 2", got)
	}
}

// What cannot be sent is counted, and holds up nobody.
func TestUDPWriteErrors(t *testing.T) {
	for _, maker := range packetMakers {
		socket := bindLoose(t, "127.0.0.1")
		w := maker.worker(t, testTable(), socket, false)
		client := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(socket)))
		send(t, client, query{name: "txt.example.test.", qtype: typeTXT}.bytes())
		w.socket.SetWriteDeadline(time.Now().Add(-time.Second))
		if _, err := w.serve(); err != nil {
			t.Errorf("%s: %v", maker.name, err)
		}
		if got := counted(w.metrics.sockets, "write"); got != 1 {
			t.Errorf("%s: counted %v errors, want 1", maker.name, got)
		}
	}
}

// The socket's deadline and its end reach who waits.
func TestUDPReceiveEnds(t *testing.T) {
	for _, maker := range packetMakers {
		socket := bindLoose(t, "127.0.0.1")
		p, used := maker.over(t, socket, false)
		used.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := p.receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want a deadline", maker.name, err)
		}
		used.Close()
		if _, err := p.receive(); !isFatal(err) {
			t.Errorf("%s: %v, want a closed socket", maker.name, err)
		}
		if failed := p.send([]datagram{{room: make([]byte, roomSize), answer: 12}}); failed != 1 {
			t.Errorf("%s: %d answers failed, want 1", maker.name, failed)
		}
	}
}

// A batch costs no allocation.
func TestUDPAllocatesNothing(t *testing.T) {
	for _, maker := range packetMakers {
		for bound, asked := range families() {
			socket := bindLoose(t, bound)
			p, _ := maker.over(t, socket, netip.MustParseAddr(bound).IsUnspecified())
			client := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr(asked[0]), portOf(socket)))
			question, answer := make([]byte, 40), make([]byte, 100)
			allocated := testing.AllocsPerRun(200, func() { echo(t, p, client, question, answer) })
			if allocated != 0 {
				t.Errorf("%s at %s: %v allocations for a batch", maker.name, bound, allocated)
			}
		}
	}
}

// echo sends three datagrams and takes them back, but for the second.
func echo(t testing.TB, p packets, client net.Conn, question, answer []byte) {
	for range 3 {
		if _, err := client.Write(question); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 3; {
		batch, err := p.receive()
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			if n++; n != 2 {
				batch[i].answer = batch[i].length
			}
		}
		if failed := p.send(batch); failed != 0 {
			t.Fatalf("%d answers failed", failed)
		}
	}
	for range 2 {
		if n, err := client.Read(answer); err != nil || n != len(question) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
}

// BenchmarkUDP is what one datagram costs a worker and its client together.
func BenchmarkUDP(b *testing.B) {
	for _, maker := range packetMakers {
		for _, size := range []int{1, batchSize} {
			b.Run(fmt.Sprintf("%s/%d", maker.name, size), func(b *testing.B) {
				socket := bindLoose(b, "127.0.0.1")
				p, _ := maker.over(b, socket, false)
				client := dial(b, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(socket)))
				question, answer := make([]byte, 40), make([]byte, 100)
				b.ReportAllocs()
				for n := 0; n < b.N; n += size {
					for range size {
						client.Write(question)
					}
					for got := 0; got < size; {
						batch, err := p.receive()
						if err != nil {
							b.Fatal(err)
						}
						for i := range batch {
							batch[i].answer = batch[i].length
						}
						p.send(batch)
						got += len(batch)
					}
					for range size {
						client.Read(answer)
					}
				}
			})
		}
	}
}
