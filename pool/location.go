package pool

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	expectedCountry   = "a country's two letters (ISO 3166-1)"
	expectedContinent = "one of AF, AN, AS, EU, NA, OC, SA"
	expectedASN       = "an AS number from 1 to 4294967295"
	expectedNetwork   = "a network such as 192.0.2.0/24 or 2001:db8::/32"
	maxASN            = 1<<32 - 1
)

// continents are the codes of GeoNames and MaxMind, between spaces.
const continents = " AF AN AS EU NA OC SA "

// countries are the codes assigned in ISO 3166-1, and XK (Kosovo), which is not
// and which all databases use.
const countries = " AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ" +
	" CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR" +
	" GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP" +
	" KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ" +
	" NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW" +
	" SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ" +
	" UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW "

func readLocation(v value) *Location {
	o, ok := v.object("a location, which is an object", "country", "continent", "asn", "latitude", "longitude")
	if !ok {
		return nil
	}
	if len(o.fields) == 0 {
		v.report(Error, "an empty object", "at least one of country, continent, asn, latitude with longitude")
	}
	location := &Location{}
	if field, ok := o.optional("country"); ok {
		location.Country, _ = readCountry(field)
	}
	if field, ok := o.optional("continent"); ok {
		location.Continent, _ = readContinent(field)
	}
	if field, ok := o.optional("asn"); ok {
		location.ASN, _ = readASN(field)
	}
	latitude, hasLatitude := o.optional("latitude")
	longitude, hasLongitude := o.optional("longitude")
	if hasLatitude {
		location.Latitude, _ = latitude.float(-90, 90, "degrees from -90 to 90")
	}
	if hasLongitude {
		location.Longitude, _ = longitude.float(-180, 180, "degrees from -180 to 180")
	}
	switch {
	case hasLatitude && !hasLongitude:
		o.missing(Error, "longitude", "degrees from -180 to 180, which latitude needs beside it")
	case hasLongitude && !hasLatitude:
		o.missing(Error, "latitude", "degrees from -90 to 90, which longitude needs beside it")
	}
	location.HasCoordinates = hasLatitude && hasLongitude
	return location
}

func readRules(v value) *Rules {
	o, ok := v.object("rules, which are an object", "countries", "continents", "asns", "networks")
	if !ok {
		return nil
	}
	if len(o.fields) == 0 {
		v.report(Error, "an empty object", "at least one of countries, continents, asns, networks")
	}
	return &Rules{
		Countries:  readList(o, "countries", "an array of countries", readCountry),
		Continents: readList(o, "continents", "an array of continents", readContinent),
		ASNs:       readList(o, "asns", "an array of AS numbers", readASN),
		Networks:   readList(o, "networks", "an array of networks", readNetwork),
	}
}

// readList reads an array that is not empty. What stands twice is kept once.
func readList[T comparable](o object, key, expected string, read func(value) (T, bool)) []T {
	field, ok := o.optional(key)
	if !ok {
		return nil
	}
	elements, ok := field.elements(expected)
	if ok && len(elements) == 0 {
		field.report(Error, "an empty array", "at least one element")
	}
	var list []T
	seen := map[T]bool{}
	for _, element := range elements {
		if each, ok := read(element); ok && !seen[each] {
			seen[each] = true
			list = append(list, each)
		}
	}
	return list
}

// readCode reads two ASCII letters in any case.
func readCode(v value, expected string) (string, bool) {
	text, ok := v.string(expected)
	if !ok {
		return "", false
	}
	for i := range len(text) {
		if c := text[i] | 0x20; c < 'a' || c > 'z' {
			ok = false
		}
	}
	if len(text) != 2 || !ok {
		v.refuse(expected)
		return "", false
	}
	return strings.ToUpper(text), true
}

func readCountry(v value) (string, bool) {
	code, ok := readCode(v, expectedCountry)
	if !ok || strings.Contains(countries, " "+code+" ") {
		return code, ok
	}
	hint := map[string]string{"UK": "GB", "EL": "GR", "EN": "GB", "JA": "JP"}[code]
	if hint != "" {
		hint = fmt.Sprintf(": did you mean %q?", hint)
	}
	v.report(Warning, v.describe()+", which is no country's code", expectedCountry+hint)
	return code, true
}

func readContinent(v value) (string, bool) {
	code, ok := readCode(v, expectedContinent)
	if ok && !strings.Contains(continents, " "+code+" ") {
		v.refuse(expectedContinent)
		return "", false
	}
	return code, ok
}

func readASN(v value) (uint32, bool) {
	number, ok := v.integer(1, maxASN, expectedASN)
	return uint32(number), ok
}

// readNetwork reads a prefix, the host bits of which are zero.
func readNetwork(v value) (netip.Prefix, bool) {
	text, ok := v.string(expectedNetwork)
	if !ok {
		return netip.Prefix{}, false
	}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		v.refuse(fmt.Sprintf("a network; this one address is %q", netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())))
		return netip.Prefix{}, false
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		v.refuse(expectedNetwork)
		return netip.Prefix{}, false
	case prefix.Addr().Is4In6():
		v.refuse("an IPv4 network in its own form")
		return netip.Prefix{}, false
	case prefix != prefix.Masked():
		v.refuse(fmt.Sprintf("a network without host bits: %q", prefix.Masked()))
		return netip.Prefix{}, false
	}
	return prefix, true
}
