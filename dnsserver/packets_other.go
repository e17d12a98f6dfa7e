//go:build !linux

package dnsserver

import "net"

// newPackets gives what reads and writes the socket of a worker.
func newPackets(socket *net.UDPConn, wildcard bool) packets {
	return newSinglePackets(socket, wildcard)
}
