package dnsserver

import (
	"net"
	"net/netip"
)

// singlePackets moves one datagram with each call, by means that every system
// has.
type singlePackets struct {
	socket   *net.UDPConn
	client   netip.AddrPort // with its zone
	control  []byte         // nil where the socket has but one address
	controls int            // bytes of it that the datagram came with
	room     []byte         // a byte longer than what is read whole
	one      [1]datagram
}

func newSinglePackets(socket *net.UDPConn, wildcard bool) *singlePackets {
	p := &singlePackets{socket: socket, room: make([]byte, roomSize+1)}
	if wildcard {
		p.control = make([]byte, controlSize)
	}
	return p
}

func (p *singlePackets) receive() ([]datagram, error) {
	n, controls, _, client, err := p.socket.ReadMsgUDPAddrPort(p.room, p.control)
	if err != nil {
		return nil, err
	}
	p.client, p.controls = client, controls
	p.one[0] = datagram{
		room:   p.room[:roomSize],
		length: min(n, roomSize),
		cut:    n > roomSize,
		client: netip.AddrPortFrom(client.Addr().WithZone(""), client.Port()),
	}
	return p.one[:], nil
}

func (p *singlePackets) send(batch []datagram) (failed int) {
	for i := range batch {
		d := &batch[i]
		if d.answer == 0 {
			continue
		}
		var control []byte
		if p.controls > 0 {
			control = replyControl(p.control[:p.controls])
		}
		if _, _, err := p.socket.WriteMsgUDPAddrPort(d.room[:d.answer], control, p.client); err != nil {
			failed++
		}
	}
	return failed
}
