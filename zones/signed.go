package zones

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// signedZone is what signing adds to a zone: RRSIG and NSEC records, and those of
// the keys at its apex. It is immutable.
type signedZone struct {
	*staticSignatures
	plan *signing.Plan // of this table: the static signatures may be older
	// pools are the links of pools' names, whose types follow what the pools give;
	// by link. families are the pools' own.
	pools    map[int]*signedLink
	secret   setSecret
	families map[int]*[2]*signedFamily // A and AAAA, by the pool's number; nil in it: not given
	digest   [sha256.Size]byte         // of all signatures but the SOA's
	// soa and negative are the signatures of the zone's records of these names.
	soa, negative []dns.RR
}

// staticSignatures are those that the zone file and the keys alone decide. Tables
// share them while neither changes and none is to be renewed.
type staticSignatures struct {
	zone  *Zone
	plan  *signing.Plan
	chain *chain
	// apex are the RRsets that the plan puts at the apex, and apexSignatures theirs.
	apex           []RRset
	apexSignatures [][]signing.Signature
	links          []signedLink // as in chain; those of pools have no denial
	negativeTTL    uint32       // seconds
	digest         [sha256.Size]byte
	renew          time.Time        // the first of them is to be renewed then
	expire         time.Time        // the first of them ends then
	contents       func() *contents // as they are transferred; made when they are first asked for
}

// signedLink is a name of the chain with its signatures.
type signedLink struct {
	sets   [][]signing.Signature // of the node's Sets; nil: what a delegation has is not signed
	denial *denial
	// transferred is that of a pool with the types that it gives now: what stands in
	// the zone as secondaries get it.
	transferred *denial
	// without are those of a pool for clients that get no address of a kind that
	// others get: A and AAAA; nil: nobody gets one.
	without [2]*denial
}

// addressKinds are the types that pools give, in the order of signedLink.without.
var addressKinds = [2]uint16{dns.TypeA, dns.TypeAAAA}

// sign signs a zone after a plan; but for its SOA, which is signSOA's.
func (t *Table) sign(in *Input, zone *Zone, plan *signing.Plan) (*signedZone, error) {
	var before *signedZone
	if in.Previous != nil {
		if last := in.Previous.zones[zone.Apex]; last != nil {
			before = last.signed
		}
	}
	static, err := signStatic(zone, plan, before)
	if err != nil {
		return nil, fmt.Errorf("signing zone %s: %w", zone.Apex, err)
	}
	z := &signedZone{staticSignatures: static, plan: plan, pools: map[int]*signedLink{}, families: map[int]*[2]*signedFamily{}}
	if before != nil && before.plan.SignsAs(plan) {
		z.secret = before.secret
	} else if z.secret, err = plan.Secret(); err != nil {
		return nil, fmt.Errorf("signing zone %s: %w", zone.Apex, err)
	}
	for _, name := range zone.pools {
		if err := z.signPool(t, in, name, before); err != nil {
			return nil, fmt.Errorf("signing pool %s: %w", name, err)
		}
	}
	z.digest = z.poolDigest()
	return z, nil
}

// signStatic signs what the zone file has, or takes it over from the table before.
func signStatic(zone *Zone, plan *signing.Plan, before *signedZone) (*staticSignatures, error) {
	if before != nil && before.zone == zone && before.plan.SameAs(plan) && plan.Now.Before(before.renew) &&
		!plan.Now.Before(before.plan.Now) {
		return before.staticSignatures, nil
	}
	s := &staticSignatures{zone: zone, plan: plan}
	s.negativeTTL = min(zone.SOA.Hdr.Ttl, zone.SOA.Minttl)
	if before != nil && before.zone == zone {
		s.chain = before.chain
	} else {
		s.chain = newChain(zone)
	}
	for _, records := range plan.Records() {
		if len(records) == 0 {
			return nil, errors.New("no key is published")
		}
		s.apex = append(s.apex, RRset{Type: records[0].Header().Rrtype, Records: records})
	}
	w := staticWork{staticSignatures: s, renew: make([]time.Time, len(s.chain.links)), expire: make([]uint32, len(s.chain.links))}
	if before != nil && before.plan.SignsAs(plan) {
		w.before = before.staticSignatures
	}
	if err := w.signApex(); err != nil {
		return nil, err
	}
	s.links = make([]signedLink, len(s.chain.links))
	if err := inParallel(len(s.links), w.signLink); err != nil {
		return nil, err
	}
	w.finish()
	s.contents = sync.OnceValue(s.layOut)
	return s, nil
}

