package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// datagrams asks over UDP.
type datagrams struct {
	plan      *Plan
	questions []prepared
	question  int // the next one
	random    random
	sockets   []datagramSocket
	sender    sender
	receiver  receiver
	base      time.Time
	stamped   bool // the kernel tells when an answer came
	tally     tally
}

type datagramSocket struct {
	descriptor int
	pending    pending
}

const (
	socketRoom = 4 << 20 // bytes; the kernel cuts it to its own limit
	sweepEvery = 10 * time.Millisecond

	// stall is what this process may be late with a question before it counts
	// as its own fault, and not the server's.
	stall = 200 * time.Microsecond
)

func newDatagrams(plan *Plan, questions []prepared) (*datagrams, error) {
	d := &datagrams{
		plan: plan, questions: questions, random: newRandom(plan.Seed),
		base: time.Now(), stamped: plan.Rate > 0 || plan.Late > 0,
	}
	d.sender.prepare()
	d.receiver.prepare(d.stamped)
	most := plan.perSocket()
	if plan.Rate > 0 {
		most = min(int(plan.Rate*plan.GiveUp.Seconds())/plan.Sockets+1, maxPending)
	}
	for range plan.Sockets {
		descriptor, err := dialDatagrams(plan, d.stamped)
		if err != nil {
			d.close()
			return nil, err
		}
		d.sockets = append(d.sockets, datagramSocket{descriptor: descriptor, pending: newPending(most)})
	}
	return d, nil
}

func dialDatagrams(plan *Plan, stamped bool) (int, error) {
	family, address := loopback(plan)
	descriptor, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("making a socket: %w", err)
	}
	err = unix.SetsockoptInt(descriptor, unix.SOL_SOCKET, unix.SO_RCVBUF, socketRoom)
	if err == nil && stamped {
		err = unix.SetsockoptInt(descriptor, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		err = unix.Connect(descriptor, address)
	}
	if err != nil {
		unix.Close(descriptor)
		return 0, fmt.Errorf("connecting a socket to %s: %w", plan.Server, err)
	}
	return descriptor, nil
}

func (d *datagrams) counted() *tally { return &d.tally }

func (d *datagrams) close() {
	for i := range d.sockets {
		unix.Close(d.sockets[i].descriptor)
	}
}

// clock is the time in nanoseconds, never 0. Where the kernel tells when an
// answer came, it is the kernel's clock.
func (d *datagrams) clock() int64 {
	if d.stamped {
		return time.Now().UnixNano()
	}
	return int64(time.Since(d.base)) + 1
}

func (d *datagrams) run(duration time.Duration) error {
	start := d.clock()
	end := start + int64(duration)
	schedule := newSchedule(d.plan.Rate, start)
	sweep := start
	for now := start; now < end || (d.waiting() && now < end+int64(d.plan.GiveUp)); now = d.clock() {
		if now >= sweep {
			d.giveUp(now - int64(d.plan.GiveUp))
			sweep = now + int64(sweepEvery)
		}
		moved, err := d.receive()
		if err != nil {
			return err
		}
		if now < end {
			var asked int
			if d.plan.Rate > 0 {
				asked, err = d.askOnTime(schedule, now)
			} else {
				asked, err = d.askWindow(now)
			}
			if err != nil {
				return err
			}
			moved += asked
		}
		// At a fixed rate it never sleeps: it would ask too late.
		if moved == 0 && d.plan.Rate == 0 {
			nap()
		}
	}
	d.giveUp(d.clock() + 1)
	d.tally.skipped += schedule.skip(end)
	return nil
}

func (d *datagrams) waiting() bool {
	for i := range d.sockets {
		if d.sockets[i].pending.count > 0 {
			return true
		}
	}
	return false
}

// giveUp counts the questions sent before a time as lost.
func (d *datagrams) giveUp(before int64) {
	for i := range d.sockets {
		d.tally.lost += uint64(d.sockets[i].pending.giveUp(before))
	}
}

// askWindow fills the windows that are half empty: the more questions a send
// has, the cheaper each is.
func (d *datagrams) askWindow(now int64) (asked int, err error) {
	window := d.plan.perSocket()
	for i := range d.sockets {
		s := &d.sockets[i]
		free := window - s.pending.count
		if free < min((window+1)/2, batchSize) {
			continue
		}
		sent, err := d.ask(s, min(free, batchSize), now)
		if err != nil {
			return asked, err
		}
		asked += sent
	}
	return asked, nil
}

