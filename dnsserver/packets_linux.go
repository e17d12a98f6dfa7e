package dnsserver

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchPackets moves up to batchSize datagrams with each system call, through
// recvmmsg and sendmmsg. They are called without telling the scheduler, which
// is right because the socket is non-blocking: what there is to wait for is
// waited for in the runtime's poller, where deadlines reach it.
//
// All that the system reads and writes is made once. What is in headers, vectors,
// names and controls under one index belongs to the datagram of that index.
type batchPackets struct {
	raw       syscall.RawConn
	transfer  transfer
	headers   []unix.Mmsghdr
	vectors   []unix.Iovec
	names     []socketName
	controls  [][]byte // nil where the socket has but one address
	datagrams []datagram

	onReadable, onWritable func(fd uintptr) bool // receiveNow and sendNow, made once

	received int           // by the last receive
	moved    bool          // headers have left their places
	result   syscall.Errno // of the last receiveNow
	unsent   []unix.Mmsghdr
	failed   int // of those that were to be sent
}

// transfer are the two system calls. Each gives the number of messages that
// were moved; an error means that none was.
type transfer struct {
	receive, send func(fd uintptr, messages []unix.Mmsghdr) (int, syscall.Errno)
}

// socketName is an address as the system writes it, of either family.
type socketName [unix.SizeofSockaddrInet6]byte

// newPackets gives what reads and writes the socket of a worker. A socket that
// cannot be reached goes the portable way, where the first read tells why.
func newPackets(socket workerSocket, wildcard bool) packets {
	raw, err := socket.SyscallConn()
	if shared, ok := socket.(*net.UDPConn); err != nil && ok {
		return newSinglePackets(shared, wildcard)
	}
	return newBatchPackets(raw, wildcard, transfer{receive: recvmmsg, send: sendmmsg})
}

func newBatchPackets(raw syscall.RawConn, wildcard bool, t transfer) *batchPackets {
	p := &batchPackets{
		raw:       raw,
		transfer:  t,
		headers:   make([]unix.Mmsghdr, batchSize),
		vectors:   make([]unix.Iovec, batchSize),
		names:     make([]socketName, batchSize),
		datagrams: make([]datagram, batchSize),
	}
	p.onReadable, p.onWritable = p.receiveNow, p.sendNow
	if wildcard {
		p.controls = make([][]byte, batchSize)
	}
	// A page each, of which those are resident that a burst has reached.
	room := make([]byte, batchSize*roomSize)
	for i := range p.datagrams {
		p.datagrams[i].room = room[i*roomSize:][:roomSize:roomSize]
		p.vectors[i].Base = &p.datagrams[i].room[0]
		if wildcard {
			p.controls[i] = make([]byte, controlSize)
		}
		p.place(i)
	}
	return p
}

// place points header i to what belongs to its index.
func (p *batchPackets) place(i int) {
	h := &p.headers[i].Hdr
	h.Name = &p.names[i][0]
	h.Iov = &p.vectors[i]
	h.SetIovlen(1)
	if p.controls != nil {
		h.Control = &p.controls[i][0]
	}
	p.open(i)
}

// open sets what the system and send have changed to all the room there is.
func (p *batchPackets) open(i int) {
	h := &p.headers[i].Hdr
	h.Namelen = uint32(len(p.names[i]))
	p.vectors[i].SetLen(roomSize)
	if p.controls != nil {
		h.SetControllen(len(p.controls[i]))
	}
}

func (p *batchPackets) receive() ([]datagram, error) {
	for i := range p.received {
		if p.moved {
			p.place(i)
		} else {
			p.open(i)
		}
	}
	p.received, p.moved = 0, false
	if err := p.raw.Read(p.onReadable); err != nil {
		return nil, err
	}
	if p.result != 0 {
		return nil, os.NewSyscallError("recvmmsg", p.result)
	}
	for i := range p.received {
		h, d := &p.headers[i], &p.datagrams[i]
		d.length = int(h.Len)
		d.cut = h.Hdr.Flags&unix.MSG_TRUNC != 0
		d.client = p.names[i].addrPort()
		d.answer = 0
	}
	return p.datagrams[:p.received], nil
}

// receiveNow takes what is there, and reports whether there was anything, be it
// an error.
func (p *batchPackets) receiveNow(fd uintptr) bool {
	for {
		n, err := p.transfer.receive(fd, p.headers)
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		p.received, p.result = n, err
		return true
	}
}

func (p *batchPackets) send(batch []datagram) int {
	n := 0
	for i := range batch {
		if batch[i].answer == 0 {
			continue
		}
		h := &p.headers[i].Hdr
		p.vectors[i].SetLen(batch[i].answer)
		if p.controls != nil {
			h.SetControllen(len(replyControl(p.controls[i][:h.Controllen])))
		}
		if n != i { // silence before it: they close up
			p.headers[n] = p.headers[i]
			p.moved = true
		}
		n++
	}
	if n == 0 {
		return 0
	}
	p.unsent, p.failed = p.headers[:n], 0
	if p.raw.Write(p.onWritable) != nil {
		return p.failed + len(p.unsent) // the deadline is over, or the socket is closed
	}
	return p.failed
}

// sendNow sends until nothing is left, and reports whether that was reached.
func (p *batchPackets) sendNow(fd uintptr) bool {
	for len(p.unsent) > 0 {
		n, err := p.transfer.send(fd, p.unsent)
		switch err {
		case 0:
			p.unsent = p.unsent[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default: // it is about the first of them: the others may well be sent
			p.unsent = p.unsent[1:]
			p.failed++
		}
	}
	return true
}

// addrPort leaves out the zone; an address of no known family has port 0.
func (n *socketName) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(n[2:])
	switch binary.NativeEndian.Uint16(n[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[4:])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(n[8:])), port)
	}
	return netip.AddrPort{}
}

func recvmmsg(fd uintptr, messages []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, fd,
		uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}

func sendmmsg(fd uintptr, messages []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_SENDMMSG, fd,
		uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}