// staticWork signs the links of a zone.
type staticWork struct {
	*staticSignatures
	before *staticSignatures // signed with the same keys; or nil
	renew  []time.Time       // by link
	expire []uint32
}

func (w *staticWork) signApex() error {
	for _, set := range w.apex {
		signatures, err := w.plan.Sign(set.Records)
		if err != nil {
			return err
		}
		w.apexSignatures = append(w.apexSignatures, signatures)
	}
	return nil
}

// signLink signs what one name has.
func (w *staticWork) signLink(index int) error {
	link := &w.chain.links[index]
	var known *signedLink
	var knownNode *Node
	if w.before != nil {
		if at, exact := w.before.chain.find(link.name); exact {
			known, knownNode = &w.before.links[at], w.before.chain.links[at].node
		}
	}
	out := &w.links[index]
	out.sets = make([][]signing.Signature, len(link.node.Sets))
	for i := range link.node.Sets {
		set := &link.node.Sets[i]
		if set.Type == dns.TypeSOA || link.node.Delegation && set.Type != dns.TypeDS {
			continue
		}
		signatures := known.signaturesOf(knownNode, set)
		signatures, err := w.signSet(index, link.name, set.Records, signatures)
		if err != nil {
			return err
		}
		out.sets[i] = signatures
	}
	if link.node.Pool >= 0 {
		return nil // signPool's
	}
	nsec := w.chain.record(index, w.negativeTTL, w.chain.types(index, w.apexTypes(), nil))
	d, err := deny(w.plan, nsec, known.denialOf())
	if err != nil {
		return err
	}
	out.denial = d
	w.note(index, link.name, dns.TypeNSEC)
	return nil
}

// signaturesOf gives those of an RRset that is the same as before; or nil.
func (l *signedLink) signaturesOf(node *Node, set *RRset) []signing.Signature {
	if l == nil {
		return nil
	}
	for i := range node.Sets {
		if node.Sets[i].Type == set.Type && sameRecords(node.Sets[i].Records, set.Records) {
			return l.sets[i]
		}
	}
	return nil
}

func (l *signedLink) denialOf() *denial {
	if l == nil {
		return nil
	}
	return l.denial
}

// sameRecords reports whether two RRsets of one name and type have the same TTL and
// data, in the same order.
func sameRecords(a, b []dns.RR) bool {
	return slices.EqualFunc(a, b, func(x, y dns.RR) bool {
		return x == y || x.Header().Ttl == y.Header().Ttl && rdata(dns.Copy(x)) == rdata(dns.Copy(y))
	})
}

// signSet signs an RRset, or takes the signatures that it had if they are not to be
// renewed.
func (w *staticWork) signSet(index int, name string, records []dns.RR, known []signing.Signature) ([]signing.Signature, error) {
	kind := records[0].Header().Rrtype
	inception := w.note(index, name, kind)
	if len(known) > 0 && known[0].Inception == inception {
		return known, nil
	}
	return w.plan.Sign(owned(records, name))
}

// note notes when the signatures of an RRset are to be renewed and end.
func (w *staticWork) note(index int, name string, kind uint16) (inception uint32) {
	inception, expiration, renew := w.plan.Window(name, kind)
	if w.renew[index].IsZero() || renew.Before(w.renew[index]) {
		w.renew[index] = renew
	}
	if w.expire[index] == 0 || expiration < w.expire[index] {
		w.expire[index] = expiration
	}
	return inception
}

// deny signs an NSEC record, or takes the signatures that it had.
func deny(plan *signing.Plan, nsec *dns.NSEC, known *denial) (*denial, error) {
	inception, _, _ := plan.Window(nsec.Hdr.Name, dns.TypeNSEC)
	if known != nil && len(known.signatures) > 0 && known.signatures[0].Inception == inception && sameDenial(known.records[0], nsec) {
		return known, nil
	}
	signatures, err := plan.Sign([]dns.RR{nsec})
	if err != nil {
		return nil, err
	}
	return newDenial(nsec, signatures)
}

func sameDenial(known dns.RR, nsec *dns.NSEC) bool {
	other, ok := known.(*dns.NSEC)
	return ok && other.Hdr.Ttl == nsec.Hdr.Ttl && other.NextDomain == nsec.NextDomain && slices.Equal(other.TypeBitMap, nsec.TypeBitMap)
}

