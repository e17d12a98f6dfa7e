package geo

import "time"

// Kind is what a database is for.
type Kind string

// The kinds of database.
const (
	KindCity      Kind = "city"      // places, with coordinates
	KindCountry   Kind = "country"   // countries and continents
	KindASN       Kind = "asn"       // AS numbers
	KindOverrides Kind = "overrides" // the operator's networks
)

// Database describes where a part of a Map comes from, for people to read.
type Database struct {
	Kind Kind `json:"kind"`
	// Path is the file; empty for the data that is part of the program.
	Path string `json:"path,omitempty"`
	// Type is what the file calls itself, such as "GeoLite2-City".
	Type string `json:"type,omitempty"`
	// Built is when the data was made; for files that do not say it, when they
	// were last written.
	Built time.Time `json:"built"`
	// Entries is the number of networks or ranges that it came with.
	Entries int    `json:"entries"`
	Source  string `json:"source,omitempty"`
	Licence string `json:"licence,omitempty"`
	// Families tells which addresses are looked up in it: "IPv4", "IPv6", or
	// both as "IPv4, IPv6".
	Families string `json:"families,omitempty"`
}
