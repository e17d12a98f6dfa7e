package selection

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"
	"unsafe"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// Classes sorts clients, by their addresses, into classes: clients of one class
// get the same from every Chooser of the same candidates under the same policy,
// whoever of them is up or disabled for now, and whatever is done when none is. It is
// immutable.
type Classes struct {
	groups  *geo.Groups
	clients []Client
	key     string
}

// Bounds of what is made classes of: past them a table takes more memory, or
// more time to make, than it saves.
const (
	maxClassRanges = 1 << 20 // 4 to 8 bytes each, and as much again for the way to them
	// maxTold is how many classes of clients, before like ones are taken
	// together, may be told apart times the number of candidates.
	maxTold = 1 << 23
	// maxFates is how many classes there may be times the number of candidates.
	maxFates = 1 << 21
)

// NewClasses makes the classes of the clients of these candidates at the places
// of a map, which may be nil. Whether candidates are up is not looked at. ok is
// false where the classes or their ranges of addresses are too many, as for very
// many candidates under the policy distance with places that are told apart by
// their coordinates; such clients are left to Chooser.Choose.
//
// It takes about as long as reading all ranges of the map once: milliseconds
// with countries, about a second with cities.
func NewClasses(policy pool.Policy, candidates []Candidate, m *geo.Map) (classes *Classes, ok bool) {
	sorter := newClassSorter(policy, candidates)
	grouping := geo.Grouping{
		Group: sorter.class, Networks: sorter.networks, ASNs: slices.Collect(maps.Keys(sorter.mention.asns)),
		Countries:   len(sorter.mention.countries)+len(sorter.mention.continents) > 0,
		Coordinates: sorter.mention.coordinates,
		MaxRanges:   maxClassRanges,
	}
	groups, ok := m.Group(grouping)
	if !ok {
		return nil, false
	}
	return &Classes{groups: groups, clients: slices.Clip(sorter.clients), key: sorter.key()}, true
}

// ClassesKey names the classes that NewClasses would make: where two lists of
// candidates have equal keys, their classes at the places of one map are the
// same, so that one Classes serves both. It takes no map to know, and does not
// change with the candidates' health, order and weights over 0, nor with who is
// disabled for now.
func ClassesKey(policy pool.Policy, candidates []Candidate) string {
	return newClassSorter(policy, candidates).key()
}

// Of gives the class of a client, from 0 to Len()-1, and the length of the
// prefix around its address in which every client is of that class, in the
// address's own family: 0 if there is one class alone, never 0 otherwise. The
// address must be valid; an IPv4-mapped one counts as IPv4.
func (c *Classes) Of(address netip.Addr) (class, bits int) {
	group, bits := c.groups.Lookup(address)
	return int(group), bits
}

// Len is how many classes there are, at least 1.
func (c *Classes) Len() int { return len(c.clients) }

// Client gives a client that stands for the whole class: what Choose gives it,
// every client of the class gets. What does not matter of its place is unknown.
func (c *Classes) Client(class int) Client { return c.clients[class] }

// Key is the ClassesKey of what the classes were made for.
func (c *Classes) Key() string { return c.key }

// Ranges is how many ranges of addresses the classes have.
func (c *Classes) Ranges() int { return c.groups.Ranges() }

// Size is the memory that the classes take, in bytes.
func (c *Classes) Size() int {
	return c.groups.Size() + cap(c.clients)*int(unsafe.Sizeof(Client{})) + len(c.key)
}

// classSorter finds the classes of clients that come to it.
type classSorter struct {
	rule
	mention   mentions
	geography bool // step 3 may take some and leave others
	networks  []netip.Prefix
	field     []int // the usable candidates

	told      map[class]uint16  // classes as the mentions tell them apart
	signed    map[string]uint16 // classes by their signatures
	signature []byte
	clients   []Client
}

func newClassSorter(policy pool.Policy, candidates []Candidate) *classSorter {
	s := &classSorter{rule: newRule(policy, enabled(candidates)), told: map[class]uint16{}, signed: map[string]uint16{}}
	s.field = s.usable()
	s.geography = s.tellsApart(s.field)
	s.mention = s.mentioned(s.field, s.geography)
	for rules := range usedRules(s.candidates) {
		for _, network := range rules.Networks {
			s.networks = append(s.networks, normalisedNetwork(network))
		}
	}
	return s
}

