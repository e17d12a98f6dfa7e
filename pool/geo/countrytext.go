package geo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// countryText is one family of a country table, read from the text that the
// Tor project makes of the IPFire location database: lines such as
//
//	16777216,16777471,AU
//	2001:200::,2001:200:134:ffff:ffff:ffff:ffff:ffff,JP
//
// in ascending order, with comments that begin with "#".
type countryText struct {
	table *table // values are indices of the country table
	// generated is the time in the head of the file; zero where it has none.
	generated time.Time
	licence   string
	entries   int
}

// parseCountryText reads the file of one family. Codes that are no country
// count as nothing.
func parseCountryText(data []byte, ipv6 bool) (*countryText, error) {
	var (
		text  countryText
		b     builder
		codes = countries()
		parse = parseNarrow
	)
	if ipv6 {
		parse = parseWide
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return nil, errors.New("the last line has no end: the file is cut short")
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) == 0 {
			continue
		}
		if line[0] == '#' {
			if err := text.comment(line); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			continue
		}
		if err := addTextRange(&b, codes, line, ipv6, parse); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		text.entries++
	}
	if text.entries == 0 {
		return nil, errors.New("it holds no ranges")
	}
	text.table = b.finish()
	return &text, nil
}

// comment takes what is of use from the head of the file.
func (t *countryText) comment(line []byte) error {
	name, value, found := bytes.Cut(bytes.TrimLeft(line, "# "), []byte(":"))
	if !found {
		return nil
	}
	switch string(name) {
	case "Generated":
		generated, err := time.Parse(time.RFC1123, string(bytes.TrimSpace(value)))
		if err != nil {
			return fmt.Errorf("reading the date of the data: %w", err)
		}
		t.generated = generated.UTC()
	case "License":
		t.licence = string(bytes.TrimSpace(value))
	}
	return nil
}

func addTextRange(b *builder, codes *countryTable, line []byte, ipv6 bool, parse func([]byte) (wide, error)) error {
	from, rest, ok1 := bytes.Cut(line, []byte(","))
	to, code, ok2 := bytes.Cut(rest, []byte(","))
	if !ok1 || !ok2 || len(code) != 2 {
		return fmt.Errorf("found %.80q, expected first address, last address and a country code of two characters", line)
	}
	first, err := parse(from)
	if err != nil {
		return fmt.Errorf("reading the first address: %w", err)
	}
	last, err := parse(to)
	if err != nil {
		return fmt.Errorf("reading the last address: %w", err)
	}
	index := uint32(codes.canonical(string(code)))
	if ipv6 {
		return b.add6(first, last, index)
	}
	return b.add4(uint32(first.low), uint32(last.low), index)
}

func parseNarrow(text []byte) (wide, error) {
	number, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return wide{}, fmt.Errorf("found %.40q, expected an IPv4 address as a decimal number", text)
	}
	return wide{low: number}, nil
}

func parseWide(text []byte) (wide, error) {
	address, err := netip.ParseAddr(string(text))
	if err != nil || !address.Is6() || address.Zone() != "" {
		return wide{}, fmt.Errorf("found %.60q, expected an IPv6 address", text)
	}
	return wideFrom(address.As16()), nil
}
