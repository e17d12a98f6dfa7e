package dnsserver

import (
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

// tcpServer accepts the connections of all addresses.
type tcpServer struct {
	server *Server
	open   *openConnections
	// responders answer, one for each core: however many connections there are,
	// the room to pack answers in is bounded.
	responders chan *responder
	rooms      sync.Pool      // of *room
	ended      sync.WaitGroup // the connections' goroutines
}

func newTCPServer(s *Server) *tcpServer {
	n := runtime.GOMAXPROCS(0)
	t := &tcpServer{
		server:     s,
		open:       s.open,
		responders: make(chan *responder, n),
		rooms:      sync.Pool{New: func() any { return new(room) }},
	}
	for range n {
		t.responders <- s.newResponder(overTCP)
	}
	return t
}

// accept serves connections until ctx ends and none is waiting to be accepted.
func (t *tcpServer) accept(ctx context.Context, listener *net.TCPListener) error {
	stop := context.AfterFunc(ctx, func() {
		t.open.end()
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
			t.open.closeQuietest()
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
	c := newConnection(t, socket)
	t.open.join(c)
	t.ended.Go(func() {
		c.run()
		t.open.leave(c)
	})
}

// finish waits for the connections to end.
func (t *tcpServer) finish() { t.ended.Wait() }

// failed counts errors that are not the ordinary end of a connection.
func (t *tcpServer) failed(operation string, err error) {
	for _, ordinary := range []error{
		io.EOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, ordinary) {
			return
		}
	}
	t.server.metrics.sockets.WithLabelValues(operation).Inc()
}
