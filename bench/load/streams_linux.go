package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// streams asks over TCP.
type streams struct {
	plan      *Plan
	questions []prepared
	question  int // the next one
	random    random
	streams   []stream
	base      time.Time
	family    int
	address   rawAddress
	tally     tally
}

// stream is one connection after another.
type stream struct {
	descriptor int // -1: none is open
	asked      int // on this connection
	pending    pending
	out        []byte // what is not written yet, of outRoom
	outRoom    []byte
	in         []byte // whole and cut answers
	filled     int
}

// rawAddress is an address as the kernel wants it.
type rawAddress struct {
	ipv4   unix.RawSockaddrInet4
	ipv6   unix.RawSockaddrInet6
	at     unsafe.Pointer
	length uintptr
}

const (
	lengthSize = 2 // of a message over TCP
	inRoom     = 1 << 17

	// hopeless is how many connections may fail while nothing is answered.
	hopeless = 1000
)

func newStreams(plan *Plan, questions []prepared) (*streams, error) {
	s := &streams{plan: plan, questions: questions, random: newRandom(plan.Seed), base: time.Now()}
	s.setAddress()
	for range plan.Sockets {
		s.streams = append(s.streams, stream{
			descriptor: -1,
			pending:    newPending(plan.perSocket()),
			outRoom:    make([]byte, 0, (plan.perSocket()+1)*(maxPacket+lengthSize)),
			in:         make([]byte, inRoom),
		})
	}
	return s, nil
}

func (s *streams) setAddress() {
	port := s.plan.Server.Port()
	inNetworkOrder := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
	if s.plan.Server.Addr().Is4() {
		s.family = unix.AF_INET
		s.address.ipv4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: inNetworkOrder, Addr: s.plan.Server.Addr().As4()}
		s.address.at, s.address.length = unsafe.Pointer(&s.address.ipv4), unix.SizeofSockaddrInet4
		return
	}
	s.family = unix.AF_INET6
	s.address.ipv6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: inNetworkOrder, Addr: s.plan.Server.Addr().As16()}
	s.address.at, s.address.length = unsafe.Pointer(&s.address.ipv6), unix.SizeofSockaddrInet6
}

func (s *streams) counted() *tally { return &s.tally }

func (s *streams) close() {
	for i := range s.streams {
		s.hangUp(&s.streams[i])
	}
}

func (s *streams) clock() int64 { return int64(time.Since(s.base)) + 1 }

func (s *streams) run(duration time.Duration) error {
	start := s.clock()
	end := start + int64(duration)
	sweep := start
	for now := start; now < end || (s.waiting() && now < end+int64(s.plan.GiveUp)); now = s.clock() {
		if now >= sweep {
			s.giveUp(now - int64(s.plan.GiveUp))
			sweep = now + int64(sweepEvery)
		}
		moved := 0
		for i := range s.streams {
			n, err := s.serve(&s.streams[i], now, now < end)
			if err != nil {
				return err
			}
			moved += n
		}
		if moved == 0 {
			nap()
		}
	}
	s.giveUp(s.clock() + 1)
	return nil
}

func (s *streams) waiting() bool {
	for i := range s.streams {
		if s.streams[i].pending.count > 0 {
			return true
		}
	}
	return false
}

// giveUp closes the connections with a question sent before a time, and counts
// all that wait on them as lost.
func (s *streams) giveUp(before int64) {
	for i := range s.streams {
		c := &s.streams[i]
		if lost := c.pending.giveUp(before); lost > 0 {
			s.tally.lost += uint64(lost)
			s.fail(c)
		}
	}
}

// serve moves one stream on, and returns how much it moved.
func (s *streams) serve(c *stream, now int64, asking bool) (moved int, err error) {
	if c.descriptor < 0 {
		if !asking {
			return 0, nil
		}
		if err := s.dial(c); err != nil {
			return 0, err
		}
	}
	if asking {
		moved += s.fill(c, now)
	}
	if len(c.out) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.descriptor), uintptr(unsafe.Pointer(&c.out[0])), uintptr(len(c.out)))
		switch errno {
		case 0:
			c.out = c.out[n:]
			moved++
		case unix.EAGAIN, unix.EINTR, unix.ENOTCONN:
		default:
			return moved, s.failed(c, errno)
		}
	}
	if c.pending.count == 0 {
		return moved, nil
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(c.descriptor), uintptr(unsafe.Pointer(&c.in[c.filled])), uintptr(len(c.in)-c.filled))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR || errno == unix.ENOTCONN:
		return moved, nil
	case errno != 0:
		return moved, s.failed(c, errno)
	case n == 0:
		return moved, s.failed(c, errors.New("closed by the server"))
	}
	c.filled += int(n)
	s.take(c)
	if c.asked == s.plan.PerConnection && c.pending.count == 0 && s.plan.PerConnection > 0 {
		s.hangUp(c)
	}
	return moved + 1, nil
}

