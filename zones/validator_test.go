package zones

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// validator checks answers as a validating resolver does that trusts the keys of
// each zone: signatures, and the proofs that names and types are not there (RFC
// 4035, section 5). It knows nothing of how they are made.
type validator struct {
	apexes []string                 // of all zones that are served, canonical
	keys   map[string][]*dns.DNSKEY // of those that are signed
	now    time.Time
	sets   [3]map[dns.Question]*provenSet // of the answer that is checked, by section
	nsecs  []*provenSet                   // of the authority section
	good   map[string]bool                // signatures that were checked, with their records
}

// provenSet is an RRset of an answer.
type provenSet struct {
	dns.Question // owner in lower case, and type
	records      []dns.RR
	signatures   []*dns.RRSIG
	signer       string // the zone whose keys have signed it; empty: none
	labels       int    // of the name that was signed
	used         bool   // an NSEC that is part of a proof
}

var errUnproven = errors.New("not proven")

// check gives what is wrong with the answer to a question with DO.
func (v *validator) check(m *dns.Msg, name string, kind uint16) error {
	if err := v.collect(m); err != nil {
		return err
	}
	name = strings.ToLower(name)
	end, err := v.follow(m, name, kind)
	if err != nil {
		return err
	}
	for _, nsec := range v.nsecs {
		if !nsec.used {
			return fmt.Errorf("NSEC of %s proves nothing", nsec.Name)
		}
	}
	if end != "" && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return fmt.Errorf("rcode %d for what ends as %s", m.Rcode, end)
	}
	return nil
}

// collect sorts the records into RRsets and checks their signatures.
func (v *validator) collect(m *dns.Msg) error {
	v.nsecs = nil
	for number, section := range [3][]dns.RR{m.Answer, m.Ns, m.Extra} {
		sets := map[dns.Question]*provenSet{}
		v.sets[number] = sets
		var last dns.Question
		for _, rr := range section {
			key := dns.Question{Name: strings.ToLower(rr.Header().Name), Qtype: rr.Header().Rrtype}
			if key.Qtype == dns.TypeOPT {
				continue
			}
			signature, isSignature := rr.(*dns.RRSIG)
			if isSignature {
				key.Qtype = signature.TypeCovered
			}
			set := sets[key]
			if set == nil {
				set = &provenSet{Question: key}
				sets[key] = set
			} else if last != key {
				return fmt.Errorf("%s %s stands in pieces", key.Name, dns.Type(key.Qtype))
			}
			last = key
			switch {
			case isSignature:
				set.signatures = append(set.signatures, signature)
			case len(set.signatures) > 0:
				return fmt.Errorf("%s %s: a record behind its signatures", key.Name, dns.Type(key.Qtype))
			default:
				set.records = append(set.records, rr)
			}
		}
		for _, set := range sets {
			if err := v.verify(set); err != nil {
				return fmt.Errorf("section %d, %s %s: %w", number, set.Name, dns.Type(set.Qtype), err)
			}
			if number == 1 && set.Qtype == dns.TypeNSEC {
				if len(set.records) != 1 || set.signer == "" {
					return fmt.Errorf("%d NSEC records of %s, signer %q", len(set.records), set.Name, set.signer)
				}
				v.nsecs = append(v.nsecs, set)
			}
		}
	}
	return nil
}

