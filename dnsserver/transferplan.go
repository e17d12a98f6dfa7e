package dnsserver

import (
	"fmt"
	"iter"
	"math"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// transferItem is what a plan gives: a record, in one form or the other, or a pause,
// where others may have their turn. There are pauses before the first record alone.
type transferItem struct {
	zones.Transferred
	packed zones.PackedRecord // in place of that
	pause  bool
	err    error // what is behind it cannot be given
}

// planner makes the plan of a transfer, and then gives its records. It works step by
// step in the turns of its transfer, for what it has to look at may be as long as the
// zone.
type planner struct {
	*zoneTransfer
	yield func(transferItem) bool
	ended bool // nothing more is to be given
	steps int  // since the last pause
}

// stepsATurn is how many records are looked at before others have their turn: some
// 0.2 ms.
const stepsATurn = 1000

// items gives the records of the answer, and sets the result, which is what they are,
// before the first.
func (t *zoneTransfer) items() iter.Seq[transferItem] {
	return func(yield func(transferItem) bool) {
		p := planner{zoneTransfer: t, yield: yield}
		p.plan()
	}
}

// plan gives everything, or as much as is asked for.
func (p *planner) plan() {
	if p.isCurrent() {
		return // with no record: see transferInOne
	}
	var kept changes
	if p.kind == kindIXFR {
		kept = p.changes()
	}
	err := kept.condense(p.step)
	whole := len(kept.all) == 0 || !p.brief && kept.size >= p.version.Size() // what fits into a packet is short
	// Who asks over UDP may be anybody, and gets the SOA alone in place of the zone.
	if err == nil && !whole && !p.ended && !p.brief {
		err = kept.check(p.step)
	}
	switch {
	case p.ended:
	case err != nil || whole:
		p.result = transferWhole
		if err != nil && !p.brief {
			p.report(fmt.Errorf("reading what changed in %s since %d, so that it is given whole: %w", p.version.Apex, p.serial, err))
		}
		p.whole()
	default:
		p.result = transferDifferences
		p.differences(&kept)
	}
}

// item gives one, and reports whether there is to be more.
func (p *planner) item(one transferItem) bool {
	p.ended = !p.yield(one)
	return !p.ended
}

// give gives a record, and reports whether there is to be more.
func (p *planner) give(rr dns.RR) bool {
	return p.item(transferItem{Transferred: zones.Transferred{Record: rr}})
}

// step notes that a record was looked at, and reports whether there is to be more.
func (p *planner) step() bool {
	if p.steps++; p.steps < stepsATurn || p.brief {
		return true
	}
	p.steps = 0
	return p.item(transferItem{pause: true})
}

// isOlder compares serials (RFC 1982 section 3.2).
func isOlder(serial, current uint32) bool { return int32(current-serial) > 0 }

// isCurrent reports whether the client of an IXFR has the same version or, as it seems,
// a newer one, so that it is given the SOA alone (RFC 1995 section 2).
func (t *zoneTransfer) isCurrent() bool {
	return t.kind == kindIXFR && !isOlder(t.serial, t.version.SOA.Serial)
}

// nothingNewer says what it is when the SOA alone is given.
func (t *zoneTransfer) nothingNewer() string {
	if isOlder(t.version.SOA.Serial, t.serial) {
		return transferAhead
	}
	return transferCurrent
}

// whole gives the zone, between its SOA and the same again (RFC 5936 section 2.2).
func (p *planner) whole() {
	if !p.give(p.version.SOA) {
		return
	}
	for one := range p.version.Transferred() {
		if !p.item(transferItem{Transferred: one}) {
			return
		}
	}
	p.give(p.version.SOA)
}

// differences gives sequences, each of the older SOA, what goes, the newer SOA, and
// what comes, between the newest SOA and the same again (RFC 1995 section 4).
func (p *planner) differences(c *changes) {
	if !p.give(p.version.SOA) {
		return
	}
	goesOn, err := c.each(func(one zones.PackedRecord) bool { return p.item(transferItem{packed: one}) })
	switch {
	case err != nil:
		p.item(transferItem{err: err})
	case goesOn:
		p.give(p.version.SOA)
	}
}

// mostInBrief is how many bytes of kept differences are looked at for an answer over
// UDP, whose sender may be anybody: some times what fits.
const mostInBrief = 16 << 10

// changes gives what leads from the client's serial to the version that is given; none
// where not all of that is known. What is kept may be newer already.
func (t *zoneTransfer) changes() changes {
	most := int64(math.MaxInt64)
	if t.brief {
		most = mostInBrief
	}
	kept, ok := t.source.Since(t.version.Apex, t.serial, most)
	if !ok {
		return changes{}
	}
	serial := t.serial
	for i := range kept {
		if kept[i].Old != serial {
			break
		}
		if serial = kept[i].New; serial == t.version.SOA.Serial {
			return newChanges(kept[:i+1])
		}
	}
	return changes{}
}
