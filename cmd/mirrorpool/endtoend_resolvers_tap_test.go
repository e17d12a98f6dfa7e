//go:build e2e

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// tap stands between a resolver and the server, on the port that resolvers ask
// unconfigured: it passes all bytes on as they are, in both ways and from the
// resolver's own address, and writes down what was asked and answered.
type tap struct {
	server  string // where questions are passed on to
	packets *net.UDPConn
	streams *net.TCPListener
	running sync.WaitGroup

	mu       sync.Mutex
	clients  int // questions of clients up to now
	underWay int // questions that have no answer yet
	log      []exchange
	lost     []error // what the tap itself could not pass on
	closed   bool    // it ends, so that errors are no wonder
	open     map[net.Conn]bool
}

// exchange is a question with its answer.
type exchange struct {
	at       time.Time // when the question came
	answered time.Time // when the answer was on its way back
	client   int       // for which question of a client, counted from 1
	over     string    // "udp" or "tcp"
	name     string    // as asked: resolvers mix capitals
	question *dns.Msg
	answer   *dns.Msg
	size     int  // bytes of the answer
	echoed   bool // the answer's question has the very bytes of the question's
}

func startTap(t *testing.T, packets *net.UDPConn, streams *net.TCPListener, server string) *tap {
	p := &tap{server: server, packets: packets, streams: streams, open: map[net.Conn]bool{}}
	p.running.Go(p.relayPackets)
	p.running.Go(p.relayStreams)
	t.Cleanup(func() {
		p.end()
		for _, err := range p.lost {
			t.Errorf("between resolver and server: %v", err)
		}
	})
	return p
}

func (p *tap) end() {
	p.mu.Lock()
	p.closed = true
	for connection := range p.open {
		connection.Close()
	}
	p.mu.Unlock()
	p.packets.Close()
	p.streams.Close()
	p.running.Wait()
}

func (p *tap) relayPackets() {
	buffer := make([]byte, dns.MaxMsgSize)
	for {
		n, from, err := p.packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			p.failed("reading packets", err)
			return
		}
		e, question := p.came("udp"), slices.Clone(buffer[:n])
		p.running.Go(func() { p.relayPacket(e, from, question) })
	}
}

func (p *tap) relayPacket(e exchange, from netip.AddrPort, question []byte) {
	defer p.went()
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: from.Addr().AsSlice()}}
	server, err := dialer.Dial("udp", p.server)
	if err != nil {
		p.failed("dialling the server", err)
		return
	}
	defer server.Close()
	answer := make([]byte, dns.MaxMsgSize)
	if err := server.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.failed("setting a deadline", err)
		return
	}
	if _, err := server.Write(question); err != nil {
		p.failed("passing a question on", err)
		return
	}
	n, err := server.Read(answer)
	if err != nil {
		p.failed("waiting for an answer", err)
		return
	}
	p.add(e, question, answer[:n])
	if _, err := p.packets.WriteToUDPAddrPort(answer[:n], from); err != nil {
		p.failed("passing an answer on", err)
	}
}

func (p *tap) relayStreams() {
	for {
		connection, err := p.streams.Accept()
		if err != nil {
			p.failed("accepting a connection", err)
			return
		}
		p.running.Go(func() { p.relayStream(connection) })
	}
}

// relayStream passes one question after the other on, until one side closes.
func (p *tap) relayStream(client net.Conn) {
	defer client.Close()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: client.RemoteAddr().(*net.TCPAddr).IP}}
	server, err := dialer.Dial("tcp", p.server)
	if err != nil {
		p.failed("dialling the server", err)
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	for {
		question, err := readFrame(client)
		if err != nil {
			return // the resolver needs the connection no more
		}
		if !p.relayFrame(client, server, question) {
			return // one of them closed it
		}
	}
}

func (p *tap) relayFrame(client, server net.Conn, question []byte) bool {
	e := p.came("tcp")
	defer p.went()
	if err := writeFrame(server, question); err != nil {
		return false
	}
	answer, err := readFrame(server)
	if err != nil {
		return false
	}
	p.add(e, question, answer)
	return writeFrame(client, answer) == nil
}

func readFrame(from io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(from, message)
	return message, err
}

func writeFrame(to io.Writer, message []byte) error {
	_, err := to.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

func (p *tap) failed(doing string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && !errors.Is(err, net.ErrClosed) {
		p.lost = append(p.lost, fmt.Errorf("%s: %w", doing, err))
	}
}

// came begins an exchange.
func (p *tap) came(over string) exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay++
	return exchange{at: time.Now(), client: p.clients, over: over}
}

// went ends it, with an answer or without.
func (p *tap) went() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay--
}

// quiet reports whether every question has its answer.
func (p *tap) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.underWay == 0
}

// add writes an exchange down, before the resolver gets the answer.
func (p *tap) add(e exchange, question, answer []byte) {
	e.question, e.answer, e.size = new(dns.Msg), new(dns.Msg), len(answer)
	if err := e.question.Unpack(question); err != nil {
		p.failed("reading a question", err)
		return
	}
	if err := e.answer.Unpack(answer); err != nil {
		p.failed("reading an answer", err)
		return
	}
	if len(e.question.Question) != 1 {
		p.failed("reading a question", fmt.Errorf("%d questions", len(e.question.Question)))
		return
	}
	e.name = e.question.Question[0].Name
	end := questionEnd(question)
	e.echoed = len(answer) >= end && string(answer[12:end]) == string(question[12:end])
	p.mu.Lock()
	defer p.mu.Unlock()
	e.answered = time.Now()
	p.log = append(p.log, e)
}

// clientAsks tells that questions are for another client's from now on.
func (p *tap) clientAsks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients++
}

// questionEnd is where the one question of a well-formed message ends.
func questionEnd(message []byte) int {
	at := 12
	for message[at] != 0 {
		at += 1 + int(message[at])
	}
	return at + 5
}

// all are all exchanges up to now, in the order of their questions.
func (p *tap) all() []exchange {
	return p.those(func(*exchange) bool { return true })
}

// of are the exchanges about a name and type.
func (p *tap) of(name string, kind uint16) []exchange {
	return p.those(func(e *exchange) bool { return e.about(name, kind) })
}

func (p *tap) those(wanted func(*exchange) bool) (found []exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.log {
		if wanted(&p.log[i]) {
			found = append(found, p.log[i])
		}
	}
	slices.SortStableFunc(found, func(a, b exchange) int { return a.at.Compare(b.at) })
	return found
}

func (e *exchange) about(name string, kind uint16) bool {
	return strings.EqualFold(e.name, name) && e.question.Question[0].Qtype == kind
}

// subnet is the client subnet of a message, nil if it has none.
func subnet(message *dns.Msg) *dns.EDNS0_SUBNET { return option[*dns.EDNS0_SUBNET](message) }

// option is an EDNS option of a message, the zero value if it has none.
func option[T dns.EDNS0](message *dns.Msg) (found T) {
	if opt := message.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if o, is := o.(T); is {
				return o
			}
		}
	}
	return found
}
