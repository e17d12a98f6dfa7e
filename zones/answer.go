package zones

import (
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/pool/selection"
)

// maxAliases bounds the CNAME records of one answer.
const maxAliases = 8

// Answer answers a question from the table. The answers for random that is the
// same are the same, but that a set of a signed pool's addresses may be another one
// once a Signer has signed what was drawn. Random must not be nil, and not be used elsewhere at the
// same time.
//
// Outside of all zones the answer is REFUSED; otherwise the deepest zone
// answers, as RFC 1034 (section 4.3.2), 2308 and 4592 say. CNAME and DNAME
// records (RFC 6672) are followed through all zones of the table, to the eighth;
// what an answer does not follow, as in a circle, is NOERROR and the aliases. DS
// of a zone that is served comes from the zone above it where that is served and
// delegates it, and is otherwise not there (RFC 4035, section 3.1.4.1). ANY gets
// one RRset (RFC 8482): the CNAME where there is one, or else HINFO "RFC8482".
// Records at the name asked for carry it as it was asked. That a pool gives nothing for
// now is said with a TTL of no more than its addresses would have.
//
// With DNSSEC, what a signed zone has is followed by its signatures, and what it has
// not is proven by NSEC records in the authority section (RFC 4035, section 3.1).
func (t *Table) Answer(q Question, random Random) Answer {
	l := t.follow(q, random)
	return l.answer
}

// follow answers a question and tells how.
func (t *Table) follow(q Question, random Random) (l lookup) {
	l = lookup{table: t, question: q, random: random, name: dns.Fqdn(q.Name), key: canonical(q.Name)}
	if l.zone = t.zoneFor(l.key, q.Type); l.zone == nil {
		l.answer.Rcode = dns.RcodeRefused
		return l
	}
	l.answer.Authoritative = true
	for l.step() {
		l.seen[l.aliases] = l.key
		l.aliases++
		l.key = canonical(l.name)
		if l.aliases == maxAliases || l.looped() {
			break
		}
		if l.zone = t.zoneFor(l.key, q.Type); l.zone == nil {
			break // the rest is for others to answer
		}
	}
	l.answer.Authority = appendShared(l.answer.Authority, l.proofs())
	if l.lacking != nil {
		l.answer.Authority = withLowerTTL(l.answer.Authority, l.lacking.ttl)
	}
	return l
}

// zoneFor gives the deepest zone that a name lies in, or nil. For DS that is the
// one above the name, if it is served too and delegates the name (RFC 4035,
// section 3.1.4.1).
func (t *Table) zoneFor(key string, kind uint16) *servedZone {
	zone, found := deepest(t.zones, key)
	if !found || kind != dns.TypeDS || key != zone.Apex || zone.parent == nil {
		return zone
	}
	if node, exact := zone.parent.find(key); exact && node.Delegation {
		return t.zones[zone.parent.Apex]
	}
	return zone
}

// lookup is one question on its way through the zones.
type lookup struct {
	table    *Table
	question Question
	random   Random
	answer   Answer

	zone    *servedZone
	name    string // that is looked for now, as it was asked or is spelt in a CNAME
	key     string // the same, canonical
	aliases int
	seen    [maxAliases]string // keys of the aliases followed

	denied  bool        // the answer has the zone's SOA in the authority section
	pooled  *servedPool // that the answer came from; or nil
	lacking *family     // of it, which could give addresses and gives none now; or nil

	// signed is the zone's signing if signatures are asked for; proven are the NSEC
	// records that the authority section gets.
	signed *signedZone
	proven []*denial
	// nameless is how many names on the way are not there themselves.
	nameless int
}

// deny says that there is no such name or type (RFC 2308).
func (l *lookup) deny() {
	l.denied = true
	l.answer.Authority = l.zone.negative
	if l.signed != nil {
		l.answer.Authority = appendShared(l.zone.negative, l.signed.negative)
	}
}

func (l *lookup) looped() bool {
	for _, key := range l.seen[:l.aliases] {
		if key == l.key {
			return true
		}
	}
	return false
}

