package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// tcpServer accepts the connections of all addresses.
type tcpServer struct {
	server *Server
	open   *openConnections
	// responders answer, one for each core: however many connections there are,
	// the room to pack answers in is bounded.
	responders chan *responder
	secure     chan *responder // as many, for what comes over TLS
	// handshakes has room for those that compute at once.
	handshakes chan struct{}
	turns      chan *turn // as many
	// transfers has a turn for each that makes a message at once.
	transfers chan *turn
	rooms     sync.Pool // of *room
	// next hands connections to goroutines that have ended one: theirs have the
	// stack that answering takes, which is grown in steps otherwise, at a tenth
	// of what a connection with one question costs. spare is how many wait.
	next  chan *connection
	spare atomic.Int32
	ended sync.WaitGroup // the connections' goroutines
}

// What the system holds of a connection at most, in bytes; it counts twice as
// many for its own needs. A client far away has so much under way: two of the
// largest answers, and more questions than anybody asks at once.
const (
	sendBuffer    = 128 << 10
	receiveBuffer = 64 << 10
)

// acceptAtOnce is how many connections are accepted before others have their turn:
// half a millisecond's, with a question on each.
const acceptAtOnce = 16

// maxSpare is how many goroutines wait for their next connection.
const maxSpare = 64

func newTCPServer(s *Server) *tcpServer {
	n := s.config.Workers
	t := &tcpServer{
		server:     s,
		open:       s.open,
		responders: make(chan *responder, n),
		secure:     make(chan *responder, n),
		handshakes: make(chan struct{}, max(n/2, 1)),
		rooms:      sync.Pool{New: func() any { return new(room) }},
		turns:      make(chan *turn, n),
		transfers:  make(chan *turn, max(n/2, 1)),
		next:       make(chan *connection),
	}
	for range n {
		t.responders <- s.newResponder(overTCP)
		if s.tls != nil {
			t.secure <- s.newResponder(overTLS)
		}
		t.turns <- newTurn()
	}
	for range cap(t.transfers) {
		t.transfers <- newTurn()
	}
	return t
}

// accept serves connections until ctx ends and none is waiting to be accepted.
// Then it closes the listener, so that another one can have the address while
// the connections go on.
func (t *tcpServer) accept(ctx context.Context, listener *net.TCPListener, over transport) error {
	stop := context.AfterFunc(ctx, func() {
		t.open.end()
		listener.SetDeadline(time.Now())
	})
	defer stop()
	defer listener.Close()
	var pause backoff
	for accepted := 1; ; accepted++ {
		socket, err := listener.AcceptTCP()
		switch {
		case err == nil:
			pause.reset()
			t.serve(socket, over)
			if accepted%acceptAtOnce == 0 {
				t.yield()
			}
		case ctx.Err() != nil:
			t.drain(listener, over)
			return nil
		case isFatal(err):
			return fmt.Errorf("accepting on %s: %w", listener.Addr(), reason(err))
		default:
			// Mostly "too many open files": one less helps.
			t.server.metrics.sockets.WithLabelValues("accept").Inc()
			t.server.config.Report(fmt.Errorf("accepting on %s: %w", listener.Addr(), reason(err)))
			t.open.endQuietest()
			pause.wait(ctx)
		}
	}
}

// drain serves the connections that are waiting to be accepted.
func (t *tcpServer) drain(listener *net.TCPListener, over transport) {
	end := time.Now().Add(drainWhole)
	for now := time.Now(); now.Before(end); now = time.Now() {
		if listener.SetDeadline(now.Add(drainQuiet)) != nil {
			return
		}
		socket, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		t.serve(socket, over)
	}
}

// serve takes a connection in, at the cost of another one where there are too
// many, and answers it in a goroutine.
func (t *tcpServer) serve(socket *net.TCPConn, over transport) {
	c := newConnection(t, socket, over)
	t.open.join(c)
	select {
	case t.next <- c:
	default:
		t.ended.Go(func() { t.work(c) })
	}
}

// work answers a connection, and then others as they come.
func (t *tcpServer) work(c *connection) {
	for more := true; more; {
		c.run()
		t.open.leave(c)
		if t.spare.Add(1) > maxSpare {
			t.spare.Add(-1)
			return
		}
		c, more = <-t.next
		t.spare.Add(-1)
	}
}

// yield lets others have the core. Where as many as there are cores are doing that, it
// waits: those that could run again at once would be run before the poller is asked who
// else can, and that is then done every 10 ms alone.
func (t *tcpServer) yield() {
	turn := <-t.turns
	turn.take()
	t.turns <- turn
}

// finish makes the connections end, and waits until they have. None is accepted
// any more.
func (t *tcpServer) finish() {
	t.open.end() // nobody has where a listener failed
	close(t.next)
	t.ended.Wait()
	for _, turns := range []chan *turn{t.turns, t.transfers} {
		for range cap(turns) {
			(<-turns).close()
		}
	}
}

// failed counts errors that are not the ordinary end of a connection: of system
// calls, or of a client that does not speak TLS as it has to.
func (t *tcpServer) failed(over transport, operation string, err error) {
	for _, ordinary := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE, errEnding,
	} {
		if errors.Is(err, ordinary) {
			return
		}
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == alertOfClient {
		return
	}
	if errno := syscall.Errno(0); over == overTLS && !errors.As(err, &errno) {
		t.server.metrics.connections.broken.Inc()
		return
	}
	t.server.metrics.sockets.WithLabelValues(string(over) + "_" + operation).Inc()
}
