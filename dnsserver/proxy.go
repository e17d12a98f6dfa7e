package dnsserver

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
)

// The PROXY protocol, version 2, is what a load balancer says before a
// connection's first byte, or in front of each datagram's question, so that it is
// known who asks: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt,
// section 2.2.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = len(proxySignature) + 4 // version and command, family and protocol, length of what follows
	// maxProxyHeader is the longest header that is taken, in bytes, with all that
	// it says beside the addresses.
	maxProxyHeader = 4096
	// proxyAddresses is how much of what follows is looked at: two addresses and
	// two ports of IPv6.
	proxyAddresses = 2*16 + 2*2
)

// dropProxy: no header of the PROXY protocol, or a malformed one, where there has
// to be one.
const dropProxy = "proxy"

// errProxy is the same for a connection.
var errProxy = errors.New("no header of the PROXY protocol")

// isProxy reports whether an address is in one of the networks.
func isProxy(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// parseProxy reads the header that data begins with, and gives its size in bytes
// and the client; no address: the proxy speaks for itself, or does not tell.
func parseProxy(data []byte) (client netip.Addr, size int, ok bool) {
	length, ok := proxyLength(data)
	size = proxyFixed + length
	if !ok || size > len(data) {
		return netip.Addr{}, 0, false
	}
	client, ok = proxyClient(data[:size], length)
	return client, size, ok
}

// proxyLength reads the fixed part of a header, and gives how many bytes follow it.
func proxyLength(data []byte) (length int, ok bool) {
	if len(data) < proxyFixed || string(data[:len(proxySignature)]) != proxySignature {
		return 0, false
	}
	versionCommand := data[len(proxySignature)]
	length = int(binary.BigEndian.Uint16(data[proxyFixed-2:]))
	return length, versionCommand&^1 == 2<<4 && proxyFixed+length <= maxProxyHeader
}

// proxyClient gives the client of a header, of which so many bytes follow the fixed
// part: all of those up to proxyAddresses are there. What follows the addresses is
// passed over.
func proxyClient(header []byte, length int) (client netip.Addr, ok bool) {
	const commandLocal = 2 << 4
	if header[len(proxySignature)] == commandLocal {
		return netip.Addr{}, true // whatever else it says
	}
	kind, addresses := header[len(proxySignature)+1], header[proxyFixed:]
	if kind&15 > 2 { // neither streams, nor datagrams, nor unknown
		return netip.Addr{}, false
	}
	switch kind >> 4 {
	case 0: // unknown
		return netip.Addr{}, true
	case 1:
		if length < 2*4+2*2 {
			return netip.Addr{}, false
		}
		return netip.AddrFrom4([4]byte(addresses)), true
	case 2:
		if length < proxyAddresses {
			return netip.Addr{}, false
		}
		return netip.AddrFrom16([16]byte(addresses)).Unmap(), true
	case 3: // a local socket's path, which is no address of a client
		return netip.Addr{}, length >= 2*108
	}
	return netip.Addr{}, false
}

// readProxy reads a header from a connection, and nothing after it. Its error is
// errProxy where what comes is none, or else that of reading; it is io.EOF where
// nothing comes.
func readProxy(from io.Reader) (client netip.Addr, err error) {
	var header [proxyFixed + proxyAddresses]byte
	for have := 0; have < proxyFixed; {
		n, err := from.Read(header[have:proxyFixed])
		have += n
		if signed := min(have, len(proxySignature)); string(header[:signed]) != proxySignature[:signed] {
			return netip.Addr{}, errProxy
		}
		if have < proxyFixed && err != nil {
			return netip.Addr{}, endedEarly(err, have)
		}
	}
	length, ok := proxyLength(header[:])
	if !ok {
		return netip.Addr{}, errProxy
	}
	addresses := min(length, proxyAddresses)
	if _, err := io.ReadFull(from, header[proxyFixed:proxyFixed+addresses]); err != nil {
		return netip.Addr{}, endedEarly(err, proxyFixed)
	}
	if client, ok = proxyClient(header[:], length); !ok {
		return netip.Addr{}, errProxy
	}
	for left := length - addresses; left > 0; {
		n, err := from.Read(header[:min(left, len(header))])
		if left -= n; left > 0 && err != nil {
			return netip.Addr{}, endedEarly(err, proxyFixed)
		}
	}
	return client, nil
}

// endedEarly is errProxy for the end of a connection after a part of a header.
func endedEarly(err error, have int) error {
	if have > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return errProxy
	}
	return err
}

// introduce reads who asks from the header that a proxy's connection begins with,
// and reports whether the connection goes on.
func (c *connection) introduce(from io.Reader) bool {
	client, err := readProxy(from)
	switch {
	case errors.Is(err, errProxy):
		c.tcp.server.metrics.dropped.WithLabelValues(dropProxy).Inc()
		return false
	case err != nil:
		c.tcp.failed(c.over, "read", err)
		return false
	case client.IsValid():
		c.client = client
		return c.tcp.open.adopt(c)
	}
	return true
}

// unwrap takes off the header that a proxy puts in front of a question, and gives
// the client.
func (d *datagram) unwrap() (client netip.Addr, ok bool) {
	client, size, ok := parseProxy(d.room[:d.length])
	if !ok {
		return netip.Addr{}, false
	}
	if !client.IsValid() {
		client = d.client.Addr()
	}
	d.length = copy(d.room, d.room[size:d.length])
	return client, true
}
