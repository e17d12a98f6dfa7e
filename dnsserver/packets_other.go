//go:build !linux

package dnsserver

import "net"

// newPackets gives what reads and writes the socket of a worker.
func newPackets(socket workerSocket, wildcard bool) packets {
	return newSinglePackets(socket.(*net.UDPConn), wildcard)
}

// detach leaves a worker the socket that it may share with others.
func detach(socket *net.UDPConn) (workerSocket, bool) { return socket, false }
