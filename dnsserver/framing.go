package dnsserver

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
)

const (
	prefixSize = 2 // the length before each message over TCP (RFC 1035 section 4.2.2)
	// smallQuestion is the room that a connection starts with; more comes with
	// what in fact arrives.
	smallQuestion = 512
)

// read gives the next question, which is good until the next read.
func (c *connection) read() ([]byte, error) {
	c.tcp.deadlines(c, true)
	if _, err := c.reader.Peek(1); err != nil {
		return nil, err
	}
	c.tcp.deadlines(c, false)
	var prefix [prefixSize]byte
	if _, err := io.ReadFull(c.reader, prefix[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(prefix[:]))
	c.question = c.question[:0]
	for len(c.question) < length {
		have := len(c.question)
		step := min(length-have, max(have, smallQuestion))
		c.question = slices.Grow(c.question, step)[:have+step]
		if _, err := io.ReadFull(c.reader, c.question[have:]); err != nil {
			return nil, err
		}
	}
	return c.question, nil
}

// answer gives the answer to a question with its length before it; nil:
// silence.
func (c *connection) answer(question []byte) []byte {
	r := <-c.tcp.responders
	defer func() { c.tcp.responders <- r }()
	framed := r.respond(append(c.response[:0], 0, 0), question, c.client(), overTCP)
	if framed == nil {
		return nil
	}
	binary.BigEndian.PutUint16(framed, uint16(len(framed)-prefixSize))
	return framed
}

func (c *connection) client() netip.Addr {
	return c.socket.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
}
