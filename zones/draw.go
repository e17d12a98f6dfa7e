package zones

import (
	"math/bits"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/pool/geo"
	"mirrorpool/pool/selection"
)

// wireFamily is what a family gives, ready to be drawn from.
type wireFamily struct {
	// records are those of all members in wire format, owner included, which is
	// the name that was asked for; each has size bytes.
	records []byte
	size    int
	// up and all are where each member's records stand in the modes of the
	// choice, by candidate; self is where the node's own do.
	up, all []span
	self    span
	most    int // members of one answer
	// largest is how many records an answer may have.
	largest int
	// upSingle and allSingle tell that no member has more than one record.
	upSingle, allSingle bool
}

// Sizes of an address record whose owner is a pointer, in bytes.
const (
	addressSize4 = 2 + recordFixed + 4
	addressSize6 = 2 + recordFixed + 16
)

// span is a stretch of records: the number of the first, and how many.
type span struct{ first, count int32 }

// compileWire puts the family's records into wire format.
func (f *family) compileWire(most int) {
	w := &f.wire
	w.most = most
	w.up, w.all = make([]span, len(f.members)), make([]span, len(f.members))
	for i := range f.members {
		w.up[i] = w.put(f.members[i].up)
		w.all[i] = w.put(f.members[i].all)
	}
	w.self = w.put(f.self)
	several := func(s span) bool { return s.count > 1 }
	w.upSingle, w.allSingle = !slices.ContainsFunc(w.up, several), !slices.ContainsFunc(w.all, several)
	w.largest = max(int(w.self.count), largestOf(w.up, most), largestOf(w.all, most))
}

// largestOf is how many records the most members have that are given at once.
func largestOf(spans []span, most int) (total int) {
	counts := make([]int, len(spans))
	for i, s := range spans {
		counts[i] = int(s.count)
	}
	slices.Sort(counts)
	for _, count := range counts[max(0, len(counts)-most):] {
		total += count
	}
	return total
}

func (w *wireFamily) put(records []dns.RR) span {
	s := span{count: int32(len(records))}
	if w.size > 0 {
		s.first = int32(len(w.records) / w.size)
	}
	for _, rr := range records {
		before := len(w.records)
		w.records = append(w.records, questionPointer>>8, questionPointer&0xFF)
		w.records = appendAddress(w.records, rr)
		w.size = len(w.records) - before
	}
	return s
}

// firstOf draws which of a member's addresses comes first: many clients take
// the first alone. The others follow in the order of the repository.
func firstOf(random Random, count int) int {
	if count < 2 {
		return 0
	}
	high, _ := bits.Mul64(random.Uint64(), uint64(count))
	return int(high)
}

// locate gives what the client of a resolver gets, whether another client of the
// same resolver might get something else, and as Answer.ScopeBits for whom it is.
func (f *family) locate(m *geo.Map, client, resolver netip.Addr) (choice *selection.Choice, placeDependent bool, scope int) {
	if f.byResolver {
		choice, _ = f.choose(m, resolver)
		return choice, false, 0
	}
	if !f.placeDependent || !client.IsValid() {
		choice, scope = f.choose(m, client)
		return choice, f.placeDependent, scope
	}
	choice, scope = f.locateSubnet(m, client, resolver)
	return choice, true, scope
}

// locateSubnet is locate for a client in a subnet that the resolver told. One in a
// network that is not routed is where its resolver is, as far as can be known, and
// so are all others of this resolver in that network (RFC 7871 section 10). That
// the subnet is the resolver's own changes nothing of the scope: scopes that are
// told to one resolver must not overlap (RFC 7871 section 7.2.1).
func (f *family) locateSubnet(m *geo.Map, client, resolver netip.Addr) (choice *selection.Choice, scope int) {
	choice, scope = f.choose(m, client)
	if client == resolver && (scope == 0 || scope >= longestUnrouted) {
		return choice, scope // most questions have no subnet: nothing below changes it
	}
	within, least := f.unlocatedIn.find(client)
	if within > 0 {
		choice, _ = f.choose(m, resolver)
	}
	if scope > 0 { // or else it is for everybody
		scope = max(scope, within, least)
	}
	return choice, scope
}

// choose gives what a client gets; the zero Addr is a client of which nothing
// may be known. The number is the length of the prefix around the address in
// which every client gets the same; 0 if it does not depend on who asks.
func (f *family) choose(m *geo.Map, address netip.Addr) (*selection.Choice, int) {
	switch {
	case f.choices == nil:
		return f.chooser.Choose(clientAt(m, address))
	case !address.IsValid():
		return f.unlocated, 0
	}
	class, length := f.classes.Of(address)
	return f.choices[class], length
}

// drawTable gives the table of a choice's draws; nil: there is none.
func (f *family) drawTable(choice *selection.Choice) *selection.DrawTable {
	if uint(choice.ID) < uint(len(f.draws)) { // -1 is none
		return f.draws[choice.ID]
	}
	return nil
}

// order draws from a choice: it appends the members drawn to into.
func (f *family) order(choice *selection.Choice, random Random, into []int) []int {
	if table := f.drawTable(choice); table != nil {
		return table.Draw(random).Append(into, table.Count())
	}
	return choice.Draw(random, f.wire.most, into)
}

// clientAt gives a client as the rule of choice knows it.
func clientAt(m *geo.Map, address netip.Addr) selection.Client {
	if !address.IsValid() {
		return selection.Client{}
	}
	address = address.Unmap().WithZone("")
	place, length := lookUp(m, address)
	return selection.Client{Address: address, Place: place, Bits: length}
}
