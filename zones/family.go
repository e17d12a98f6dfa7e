package zones

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/selection"
)

// servedPool is a pool as a table serves it.
type servedPool struct {
	definition *pool.Pool
	zone       *Zone // nil: it lies in none, and is published elsewhere
	tally      int   // where a Tally counts it
	standing   *standing
	*compiledPool
	// families are as they are given: with the TTL that health asks for. A
	// and AAAA.
	families [2]*family
	nextTTL  time.Time // when another table is to be made for that; zero: never
}

// compiledPool is what a pool's content, places and health make of it. It may
// belong to many tables.
type compiledPool struct {
	source     *pool.Pool // that it was compiled from
	standing   *standing
	owner      string // canonical
	places     []geo.Place
	ipv4, ipv6 *family
	content    [32]byte // digest of what may be drawn
	parts      [2]*part // A and AAAA, as transfers give them
}

// family is one address family of a pool: what A or AAAA questions get.
type family struct {
	chooser *selection.Chooser
	members []memberRecords // by candidate
	self    []dns.RR
	// served is false where no member that has a weight has an address of
	// this family: then the answer is NODATA, for everybody and always.
	served bool
	mode   selection.Mode // for a client of which nothing is known
	// whenAllDown is what clients get while nothing is up: the pool's, but that a
	// node without addresses of its own gives all.
	whenAllDown pool.WhenAllDown
	wire        wireFamily
	ttl         uint32 // of what is given, in seconds

	// classes sort clients, and choices are what each class gets; nil where the
	// chooser has to be asked each time. unlocated is for the client of which
	// nothing is known.
	classes   *selection.Classes
	classKey  string
	choices   []*selection.Choice
	unlocated *selection.Choice
	// draws are tables of the choices' draws, by Choice.ID; nil: there is none.
	draws    []*selection.DrawTable
	drawKeys []string
	// placeDependent is the chooser's PlaceDependent.
	placeDependent bool
	// byResolver: the client subnet is not used. Where it is, it tells nothing of
	// a client in one of unlocatedIn.
	byResolver  bool
	unlocatedIn unroutedSet
}

// memberRecords are a member's records of one family.
type memberRecords struct {
	disabled bool // by the repository, or for now
	reserve  bool
	kept     bool     // it is not up, and given since too few are
	up       []dns.RR // those that are given while the member counts as up, or is kept
	all      []dns.RR // in the mode selection.All
}

// disabled reports whether all members that have a weight are disabled for now: then
// there is nothing to give, whatever is to be given when all are down.
func (f *family) disabled() bool {
	mayBeGiven := func(m memberRecords) bool { return !m.disabled && len(m.all) > 0 }
	return f.served && !slices.ContainsFunc(f.members, mayBeGiven)
}

// of gives the family that a type of question is about, as it is given; or nil.
func (s *servedPool) of(kind uint16) *family {
	switch kind {
	case dns.TypeA:
		return s.families[0]
	case dns.TypeAAAA:
		return s.families[1]
	}
	return nil
}

// family gives what was compiled of a family, in the order of addressKinds.
func (c *compiledPool) family(index int) *family {
	if index == 0 {
		return c.ipv4
	}
	return c.ipv6
}

// compilePool prepares everything about a pool that does not depend on who asks.
func compilePool(in *Input, definition *pool.Pool, standing *standing, tables *sharedTables) *compiledPool {
	c := &compiledPool{source: definition, standing: standing, owner: canonical(dns.Fqdn(definition.Name))}
	for _, member := range definition.Members {
		c.places = append(c.places, memberPlace(in.Geo, member))
	}
	c.ipv4 = c.compileFamily(in, dns.TypeA, tables)
	c.ipv6 = c.compileFamily(in, dns.TypeAAAA, tables)
	c.content = c.digest()
	c.parts = c.transfer()
	return c
}

// memberPlace gives where a member stands: where the repository says so, or
// else where its first address is. The operator's own networks are known of
// both kinds, so that a client in one is near to the members in it.
func memberPlace(m *geo.Map, member *pool.Member) geo.Place {
	var looked geo.Place
	if len(member.Addresses) > 0 {
		looked, _ = lookUp(m, member.Addresses[0])
	}
	if member.Location == nil {
		return looked
	}
	place := geo.Resolve(member.Location)
	place.Network = looked.Network
	return place
}

// lookUp looks an address up, and knows nothing without a map.
func lookUp(m *geo.Map, address netip.Addr) (geo.Place, int) {
	if m == nil || !address.IsValid() {
		return geo.Place{}, 0
	}
	return m.Lookup(address)
}

// compileFamily makes candidates and records of one family.
func (s *compiledPool) compileFamily(in *Input, kind uint16, tables *sharedTables) *family {
	f := &family{members: make([]memberRecords, len(s.source.Members)), ttl: s.source.TTL}
	candidates := make([]selection.Candidate, len(s.source.Members))
	for i := range candidates {
		candidates[i] = s.compileMember(in, f, kind, i)
	}
	whenAllDown := s.source.WhenAllDown
	if whenAllDown == pool.AnswerSelf {
		f.self = s.selfRecords(in.SelfAddresses, kind)
		if len(f.self) == 0 {
			whenAllDown = pool.AnswerAll
		}
	}
	f.whenAllDown = whenAllDown
	f.chooser = selection.New(s.source.Policy, whenAllDown, candidates)
	f.unlocated, _ = f.chooser.Choose(selection.Client{})
	f.mode = f.unlocated.Mode
	f.placeDependent = f.chooser.PlaceDependent()
	f.byResolver = s.source.Policy.IgnoreClientSubnet
	f.compileWire(s.source.Answers)
	if f.served && f.placeDependent {
		f.classify(tables, s.source.Policy, candidates)
		f.unlocatedIn = f.unlocatedNetworks(in.Geo)
	}
	f.tabulate(tables)
	return f
}