// enabled gives candidates of which none is disabled for now.
func enabled(candidates []Candidate) []Candidate {
	if !slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Disabled != "" }) {
		return candidates
	}
	candidates = slices.Clone(candidates)
	for i := range candidates {
		candidates[i].Disabled = ""
	}
	return candidates
}

// class gives the class of a client at a place; it is a geo.Grouping's Group.
func (s *classSorter) class(first netip.Addr, place geo.Place) (number uint16, ok bool) {
	client := Client{Address: first, Place: place, Bits: first.BitLen()}
	key := s.mention.classify(place)
	key.ruleSet, _ = s.rules.find(first)
	if number, ok = s.told[key]; ok {
		return number, true
	}
	if (len(s.told)+1)*(len(s.field)+1) > maxTold {
		return 0, false
	}
	s.sign(client)
	number, ok = s.signed[string(s.signature)]
	if !ok {
		count := len(s.clients)
		if count > geo.MaxGroup || (count+1)*(len(s.field)+1) > maxFates {
			return 0, false
		}
		number = uint16(count)
		s.signed[string(s.signature)] = number
		s.clients = append(s.clients, client)
	}
	s.told[key] = number
	return number, true
}

// sign writes the signature of a client: clients with equal signatures get the
// same, whoever is up. It says of every usable candidate whether the client may
// have it, and in what order the policy takes them.
//
// The field of the rule's third step is either of the reserve or of the others,
// never of both. So each of them has its own order.
func (s *classSorter) sign(client Client) {
	var orders [2][]int
	named := s.rules.naming(client)
	s.signature = s.signature[:0]
	for _, i := range s.field {
		candidate := &s.candidates[i]
		admitted := byte(1)
		if candidate.Exclude != nil && named(candidate.Exclude) || candidate.Only != nil && !named(candidate.Only) {
			admitted = 0
		} else if candidate.Reserve {
			orders[1] = append(orders[1], i)
		} else {
			orders[0] = append(orders[0], i)
		}
		s.signature = append(s.signature, admitted)
	}
	for _, order := range orders {
		if !s.geography || len(order) <= s.needed {
			continue // all that are up are taken
		}
		if s.policy.Nearness == pool.Near {
			s.signTiers(client.Place, order)
		} else if from := positionOf(client.Place); from.known {
			s.signature = append(s.signature, 1)
			s.signDistances(from, order)
		} else {
			s.signature = append(s.signature, 0)
		}
	}
}

// signTiers writes the level of every candidate. Whole levels are taken from
// the lowest one on; tiers that are always taken together are one.
func (s *classSorter) signTiers(place geo.Place, order []int) {
	var members [world + 1]int
	for _, i := range order {
		members[tierOf(place, s.candidates[i].Place)]++
	}
	var levels [world + 1]byte
	level, upTo := byte(0), 0
	for t := range levels {
		levels[t] = level
		if members[t] > 0 {
			// With fewer candidates than needed, the next tier is taken too.
			if upTo += members[t]; upTo >= s.needed {
				level++
			}
		}
	}
	for _, i := range order {
		s.signature = append(s.signature, levels[tierOf(place, s.candidates[i].Place)])
	}
}

// signDistances writes for every candidate how many are nearer, and how many
// are taken if it is the last of those needed. The first ones, of which there are
// fewer than needed, are never the last unless all are taken.
func (s *classSorter) signDistances(from position, order []int) {
	distances := make([]float64, len(order))
	for k, i := range order {
		distances[k] = math.Inf(1)
		if to := s.positions[i]; to.known {
			distances[k] = from.distance(to)
		}
	}
	sorted := slices.Clone(distances)
	slices.Sort(sorted)
	for _, distance := range distances {
		nearer, _ := slices.BinarySearch(sorted, distance)
		taken := countUpTo(sorted, distance)
		switch {
		case taken < s.needed:
			nearer, taken = 0, 0
		case !math.IsInf(distance, 1):
			taken = countUpTo(sorted, distance*distanceMargin)
		}
		s.signature = binary.AppendUvarint(s.signature, uint64(nearer))
		s.signature = binary.AppendUvarint(s.signature, uint64(taken))
	}
}

// countUpTo is how many of the sorted numbers are at most the limit.
func countUpTo(sorted []float64, limit float64) int {
	count, _ := slices.BinarySearchFunc(sorted, limit, func(number, limit float64) int {
		if number <= limit {
			return -1
		}
		return 1
	})
	return count
}
