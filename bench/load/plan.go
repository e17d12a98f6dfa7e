package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Plan says who is asked what, how fast and for how long. It is plain data, so
// that it can be handed to another process.
type Plan struct {
	Server    netip.AddrPort // in 127.0.0.0/8 or ::1
	TCP       bool
	Questions []Question // asked in turn

	// Window is how many questions wait for an answer at most, over all
	// Sockets. A Rate above 0 asks that many questions a second instead, as
	// evenly as can be, whether they are answered or not; UDP alone has it.
	Sockets int // 1 to 64
	Window  int // 1 to 4096 for each socket
	Rate    float64

	// PerConnection is how many questions a TCP connection is for, the first
	// Window/Sockets of which are sent at once; 0: it is kept to the end.
	PerConnection int

	WarmUp   time.Duration // asked before anything is counted
	Duration time.Duration
	GiveUp   time.Duration // an answer that is later than this is lost
	Late     time.Duration // an answer that is later than this is counted as late; 0: none is
	Seed     uint64        // of what is random in questions
}

const (
	maxSockets = 64
	maxPending = 4096 // for each socket
	maxPacket  = 512
	batchSize  = 64 // datagrams for each system call
)

// Validate says what is wrong with a plan.
func (p *Plan) Validate() error {
	if !p.Server.Addr().IsLoopback() || p.Server.Addr().Is4In6() || p.Server.Port() == 0 {
		return fmt.Errorf("the server %s is not on this machine: expected a port of 127.0.0.0/8 or ::1", p.Server)
	}
	if len(p.Questions) == 0 {
		return errors.New("no questions")
	}
	for i, q := range p.Questions {
		if err := q.validate(); err != nil {
			return fmt.Errorf("question %d: %w", i, err)
		}
	}
	if p.Sockets < 1 || p.Sockets > maxSockets {
		return fmt.Errorf("%d sockets, expected 1 to %d", p.Sockets, maxSockets)
	}
	if p.perSocket() < 1 || p.perSocket() > maxPending {
		return fmt.Errorf("a window of %d questions over %d sockets, expected 1 to %d for each", p.Window, p.Sockets, maxPending)
	}
	if p.PerConnection < 0 || p.PerConnection > 0 && (p.PerConnection < p.perSocket() || p.PerConnection > maxPending) {
		return fmt.Errorf("%d questions a connection, expected 0 or %d to %d", p.PerConnection, p.perSocket(), maxPending)
	}
	if !(p.Rate >= 0 && p.Rate <= 1e7) || p.Rate > 0 && p.TCP {
		return fmt.Errorf("a rate of %g questions a second, expected 0 to 10,000,000, and 0 over TCP", p.Rate)
	}
	if p.Duration <= 0 || p.WarmUp < 0 || p.GiveUp <= 0 || p.Late < 0 {
		return fmt.Errorf("a duration of %s, a warm-up of %s, giving up after %s, late after %s: expected none below 0, and a duration and a time to give up", p.Duration, p.WarmUp, p.GiveUp, p.Late)
	}
	return nil
}

func (p *Plan) perSocket() int { return p.Window / max(p.Sockets, 1) }

func (q *Question) validate() error {
	end, err := questionEnd(q.Packet)
	if err != nil {
		return err
	}
	if len(q.Packet) > maxPacket {
		return fmt.Errorf("%d bytes, expected at most %d", len(q.Packet), maxPacket)
	}
	least, most := 0, 0
	switch q.Varying {
	case VaryNothing:
		return nil
	case VaryLabel:
		least, most = headerSize+1, end-labelSize
	case VarySubnet4:
		least, most = end, len(q.Packet)-bitsIPv4/8
	case VarySubnet6:
		least, most = end, len(q.Packet)-bitsIPv6/8
	default:
		return fmt.Errorf("%q cannot vary", q.Varying)
	}
	if q.At < least || q.At > most {
		return fmt.Errorf("the part that varies begins at %d, expected %d to %d", q.At, least, most)
	}
	return nil
}

// Result is what was measured.
type Result struct {
	Sent     uint64
	Answered uint64 // rightly
	Lost     uint64 // not answered until it was given up
	Late     uint64 // answered later than Plan.Late
	Refused  uint64 // connections that failed, over TCP
	Skipped  uint64 // not asked at a fixed rate, for this process had no processor then
	Untimed  uint64 // answered, and left out of the latencies, for this process was late in sending
	Wrong    map[string]uint64
	Bytes    uint64 // of right answers
	Records  uint64 // answer records of right answers
	Elapsed  time.Duration
	User     time.Duration // processor time of this process
	System   time.Duration

	P50, P90, P99, P999, Max time.Duration
}

// WrongAnswers is how many answers were not right, for whatever reason.
func (r *Result) WrongAnswers() (n uint64) {
	for _, count := range r.Wrong {
		n += count
	}
	return n
}

// tally is what is counted while it runs.
type tally struct {
	sent, answered, lost, late, refused, skipped, untimed, bytes, records uint64

	wrong     [verdicts]uint64
	latencies Histogram
}

func (t *tally) result() *Result {
	r := &Result{
		Sent: t.sent, Answered: t.answered, Lost: t.lost, Late: t.late, Refused: t.refused, Skipped: t.skipped, Untimed: t.untimed,
		Bytes: t.bytes, Records: t.records, Wrong: map[string]uint64{},
		P50: t.latencies.Quantile(0.5), P90: t.latencies.Quantile(0.9), P99: t.latencies.Quantile(0.99),
		P999: t.latencies.Quantile(0.999), Max: t.latencies.Max(),
	}
	for v, count := range t.wrong {
		if count > 0 {
			r.Wrong[verdict(v).String()] = count
		}
	}
	return r
}
