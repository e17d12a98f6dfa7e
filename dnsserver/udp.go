package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// When the server ends, a socket into which packets keep coming is read until
// all that it could hold before has been answered, which is what drainMost is:
// no packet takes less than 512 bytes of a socket's buffer, and the system
// doubles what it was asked for. A slow machine gets drainLongest.
const (
	drainMost    = 2 * socketBuffer / 512
	drainLongest = time.Second
)

// turnEvery is how many packets a worker answers before others have their turn:
// about a millisecond's.
const turnEvery = 256

// udpWorker reads packets, answers them, and reads the next.
type udpWorker struct {
	socket    workerSocket
	packets   packets
	metrics   *metrics
	report    func(error)
	responder *responder
	turn      *turn
	served    int // packets since the last turn of others
}

func newUDPWorker(s *Server, socket workerSocket, wildcard bool) *udpWorker {
	return &udpWorker{
		socket:    socket,
		packets:   newPackets(socket, wildcard),
		metrics:   s.metrics,
		report:    s.config.Report,
		responder: s.newResponder(overUDP),
		turn:      newTurn(),
	}
}

// run serves until ctx ends and the socket is empty. An error that passes, such
// as an ICMP message to an answer, does not end it.
func (w *udpWorker) run(ctx context.Context) error {
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.end()
		close(told)
	})
	defer stop()
	defer w.close()
	var pause backoff
	for {
		_, err := w.serve()
		switch {
		case err == nil:
			pause.reset()
		case ctx.Err() != nil:
			<-told // or else the deadline that it sets ends the drain
			w.drain()
			w.drainLast()
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

// close lets go of what is the worker's own; a shared socket is not. What comes
// from then on is refused by the system, and not left without an answer.
func (w *udpWorker) close() {
	w.turn.close()
	if _, shared := w.socket.(*net.UDPConn); !shared {
		_ = w.socket.Close() // nobody reads from it any more, whatever it says
	}
}

// end lets nobody wait for a packet any more, nor for long for a socket that
// takes no more answers. A deadline that cannot be set is one on a closed
// socket, which the next read tells.
func (w *udpWorker) end() {
	now := time.Now()
	_ = w.socket.SetReadDeadline(now)
	_ = w.socket.SetWriteDeadline(now.Add(2 * drainLongest)) // also what drain takes last
}

// drain answers what is in the socket.
func (w *udpWorker) drain() {
	end := time.Now().Add(drainLongest)
	served := 0
	for now := time.Now(); now.Before(end) && served < drainMost; now = time.Now() {
		if w.socket.SetReadDeadline(now.Add(drainQuiet)) != nil {
			return
		}
		n, err := w.serve()
		if errors.Is(err, os.ErrDeadlineExceeded) || (err != nil && isFatal(err)) {
			return
		}
		served += n
	}
}

// drainLast lets nothing more come, where the system can do that, and answers
// what has come meanwhile, so that closing the socket loses none.
func (w *udpWorker) drainLast() {
	now := time.Now()
	end := now.Add(drainLongest)
	if !refuseMore(w.socket) || w.socket.SetReadDeadline(now) != nil || w.socket.SetWriteDeadline(end) != nil {
		return
	}
	for time.Now().Before(end) {
		// An error that passes, such as an ICMP message, is about one packet.
		if _, err := w.serve(); errors.Is(err, os.ErrDeadlineExceeded) || (err != nil && isFatal(err)) {
			return
		}
	}
}

// serve answers the packets that are there, and waits if there is none. It
// gives their number. Its error is one of reading. That an answer cannot be
// sent is counted, not reported: the error would name the client, who asks
// again.
func (w *udpWorker) serve() (int, error) {
	batch, err := w.packets.receive()
	if err != nil {
		return 0, err
	}
	w.answer(batch)
	if failed := w.packets.send(batch); failed > 0 {
		w.metrics.sockets.WithLabelValues("write").Add(float64(failed))
	}
	if w.served += len(batch); w.served >= turnEvery {
		w.served = 0
		w.turn.take()
	}
	return len(batch), nil
}

// answer puts the answers where the questions were.
func (w *udpWorker) answer(batch []datagram) {
	w.responder.begin()
	defer w.responder.end()
	proxies := w.responder.settings.ProxyFrom
	for i := range batch {
		d := &batch[i]
		if d.client.Port() == 0 {
			w.responder.counts.drop(dropSource)
			continue
		}
		client, ok := d.client.Addr(), true
		if len(proxies) > 0 && isProxy(proxies, client) {
			client, ok = d.unwrap()
		}
		if !ok {
			w.responder.counts.drop(dropProxy)
			continue
		}
		if d.cut && d.length >= headerSize {
			d.spoil()
		}
		response := w.responder.reply(d.room, d.length, client, overUDP)
		if len(response) > 0 && &response[0] != &d.room[0] {
			copy(d.room, response)
		}
		d.answer = len(response)
	}
}

// spoil leaves of a question that is longer than the room what is malformed
// for certain, so that nothing is read into the part that came: its header,
// and that says that a question follows.
func (d *datagram) spoil() {
	binary.BigEndian.PutUint16(d.room[4:], 1)
	d.length = headerSize
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
