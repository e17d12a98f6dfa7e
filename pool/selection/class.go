package selection

import (
	"net/netip"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// class is all of a client that can change its choice: places that neither a
// candidate nor a rule mentions are all the same, number 0.
type class struct {
	network, asn, country, continent uint32
	ruleSet                          uint32
	located                          uint32 // 1 if the coordinates count
	latitude, longitude              float64
}

// mentions numbers, from 1 on, what candidates and rules say of places.
type mentions struct {
	networks    map[netip.Prefix]uint32
	asns        map[uint32]uint32
	countries   map[string]uint32
	continents  map[string]uint32
	coordinates bool // clients with different coordinates may get different choices
}

// mentioned collects what has to be known of a client. Where candidates stand
// counts if geography is true: for the candidates in field.
func (c *rule) mentioned(field []int, geography bool) mentions {
	m := mentions{
		networks:    map[netip.Prefix]uint32{},
		asns:        map[uint32]uint32{},
		countries:   map[string]uint32{},
		continents:  map[string]uint32{},
		coordinates: geography && c.policy.Nearness == pool.Distance,
	}
	if geography && c.policy.Nearness == pool.Near {
		for _, i := range field {
			place := c.candidates[i].Place
			if place.Network.IsValid() {
				number(m.networks, place.Network)
			}
			number(m.asns, place.ASN)
			number(m.countries, place.Country)
			number(m.continents, place.Continent)
		}
	}
	for rules := range usedRules(c.candidates) {
		for _, asn := range rules.ASNs {
			number(m.asns, asn)
		}
		for _, country := range rules.Countries {
			number(m.countries, country)
		}
		for _, continent := range rules.Continents {
			number(m.continents, continent)
		}
	}
	return m
}

// number gives a key the next number if it has none. What is unknown, the zero
// key, keeps the number 0.
func number[K comparable](numbers map[K]uint32, key K) {
	var unknown K
	if _, has := numbers[key]; !has && key != unknown {
		numbers[key] = uint32(len(numbers) + 1)
	}
}

// classify gives a normalised client's class, and the length of the prefix
// around its address in which every client is of that class.
func (c *Chooser) classify(client Client) (class, int) {
	k := c.mention.classify(client.Place)
	if !client.Address.IsValid() {
		return k, 0
	}
	var length int
	k.ruleSet, length = c.rules.find(client.Address)
	if c.placeMatters {
		length = max(length, client.Bits)
	}
	return k, max(length, 1)
}

// classify gives the class of a place; the set of rules that name the client's
// network is not in it.
func (m *mentions) classify(place geo.Place) class {
	k := class{
		asn:       m.asns[place.ASN],
		country:   m.countries[place.Country],
		continent: m.continents[place.Continent],
	}
	if len(m.networks) > 0 {
		k.network = m.networks[place.Network]
	}
	if m.coordinates && place.HasCoordinates && finite(place.Latitude) && finite(place.Longitude) {
		k.located, k.latitude, k.longitude = 1, place.Latitude, place.Longitude
	}
	return k
}
