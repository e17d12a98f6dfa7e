package publish

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// underWay is how many messages to one server there are at a time: it may bound its
// connections, and the pools at it may be many.
const underWay = 4

// patience is how long the primary may take for one answer, with the connection.
const patience = 10 * time.Second

// primary is a name server as one entry speaks to it. It is spoken to over TCP: an
// answer that is lost leaves no doubt for long, none is cut, and who forges one has
// to be on the way.
type primary struct {
	entry Entry
	keys  *tsig.Keyring
	now   func() time.Time
	dial  func(context.Context, netip.AddrPort) (net.Conn, error)
	// slots has room for as many messages as there may be under way to the server.
	slots chan struct{}
}

func newPrimary(e Entry, c *Config, slots chan struct{}) (*primary, error) {
	keys, err := tsig.NewKeyring(e.Key)
	if err != nil {
		return nil, fmt.Errorf("using key %s: %w", e.Key.Name(), err)
	}
	return &primary{entry: e, keys: keys, now: c.Now, dial: c.Dial, slots: slots}, nil
}

// reply is an answer that belongs to what was sent.
type reply struct {
	bytes  []byte
	signed bool // by our key, and in time
	rcode  int
}

// exchange signs a message, sends it and reads what comes back. A signature that is
// wrong is an error, and so is one that the primary did not take; that there is none
// is for the caller to judge.
func (p *primary) exchange(ctx context.Context, message *dns.Msg) (reply, error) {
	packed, err := message.Pack()
	if err != nil {
		return reply{}, fmt.Errorf("packing the message: %w", err)
	}
	if len(packed)+p.entry.Key.Size() > dns.MaxMsgSize-1 {
		return reply{}, fmt.Errorf("the message has %d bytes, which is more than one can have: publish fewer addresses by `limit`", len(packed))
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
	signed, mac := tsig.Sign(packed, p.entry.Key, nil, p.now())
	answer, err := p.roundTrip(ctx, signed)
	if err != nil {
		return reply{}, err
	}
	return p.accept(answer, message, mac)
}

// roundTrip sends one message over a connection of its own.
func (p *primary) roundTrip(ctx context.Context, message []byte) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	connection, err := p.dial(ctx, p.entry.Server)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	// Whoever ends the context ends the connection as well.
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	if _, err := connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		return nil, fmt.Errorf("sending: %w", p.late(ctx, err))
	}
	var size [2]byte
	if _, err := io.ReadFull(connection, size[:]); err != nil {
		return nil, fmt.Errorf("waiting for the answer: %w", p.late(ctx, err))
	}
	answer = make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(connection, answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", p.late(ctx, err))
	}
	return answer, nil
}

// late words what the end of the context does to a connection.
func (p *primary) late(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("none within %s", patience)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return errors.New("the connection was closed instead")
	}
	return err
}

const headerSize = 12

// accept tells whether an answer belongs to a message, and whose it is.
func (p *primary) accept(answer []byte, asked *dns.Msg, mac []byte) (reply, error) {
	if len(answer) < headerSize {
		return reply{}, fmt.Errorf("the answer has %d bytes, which is no message", len(answer))
	}
	flags := binary.BigEndian.Uint16(answer[2:])
	switch {
	case binary.BigEndian.Uint16(answer) != asked.Id:
		return reply{}, errors.New("the answer has another ID than the question")
	case flags&0x8000 == 0:
		return reply{}, errors.New("what came back is no answer")
	case int(flags>>11&0xF) != asked.Opcode:
		return reply{}, errors.New("the answer is to another kind of message")
	}
	r := reply{bytes: answer, rcode: int(flags & 0xF)}
	_, err := tsig.Verify(answer, p.keys, mac, p.now())
	switch {
	case err == nil:
		r.signed = true
	case !errors.Is(err, tsig.ErrUnsigned):
		return reply{}, err
	}
	return r, nil
}
