package geo

import "net/netip"

// Place is what is known of where an address is. The zero Place is the place
// of which nothing is known. Places are comparable.
type Place struct {
	// Network is the operator's override prefix that the address lies in; the
	// zero Prefix where there is none.
	Network        netip.Prefix
	ASN            uint32 // 0: unknown
	Country        string // ISO 3166-1 alpha-2, upper case; empty: unknown
	Continent      string // AF, AN, AS, EU, NA, OC or SA; empty: unknown
	HasCoordinates bool
	Latitude       float64 // degrees, -90 to 90
	Longitude      float64 // degrees, -180 to 180
}

// Known reports whether anything is known of the place.
func (p Place) Known() bool { return p != Place{} }