// verify checks an RRset's signatures: at least one good one of each algorithm
// that the zone has, and no bad one (RFC 4035, sections 2.2 and 5.3).
func (v *validator) verify(set *provenSet) error {
	if len(set.signatures) == 0 {
		return nil
	}
	set.signer, set.labels = set.signatures[0].SignerName, int(set.signatures[0].Labels)
	if len(set.records) == 0 {
		return nil // type RRSIG was asked for
	}
	records := owned(set.records, canonical(set.Name)) // the library does not compare escapes
	missing := map[uint8]bool{}
	for _, key := range v.keys[set.signer] {
		missing[key.Algorithm] = true
	}
	for _, original := range set.signatures {
		signature, ok := dns.Copy(original).(*dns.RRSIG)
		if !ok || signature.SignerName != set.signer || int(signature.Labels) != set.labels {
			return fmt.Errorf("signatures differ: %v", set.signatures)
		}
		signature.Hdr.Name = canonical(set.Name)
		for _, rr := range set.records {
			if ttl := rr.Header().Ttl; ttl != signature.Hdr.Ttl || ttl > signature.OrigTtl {
				return fmt.Errorf("TTL %d, that of its signature is %d, originally %d", ttl, signature.Hdr.Ttl, signature.OrigTtl)
			}
		}
		if !signature.ValidityPeriod(v.now) {
			return fmt.Errorf("not in its time: %v", signature)
		}
		if !v.isGood(signature, records) {
			return fmt.Errorf("a bad signature: %v of %v", signature, records)
		}
		delete(missing, signature.Algorithm)
	}
	if len(missing) > 0 {
		return fmt.Errorf("no signature of algorithms %v", missing)
	}
	return nil
}

// isGood checks one signature.
func (v *validator) isGood(signature *dns.RRSIG, records []dns.RR) bool {
	lines := []string{signature.String()}
	for _, rr := range records {
		lines = append(lines, rr.String())
	}
	slices.Sort(lines[1:])
	text := strings.Join(lines, "\n")
	if !v.good[text] {
		for _, key := range v.keys[signature.SignerName] {
			if key.KeyTag() == signature.KeyTag && key.Algorithm == signature.Algorithm && signature.Verify(key, records) == nil {
				v.good[text] = true
			}
		}
	}
	return v.good[text]
}

// zoneOf gives the zone that a name lies in; empty: none.
func (v *validator) zoneOf(name string) (found string) {
	for _, apex := range v.apexes {
		if dns.IsSubDomain(apex, canonical(name)) && (found == "" || dns.CountLabel(apex) > dns.CountLabel(found)) {
			found = apex
		}
	}
	return found
}

// zoneFor is zoneOf for a question: DS is the parent's, if it answers for it.
func (v *validator) zoneFor(name string, kind uint16) string {
	zone := v.zoneOf(name)
	if kind != dns.TypeDS || canonical(name) != zone || zone == "." {
		return zone
	}
	if set := v.sets[0][dns.Question{Name: name, Qtype: dns.TypeDS}]; set != nil {
		return v.zoneOf(parentOf(canonical(name), 1))
	}
	for key := range v.sets[1] {
		if key.Qtype == dns.TypeSOA {
			return canonical(key.Name)
		}
	}
	return zone
}

// follow goes along the aliases to the end of the answer, and says what it is.
func (v *validator) follow(m *dns.Msg, name string, kind uint16) (end string, err error) {
	seen := map[string]bool{}
	for {
		zone := v.zoneFor(name, kind)
		if zone == "" || len(seen) >= maxAliases || seen[canonical(name)] {
			return "", nil
		}
		seen[canonical(name)] = true
		secure := v.keys[zone] != nil
		if set := v.answer(name, kind); set != nil && (set.Qtype != dns.TypeCNAME || len(set.signatures) > 0 || v.renaming(name) == nil) {
			return "records", v.positive(set, zone, secure)
		}
		if alias := v.sets[0][dns.Question{Name: name, Qtype: dns.TypeCNAME}]; alias != nil {
			if above := v.renaming(name); above != nil && len(alias.signatures) == 0 {
				alias, zone = above, v.zoneOf(above.Name)
			}
			if err := v.positive(alias, zone, v.keys[zone] != nil); err != nil {
				return "", err
			}
			cname, ok := v.sets[0][dns.Question{Name: name, Qtype: dns.TypeCNAME}].records[0].(*dns.CNAME)
			if !ok {
				return "", errors.New("a CNAME that is none")
			}
			if kind == dns.TypeCNAME || kind == dns.TypeANY {
				return "alias", nil
			}
			name = strings.ToLower(cname.Target)
			continue
		}
		if above := v.renaming(name); above != nil && m.Rcode == dns.RcodeYXDomain {
			return "", v.positive(above, zone, secure)
		}
		if cut := v.cut(name, zone); cut != nil {
			if !secure {
				return "referral", nil
			}
			return "referral", v.referral(cut, zone)
		}
		if !secure {
			return "denial", nil
		}
		if err := v.denial(m, name, kind, zone); err != nil {
			return "", fmt.Errorf("%s %s (rcode %d): %w", name, dns.Type(kind), m.Rcode, err)
		}
		return "denial", nil
	}
}

