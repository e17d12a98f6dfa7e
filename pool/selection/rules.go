package selection

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"net/netip"
	"slices"

	"mirrorpool/pool"
)

// ruleIndex knows the exclude and only rules of all usable candidates. It
// tells which of them name a client, and how far around a client's address the
// same networks are named.
type ruleIndex struct {
	byPlace bool // some rule names countries, continents or ASs
	// ipv4 and ipv6 cut each family's addresses, from its first one on, into
	// ranges within which the same rules name networks. Empty: no rule does.
	ipv4, ipv6 []addressRange
	// sets are the different sets of rules that name networks in common;
	// ranges refer to them. The first one is empty.
	sets []ruleSet
}

type ruleSet map[*pool.Rules]bool

// addressRange is the addresses from start to before the next range's start.
type addressRange struct {
	start netip.Addr
	set   uint32 // index of ruleIndex.sets
}

func indexRules(candidates []Candidate) *ruleIndex {
	x := &ruleIndex{sets: []ruleSet{nil}}
	naming := map[netip.Prefix]ruleSet{}
	for rules := range usedRules(candidates) {
		if len(rules.Countries)+len(rules.Continents)+len(rules.ASNs) > 0 {
			x.byPlace = true
		}
		for _, network := range rules.Networks {
			if network = normalisedNetwork(network); !network.IsValid() {
				continue
			}
			if naming[network] == nil {
				naming[network] = ruleSet{}
			}
			naming[network][rules] = true
		}
	}
	var ipv4, ipv6 []netip.Prefix
	for network := range naming {
		if network.Addr().Is4() {
			ipv4 = append(ipv4, network)
		} else {
			ipv6 = append(ipv6, network)
		}
	}
	numbers := map[string]uint32{"": 0}
	order := rulesInOrder(candidates)
	intern := func(set ruleSet) uint32 {
		key := setKey(set, order)
		number, known := numbers[key]
		if !known {
			number = uint32(len(x.sets))
			numbers[key] = number
			x.sets = append(x.sets, set)
		}
		return number
	}
	x.ipv4 = cutRanges(netip.IPv4Unspecified(), ipv4, naming, intern)
	x.ipv6 = cutRanges(netip.IPv6Unspecified(), ipv6, naming, intern)
	return x
}

// usedRules gives every rule that is ever looked at.
func usedRules(candidates []Candidate) ruleSet {
	used := ruleSet{}
	for i := range candidates {
		if !candidates[i].usable() {
			continue
		}
		for _, rules := range [...]*pool.Rules{candidates[i].Exclude, candidates[i].Only} {
			if rules != nil {
				used[rules] = true
			}
		}
	}
	return used
}

// rulesInOrder numbers the rules by where they stand among the candidates.
func rulesInOrder(candidates []Candidate) map[*pool.Rules]uint32 {
	order := map[*pool.Rules]uint32{}
	for i := range candidates {
		for _, rules := range [...]*pool.Rules{candidates[i].Exclude, candidates[i].Only} {
			if _, known := order[rules]; !known && rules != nil {
				order[rules] = uint32(len(order))
			}
		}
	}
	return order
}

// setKey gives the same string for equal sets and different ones for others.
func setKey(set ruleSet, order map[*pool.Rules]uint32) string {
	numbers := make([]uint32, 0, len(set))
	for rules := range set {
		numbers = append(numbers, order[rules])
	}
	slices.Sort(numbers)
	var key []byte
	for _, number := range numbers {
		key = binary.BigEndian.AppendUint32(key, number)
	}
	return string(key)
}

// cutRanges cuts the addresses from first on at every beginning and end of a
// network, and leaves together what the same rules name. Networks either lie
// in each other or apart, so that a stack of those that are open does.
func cutRanges(first netip.Addr, networks []netip.Prefix, naming map[netip.Prefix]ruleSet, intern func(ruleSet) uint32) []addressRange {
	if len(networks) == 0 {
		return nil
	}
	slices.SortFunc(networks, netip.Prefix.Compare) // outer before inner
	type open struct {
		network netip.Prefix
		rules   ruleSet // of this network and those around it
		set     uint32
	}
	cuts := []addressRange{{start: first}}
	cut := func(at netip.Addr, set uint32) {
		if cuts[len(cuts)-1].start == at {
			cuts[len(cuts)-1].set = set
			return
		}
		cuts = append(cuts, addressRange{at, set})
	}
	stack := []open{{}}
	closeTop := func() {
		after := lastAddress(stack[len(stack)-1].network).Next()
		stack = stack[:len(stack)-1]
		if after.IsValid() {
			cut(after, stack[len(stack)-1].set)
		}
	}
	for _, network := range networks {
		for len(stack) > 1 && !stack[len(stack)-1].network.Contains(network.Addr()) {
			closeTop()
		}
		rules := ruleSet{}
		maps.Copy(rules, stack[len(stack)-1].rules)
		maps.Copy(rules, naming[network])
		set := intern(rules)
		stack = append(stack, open{network, rules, set})
		cut(network.Addr(), set)
	}
	for len(stack) > 1 {
		closeTop()
	}
	return slices.CompactFunc(cuts, func(a, b addressRange) bool { return a.set == b.set })
}

