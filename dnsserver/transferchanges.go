package dnsserver

import (
	"errors"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// changes are kept differences, one behind the other, as they are sent: each by
// itself, or all as one in which what came and went again is not told (RFC 1995
// section 6). They are read as they are kept, record by record, for all of them may
// be as long as a zone.
type changes struct {
	all  []zones.Packed
	size int      // bytes that are sent
	left []uint64 // a bit for each record that is sent of all as one; nil: each by itself
}

func newChanges(all []zones.Packed) changes {
	c := changes{all: all}
	for i := range all {
		c.size += len(all[i].Records)
	}
	return c
}

// mostCondensed is how many records are put together at most, SOA records aside: it takes time and
// memory, and what comes to more is soon as long as the zone.
const mostCondensed = 50_000

// errDamaged: what is kept of a difference cannot be read.
var errDamaged = errors.New("a kept difference is no difference")

// changed is a record of a difference.
type changed struct {
	zones.PackedRecord
	number int  // among those of all differences
	soa    bool // one of the difference itself
	added  bool // or the newer one of the two SOA records; or else it is deleted, or the older one
}

// records gives all records, as they are kept, as long as do is true, which it
// reports.
func (c *changes) records(do func(changed) bool) (bool, error) {
	number := 0
	for i := range c.all {
		soas := 0
		for rest := c.all[i].Records; rest != ""; number++ {
			one := changed{number: number}
			ok := true
			if one.PackedRecord, rest, ok = zones.CutRecord(rest); !ok {
				return false, errDamaged
			}
			if one.soa = one.Type() == dns.TypeSOA; one.soa {
				soas++
			}
			one.added = soas == 2
			if !do(one) {
				return false, nil
			}
		}
		if soas != 2 {
			return false, errDamaged
		}
	}
	return true, nil
}

// condense makes one difference of several, unless they are too long. It calls step
// for each record, and ends where that is false.
func (c *changes) condense(step func() bool) error {
	if len(c.all) < 2 {
		return nil
	}
	// Where each record came, or went, as one less than zero, which has not done the
	// other since.
	last := make(map[string]int)
	all, soas := 0, 0 // records, and how many of them are SOA records
	size := 0         // of the longest of these
	whole, err := c.records(func(one changed) bool {
		all++
		switch before, there := last[one.Wire]; {
		case one.soa:
			soas, size = soas+1, max(size, len(one.Wire))
		case there && (before < 0) == one.added:
			delete(last, one.Wire)
		case one.added:
			last[one.Wire] = one.number
		default:
			last[one.Wire] = -1 - one.number
		}
		return all-soas <= mostCondensed && step()
	})
	if !whole {
		return err
	}
	c.left, c.size = make([]uint64, all/64+1), 2*size
	for record, number := range last {
		c.size += len(record)
		number = max(number, -1-number)
		c.left[number/64] |= 1 << (number % 64)
	}
	return nil
}

// check reads to their end those that were not put together, and fails where that will.
// It calls step for each record, and ends where that is false.
func (c *changes) check(step func() bool) error {
	if c.left != nil {
		return nil // condense has
	}
	_, err := c.records(func(changed) bool { return step() })
	return err
}

// each gives the records that are sent, as long as do is true, which it reports.
func (c *changes) each(do func(zones.PackedRecord) bool) (bool, error) {
	if c.left == nil {
		return c.records(func(one changed) bool { return do(one.PackedRecord) })
	}
	first, newest := true, zones.PackedRecord{}
	goesOn, err := c.records(func(one changed) bool {
		switch {
		case one.soa && one.added:
			newest = one.PackedRecord
		case one.soa && first:
			first = false
			return do(one.PackedRecord)
		case !one.added && c.isLeft(one.number):
			return do(one.PackedRecord)
		}
		return true
	})
	if !goesOn || !do(newest) {
		return false, err
	}
	return c.records(func(one changed) bool {
		return one.soa || !one.added || !c.isLeft(one.number) || do(one.PackedRecord)
	})
}

func (c *changes) isLeft(number int) bool { return c.left[number/64]>>(number%64)&1 != 0 }
