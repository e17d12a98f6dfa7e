package dnsserver

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	// batchSize is how many datagrams a system call takes or gives at most.
	// With 32 or 128, an answer costs the same.
	batchSize = 64
	// roomSize is the largest question that is read whole. Answers take the
	// question's place, and the largest that can be configured has 4096 bytes.
	roomSize = 4096
)

// packets moves datagrams between one socket and room of its own, which is made
// once. It belongs to one goroutine at a time.
type packets interface {
	// receive waits until a datagram is there and gives what is there by then,
	// at least one. It never waits for more. They are good until the next
	// receive.
	receive() ([]datagram, error)
	// send sends the answers of what receive gave last, in its order, each from
	// the address that was asked, and gives the number of those that could not
	// be sent. It waits while the socket takes no more, until its deadline.
	send([]datagram) (failed int)
}

// workerSocket is what a worker needs of its socket; a *net.UDPConn is one.
type workerSocket interface {
	io.Closer
	syscall.Conn
	LocalAddr() net.Addr
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// datagram is a question and then its answer.
type datagram struct {
	room   []byte         // begins with the question, later with the answer
	length int            // of the question
	cut    bool           // the question was longer than the room
	client netip.AddrPort // without zone
	answer int            // length of the answer; 0: silence
}