// answer gives the RRset of the answer section that a question gets; nil: none.
func (v *validator) answer(name string, kind uint16) *provenSet {
	switch kind {
	case dns.TypeANY, dns.TypeRRSIG:
		for key, set := range v.sets[0] {
			if key.Name == name && (kind == dns.TypeANY && key.Qtype != dns.TypeCNAME || kind == dns.TypeRRSIG && len(set.records) == 0) {
				return set
			}
		}
		return nil
	}
	return v.sets[0][dns.Question{Name: name, Qtype: kind}]
}

// renaming gives the DNAME of the answer above a name; nil: there is none.
func (v *validator) renaming(name string) (closest *provenSet) {
	for key, set := range v.sets[0] {
		if key.Qtype == dns.TypeDNAME && key.Name != name && dns.IsSubDomain(canonical(key.Name), canonical(name)) &&
			(closest == nil || dns.CountLabel(key.Name) > dns.CountLabel(closest.Name)) {
			closest = set
		}
	}
	return closest
}

// cut gives the NS records that refer to another zone.
func (v *validator) cut(name, zone string) *provenSet {
	for key, set := range v.sets[1] {
		if key.Qtype == dns.TypeNS && canonical(key.Name) != zone && dns.IsSubDomain(canonical(key.Name), canonical(name)) {
			return set
		}
	}
	return nil
}

// positive checks that records are the zone's, and where they come from a wildcard
// that no closer name is there (RFC 4035, section 5.3.4).
func (v *validator) positive(set *provenSet, zone string, secure bool) error {
	if !secure {
		if len(set.signatures) > 0 {
			return fmt.Errorf("%s %s is signed, zone %s is not", set.Name, dns.Type(set.Qtype), zone)
		}
		return nil
	}
	if set.signer != zone {
		return fmt.Errorf("%s %s is signed by %q, not by %s", set.Name, dns.Type(set.Qtype), set.signer, zone)
	}
	labels := dns.CountLabel(canonical(set.Name))
	if isWildcard(canonical(set.Name)) {
		labels--
	}
	if set.labels >= labels {
		return nil
	}
	covering := v.covering(set.Name, zone)
	if covering == nil {
		return fmt.Errorf("%s %s comes from a wildcard: %w that there is no such name", set.Name, dns.Type(set.Qtype), errUnproven)
	}
	if encloser := encloserOf(set.Name, covering); dns.CountLabel(encloser) != set.labels {
		return fmt.Errorf("%s %s comes from a wildcard with %d labels, but %s is there", set.Name, dns.Type(set.Qtype), set.labels, encloser)
	}
	return nil
}

// referral checks that a delegation is signed or proven not to be.
func (v *validator) referral(cut *provenSet, zone string) error {
	if len(cut.signatures) > 0 {
		return fmt.Errorf("the delegation %s is signed", cut.Name)
	}
	if ds := v.sets[1][dns.Question{Name: cut.Name, Qtype: dns.TypeDS}]; ds != nil {
		if ds.signer != zone {
			return fmt.Errorf("DS of %s is signed by %q", cut.Name, ds.signer)
		}
		return nil
	}
	nsec := v.matching(cut.Name, zone)
	if nsec == nil || !nsec.has(dns.TypeNS) || nsec.has(dns.TypeDS) || nsec.has(dns.TypeSOA) {
		return fmt.Errorf("that %s has no DS: %w", cut.Name, errUnproven)
	}
	return nil
}

