package geo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mirrorpool/pool"
)

// OverridesError is everything that is wrong with an overrides file.
type OverridesError struct {
	// Problems are in the order of the file, and at most 100.
	Problems []pool.Problem
	// More is the number of those that are left out.
	More int
}

func (e *OverridesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d mistakes", len(e.Problems)+e.More)
	if len(e.Problems)+e.More == 1 {
		b.Reset()
		b.WriteString("a mistake")
	}
	for _, p := range e.Problems {
		b.WriteString("\n" + p.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.More)
	}
	return b.String()
}

const maxProblems = 100

// parseOverrides reads an overrides file: a JSON object (RFC 8259) of
// prefixes, each with an object of "country", "continent", "asn", "latitude"
// and "longitude", at least one of them, or with a country alone as a string:
//
//	{
//	  "192.0.2.0/24": {"country": "DE", "asn": 64500},
//	  "2001:db8::/32": "NL"
//	}
//
// The path is for the messages. Any error about the content is an
// *OverridesError.
func parseOverrides(path string, data []byte) ([]override, error) {
	p := &overridesParser{path: path, data: data, seen: map[netip.Prefix]int{}}
	p.decoder = json.NewDecoder(bytes.NewReader(data))
	p.decoder.UseNumber()
	if at := invalidUTF8(data); at >= 0 {
		p.report(at, "", fmt.Sprintf("the byte %#02x", data[at]), "UTF-8")
	} else if err := p.file(); err != nil {
		p.reportSyntax(err)
	}
	if len(p.problems) > 0 {
		return nil, &OverridesError{Problems: p.problems, More: p.more}
	}
	return p.list, nil
}

// invalidUTF8 is the place of the first byte that is not UTF-8; -1: all are.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

type overridesParser struct {
	path     string
	data     []byte
	decoder  *json.Decoder
	lines    []int // where the lines begin; filled at the first problem
	list     []override
	seen     map[netip.Prefix]int // prefix to the place of its key
	problems []pool.Problem
	more     int
}

// token gives the next token and where it begins.
func (p *overridesParser) token() (json.Token, int, error) {
	at := int(p.decoder.InputOffset())
	t, err := p.decoder.Token()
	for at < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[at]) >= 0 {
		at++
	}
	return t, at, err
}

// file reads the whole file; its error is one of syntax.
func (p *overridesParser) file() error {
	t, at, err := p.token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		p.report(at, "", describe(t), "an object of prefixes, such as {\"192.0.2.0/24\": {\"country\": \"DE\"}}")
		return nil
	}
	for p.decoder.More() {
		name, at, err := p.token()
		if err != nil {
			return err
		}
		if err := p.network(name.(string), at); err != nil {
			return err
		}
	}
	if _, _, err := p.token(); err != nil {
		return err
	}
	if t, at, err = p.token(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		p.report(at, "", describe(t), "the end of the file")
	}
	return nil
}

// network reads one entry.
func (p *overridesParser) network(name string, at int) error {
	prefix, ok := p.prefix(name, at)
	o := override{place: Place{Network: prefix}}
	t, valueAt, err := p.token()
	if err != nil {
		return err
	}
	before := len(p.problems) + p.more
	switch value := t.(type) {
	case string:
		p.country(&o, name, value, valueAt)
	case json.Delim:
		if value != '{' {
			p.report(valueAt, name, "an array", "an object, or a country as a string")
			return p.skip()
		}
		if err := p.fields(&o, name, valueAt); err != nil {
			return err
		}
	default:
		p.report(valueAt, name, describe(t), "an object, or a country as a string")
	}
	if ok && len(p.problems)+p.more == before {
		if o.hasPlace {
			o.place = complete(o.place)
		}
		p.list = append(p.list, o)
	}
	return nil
}

// prefix reads the name of an entry.
func (p *overridesParser) prefix(name string, at int) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(name)
	switch {
	case err != nil:
		p.report(at, name, strconv.Quote(name), `a prefix such as "192.0.2.0/24" or "2001:db8::/32"`)
		return netip.Prefix{}, false
	case prefix.Addr().Is4In6():
		expected := "an IPv4 prefix: IPv4-mapped addresses are looked up as IPv4"
		if plain := unmapPrefix(prefix); plain.IsValid() {
			expected = fmt.Sprintf("%q: IPv4-mapped addresses are looked up as IPv4", plain)
		}
		p.report(at, name, strconv.Quote(name), expected)
		return netip.Prefix{}, false
	case prefix != prefix.Masked():
		p.report(at, name, strconv.Quote(name), fmt.Sprintf("%q: bits behind the length of the prefix have to be 0", prefix.Masked()))
		return netip.Prefix{}, false
	}
	if first, twice := p.seen[prefix]; twice {
		line, column := p.position(first)
		p.report(at, name, strconv.Quote(name), fmt.Sprintf("each prefix once: it is there already in line %d, column %d", line, column))
		return netip.Prefix{}, false
	}
	p.seen[prefix] = at
	return prefix, true
}

