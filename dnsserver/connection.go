package dnsserver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// connection is one client's. While it waits for a question it has no buffers,
// but for what has come of one that is not whole.
type connection struct {
	// Its goroutine's.
	socket  *net.TCPConn
	tcp     *tcpServer
	over    transport
	client  netip.Addr        // who asks: the other side, or whom the proxy there names
	proxied bool              // a header of the PROXY protocol comes first
	secure  *secureConnection // over TLS; nil before the handshake
	rest    []byte            // of a question that is not whole, with its length before it
	taken   int               // bytes that others wait for to be served, see yieldEvery
	// transfers are zones on their way to the client, the next one first; those that
	// wait for a place are in the order in which they came.
	transfers []*zoneTransfer

	lost chan struct{} // over TLS: closed when it has lost its place

	// Those of openConnections, under its lock.
	places  [queuesPerConnection]place
	network *queue
	since   time.Duration // when the clock was set
	open    bool          // it is in the queues; or else it is about to end
	quiet   bool          // nothing of a question has come
	inLine  bool          // it waits for a turn of the server's own
}

// yieldEvery is how many bytes a connection that always has more is served before
// others have their turn: some 100 questions. What counts is what comes out of the
// socket, for over TLS much of that may be no question and costs more than one; with
// it count each read (readCosts), and each write over TLS (writeCosts).
const yieldEvery = 8 << 10

// readCosts is how many bytes a read counts for beside those that it brings, for
// one that brings a byte, as a TLS record may, takes as long as answering does.
const readCosts = 64

// errEnding: the connection has lost its place.
var errEnding = errors.New("the connection is about to end")

func newConnection(t *tcpServer, socket *net.TCPConn, over transport) *connection {
	client := socket.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
	c := &connection{
		socket: socket, tcp: t, over: over, client: client,
		proxied: isProxy(t.server.settings.Load().ProxyFrom, client),
	}
	if over == overTLS {
		c.lost = make(chan struct{})
	}
	return c
}

// wire is what the questions come over.
func (c *connection) wire() io.ReadWriter {
	if c.secure != nil {
		return c.secure
	}
	return c.socket
}

// greet waits for what comes before the first question, and reports whether there
// may be one. The time for it is that of a question.
func (c *connection) greet() bool {
	switch {
	case c.over == overTLS:
		return c.greetTLS()
	case c.proxied:
		return c.introduce(c.socket)
	}
	return true
}

// arm sets the deadlines of a connection to a server that ends at drained. A
// question that has arrived or begun to is still answered.
func (c *connection) arm(drained time.Time) {
	end := drained
	if soon := time.Now().Add(4 * drainQuiet); c.quiet && soon.Before(end) {
		end = soon
	}
	// A deadline that cannot be set is one on a closed socket, which the next
	// read tells.
	_ = c.socket.SetReadDeadline(end)
	_ = c.socket.SetWriteDeadline(drained)
}

// serve answers all questions that are there, and reports whether the connection
// ends: because the client has no more, or says something that gets silence.
//
// Questions are answered in the order in which they came. Every answer comes
// from memory, so none waits for another, and there is nothing to gain from
// another order, which RFC 7766 section 6.2.1.1 asks for where there is. What takes
// long, a zone transfer, is given in parts, one in each round of this loop, which
// reads what there is of questions before: who asks without a pause gets both.
//
// Nothing is read while answers wait to be sent: what a client sends faster than
// it takes the answers stays in the system's buffers, and then in its own.
func (c *connection) serve(s stream) (ends bool) {
	r := c.tcp.rooms.Get().(*room)
	defer c.tcp.rooms.Put(r)
	in := c.resume(r)
	ended, asked := false, false
	for c.taken = 0; ; {
		if c.taken >= yieldEvery {
			c.taken = 0
			c.tcp.open.wait(c)
			c.tcp.yield()
			if _, goesOn := c.tcp.open.active(c, len(in) == 0 && len(c.transfers) == 0); !goesOn {
				return true // a question that never becomes whole asks for nothing else
			}
		}
		if asked && len(c.transfers) > 0 && !c.continueTransfer(s, r, len(in) == 0) {
			return true
		}
		asked = false
		in = growFull(in)
		n, err := 0, io.EOF
		if !ended {
			n, err = s.read(in[len(in):cap(in)])
		}
		nothing := errors.Is(err, errNothing)
		switch {
		case len(c.transfers) > 0 && (nothing || errors.Is(err, io.EOF)):
			ended = !nothing // who has no more questions still gets the rest
			if !c.continueTransfer(s, r, len(in) == 0) {
				return true
			}
			continue
		case nothing:
			c.suspend(in, r)
			return false
		}
		if err != nil {
			c.tcp.failed(c.over, "read", err)
			return true
		}
		c.taken += readCosts
		asked = true
		begun := len(in) > 0
		in = in[:len(in)+n]
		whole := wholeQuestions(in)
		if whole == 0 && begun {
			continue // the clock runs from a question's first byte to its last
		}
		if !c.answer(s, r, in[:whole], whole == len(in)) {
			return true
		}
		if whole > 0 {
			in = append(r.in[:0], in[whole:]...)
		}
	}
}

// resume gives the buffer to read into, which holds what came before.
func (c *connection) resume(r *room) []byte {
	if cap(c.rest) > len(r.in) {
		return c.rest
	}
	return append(r.in[:0], c.rest...)
}

// suspend keeps what has come of a question, and no room for what has not.
func (c *connection) suspend(in []byte, r *room) {
	switch {
	case len(in) == 0:
		c.rest = nil
	case cap(in) > len(r.in):
		c.rest = in
	default:
		c.rest = append(c.rest[:0], in...)
	}
}

// growFull makes room for more where there is none, which is so where in begins
// with a question that is longer. A length alone gets none: there is as much
// more as has come already.
func growFull(in []byte) []byte {
	if len(in) < cap(in) {
		return in
	}
	missing := prefixSize + int(binary.BigEndian.Uint16(in)) - len(in)
	grown := make([]byte, len(in), len(in)+min(missing, len(in)))
	copy(grown, in)
	return grown
}

// answer answers questions, with as few writes as their number allows, and
// reports whether the connection goes on. quiet: nothing has come of one more.
func (c *connection) answer(s stream, r *room, questions []byte, quiet bool) bool {
	for {
		keepalive, goesOn := c.tcp.open.active(c, quiet)
		if !goesOn {
			return false
		}
		if len(questions) == 0 {
			return true
		}
		answers, left, silence := c.tcp.answer(r.out[:0], questions, c, keepalive)
		if !c.send(s, answers) || silence {
			return false
		}
		if questions = left; len(questions) == 0 {
			return true
		}
	}
}

// send sends answers, and reports whether the client has taken them in time.
func (c *connection) send(s stream, answers []byte) bool {
	if len(answers) == 0 {
		return true
	}
	err := s.write(answers)
	if err != nil {
		c.tcp.failed(c.over, "write", err)
	}
	return err == nil
}

// close ends the connection. Over TLS the client is told that this is the end,
// where it takes that at once.
func (c *connection) close() {
	c.endTransfers()
	if c.secure != nil {
		c.secure.sayEnd()
	}
	c.socket.Close()
}