// apexTypes are those that the plan puts at the apex.
func (s *staticSignatures) apexTypes() []uint16 {
	var types []uint16
	for _, set := range s.apex {
		types = append(types, set.Type)
	}
	return types
}

// finish notes the first renewal and end, and digests all signatures.
func (w *staticWork) finish() {
	s := w.staticSignatures
	for _, set := range append(slices.Clone(w.apex), RRset{Type: dns.TypeSOA}) {
		_, expiration, renew := w.plan.Window(w.plan.Apex, set.Type)
		w.renew, w.expire = append(w.renew, renew), append(w.expire, expiration)
	}
	d := newDigest()
	var earliest uint32
	for i, renew := range w.renew {
		if renew.IsZero() {
			continue // a pool's name that has nothing else
		}
		if s.renew.IsZero() || renew.Before(s.renew) {
			s.renew = renew
		}
		if earliest == 0 || w.expire[i] < earliest {
			earliest = w.expire[i]
		}
	}
	s.expire = time.Unix(int64(earliest), 0)
	for i, set := range s.apex {
		d.set(s.plan.Apex, RRset{Type: set.Type, Records: copies(set.Records)})
		d.signatures(s.apexSignatures[i])
	}
	for i := range s.links {
		for _, signatures := range s.links[i].sets {
			d.signatures(signatures)
		}
		if denial := s.links[i].denial; denial != nil {
			d.signatures(denial.signatures)
		}
	}
	s.digest = [sha256.Size]byte(d.Sum(nil))
}

func copies(records []dns.RR) []dns.RR {
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = dns.Copy(rr)
	}
	return out
}

func (d digest) signatures(all []signing.Signature) {
	for i := range all {
		d.text(string(all[i].Data))
	}
}

// signPool signs what a pool gives, and the NSEC records of its name.
func (z *signedZone) signPool(t *Table, in *Input, name string, before *signedZone) error {
	number := z.zone.nodes[name].Pool
	served := t.pools[number]
	index, exact := z.chain.find(name)
	if !exact {
		return fmt.Errorf("the chain of zone %s lacks %s", z.zone.Apex, name)
	}
	var last *signedLink
	var lastFamilies *[2]*signedFamily
	if before != nil && before.plan.SignsAs(z.plan) {
		last, lastFamilies = before.ofPool(served)
	}
	families := new([2]*signedFamily)
	var types, given []uint16
	for i, kind := range addressKinds {
		f := served.family(i)
		if !f.served {
			continue
		}
		var lastFamily *signedFamily
		if lastFamilies != nil {
			lastFamily = lastFamilies[i]
		}
		plan := newSetPlan(z.plan, z.secret, served.owner, kind, served.definition.TTL)
		signed, err := signFamily(plan, f, served.places, in.Signer, t.ahead, lastFamily)
		if err != nil {
			return err
		}
		families[i] = signed
		types = append(types, kind)
		if signed.transferred != nil {
			given = append(given, kind)
		}
	}
	z.families[number] = families
	link, err := z.signPoolLink(index, types, given, last)
	z.pools[index] = link
	return err
}

// ofPool gives what a pool had before; nil where it was not there.
func (z *signedZone) ofPool(served *servedPool) (*signedLink, *[2]*signedFamily) {
	index, exact := z.chain.find(served.owner)
	if !exact {
		return nil, nil
	}
	number := z.chain.links[index].node.Pool
	return z.pools[index], z.families[number]
}

// signPoolLink signs the NSEC records of a pool's name: with the types that it may
// give to anybody at any time, so that no proof of something else takes them away;
// for clients that get none of a kind, without that; and with those that it gives now.
func (z *signedZone) signPoolLink(index int, types, given []uint16, last *signedLink) (*signedLink, error) {
	link := &signedLink{sets: z.links[index].sets}
	nsec := func(types []uint16) *dns.NSEC {
		return z.chain.record(index, z.negativeTTL, z.chain.types(index, z.apexTypes(), types))
	}
	var err error
	if link.denial, err = deny(z.plan, nsec(types), last.denialOf()); err != nil {
		return nil, err
	}
	for i, kind := range addressKinds {
		if !slices.Contains(types, kind) {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(types), func(other uint16) bool { return other == kind })
		var known *denial
		if last != nil {
			known = last.without[i]
		}
		if link.without[i], err = deny(z.plan, nsec(rest), known); err != nil {
			return nil, err
		}
	}
	if slices.Equal(given, types) {
		link.transferred = link.denial
		return link, nil
	}
	var known *denial
	if last != nil {
		known = last.transferred
	}
	link.transferred, err = deny(z.plan, nsec(given), known)
	return link, err
}

