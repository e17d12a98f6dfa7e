// Package notify tells secondaries that a zone has changed (RFC 1996), so that
// they fetch it at once and not when their refresh timer ends.
//
// It imports dnsserver/tsig and the DNS library, and knows nothing of tables: what
// is served is told to it by Serve, whom to tell by Set, and both may be called at
// any time. Run is the one goroutine that decides; each NOTIFY that is under way
// has another one, which Run waits for.
//
// It promises:
//
//   - Every secondary is told every zone once after the start, and then each new
//     serial within half a second. The newest serial takes the place of older ones
//     that were not told yet: a storm of changes makes one NOTIFY in half a second
//     for each secondary and zone.
//   - An answer is taken only from the address that was told, to the socket, ID,
//     opcode and question that it belongs to, and, when the NOTIFY was signed, with
//     a good signature. The source port is the system's choice, anew for each NOTIFY,
//     the ID is from crypto/rand.
//   - Who does not answer is told again after 1, 2, 4 seconds and so on up to a
//     minute, for ten minutes, and then once in the SOA's retry time (bounded to a
//     minute and an hour), as Knot does: NSD and BIND give up by then. A new serial
//     begins anew. All zones of a secondary that is silent share this pace: one
//     that is gone costs one datagram in these times, however many zones there are. Once it
//     answers, all that it missed is told at once.
//   - Who refuses is told again after ten seconds, a minute, and then in the SOA's
//     retry time, or with the next serial.
//   - At most 16 NOTIFYs to one secondary, and 128 in all, are under way.
package notify

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// Secondary is one server to tell.
type Secondary struct {
	Address netip.AddrPort
	// From are the addresses of this node that secondaries know it by: the NOTIFY comes
	// from one of them. Empty: the system chooses. Where several fit, its choice counts if
	// it is among them, and the first one otherwise.
	From []netip.Addr
	// Key signs the NOTIFY; nil: it is not signed.
	Key *tsig.Key
	// Unsigned allows to tell it once more without a signature when it refuses
	// one that is signed.
	Unsigned bool
}

// same reports whether what is known of one is true of the other.
func (s Secondary) same(other Secondary) bool {
	return s.Address == other.Address && s.Unsigned == other.Unsigned && slices.Equal(s.From, other.From) && keyring(s.Key).Equal(keyring(other.Key))
}

// Bounds on what is under way at once.
const (
	maxUnderWay             = 128
	maxUnderWayOneSecondary = 16
)

// Notifier tells secondaries of zones. Its methods may be called from any
// goroutine, before Run, while it runs and after it.
type Notifier struct {
	exchange exchanger
	report   func(Event)
	nudge    chan struct{}

	mutex       sync.Mutex // guards all that follows
	zones       map[string]*dns.SOA
	secondaries []*secondary
	underWay    int
	first       int // of the secondaries, whose turn it is
	counts      Counts
}

// Event is something that an operator wants to read about once.
type Event struct {
	Address string // the secondary's, with the port
	Apex    string // empty: it is about all zones
	Problem string // in words; empty: there is none any more
}

// New makes a Notifier that has nobody to tell, and nothing. Report is called when a
// secondary stops answering, refuses or fails in another way than before, and when
// that is over; from any goroutine, and nil is nobody.
func New(report func(Event)) *Notifier { return newNotifier(exchangeOverUDP, report) }

func newNotifier(exchange exchanger, report func(Event)) *Notifier {
	if report == nil {
		report = func(Event) {}
	}
	return &Notifier{
		exchange: exchange, report: report, nudge: make(chan struct{}, 1),
		zones: map[string]*dns.SOA{}, counts: Counts{},
	}
}

// Set replaces the list of secondaries. What is known of those that stay is kept;
// new ones, and those that are told in another way than before, are told every zone.
func (n *Notifier) Set(list []Secondary) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	now := time.Now()
	before := n.secondaries
	n.secondaries = make([]*secondary, 0, len(list))
	for _, one := range list {
		known := slices.IndexFunc(before, func(s *secondary) bool { return s.same(one) })
		if known >= 0 {
			n.secondaries = append(n.secondaries, before[known])
			before = slices.Delete(slices.Clone(before), known, known+1)
			continue
		}
		added := newSecondary(one)
		for _, apex := range slices.Sorted(maps.Keys(n.zones)) {
			added.news(apex, n.zones[apex], now)
		}
		n.secondaries = append(n.secondaries, added)
	}
	for _, left := range before {
		left.stop()
	}
	n.wake()
}

// Serve says which zones are served now, by their SOA records, all of them. Those
// with another serial than the last time are told, and those that are not among
// them any more are forgotten. The records must not be written to afterwards.
func (n *Notifier) Serve(zones []*dns.SOA) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	now := time.Now()
	served := make(map[string]*dns.SOA, len(zones))
	for _, soa := range zones {
		apex := dns.CanonicalName(soa.Hdr.Name)
		served[apex] = soa
		last := n.zones[apex]
		if last != nil && last.Serial == soa.Serial {
			continue
		}
		for _, s := range n.secondaries {
			s.news(apex, soa, now)
		}
	}
	for apex := range n.zones {
		if served[apex] == nil {
			for _, s := range n.secondaries {
				s.forget(apex)
			}
		}
	}
	n.zones = served
	n.wake()
}

func (n *Notifier) wake() {
	select {
	case n.nudge <- struct{}{}:
	default:
	}
}

// Run tells secondaries until ctx ends, and returns when nothing is under way any
// more. It is to be called once.
func (n *Notifier) Run(ctx context.Context) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.nudge:
		case <-timer.C:
		}
		begun, wait := n.begin(ctx)
		for _, one := range begun {
			attempts.Go(func() { n.finish(one, one.run(n.exchange)) })
		}
		timer.Reset(wait)
	}
}

// begin takes what may be told now, and gives the time until there may be more.
func (n *Notifier) begin(ctx context.Context) (begun []*attempt, wait time.Duration) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	now := time.Now()
	wait = time.Hour
	for i := range n.secondaries {
		s := n.secondaries[(n.first+i)%len(n.secondaries)]
		for n.underWay < maxUnderWay && s.underWay < maxUnderWayOneSecondary {
			next, known := s.nextAt()
			if !known {
				break
			}
			if next.After(now) {
				wait = min(wait, next.Sub(now))
				break
			}
			begun = append(begun, s.begin(ctx, now))
			n.underWay++
		}
	}
	if n.first++; n.first >= len(n.secondaries) {
		n.first = 0
	}
	return begun, wait
}

// finish keeps what came of an attempt.
func (n *Notifier) finish(one *attempt, result outcome) {
	for _, event := range n.keep(one, result) {
		n.report(event)
	}
	n.wake()
}

func (n *Notifier) keep(one *attempt, result outcome) []Event {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.underWay--
	one.secondary.underWay--
	if one.ctx.Err() != nil {
		return nil // Run has ended, or nobody waits for this any more
	}
	one.cancel()
	n.counts[result.kind]++
	n.counts[Ignored] += uint64(result.ignored)
	return one.secondary.finish(one, result, time.Now())
}
