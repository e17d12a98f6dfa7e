package selection

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"mirrorpool/pool"
)

// key writes down all that the classes depend on but the map, and sums it up.
// Candidates are in the order of what is written of them, so that their own
// order does not count.
func (s *classSorter) key() string {
	var described []string
	for _, i := range s.field {
		if d := s.describe(&s.candidates[i]); d != "" {
			described = append(described, d)
		}
	}
	slices.Sort(described)
	if !s.geography {
		described = slices.Compact(described)
	}
	var text []byte
	if s.geography {
		text = appendText(text, string(s.policy.Nearness))
		text = binary.AppendUvarint(text, uint64(s.needed))
	}
	for _, d := range described {
		text = appendText(text, d)
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// describe writes what the classes depend on of a candidate; empty: nothing.
func (s *classSorter) describe(candidate *Candidate) string {
	var text []byte
	if s.geography {
		text = appendBool(text, candidate.Reserve)
		place := candidate.Place
		if s.policy.Nearness == pool.Near {
			text = appendText(text, networkText(place.Network))
			text = binary.AppendUvarint(text, uint64(place.ASN))
			text = appendText(text, place.Country)
			text = appendText(text, place.Continent)
		} else if known := positionOf(place).known; known {
			text = appendBool(text, known)
			text = binary.LittleEndian.AppendUint64(text, math.Float64bits(place.Latitude))
			text = binary.LittleEndian.AppendUint64(text, math.Float64bits(place.Longitude))
		} else {
			text = appendBool(text, known)
		}
	}
	if candidate.Exclude == nil && candidate.Only == nil {
		return string(text)
	}
	text = appendRules(text, candidate.Exclude)
	return string(appendRules(text, candidate.Only))
}

// appendRules writes rules so that those that name the same are the same.
func appendRules(text []byte, rules *pool.Rules) []byte {
	text = appendBool(text, rules != nil)
	if rules == nil {
		return text
	}
	var networks, asns []string
	for _, network := range rules.Networks {
		networks = append(networks, networkText(normalisedNetwork(network)))
	}
	for _, asn := range rules.ASNs {
		asns = append(asns, string(binary.AppendUvarint(nil, uint64(asn))))
	}
	for _, list := range [][]string{networks, asns, slices.Clone(rules.Countries), slices.Clone(rules.Continents)} {
		slices.Sort(list)
		list = slices.Compact(list)
		text = binary.AppendUvarint(text, uint64(len(list)))
		for _, entry := range list {
			text = appendText(text, entry)
		}
	}
	return text
}

func networkText(network netip.Prefix) string {
	text, _ := network.MarshalBinary() // fails never
	return string(text)
}

func appendText(text []byte, part string) []byte {
	return append(binary.AppendUvarint(text, uint64(len(part))), part...)
}

func appendBool(text []byte, value bool) []byte {
	if value {
		return append(text, 1)
	}
	return append(text, 0)
}