// fields reads the object of an entry, whose brace is read already.
func (p *overridesParser) fields(o *override, name string, at int) error {
	seen := map[string]int{}
	for p.decoder.More() {
		key, keyAt, err := p.token()
		if err != nil {
			return err
		}
		field := key.(string)
		what := name + ": " + field
		t, valueAt, err := p.token()
		if err != nil {
			return err
		}
		if _, twice := seen[field]; twice {
			p.report(keyAt, what, strconv.Quote(field)+" again", "each key once")
		} else {
			seen[field] = keyAt
			p.field(o, field, what, t, keyAt, valueAt)
		}
		if t == json.Delim('{') || t == json.Delim('[') {
			if err := p.skip(); err != nil {
				return err
			}
		}
	}
	if _, _, err := p.token(); err != nil {
		return err
	}
	latitude, hasLatitude := seen["latitude"]
	longitude, hasLongitude := seen["longitude"]
	switch {
	case len(seen) == 0:
		p.report(at, name, "{}", `at least one of "country", "continent", "asn", and "latitude" with "longitude"`)
	case hasLatitude && !hasLongitude:
		p.report(latitude, name, `"latitude" alone`, `"longitude" beside it`)
	case hasLongitude && !hasLatitude:
		p.report(longitude, name, `"longitude" alone`, `"latitude" beside it`)
	}
	return nil
}

func (p *overridesParser) field(o *override, field, what string, t json.Token, keyAt, valueAt int) {
	switch field {
	case "country":
		p.country(o, what, t, valueAt)
	case "continent":
		code, _ := t.(string)
		if continentIndex(code) == 0 {
			p.report(valueAt, what, describe(t), `one of "AF", "AN", "AS", "EU", "NA", "OC" and "SA"`)
		}
		o.place.Continent = code
	case "asn":
		number, _ := t.(json.Number)
		asn, err := strconv.ParseUint(string(number), 10, 32)
		if err != nil || asn == 0 {
			p.report(valueAt, what, describe(t), "a whole number from 1 to 4294967295")
		}
		o.place.ASN, o.hasASN = uint32(asn), true
	case "latitude":
		o.place.Latitude = p.degrees(what, t, valueAt, 90)
		o.place.HasCoordinates = true
	case "longitude":
		o.place.Longitude = p.degrees(what, t, valueAt, 180)
		o.place.HasCoordinates = true
	default:
		p.report(keyAt, what, strconv.Quote(field), `"country", "continent", "asn", "latitude" or "longitude"`)
	}
}

func (p *overridesParser) country(o *override, what string, t json.Token, at int) {
	code, _ := t.(string)
	if countries().index(code) == 0 {
		p.report(at, what, describe(t), `a country code of ISO 3166-1 in capital letters, such as "DE"`)
	}
	o.place.Country, o.hasPlace = code, true
}

func (p *overridesParser) degrees(what string, t json.Token, at int, limit float64) float64 {
	number, _ := t.(json.Number)
	degrees, err := strconv.ParseFloat(string(number), 64)
	if err != nil || degrees < -limit || degrees > limit {
		p.report(at, what, describe(t), fmt.Sprintf("a number from %v to %v", -limit, limit))
	}
	return degrees
}

// skip reads the rest of an object or array whose opening is read already.
func (p *overridesParser) skip() error {
	for depth := 1; depth > 0; {
		t, _, err := p.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// describe shows a token as it could stand in the file.
func describe(t json.Token) string {
	switch value := t.(type) {
	case nil:
		return "null"
	case json.Delim:
		if value == '{' {
			return "an object"
		}
		return "an array"
	case string:
		if len(value) > 80 {
			return fmt.Sprintf("%.80q...", value)
		}
		return strconv.Quote(value)
	}
	return fmt.Sprintf("%.80v", t)
}

// report notes a problem at a place of the data, counted in bytes from 0.
func (p *overridesParser) report(at int, what, found, expected string) {
	if len(p.problems) >= maxProblems {
		p.more++
		return
	}
	line, column := p.position(at)
	p.problems = append(p.problems, pool.Problem{
		Position: pool.Position{File: p.path, Line: line, Column: column},
		Severity: pool.Error, What: what, Found: found, Expected: expected,
	})
}

// reportSyntax notes what ended the reading. The decoder of tokens does not
// say exactly where that was: the check of the whole text does.
func (p *overridesParser) reportSyntax(err error) {
	const expected = "JSON (RFC 8259)"
	at, found := int(p.decoder.InputOffset()), err.Error()
	var (
		whole  json.RawMessage
		syntax *json.SyntaxError
	)
	if errors.As(json.Unmarshal(p.data, &whole), &syntax) {
		at, found = int(syntax.Offset)-1, syntax.Error()
		if int(syntax.Offset) >= len(p.data) && strings.HasPrefix(found, "unexpected end") {
			p.report(len(p.data), "", "the end of the file", "a whole JSON object")
			return
		}
	}
	p.report(max(at, 0), "", found, expected)
}

// position gives line and column, from 1, of a place in the data.
func (p *overridesParser) position(at int) (line, column int) {
	if p.lines == nil {
		p.lines = []int{0}
		for i, b := range p.data {
			if b == '\n' {
				p.lines = append(p.lines, i+1)
			}
		}
	}
	index, found := slices.BinarySearch(p.lines, at)
	if !found {
		index--
	}
	return index + 1, at - p.lines[index] + 1
}