// step looks one name up in one zone. It reports whether the answer goes on at
// another name, which is then in l.name.
func (l *lookup) step() (alias bool) {
	if l.signed = nil; l.question.DNSSEC {
		l.signed = l.zone.signed
	}
	node, exact := l.zone.find(l.key)
	switch {
	case node.Delegation && !(exact && l.question.Type == dns.TypeDS):
		l.refer(node)
		return false
	case exact:
		return l.take(node)
	case node.set(dns.TypeDNAME) != nil:
		return l.rename(node)
	case node.Wildcard != nil:
		l.proveNameless() // that the wildcard stands for (RFC 4035, section 3.1.3.3)
		return l.take(node.Wildcard)
	}
	l.answer.Rcode = dns.RcodeNameError
	l.deny()
	l.proveNameless()
	l.proveNoWildcard(node)
	return false
}

// refer points to the servers of a delegated zone. AA tells about the name
// that was asked for, and not about those that aliases led to.
func (l *lookup) refer(node *Node) {
	servers := node.set(dns.TypeNS)
	l.answer.Authoritative = l.aliases > 0
	l.answer.Authority = servers.Records
	l.answer.Additional = servers.additions(l.name)
	l.proveDelegation(node)
}

// take answers from a node, with the name that is looked for as owner.
func (l *lookup) take(node *Node) (alias bool) {
	kind := l.question.Type
	if set := node.set(dns.TypeCNAME); set != nil {
		if l.takeSigning(node, kind) {
			return false
		}
		l.append(owned(set.Records, l.name))
		l.sign(node, dns.TypeCNAME)
		if kind == dns.TypeCNAME || kind == dns.TypeANY {
			return false
		}
		if cname, ok := set.Records[0].(*dns.CNAME); ok {
			l.name = cname.Target
		}
		return true
	}
	if node.Pool >= 0 {
		served := l.table.pools[node.Pool]
		if f := served.of(kind); f != nil {
			l.draw(served, f)
			return false
		}
	}
	switch {
	case l.takeSigning(node, kind):
	case kind == dns.TypeANY && node.exists():
		l.append(l.refusal(node))
	case kind == dns.TypeSOA && node.set(dns.TypeSOA) != nil:
		l.append(owned(l.zone.soa, l.name))
		if l.signed != nil {
			l.append(owned(l.signed.soa, l.name))
		}
	case node.set(kind) != nil:
		set := node.set(kind)
		if kind == dns.TypeDNAME && l.renamedBy(l.key) {
			return false
		}
		l.append(owned(set.Records, l.name))
		l.sign(node, kind)
		l.answer.Additional = l.signAdditional(set.additions(l.name))
	default:
		l.deny()
		l.proveTypeless(node, kind)
	}
	return false
}

// refusal is what ANY gets: the HINFO of RFC 8482, section 4.2, if the name
// has none of its own.
func (l *lookup) refusal(node *Node) []dns.RR {
	if set := node.set(dns.TypeHINFO); set != nil {
		return owned(set.Records, l.name)
	}
	const ttl = 3600
	return []dns.RR{&dns.HINFO{
		Hdr: dns.RR_Header{Name: l.name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: ttl},
		Cpu: "RFC8482",
	}}
}

// rename follows a DNAME above the name, with a CNAME made for this name (RFC
// 6672, section 3.1).
func (l *lookup) rename(node *Node) (alias bool) {
	set := node.set(dns.TypeDNAME)
	dname, ok := set.Records[0].(*dns.DNAME)
	if !ok {
		return false
	}
	if !l.renamedBy(canonical(dname.Hdr.Name)) {
		l.append(set.Records)
		l.signAs(node, dns.TypeDNAME, dname.Hdr.Name)
	}
	renamed, ok := substitute(l.name, l.key, canonical(dname.Hdr.Name), dname.Target)
	if !ok {
		l.answer.Rcode = dns.RcodeYXDomain
		return false
	}
	l.append([]dns.RR{&dns.CNAME{
		Hdr:    dns.RR_Header{Name: l.name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: dname.Hdr.Ttl},
		Target: renamed,
	}})
	l.name = renamed
	return l.question.Type != dns.TypeCNAME && l.question.Type != dns.TypeANY
}

