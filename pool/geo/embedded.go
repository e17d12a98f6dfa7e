package geo

import (
	"embed"
	"fmt"
)

// The directory is embedded, and not the file, so that the generator can be
// built while the file is missing.
//
//go:embed embedded
var embeddedFiles embed.FS

const embeddedFile = "embedded/country.bin"

// Embedded gives the map that is part of the program, at country level: the
// continent and rough coordinates follow from the country. It is decoded anew
// at every call, which takes some tens of milliseconds. An error says that
// the program was built wrongly.
func Embedded() (*Map, Database, error) {
	base, err := loadEmbedded()
	if err != nil {
		return nil, Database{}, err
	}
	return &Map{base4: base.table, base6: base.table}, base.database, nil
}

// countryBase is a country table, ready to use.
type countryBase struct {
	table    *table
	database Database
	// ipv4 and ipv6 are what other tables of each family are held against.
	ipv4, ipv6 measure
}

func loadEmbedded() (*countryBase, error) {
	data, err := embeddedFiles.ReadFile(embeddedFile)
	if err != nil {
		return nil, fmt.Errorf("reading the country table of the program (run make geodata, and build again): %w", err)
	}
	header, t, err := decodeCountries(data)
	if err != nil {
		return nil, fmt.Errorf("decoding the country table of the program (run make geodata, and build again): %w", err)
	}
	return &countryBase{
		table: t, database: header.database(),
		ipv4: measure{header.Generated, header.Entries4, t.last(false)},
		ipv6: measure{header.Generated, header.Entries6, t.last(true)},
	}, nil
}
