package zones

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// Difference is what makes a newer version of a zone out of an older one, as an
// incremental transfer gives it (RFC 1995). It is immutable, and its records are
// shared: copy before writing.
type Difference struct {
	Old, New *dns.SOA
	// Deleted and Added are in canonical order, without the SOA records themselves.
	Deleted, Added []dns.RR
}

// Compare gives the difference of two versions of one zone. Of versions of one
// commit only what the pools give is compared.
func Compare(old, new *Version) *Difference {
	d := &Difference{Old: old.SOA, New: new.SOA}
	oldBody, newBody := old.body(), new.body()
	if oldBody.contents == newBody.contents {
		for i := range newBody.variable {
			d.replace(oldBody.variable[i], newBody.variable[i])
		}
		return d
	}
	oldAt, newAt := cursor{of: oldBody}, cursor{of: newBody}
	from, to := oldAt.next(), newAt.next()
	for from != nil || to != nil {
		switch order := comparePlaces(from, to); {
		case order < 0:
			d.replace(from, nil)
			from = oldAt.next()
		case order > 0:
			d.replace(nil, to)
			to = newAt.next()
		default:
			d.replace(from, to)
			from, to = oldAt.next(), newAt.next()
		}
	}
	return d
}

// comparePlaces tells which of two parts stands first; nil stands behind all.
func comparePlaces(a, b *part) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	case a.owner != b.owner:
		if order := bytes.Compare(orderKey(a.owner), orderKey(b.owner)); order != 0 {
			return order
		}
	}
	return int(a.set.Type) - int(b.set.Type)
}

// replace notes what turns one RRset into another; either may be nil.
func (d *Difference) replace(old, new *part) {
	if old == new {
		return
	}
	if old == nil {
		old = &part{set: &RRset{}}
	}
	if new == nil {
		new = &part{set: &RRset{}}
	}
	if old.hash == ([16]byte{}) || old.hash != new.hash {
		d.records(old.set.Records, new.set.Records)
	}
	if !old.sameSignatures(new) {
		d.records(old.signatureRecords(), new.signatureRecords())
	}
}

// sameSignatures reports whether two parts have the same signatures in memory.
func (p *part) sameSignatures(other *part) bool {
	return len(p.signatures) == len(other.signatures) && slices.Equal(p.rrsigs, other.rrsigs) &&
		(len(p.signatures) == 0 || &p.signatures[0] == &other.signatures[0])
}

// records notes which records of an RRset go and which come.
func (d *Difference) records(old, new []dns.RR) {
	if slices.Equal(old, new) {
		return // the same ones, in memory
	}
	keys := make(map[string]bool, len(new))
	for _, rr := range new {
		keys[recordKey(rr)] = true
	}
	for _, rr := range old {
		if key := recordKey(rr); keys[key] {
			keys[key] = false
		} else {
			d.Deleted = append(d.Deleted, rr)
		}
	}
	for _, rr := range new {
		if keys[recordKey(rr)] {
			d.Added = append(d.Added, rr)
		}
	}
}

// recordKey is the same for two records if a zone holds but one of them.
func recordKey(rr dns.RR) string {
	own := dns.Copy(rr)
	own.Header().Name = canonical(own.Header().Name)
	buffer := make([]byte, min(dns.Len(own)+256, dns.MaxMsgSize))
	length, err := dns.PackRR(own, buffer, 0, nil, false)
	if err != nil {
		return own.String() // what was unpacked packs; if not, this still tells it from others
	}
	return string(buffer[:length])
}

// Apply makes the version that differences lead to, one after another. It fails
// where they do not begin at this version or do not join, and where one deletes
// what is not there or adds what is.
func (v *Version) Apply(differences ...*Difference) (*Version, error) {
	soa := v.SOA
	records := map[string]dns.RR{}
	for rr := range v.Records() {
		records[recordKey(rr)] = rr
	}
	for _, d := range differences {
		if d.Old.Serial != soa.Serial || canonical(d.New.Hdr.Name) != v.Apex {
			return nil, fmt.Errorf("applying a difference from serial %d of %s to serial %d of %s: they do not join",
				d.Old.Serial, d.Old.Hdr.Name, soa.Serial, v.Apex)
		}
		for _, rr := range d.Deleted {
			key := recordKey(rr)
			if _, there := records[key]; !there {
				return nil, fmt.Errorf("applying the difference from serial %d to %d of %s: it deletes a record that is not there: %v",
					d.Old.Serial, d.New.Serial, v.Apex, rr)
			}
			delete(records, key)
		}
		for _, rr := range d.Added {
			key := recordKey(rr)
			if _, there := records[key]; there {
				return nil, fmt.Errorf("applying the difference from serial %d to %d of %s: it adds a record that is there: %v",
					d.Old.Serial, d.New.Serial, v.Apex, rr)
			}
			records[key] = rr
		}
		soa = d.New
	}
	all := make([]dns.RR, 0, len(records))
	for _, rr := range records {
		all = append(all, dns.Copy(rr))
	}
	return NewVersion(soa, all), nil
}