// renamedBy reports whether the answer has the DNAME of an owner, given as its
// key, already: aliases may lead below it again.
func (l *lookup) renamedBy(owner string) bool {
	return slices.ContainsFunc(l.answer.Answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeDNAME && canonical(rr.Header().Name) == owner
	})
}

// substitute puts a DNAME's target in the place of its owner at the end of a
// name, which keeps its spelling; not ok if the result is too long.
func substitute(name, key, owner, target string) (string, bool) {
	labels := dns.CountLabel(key) - dns.CountLabel(owner)
	starts := dns.Split(name)
	if labels <= 0 || labels > len(starts) {
		return "", false
	}
	prefix := name
	if labels < len(starts) {
		prefix = name[:starts[labels]]
	}
	if target == "." {
		target = ""
	}
	renamed := prefix + target
	var wire [256]byte
	length, err := dns.PackDomainName(renamed, wire[:], 0, nil, false)
	return renamed, err == nil && length <= 255
}

// draw answers from a pool.
func (l *lookup) draw(served *servedPool, f *family) {
	a := &l.answer
	a.Pool, l.pooled = served.definition.Name, served
	if !f.served {
		l.deny()
		l.proveTypeless(l.node(served), l.question.Type)
		return
	}
	var choice *selection.Choice
	choice, a.PlaceDependent, a.ScopeBits = f.locate(l.table.geo, l.question.Client, l.question.Resolver)
	before := len(a.Answer)
	signed := l.signedFamily(served)
	var set *signedSet
	if choice.Mode == selection.Self {
		l.append(f.lent(f.self, l.name))
		if signed != nil {
			set = signed.find(signed.self)
		}
	} else {
		var onStack [32]int
		order := f.order(choice, l.random, onStack[:0])
		if signed != nil {
			order, set = signed.settle(choice, order, l.random)
		}
		l.give(served, f, choice.Mode, order)
	}
	if a.Drawn = len(a.Answer) - before; a.Drawn == 0 {
		l.lacking = f
		l.deny()
		l.proveTypeless(l.node(served), l.question.Type)
	} else if set != nil {
		if a.Signatures = signatureRecords(set.signatures, l.name); f.ttl != served.definition.TTL {
			a.Signatures = withTTL(a.Signatures, l.name, f.ttl)
		}
	}
}

// give appends the records of the members that were drawn, in order.
func (l *lookup) give(served *servedPool, f *family, mode selection.Mode, drawn []int) {
	if len(drawn) == 0 {
		return
	}
	a := &l.answer
	count := 0
	for _, index := range drawn {
		count += len(f.members[index].given(mode))
	}
	a.Answer = append(make([]dns.RR, 0, len(a.Answer)+count), a.Answer...)
	a.Members = make([]string, 0, len(drawn))
	if count > len(drawn) {
		a.MemberRecords = make([]int, 0, len(drawn))
	}
	for _, index := range drawn {
		a.Members = append(a.Members, served.definition.Members[index].ID)
		records := f.lent(f.members[index].given(mode), l.name)
		if a.MemberRecords != nil {
			a.MemberRecords = append(a.MemberRecords, len(records))
		}
		first := firstOf(l.random, len(records))
		a.Answer = append(append(a.Answer, records[first:]...), records[:first]...)
	}
}

// given are the records of a member in a mode of the choice.
func (m *memberRecords) given(mode selection.Mode) []dns.RR {
	if mode == selection.All {
		return m.all
	}
	return m.up
}

// append adds records to the answer section.
func (l *lookup) append(records []dns.RR) { l.answer.Answer = appendShared(l.answer.Answer, records) }

// appendShared appends records to some that may be shared with the table, which are
// never appended to.
func appendShared(records, more []dns.RR) []dns.RR {
	if len(more) == 0 {
		return records
	}
	if len(records) == 0 {
		return more[:len(more):len(more)]
	}
	return append(records[:len(records):len(records)], more...)
}

// owned gives records with the owner spelt as asked: themselves where they are
// spelt so already.
func owned(records []dns.RR, name string) []dns.RR {
	if len(records) == 0 || records[0].Header().Name == name {
		return records
	}
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = name
	}
	return out
}
