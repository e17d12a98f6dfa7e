package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// udpWorker reads a packet, answers it, and reads the next.
type udpWorker struct {
	socket    *net.UDPConn
	metrics   *metrics
	report    func(error)
	responder *responder
	packet    []byte
	control   []byte // nil where the socket has but one address
	response  []byte
}

func newUDPWorker(s *Server, socket *net.UDPConn, wildcard bool) *udpWorker {
	w := &udpWorker{
		socket:    socket,
		metrics:   s.metrics,
		report:    s.config.Report,
		responder: s.newResponder(),
		packet:    make([]byte, maxMessage),
		response:  make([]byte, 0, s.config.UDPSize),
	}
	if wildcard {
		w.control = make([]byte, controlSize)
	}
	return w
}

// run serves until ctx ends and the socket is empty. An error that passes, such
// as an ICMP message to an answer, does not end it.
func (w *udpWorker) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { w.socket.SetReadDeadline(time.Now()) })
	defer stop()
	var pause backoff
	for {
		err := w.serve()
		switch {
		case err == nil:
			pause.reset()
		case ctx.Err() != nil:
			w.drain()
			return nil
		case isFatal(err):
			return fmt.Errorf("reading from %s: %w", w.socket.LocalAddr(), reason(err))
		default:
			w.metrics.sockets.WithLabelValues("read").Inc()
			w.report(fmt.Errorf("reading from %s: %w", w.socket.LocalAddr(), reason(err)))
			pause.wait(ctx)
		}
	}
}

// drain answers what is in the socket.
func (w *udpWorker) drain() {
	end := time.Now().Add(drainWhole)
	for now := time.Now(); now.Before(end); now = time.Now() {
		if w.socket.SetReadDeadline(now.Add(drainQuiet)) != nil {
			return
		}
		if err := w.serve(); errors.Is(err, os.ErrDeadlineExceeded) || (err != nil && isFatal(err)) {
			return
		}
	}
}

// serve answers one packet. Its error is one of reading.
func (w *udpWorker) serve() error {
	n, controls, _, client, err := w.socket.ReadMsgUDPAddrPort(w.packet, w.control)
	if err != nil {
		return err
	}
	if client.Port() == 0 {
		w.responder.counts.drop(dropSource)
		return nil
	}
	response := w.responder.respond(w.response[:0], w.packet[:n], client.Addr(), overUDP)
	if response == nil {
		return nil
	}
	w.send(response, w.control[:controls], client)
	return nil
}

// send sends an answer from the address that was asked. That it cannot be sent
// is counted, not reported: the error would name the client, who asks again.
func (w *udpWorker) send(response, control []byte, client netip.AddrPort) {
	if len(control) > 0 {
		control = replyControl(control)
	}
	if _, _, err := w.socket.WriteMsgUDPAddrPort(response, control, client); err != nil {
		w.metrics.sockets.WithLabelValues("write").Inc()
	}
}

// isFatal reports whether reading can never succeed again.
func isFatal(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENOTSOCK)
}

// backoff grows from 1 ms to 1 s while errors follow each other.
type backoff struct{ last time.Duration }

func (b *backoff) reset() { b.last = 0 }

func (b *backoff) wait(ctx context.Context) {
	b.last = min(max(2*b.last, time.Millisecond), time.Second)
	timer := time.NewTimer(b.last)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
