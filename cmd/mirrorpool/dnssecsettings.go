package main

import (
	"fmt"
	"net/netip"
	"time"

	"mirrorpool/zones/signing"
)

// defaultSignatureLifetime is that of signatures. They are renewed when a quarter of
// it is over: secondaries that are cut off have ten days to serve from.
const defaultSignatureLifetime = "336h"

func (d *dnsConfig) validateDNSSEC(v *validation) {
	v.between("dns.dnssec_lifetime", d.DNSSECLifetime, 10*time.Second, 366*24*time.Hour)
	if d.DNSSECPropagation != "" {
		v.between("dns.dnssec_propagation", d.DNSSECPropagation, time.Second, 30*24*time.Hour)
	}
	for i, address := range d.DNSSECParents {
		key := fmt.Sprintf("dns.dnssec_parents[%d]", i)
		v.addressPort(key, address)
		v.once("dns.dnssec_parents", d.DNSSECParents, i)
		if at, err := netip.ParseAddrPort(address); err == nil && at.Port() == 0 {
			v.wrong(key, address, "a port that can be asked, such as 53")
		}
	}
}

// keysSettings are what the configuration says of signing.
type keysSettings struct {
	place     string // of the directory in the configuration
	directory string // empty: no zone is signed
	lifetime  time.Duration
}

// same reports whether both say the same, wherever it stands in the file.
func (s keysSettings) same(other keysSettings) bool {
	return s.directory == other.directory && s.lifetime == other.lifetime
}

func (c *config) keysSettings() keysSettings {
	return keysSettings{place: c.keysPlace, directory: c.DNS.DNSSECKeys, lifetime: c.DNS.DNSSECLifetime.value()}
}

// read reads the directory; nil where there is none.
func (s keysSettings) read() (*signing.Directory, error) {
	if s.directory == "" {
		return nil, nil
	}
	directory, err := signing.ReadDirectory(s.directory)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; make it with `mirrorpool keygen ZONE`, or take the key out", s.place, err)
	}
	return directory, nil
}
