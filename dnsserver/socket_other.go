//go:build !linux

package dnsserver

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// spreadsPackets: all workers of an address share one socket.
const spreadsPackets = false

// controlSize has room for the control messages of both families.
var controlSize = len(ipv4.NewControlMessage(ipv4.FlagDst)) + len(ipv6.NewControlMessage(ipv6.FlagDst))

func sharePort(syscall.RawConn) error { return nil }

func tune(syscall.RawConn, netip.Addr) {}

// receiveDestination makes packets come with the address they were sent to.
func receiveDestination(socket *net.UDPConn, _ syscall.RawConn, address netip.Addr) error {
	if address.Is4() {
		return ipv4.NewPacketConn(socket).SetControlMessage(ipv4.FlagDst, true)
	}
	return ipv6.NewPacketConn(socket).SetControlMessage(ipv6.FlagDst, true)
}

// replyControl makes of the control message of a packet the one that sends the
// answer from the address that was asked.
func replyControl(control []byte) []byte {
	var message4 ipv4.ControlMessage
	if message4.Parse(control) == nil && message4.Dst != nil {
		return (&ipv4.ControlMessage{Src: message4.Dst}).Marshal()
	}
	var message6 ipv6.ControlMessage
	if message6.Parse(control) == nil && message6.Dst != nil {
		return (&ipv6.ControlMessage{Src: message6.Dst}).Marshal()
	}
	return nil
}