// dial opens a connection without waiting for it. Each comes from another
// address of 127.0.0.0/8, as clients do, so that ports do not run out.
func (s *streams) dial(c *stream) error {
	descriptor, err := unix.Socket(s.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	err = unix.SetsockoptInt(descriptor, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil && s.family == unix.AF_INET {
		err = s.bind(descriptor)
	}
	if err != nil {
		unix.Close(descriptor)
		return fmt.Errorf("preparing a connection: %w", err)
	}
	c.descriptor, c.asked, c.filled, c.out = descriptor, 0, 0, c.outRoom[:0]
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(descriptor), uintptr(s.address.at), s.address.length)
	if errno != 0 && errno != unix.EINPROGRESS {
		return s.failed(c, errno)
	}
	return nil
}

func (s *streams) bind(descriptor int) error {
	if err := unix.SetsockoptInt(descriptor, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	x := s.random.next()
	here := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, byte(x >> 8), byte(x >> 16), byte(x>>24)%254 + 1}}
	if _, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(descriptor), uintptr(unsafe.Pointer(&here)), unix.SizeofSockaddrInet4); errno != 0 {
		return errno
	}
	return nil
}

func (s *streams) hangUp(c *stream) {
	if c.descriptor >= 0 {
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(c.descriptor), 0, 0)
		c.descriptor = -1
	}
}

// failed counts a connection that failed. It is an error when nothing else
// happens.
func (s *streams) failed(c *stream, cause error) error {
	s.fail(c)
	if s.tally.refused > hopeless && s.tally.answered == 0 {
		return fmt.Errorf("asking %s over TCP: no answer on %d connections: %w", s.plan.Server, s.tally.refused, cause)
	}
	return nil
}

func (s *streams) fail(c *stream) {
	s.hangUp(c)
	s.tally.refused++
	s.tally.lost += uint64(c.pending.count)
	c.pending.clear()
}

// fill adds questions to what is to be written.
func (s *streams) fill(c *stream, now int64) (asked int) {
	window := s.plan.perSocket()
	free := window - c.pending.count
	if s.plan.PerConnection > 0 {
		free = min(free, s.plan.PerConnection-c.asked)
	} else if free < (window+1)/2 {
		return 0
	}
	if len(c.out) > 0 || free <= 0 {
		return 0
	}
	c.out = c.outRoom[:0]
	for range free {
		slot := c.pending.take()
		if slot == nil {
			break
		}
		q := &s.questions[s.question]
		c.out = append(c.out, byte(len(q.Packet)>>8), byte(len(q.Packet)), byte(slot.id>>8), byte(slot.id))
		c.out = append(c.out, q.Packet[lengthSize:]...)
		if q.Varying != VaryNothing {
			slot.written = s.random.vary(c.out[len(c.out)-len(q.Packet):], q.Varying, q.At)
		}
		slot.question, slot.sent, slot.untimed = int32(s.question), now, false
		c.pending.count++
		if s.question++; s.question == len(s.questions) {
			s.question = 0
		}
		asked++
	}
	c.asked += asked
	s.tally.sent += uint64(asked)
	return asked
}

// take checks and counts the answers that are whole.
func (s *streams) take(c *stream) {
	now := s.clock()
	rest := c.in[:c.filled]
	for len(rest) >= lengthSize {
		size := int(rest[0])<<8 | int(rest[1])
		if len(rest) < lengthSize+size {
			break
		}
		s.takeAnswer(c, rest[lengthSize:lengthSize+size], now)
		rest = rest[lengthSize+size:]
	}
	c.filled = copy(c.in, rest)
}

func (s *streams) takeAnswer(c *stream, answer []byte, now int64) {
	if len(answer) < headerSize {
		s.tally.wrong[wrongHeader]++
		return
	}
	slot := c.pending.find(uint16(answer[0])<<8 | uint16(answer[1]))
	if slot == nil {
		s.tally.wrong[unexpected]++
		return
	}
	s.tally.answer(&s.questions[slot.question], slot, answer, time.Duration(now-slot.sent), s.plan.Late)
	c.pending.release(slot)
}
