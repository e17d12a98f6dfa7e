package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// buildTime is the database's date, fixed so that each run writes the same.
const buildTime = 1767225600 // 2026-01-01 00:00 UTC

// writeDatabase writes the networks of divisions as a MaxMind database of the city kind.
func writeDatabase(w io.Writer, divisions []division) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch: buildTime,
		// Servers look at the type to tell city from country data.
		DatabaseType:            "GeoLite2-City",
		Description:             map[string]string{"en": "Invented cities for benchmarks"},
		Languages:               []string{"en"},
		IncludeReservedNetworks: true,
		RecordSize:              28,
	})
	if err != nil {
		return fmt.Errorf("starting the database: %w", err)
	}
	records := map[place]mmdbtype.DataType{}
	err = networks(divisions, func(n network) error {
		record, ok := records[n.place]
		if !ok {
			record = cityRecord(n.place)
			records[n.place] = record
		}
		address := n.prefix.Addr()
		whole := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(n.prefix.Bits(), address.BitLen())}
		if err := tree.Insert(whole, record); err != nil {
			return fmt.Errorf("inserting %s: %w", n.prefix, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = tree.WriteTo(w)
	return err
}

// cityRecord is a place in the form that city databases have.
func cityRecord(p place) mmdbtype.DataType {
	named := func(name string) mmdbtype.Map { return mmdbtype.Map{"en": mmdbtype.String(name)} }
	return mmdbtype.Map{
		"continent": mmdbtype.Map{
			"code":  mmdbtype.String(p.country.continent),
			"names": named(p.country.continent),
		},
		"country": mmdbtype.Map{
			"iso_code": mmdbtype.String(p.country.code),
			"names":    named(p.country.code),
		},
		"city": mmdbtype.Map{"names": named(p.city)},
		"location": mmdbtype.Map{
			"latitude":  mmdbtype.Float64(p.latitude),
			"longitude": mmdbtype.Float64(p.longitude),
		},
	}
}

// writeKnotSubnets writes one view of name for each network of divisions, whose
// answer is one of pools, by the country.
func writeKnotSubnets(w io.Writer, divisions []division, name string, pools []string) error {
	answers := make([]string, len(pools))
	for i, pool := range pools {
		var four, six []string
		for address := range strings.SplitSeq(pool, ",") {
			if strings.Contains(address, ":") {
				six = append(six, address)
			} else {
				four = append(four, address)
			}
		}
		answers[i] = fmt.Sprintf("    A: [%s]\n    AAAA: [%s]\n", strings.Join(four, ", "), strings.Join(six, ", "))
	}
	numbers := map[string]int{}
	for i, c := range countries() {
		numbers[c.code] = i
	}
	if _, err := fmt.Fprintf(w, "%s:\n", name); err != nil {
		return err
	}
	return networks(divisions, func(n network) error {
		_, err := fmt.Fprintf(w, "  - net: %s\n%s", n.prefix, answers[numbers[n.place.country.code]%len(answers)])
		return err
	})
}