// denial checks that a name or type is not there (RFC 4035, section 5.4).
func (v *validator) denial(m *dns.Msg, name string, kind uint16, zone string) error {
	soa := v.sets[1][dns.Question{Name: strings.ToLower(zone), Qtype: dns.TypeSOA}]
	if soa == nil || soa.signer != zone {
		return errors.New("no SOA that is signed")
	}
	for _, nsec := range v.nsecs { // RFC 9077, section 3
		if ttl := soa.records[0].Header().Ttl; nsec.signer == zone && nsec.nsec().Hdr.Ttl != ttl {
			return fmt.Errorf("the TTL of an NSEC is %d, that of the SOA is %d", nsec.nsec().Hdr.Ttl, ttl)
		}
	}
	lacks := func(nsec *provenSet) bool {
		delegates := nsec.has(dns.TypeNS) && !nsec.has(dns.TypeSOA)
		return nsec != nil && !nsec.has(kind) && !nsec.has(dns.TypeCNAME) && (!delegates || kind == dns.TypeDS)
	}
	if nsec := v.matching(name, zone); nsec != nil {
		if m.Rcode != dns.RcodeSuccess || !lacks(nsec) {
			return fmt.Errorf("NSEC of the name says otherwise: %v", nsec.records)
		}
		return nil
	}
	covering := v.covering(name, zone)
	if covering == nil {
		return fmt.Errorf("no such name: %w", errUnproven)
	}
	if covering.leadsBelow(name) {
		if m.Rcode != dns.RcodeSuccess {
			return fmt.Errorf("it is an empty non-terminal by %v", covering.records)
		}
		return nil
	}
	wildcard := "*." + strings.TrimPrefix(encloserOf(name, covering), ".")
	if nsec := v.matching(wildcard, zone); nsec != nil {
		if m.Rcode != dns.RcodeSuccess || !lacks(nsec) {
			return fmt.Errorf("NSEC of the wildcard says otherwise: %v", nsec.records)
		}
		return nil
	}
	nsec := v.covering(wildcard, zone)
	if nsec == nil {
		return fmt.Errorf("no wildcard %s: %w", wildcard, errUnproven)
	}
	if nsec.leadsBelow(wildcard) != (m.Rcode == dns.RcodeSuccess) {
		return fmt.Errorf("rcode %d, but the wildcard is covered by %v", m.Rcode, nsec.records)
	}
	return nil
}

// matching gives the NSEC of a name in a zone, and notes that it is used.
func (v *validator) matching(name, zone string) *provenSet {
	for _, nsec := range v.nsecs {
		if nsec.signer == zone && canonical(nsec.Name) == canonical(name) {
			nsec.used = true
			return nsec
		}
	}
	return nil
}

// covering gives the NSEC that shows that a name is not there, and notes that it is
// used.
func (v *validator) covering(name, zone string) *provenSet {
	name = canonical(name)
	for _, nsec := range v.nsecs {
		owner, next := canonical(nsec.Name), canonical(nsec.next())
		behind := canonicalOrder(owner, name) < 0
		before := canonicalOrder(name, next) < 0 || next == zone
		hidden := dns.IsSubDomain(owner, name) && (nsec.has(dns.TypeDNAME) || nsec.has(dns.TypeNS) && !nsec.has(dns.TypeSOA))
		if nsec.signer == zone && behind && before && !hidden {
			nsec.used = true
			return nsec
		}
	}
	return nil
}

func (s *provenSet) nsec() *dns.NSEC {
	nsec, ok := s.records[0].(*dns.NSEC)
	if !ok {
		return new(dns.NSEC)
	}
	return nsec
}

func (s *provenSet) next() string         { return s.nsec().NextDomain }
func (s *provenSet) has(kind uint16) bool { return slices.Contains(s.nsec().TypeBitMap, kind) }

// leadsBelow reports whether a covered name is there, as an empty non-terminal.
func (s *provenSet) leadsBelow(name string) bool {
	return dns.IsSubDomain(canonical(name), canonical(s.next()))
}

// encloserOf gives the closest encloser of a name that an NSEC covers: the longest
// name above it that is above one of the NSEC's two as well.
func encloserOf(name string, nsec *provenSet) string {
	name = canonical(name)
	labels := max(dns.CompareDomainName(name, canonical(nsec.Name)), dns.CompareDomainName(name, canonical(nsec.next())))
	return parentOf(name, dns.CountLabel(name)-labels)
}
