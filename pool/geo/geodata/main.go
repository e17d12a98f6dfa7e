// Command geodata makes the country table that is part of the program of the
// two files of Debian's tor-geoipdb.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mirrorpool/pool/geo"
)

func main() {
	ipv4 := flag.String("ipv4", "/usr/share/tor/geoip", "IPv4 ranges of tor-geoipdb")
	ipv6 := flag.String("ipv6", "/usr/share/tor/geoip6", "IPv6 ranges of tor-geoipdb")
	out := flag.String("out", "pool/geo/embedded/country.bin", "file to write")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "geodata: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := generate(*ipv4, *ipv6, *out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "geodata:", err)
		os.Exit(1)
	}
}

// generate replaces the file as a whole, or leaves it alone.
func generate(ipv4, ipv6, out string, report io.Writer) error {
	text4, err := os.ReadFile(ipv4)
	if err != nil {
		return fmt.Errorf("reading the IPv4 ranges (install tor-geoipdb): %w", err)
	}
	text6, err := os.ReadFile(ipv6)
	if err != nil {
		return fmt.Errorf("reading the IPv6 ranges (install tor-geoipdb): %w", err)
	}
	data, database, err := geo.EncodeCountryData(text4, text6)
	if err != nil {
		return fmt.Errorf("encoding %s and %s: %w", ipv4, ipv6, err)
	}
	temporary := filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".new")
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := os.Rename(temporary, out); err != nil {
		return fmt.Errorf("replacing the old file: %w", err)
	}
	fmt.Fprintf(report, "%s: %d bytes, %d ranges of %s, %s\n",
		out, len(data), database.Entries, database.Built.Format("2006-01-02"), database.Licence)
	return nil
}
