package geo

import (
	"fmt"
	"time"
)

// measure is what an installed country table of one family is held against.
type measure struct {
	generated time.Time
	entries   int
	last      wide // the last address that has a country
}

// How far before the last country of the measure that of a whole table may
// be: the last /8 of IPv4, the last /16 of IPv6. Each has less than a hundredth
// of all ranges.
var (
	near4 = wide{low: 1 << 24}
	near6 = wide{high: 1 << 48}
)

// addInstalled adds one family of tor-geoipdb. What is not newer than the
// measure is read, and not used.
func (s *Source) addInstalled(path string, ipv6 bool, own measure) {
	families := "IPv4"
	if ipv6 {
		families = "IPv6"
	}
	s.add(&slot{name: "the installed country table", path: path, limit: maxDatabase, optional: true, parse: func(data []byte, modified time.Time) (func(*Map), Database, error) {
		text, err := parseCountryText(data, ipv6)
		if err != nil {
			return nil, Database{}, err
		}
		built := text.generated
		if built.IsZero() {
			built = modified.UTC()
		}
		if !built.After(own.generated) {
			return nil, Database{}, nil
		}
		if err := own.hold(text, ipv6); err != nil {
			return nil, Database{}, err
		}
		fill := func(m *Map) { m.base4 = text.table }
		if ipv6 {
			fill = func(m *Map) { m.base6 = text.table }
		}
		return fill, Database{
			Kind: KindCountry, Type: "country table", Built: built, Entries: text.entries,
			Source: countrySource, Licence: text.licence, Families: families,
		}, nil
	}})
}

// hold refuses a table that ends too early. The text has no mark of its end,
// so that one that is cut at a line can be told by its size alone: by the number
// of its ranges, and by where the countries end.
func (m measure) hold(text *countryText, ipv6 bool) error {
	if least := (m.entries*9 + 9) / 10; text.entries < least {
		return fmt.Errorf("it holds %d ranges, expected at least %d: it is cut short", text.entries, least)
	}
	last, near, name := text.table.last(ipv6), near4, func(w wide) string { return address4(uint32(w.low)).String() }
	if ipv6 {
		near, name = near6, func(w wide) string { return w.address().String() }
	}
	if last.less(m.last) && near.less(m.last.minus(last)) {
		return fmt.Errorf("its last country ends at %s, expected near %s: it is cut short", name(last), name(m.last))
	}
	return nil
}
