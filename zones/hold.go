package zones

import (
	"time"

	"github.com/miekg/dns"
)

// serialHold is how long a serial stands at least before a change of health may
// raise it again, so that secondaries are not asked to transfer more often.
const serialHold = 2 * time.Second

// serve gives a zone its serial: that of the table before while the content stays,
// or while what has changed is kept back. The pools have to be compiled before.
func (t *Table) serve(in *Input, zone *Zone, signed *signedZone, before *servedZone) *servedZone {
	content := t.content(zone, signed)
	if before.keepsBack(zone, signed, content, in) {
		served := *before
		served.signed, served.held = signed, true
		return &served
	}
	last, seen := in.Serials[zone.Apex]
	serial := in.SerialShare.next(last, seen, content, in.Now)
	soa, negative := *zone.SOA, *zone.SOA
	soa.Serial, negative.Serial = serial.Number, serial.Number
	negative.Hdr.Ttl = min(zone.SOA.Hdr.Ttl, zone.SOA.Minttl)
	served := &servedZone{
		Zone: zone, serial: serial, signed: signed,
		soa: []dns.RR{&soa}, negative: []dns.RR{&negative},
	}
	switch {
	case serial.Number != last.Number || !seen:
		served.raised = in.Now
	case before != nil:
		served.raised = before.raised
	}
	return served
}

// keepsBack reports whether a zone keeps the serial, the SOA and the version that it
// had in the table before, though its content is another one now: the serial was
// raised just now, or may not be, and neither commit nor keys have changed since.
func (z *servedZone) keepsBack(zone *Zone, signed *signedZone, content string, in *Input) bool {
	if z == nil || z.Zone != zone || z.serial.Digest == content || !z.signed.samePlan(signed) {
		return false
	}
	since := in.Now.Sub(z.raised)
	return in.Now.Before(in.HoldUntil) || since >= 0 && since < serialHold
}

// samePlan reports whether two zones are signed with the same keys, or both not.
func (z *signedZone) samePlan(other *signedZone) bool {
	if z == nil || other == nil {
		return z == other
	}
	return z.plan.SameAs(other.plan)
}

// zone gives what the table serves of a zone, or nil; also of no table.
func (t *Table) zone(apex string) *servedZone {
	if t == nil {
		return nil
	}
	return t.zones[apex]
}

// Due is when the table is to be compiled again though nothing happens: what a zone
// keeps back is to be given then, what was said of a member ends, one that has come back
// gets more of its weight, or the TTL is to follow a change that is near. Zero: never.
func (t *Table) Due() time.Time {
	due := t.next
	for _, zone := range t.served {
		if zone.held {
			due = earliest(due, latest(zone.raised.Add(serialHold), t.holdUntil))
		}
	}
	return due
}

// SigningDue is when the table is to be compiled again because a signature is to be
// renewed, by the clock that Plan.Now is of. Zero: never.
func (t *Table) SigningDue() time.Time {
	var due time.Time
	for _, zone := range t.served {
		if zone.signed != nil {
			due = earliest(due, zone.signed.due())
		}
	}
	return due
}

// latest gives the second of two times where it is later.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earliest gives the first of two times; zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