// schedule spreads questions evenly over time.
type schedule struct {
	interval float64 // nanoseconds
	due      float64
	socket   int
}

func newSchedule(rate float64, start int64) *schedule {
	if rate == 0 {
		return &schedule{}
	}
	return &schedule{interval: 1e9 / rate, due: float64(start)}
}

// skip leaves out what was due before a time, and returns how much.
func (s *schedule) skip(now int64) uint64 {
	if s.interval == 0 || float64(now) <= s.due {
		return 0
	}
	missed := uint64((float64(now) - s.due) / s.interval)
	s.due += float64(missed) * s.interval
	return missed
}

// askOnTime asks what is due, one question a datagram and a system call, as
// resolvers do.
func (d *datagrams) askOnTime(plan *schedule, now int64) (asked int, err error) {
	// What this process was too late for is left out: a burst in its place
	// would measure the burst.
	if float64(now)-plan.due > float64(stall) {
		d.tally.skipped += plan.skip(now)
	}
	for plan.due <= float64(now) {
		plan.due += plan.interval
		s := &d.sockets[plan.socket]
		plan.socket = (plan.socket + 1) % len(d.sockets)
		before := d.clock()
		sent, err := d.ask(s, 1, before)
		if err != nil {
			return asked, err
		}
		asked += sent
		if sent > 0 && d.clock()-before > int64(stall) {
			d.sender.taken[0].untimed = true
		}
	}
	return asked, nil
}

// ask sends up to want questions, all of one size.
func (d *datagrams) ask(s *datagramSocket, want int, now int64) (sent int, err error) {
	size := len(d.questions[d.question].Packet)
	count := 0
	for ; count < want; count++ {
		q := &d.questions[d.question]
		if len(q.Packet) != size {
			break
		}
		slot := s.pending.take()
		if slot == nil {
			break
		}
		packet := d.sender.packet(count, size)
		copy(packet, q.Packet)
		packet[0], packet[1] = byte(slot.id>>8), byte(slot.id)
		if q.Varying != VaryNothing {
			slot.written = d.random.vary(packet, q.Varying, q.At)
		}
		slot.question, slot.sent, slot.untimed = int32(d.question), now, false
		d.sender.taken[count] = slot
		if d.question++; d.question == len(d.questions) {
			d.question = 0
		}
	}
	s.pending.count += count
	sent, err = d.sender.send(s.descriptor, count, size)
	for _, slot := range d.sender.taken[sent:count] {
		s.pending.release(slot)
	}
	d.tally.sent += uint64(sent)
	return sent, err
}

// receive takes what has come on every socket.
func (d *datagrams) receive() (got int, err error) {
	for i := range d.sockets {
		s := &d.sockets[i]
		for s.pending.count > 0 {
			n, err := d.receiver.receive(s.descriptor)
			if err != nil {
				return got, err
			}
			if n == 0 {
				break
			}
			got += n
			now := d.clock()
			for k := range n {
				d.take(s, k, now)
			}
			if n < batchSize {
				break
			}
		}
	}
	return got, nil
}

// take checks and counts one answer.
func (d *datagrams) take(s *datagramSocket, index int, now int64) {
	answer := d.receiver.packet(index)
	if len(answer) < headerSize {
		d.tally.wrong[wrongHeader]++
		return
	}
	slot := s.pending.find(uint16(answer[0])<<8 | uint16(answer[1]))
	if slot == nil {
		d.tally.wrong[unexpected]++
		return
	}
	if d.stamped {
		now = d.receiver.stamp(index, now)
	}
	d.tally.answer(&d.questions[slot.question], slot, answer, time.Duration(now-slot.sent), d.plan.Late)
	s.pending.release(slot)
}

// answer counts the answer to a question.
func (t *tally) answer(q *prepared, s *slot, answer []byte, latency, late time.Duration) {
	if v := q.check(answer, s.written); v != right {
		t.wrong[v]++
		return
	}
	t.answered++
	t.bytes += uint64(len(answer))
	t.records += uint64(answer[6])<<8 | uint64(answer[7])
	if s.untimed {
		t.untimed++
		return
	}
	t.latencies.Add(latency)
	if late > 0 && latency > late {
		t.late++
	}
}