// normalisedNetwork gives the network masked, and an IPv4-mapped one as IPv4.
func normalisedNetwork(network netip.Prefix) netip.Prefix {
	if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(a.Unmap(), network.Bits()-96)
	}
	return network.Masked()
}

func lastAddress(network netip.Prefix) netip.Addr {
	octets := network.Addr().AsSlice()
	for i := range octets {
		if left := network.Bits() - 8*i; left < 8 {
			octets[i] |= 0xff >> max(left, 0)
		}
	}
	last, _ := netip.AddrFromSlice(octets)
	return last
}

// any reports whether some rule may name one client and not another.
func (x *ruleIndex) any() bool { return x.byPlace || len(x.ipv4)+len(x.ipv6) > 0 }

// mappedNetwork is the first of the IPv4-mapped IPv6 addresses.
var mappedNetwork = netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})

// find gives the set of rules that name networks with this address in them,
// and the length of the shortest prefix around it for which that holds.
func (x *ruleIndex) find(address netip.Addr) (set uint32, length int) {
	ranges := x.ipv6
	if address.Is4() {
		ranges = x.ipv4
	}
	if !address.IsValid() {
		return 0, 0
	}
	if address.Is6() {
		// The mapped addresses in ::ffff:0:0/96 count as IPv4, so that no prefix
		// of IPv6 clients may reach into it. A rule that names ::/0 names none of
		// them.
		length = commonBits(address, mappedNetwork) + 1
	}
	if len(ranges) == 0 {
		return 0, length
	}
	low, high := 0, len(ranges)-1
	for low < high {
		middle := int(uint(low+high+1) / 2)
		if ranges[middle].start.Compare(address) <= 0 {
			low = middle
		} else {
			high = middle - 1
		}
	}
	// The prefix must not reach the address before the range or the one after.
	if low > 0 {
		length = max(length, commonBits(address, ranges[low].start.Prev())+1)
	}
	if low+1 < len(ranges) {
		length = max(length, commonBits(address, ranges[low+1].start)+1)
	}
	return ranges[low].set, length
}

// commonBits counts the leading bits that two addresses of one family share.
func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	skipped := 128 - a.BitLen()
	if high := binary.BigEndian.Uint64(x[:8]) ^ binary.BigEndian.Uint64(y[:8]); high != 0 {
		return bits.LeadingZeros64(high) - skipped
	}
	return 64 + bits.LeadingZeros64(binary.BigEndian.Uint64(x[8:])^binary.BigEndian.Uint64(y[8:])) - skipped
}

// naming gives a function that reports whether rules name the client.
func (x *ruleIndex) naming(client Client) func(*pool.Rules) bool {
	number, _ := x.find(client.Address)
	byNetwork := x.sets[number]
	place := client.Place
	return func(rules *pool.Rules) bool {
		return byNetwork[rules] ||
			place.ASN != 0 && slices.Contains(rules.ASNs, place.ASN) ||
			place.Country != "" && slices.Contains(rules.Countries, place.Country) ||
			place.Continent != "" && slices.Contains(rules.Continents, place.Continent)
	}
}

// whatNames tells in words by which of its lists a rule names the client:
// "network 127.0.0.0/8"; empty if it does not.
func whatNames(rules *pool.Rules, client Client) string {
	for _, network := range rules.Networks {
		if n := normalisedNetwork(network); n.IsValid() && n.Contains(client.Address) {
			return "network " + n.String()
		}
	}
	place := client.Place
	switch {
	case place.ASN != 0 && slices.Contains(rules.ASNs, place.ASN):
		return fmt.Sprintf("AS %d", place.ASN)
	case place.Country != "" && slices.Contains(rules.Countries, place.Country):
		return "country " + place.Country
	case place.Continent != "" && slices.Contains(rules.Continents, place.Continent):
		return "continent " + place.Continent
	}
	return ""
}