// compileMember makes a member's records of a family, and the candidate that it is.
func (s *compiledPool) compileMember(in *Input, f *family, kind uint16, i int) selection.Candidate {
	member, records := s.source.Members[i], &f.members[i]
	c := selection.Candidate{
		ID: member.ID, Weight: member.Weight, Reserve: member.Reserve,
		Place: s.places[i], Exclude: member.Exclude, Only: member.Only,
	}
	records.disabled, records.reserve = member.Weight == 0 || s.standing.disables(i), member.Reserve
	for k, address := range member.Addresses {
		if !isOf(address, kind) {
			continue
		}
		rr := addressRecord(s.owner, s.source.TTL, address)
		records.all = append(records.all, rr)
		if s.standing.counts(i, k, kindIndex(kind)) {
			records.up = append(records.up, rr)
		}
	}
	if len(records.all) == 0 {
		c.Unusable = withoutAddress(member, kind)
		return c
	}
	// What is said for now does not make the family one that is never given.
	f.served = f.served || member.Weight > 0
	c.Unusable, c.Disabled = s.standing.disabled(i, member.Weight)
	c.Up = len(records.up) > 0
	c.Sixteenths = s.standing.comingOf(kindIndex(kind), i).sixteenths
	if s.standing.keeps(kindIndex(kind), i) {
		c.Kept, records.kept, records.up = true, true, records.all
	}
	c.Health = s.standing.healthWords(s.source, in.Health, kind, i)
	return c
}

// selfRecords makes the records of the node's own addresses of one family, each
// once: an RRset has no record twice (RFC 2181, section 5).
func (s *compiledPool) selfRecords(addresses []netip.Addr, kind uint16) []dns.RR {
	var records []dns.RR
	for _, address := range addresses {
		if !isOf(address, kind) {
			continue
		}
		rr := addressRecord(s.owner, s.source.TTL, address)
		if !slices.ContainsFunc(records, func(other dns.RR) bool { return addressOf(other) == addressOf(rr) }) {
			records = append(records, rr)
		}
	}
	return records
}

// isOf reports whether an address is given to a type of question.
func isOf(address netip.Addr, kind uint16) bool {
	return address.IsValid() && address.Unmap().Is4() == (kind == dns.TypeA)
}

// familyOf is where an address's type stands in addressKinds.
func familyOf(address netip.Addr) int {
	if isOf(address, dns.TypeA) {
		return 0
	}
	return 1
}

// addressRecord makes the A or AAAA record of an address.
func addressRecord(owner string, ttl uint32, address netip.Addr) dns.RR {
	header := dns.RR_Header{Name: owner, Class: dns.ClassINET, Ttl: ttl}
	address = address.Unmap().WithZone("")
	ip := net.IP(address.AsSlice())
	if address.Is4() {
		header.Rrtype, header.Rdlength = dns.TypeA, net.IPv4len
		return &dns.A{Hdr: header, A: ip}
	}
	header.Rrtype, header.Rdlength = dns.TypeAAAA, net.IPv6len
	return &dns.AAAA{Hdr: header, AAAA: ip}
}

// appendAddress writes a record made by addressRecord behind its owner.
func appendAddress(wire []byte, rr dns.RR) []byte {
	header := rr.Header()
	wire = binary.BigEndian.AppendUint16(wire, header.Rrtype)
	wire = binary.BigEndian.AppendUint16(wire, header.Class)
	wire = binary.BigEndian.AppendUint32(wire, header.Ttl)
	address := addressOf(rr).AsSlice()
	wire = binary.BigEndian.AppendUint16(wire, uint16(len(address)))
	return append(wire, address...)
}

// given are the addresses that may be drawn now for a client that no rule keeps
// from any, sorted.
func (f *family) given() []netip.Addr {
	records := f.givenRecords()
	out := make([]netip.Addr, len(records))
	for i, rr := range records {
		out[i] = addressOf(rr)
	}
	return out
}

// givenRecords are the records of those addresses, in their order.
func (f *family) givenRecords() []dns.RR {
	if !f.served || f.disabled() {
		return nil
	}
	var regular, kept, reserve, all, allReserve []dns.RR
	for _, member := range f.members {
		switch {
		case member.disabled:
			continue
		case member.reserve:
			reserve = append(reserve, member.up...)
			allReserve = append(allReserve, member.all...)
			continue
		case member.kept:
			kept = append(kept, member.up...)
		default:
			regular = append(regular, member.up...)
		}
		all = append(all, member.all...)
	}
	var records []dns.RR
	switch {
	case len(regular) > 0:
		records = append(regular, kept...)
	case len(reserve) > 0:
		records = reserve
	case f.whenAllDown == pool.AnswerSelf:
		records = slices.Clone(f.self)
	case f.whenAllDown == pool.AnswerEmpty:
	case len(kept) > 0:
		records = kept
	case len(all) > 0:
		records = all
	default:
		records = allReserve
	}
	byAddress := func(a, b dns.RR) int { return addressOf(a).Compare(addressOf(b)) }
	slices.SortFunc(records, byAddress)
	return slices.CompactFunc(records, func(a, b dns.RR) bool { return byAddress(a, b) == 0 })
}

func addressOf(rr dns.RR) netip.Addr {
	var ip net.IP
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	address, _ := netip.AddrFromSlice(ip)
	return address.Unmap()
}