// poolDigest digests all that secondaries get of signatures.
func (z *signedZone) poolDigest() [sha256.Size]byte {
	d := newDigest()
	_, _ = d.Write(z.staticSignatures.digest[:])
	for _, name := range z.zone.pools {
		index, _ := z.chain.find(name)
		d.signatures(z.pools[index].transferred.signatures)
		for _, family := range z.families[z.zone.nodes[name].Pool] {
			if family != nil && family.transferred != nil {
				d.signatures(family.transferred.signatures)
			}
		}
	}
	return [sha256.Size]byte(d.Sum(nil))
}

// signSOA signs the zone's SOA records, or takes over what the table before has of
// the same serial.
func (z *signedZone) signSOA(served, before *servedZone) error {
	inception, _, _ := z.plan.Window(z.zone.Apex, dns.TypeSOA)
	if before != nil && before.signed != nil && before.signed.plan.SignsAs(z.plan) && before.Zone == served.Zone &&
		before.serial.Number == served.serial.Number {
		if signature, ok := before.signed.soa[0].(*dns.RRSIG); ok && signature.Inception == inception {
			z.soa, z.negative = before.signed.soa, before.signed.negative
			return nil
		}
	}
	signatures, err := z.plan.Sign(owned(served.soa, z.zone.Apex))
	if err != nil {
		return fmt.Errorf("signing zone %s: %w", z.zone.Apex, err)
	}
	ttl := served.negative[0].Header().Ttl
	for i := range signatures {
		rr := signatures[i].RR(served.soa[0].Header().Name)
		z.soa = append(z.soa, rr)
		short := *rr
		short.Hdr.Ttl = ttl
		z.negative = append(z.negative, &short)
	}
	return nil
}

// due is when something is to be signed anew.
func (z *signedZone) due() time.Time {
	due := z.renew
	for index := range z.pools {
		_, _, renew := z.plan.Window(z.chain.links[index].name, dns.TypeNSEC)
		due = earliest(due, renew)
	}
	for _, families := range z.families {
		for _, family := range families {
			if family != nil {
				due = earliest(due, family.plan.renew)
			}
		}
	}
	return due
}

// expires is when the first signature ends.
func (z *signedZone) expires() time.Time {
	expires := z.expire
	sooner := func(owner string, kind uint16) {
		_, expiration, _ := z.plan.Window(owner, kind)
		expires = earliest(expires, time.Unix(int64(expiration), 0))
	}
	for index := range z.pools {
		sooner(z.chain.links[index].name, dns.TypeNSEC)
	}
	for _, families := range z.families {
		for _, family := range families {
			if family != nil {
				sooner(family.plan.owner, family.plan.kind)
			}
		}
	}
	return expires
}

// link gives a link by its number in the chain.
func (z *signedZone) link(index int) *signedLink {
	if link := z.pools[index]; link != nil {
		return link
	}
	return &z.links[index]
}

// set gives an RRset of a node that signing adds, or nil: those of the keys at the
// apex.
func (z *signedZone) set(node *Node, kind uint16) (*RRset, []signing.Signature) {
	if node != z.zone.nodes[z.zone.Apex] {
		return nil, nil
	}
	for i := range z.apex {
		if z.apex[i].Type == kind {
			return &z.apex[i], z.apexSignatures[i]
		}
	}
	return nil, nil
}

// signaturesOf gives the signatures of a node's own RRset; none where it is not
// signed.
func (z *signedZone) signaturesOf(node *Node, kind uint16) []signing.Signature {
	index, exact := z.chain.find(canonical(node.Name))
	if !exact {
		return nil
	}
	return z.ofSet(index, kind)
}

// Signed tells of the signatures of a zone; not ok: it is not signed, or not here.
func (t *Table) Signed(apex string) (signed Signed, ok bool) {
	zone := t.zones[canonical(apex)]
	if zone == nil || zone.signed == nil {
		return Signed{}, false
	}
	return Signed{Plan: zone.signed.plan, Expire: zone.signed.expires(), Renew: zone.signed.due()}, true
}

// Signed is what is to be known of a signed zone.
type Signed struct {
	Plan *signing.Plan
	// Expire is when the first signature ends, and Renew when the first is to be
	// made anew.
	Expire, Renew time.Time
}
