//go:build !linux

package dnsserver

import (
	"net"
	"syscall"
)

// boundBuffers leaves the system's buffers as they are: what a listener has is
// not what its connections get everywhere.
func boundBuffers(syscall.RawConn) {}

// run serves until the connection ends.
func (c *connection) run() {
	if c.greet() {
		c.runWaiting(c.wire())
	}
}

// hasGone takes all for present: nothing tells without reading everywhere.
func hasGone(*net.TCPConn) bool { return false }
