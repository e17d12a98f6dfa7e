package dnsserver

import (
	"bufio"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// tcpServer keeps the connections of all addresses, in the order of their last
// question.
type tcpServer struct {
	server *Server
	// responders answer, one for each core: however many connections there are,
	// the room to pack answers in is bounded.
	responders chan *responder
	ended      sync.WaitGroup // the connections' goroutines

	mu sync.Mutex
	// open holds *connection, the one that was quiet the longest in front.
	open *list.List
	// drained is when the last question is taken, once the server ends.
	drained time.Time
}

func newTCPServer(s *Server) *tcpServer {
	n := runtime.GOMAXPROCS(0)
	t := &tcpServer{server: s, open: list.New(), responders: make(chan *responder, n)}
	for range n {
		t.responders <- s.newResponder()
	}
	return t
}

// accept serves connections until ctx ends and none is waiting to be accepted.
func (t *tcpServer) accept(ctx context.Context, listener *net.TCPListener) error {
	stop := context.AfterFunc(ctx, func() {
		t.stop()
		listener.SetDeadline(time.Now())
	})
	defer stop()
	var pause backoff
	for {
		socket, err := listener.AcceptTCP()
		switch {
		case err == nil:
			pause.reset()
			t.serve(socket)
		case ctx.Err() != nil:
			t.drain(listener)
			return nil
		case isFatal(err):
			return fmt.Errorf("accepting on %s: %w", listener.Addr(), reason(err))
		default:
			// Mostly "too many open files": one less helps.
			t.server.metrics.sockets.WithLabelValues("accept").Inc()
			t.server.config.Report(fmt.Errorf("accepting on %s: %w", listener.Addr(), reason(err)))
			t.makeRoom(t.count() - 1)
			pause.wait(ctx)
		}
	}
}

// drain serves the connections that are waiting to be accepted.
func (t *tcpServer) drain(listener *net.TCPListener) {
	end := time.Now().Add(drainWhole)
	for now := time.Now(); now.Before(end); now = time.Now() {
		if listener.SetDeadline(now.Add(drainQuiet)) != nil {
			return
		}
		socket, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		t.serve(socket)
	}
}

// serve takes a connection in, at the cost of another one where there are too
// many, and answers it in a goroutine.
func (t *tcpServer) serve(socket *net.TCPConn) {
	t.makeRoom(t.server.config.TCPConnections - 1)
	c := newConnection(t, socket)
	t.mu.Lock()
	c.element = t.open.PushBack(c)
	t.mu.Unlock()
	t.server.metrics.connections.Inc()
	t.ended.Go(func() {
		c.run()
		t.leave(c)
	})
}

// makeRoom closes those that were quiet the longest, until no more than so many
// are left.
func (t *tcpServer) makeRoom(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.open.Len() > max(most, 0) {
		c := t.open.Remove(t.open.Front()).(*connection)
		c.element = nil
		c.socket.Close()
		t.server.metrics.evicted.Inc()
	}
}

func (t *tcpServer) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open.Len()
}

// leave closes a connection and forgets it.
func (t *tcpServer) leave(c *connection) {
	t.mu.Lock()
	if c.element != nil {
		t.open.Remove(c.element)
		c.element = nil
	}
	t.mu.Unlock()
	c.socket.Close()
	t.server.metrics.connections.Dec()
}

// asked notes that a connection has just asked.
func (t *tcpServer) asked(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.element != nil {
		t.open.MoveToBack(c.element)
	}
}

// stop makes all connections end once they have got their answers.
func (t *tcpServer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.drained.IsZero() {
		return
	}
	t.drained = time.Now().Add(drainWhole)
	for e := t.open.Front(); e != nil; e = e.Next() {
		c := e.Value.(*connection)
		c.arm(t.drained)
	}
}

// finish waits for the connections to end.
func (t *tcpServer) finish() { t.ended.Wait() }

// deadlines sets those of a connection that waits for a question's first byte
// (quiet) or for the rest of it.
func (t *tcpServer) deadlines(c *connection, quiet bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.quiet = quiet
	c.idle = time.Now().Add(t.server.config.TCPIdle)
	c.arm(t.drained)
}

// connection is one client's. Its goroutine owns all but the fields under the
// lock of tcp.
type connection struct {
	socket   *net.TCPConn
	tcp      *tcpServer
	reader   *bufio.Reader
	question []byte // grows with what arrives
	response []byte

	element *list.Element // nil once it was evicted
	quiet   bool          // no byte of the next question has come
	idle    time.Time     // when it ends if nothing happens
}

func newConnection(t *tcpServer, socket *net.TCPConn) *connection {
	return &connection{socket: socket, tcp: t, reader: bufio.NewReaderSize(socket, smallQuestion)}
}

// arm sets the deadlines. Where the server ends (drained is set), a question
// that has arrived or begun to is still answered.
func (c *connection) arm(drained time.Time) {
	end := c.idle
	if !drained.IsZero() {
		end = drained
		if soon := time.Now().Add(4 * drainQuiet); c.quiet && soon.Before(end) {
			end = soon
		}
	}
	// A deadline that cannot be set is one on a closed socket, which the next
	// read tells.
	_ = c.socket.SetDeadline(end)
}

// run answers questions in the order in which they come, until the client has
// no more, is quiet for too long, or says something that gets silence.
func (c *connection) run() {
	for {
		question, err := c.read()
		if err != nil {
			c.failed("tcp_read", err)
			return
		}
		c.tcp.asked(c)
		answer := c.answer(question)
		if answer == nil {
			return
		}
		c.response = answer
		if _, err := c.socket.Write(answer); err != nil {
			c.failed("tcp_write", err)
			return
		}
		c.slim()
	}
}

// slim gives the room of a large question or answer back: the connection may
// wait for long.
func (c *connection) slim() {
	const keep = 4096
	if cap(c.question) > keep {
		c.question = nil
	}
	if cap(c.response) > keep {
		c.response = nil
	}
}

// failed counts errors that are not the ordinary end of a connection.
func (c *connection) failed(operation string, err error) {
	for _, ordinary := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, ordinary) {
			return
		}
	}
	c.tcp.server.metrics.sockets.WithLabelValues(operation).Inc()
}
