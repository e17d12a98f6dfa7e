package load

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// manyMessages is the kernel's struct mmsghdr.
type manyMessages struct {
	header unix.Msghdr
	length uint32
}

// sender sends batches of packets of one size. All of its memory is its own,
// and none is allocated while it sends.
type sender struct {
	room     [batchSize * maxPacket]byte
	taken    [batchSize]*slot // those of the batch, by packet
	messages [batchSize]manyMessages
	parts    [batchSize]unix.Iovec
	whole    unix.Msghdr // of all packets in one segmented datagram
	part     unix.Iovec
	control  []byte
	plain    bool // the kernel does not segment
}

func (s *sender) prepare() {
	for i := range s.messages {
		s.messages[i].header.Iov = &s.parts[i]
		s.messages[i].header.SetIovlen(1)
	}
	s.control = make([]byte, unix.CmsgSpace(2))
	control := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[0]))
	control.Level = unix.SOL_UDP
	control.Type = unix.UDP_SEGMENT
	control.SetLen(unix.CmsgLen(2))
	s.part.Base = &s.room[0]
	s.whole.Iov = &s.part
	s.whole.SetIovlen(1)
	s.whole.Control = &s.control[0]
	s.whole.SetControllen(len(s.control))
}

// packet is where the packet of that index in the batch is written.
func (s *sender) packet(index, size int) []byte {
	return s.room[index*size : (index+1)*size]
}

// send sends the first packets of the batch, and returns how many went out. What
// the socket has no room for now is no error.
func (s *sender) send(descriptor, count, size int) (int, error) {
	for {
		var n uintptr
		var errno unix.Errno
		segmented := count > 1 && !s.plain
		switch {
		case count == 0:
			return 0, nil
		case segmented:
			n, errno = s.sendSegmented(descriptor, count, size)
		default:
			n, errno = s.sendMany(descriptor, count, size)
		}
		switch errno {
		case 0:
			if segmented {
				return count, nil
			}
			return int(n), nil
		case unix.EINTR, unix.ECONNREFUSED: // the second tells of an earlier packet
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, nil
		default:
			if !segmented {
				return 0, fmt.Errorf("sending: %w", errno)
			}
			s.plain = true
		}
	}
}

// sendSegmented has the kernel cut one large datagram into the packets.
func (s *sender) sendSegmented(descriptor, count, size int) (uintptr, unix.Errno) {
	s.part.SetLen(count * size)
	binary.NativeEndian.PutUint16(s.control[unix.CmsgLen(0):], uint16(size))
	n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(descriptor), uintptr(unsafe.Pointer(&s.whole)), unix.MSG_DONTWAIT)
	return n, errno
}

func (s *sender) sendMany(descriptor, count, size int) (uintptr, unix.Errno) {
	for i := range count {
		s.parts[i].Base = &s.room[i*size]
		s.parts[i].SetLen(size)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(descriptor), uintptr(unsafe.Pointer(&s.messages[0])), uintptr(count), unix.MSG_DONTWAIT, 0, 0)
	return n, errno
}

const (
	// answerRoom is what an answer has at most. Rooms follow each other by an odd
	// number of cache lines, so that their first bytes do not crowd one another out.
	answerRoom  = 25 * 64
	controlRoom = 64
)

// receiver receives batches of packets, into memory of its own.
type receiver struct {
	room     [batchSize][answerRoom]byte
	controls [batchSize][controlRoom]byte
	messages [batchSize]manyMessages
	parts    [batchSize]unix.Iovec
	stamped  bool
}

func (r *receiver) prepare(stamped bool) {
	r.stamped = stamped
	for i := range r.messages {
		r.parts[i].Base = &r.room[i][0]
		r.parts[i].SetLen(answerRoom)
		r.messages[i].header.Iov = &r.parts[i]
		r.messages[i].header.SetIovlen(1)
		if stamped {
			r.messages[i].header.Control = &r.controls[i][0]
		}
	}
}

// receive returns how many packets have come, 0 for none.
func (r *receiver) receive(descriptor int) (int, error) {
	if r.stamped {
		for i := range r.messages {
			r.messages[i].header.SetControllen(controlRoom)
		}
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(descriptor), uintptr(unsafe.Pointer(&r.messages[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.ECONNREFUSED:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, fmt.Errorf("receiving: %w", errno)
		}
	}
}

func (r *receiver) packet(index int) []byte {
	return r.room[index][:min(r.messages[index].length, answerRoom)]
}

// stamp is when the kernel had the packet for this process, in nanoseconds of
// Unix time; otherwise, if it does not tell, the given time.
func (r *receiver) stamp(index int, otherwise int64) int64 {
	control := r.controls[index][:]
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	size := int(r.messages[index].header.Controllen)
	if size < unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{}))) || header.Level != unix.SOL_SOCKET || header.Type != unix.SO_TIMESTAMPNS {
		return otherwise
	}
	return (*unix.Timespec)(unsafe.Pointer(&control[unix.CmsgLen(0)])).Nano()
}
