package geo

import (
	_ "embed"
	"encoding/csv"
	"strconv"
	"strings"
	"sync"

	"mirrorpool/pool"
)

//go:embed countries.csv
var countriesCSV string

// country is a row of countries.csv, whose names are for those who read the
// file. The coordinates are rough, and nearer to where the people of the country
// live than to its middle.
type country struct {
	code, continent     string
	latitude, longitude float64 // degrees
}

// countryTable is countries.csv. Countries are told apart by their index, so
// that tables stay small; index 0 is the unknown country.
type countryTable struct {
	rows []country
	// byLetters holds the index of the country with the code of two letters
	// at 26 times the first plus the second.
	byLetters [26 * 26]uint16
}

// countries is read once, and never written after that. A test holds that
// every row of the file is one.
var countries = sync.OnceValue(func() *countryTable {
	t := &countryTable{rows: make([]country, 1, 256)}
	records, err := csv.NewReader(strings.NewReader(countriesCSV)).ReadAll()
	if err != nil || len(records) == 0 {
		return t
	}
	for _, record := range records[1:] {
		latitude, errLatitude := strconv.ParseFloat(record[2], 64)
		longitude, errLongitude := strconv.ParseFloat(record[3], 64)
		place := letters(record[0])
		if errLatitude != nil || errLongitude != nil || place < 0 {
			continue
		}
		t.byLetters[place] = uint16(len(t.rows))
		t.rows = append(t.rows, country{
			code: record[0], continent: record[1],
			latitude: latitude, longitude: longitude,
		})
	}
	return t
})

// letters numbers the codes AA to ZZ; -1: not a code of two capital letters.
func letters(code string) int {
	if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
		return -1
	}
	return int(code[0]-'A')*26 + int(code[1]-'A')
}

// index is the country's index; 0: there is no such country.
func (t *countryTable) index(code string) uint16 {
	place := letters(code)
	if place < 0 {
		return 0
	}
	return t.byLetters[place]
}

// canonical is index for codes as databases write them: in any case, and UK
// for GB. Codes that are no country, such as "??", ZZ and EU, have index 0.
func (t *countryTable) canonical(code string) uint16 {
	if len(code) != 2 {
		return 0
	}
	code = strings.ToUpper(code)
	if code == "UK" {
		code = "GB"
	}
	return t.index(code)
}

// place is the place of which the country alone is known.
func (t *countryTable) place(index uint16) Place {
	if index == 0 {
		return Place{}
	}
	row := &t.rows[index]
	return Place{
		Country: row.code, Continent: row.continent,
		HasCoordinates: true, Latitude: row.latitude, Longitude: row.longitude,
	}
}

// record is the record of which the country alone is known.
func (t *countryTable) record(index uint16) record {
	if index == 0 {
		return record{}
	}
	row := &t.rows[index]
	return record{
		country: index, continent: continentIndex(row.continent),
		hasCoordinates: true, latitude: row.latitude, longitude: row.longitude,
	}
}

// complete fills the continent and the coordinates of a place from its
// country where they are missing.
func complete(p Place) Place {
	rest := countries().place(countries().index(p.Country))
	if p.Continent == "" {
		p.Continent = rest.Continent
	}
	if !p.HasCoordinates {
		p.HasCoordinates = rest.HasCoordinates
		p.Latitude, p.Longitude = rest.Latitude, rest.Longitude
	}
	return p
}

// Resolve makes a place of what the repository says of where a member stands:
// the continent and rough coordinates follow from the country where they are
// not given. A nil location is the unknown place.
func Resolve(l *pool.Location) Place {
	if l == nil {
		return Place{}
	}
	p := Place{ASN: l.ASN, Country: l.Country, Continent: l.Continent}
	if l.HasCoordinates {
		p.HasCoordinates, p.Latitude, p.Longitude = true, l.Latitude, l.Longitude
	}
	return complete(p)
}

// continents are the continents by index; 0 is the unknown one.
var continents = [...]string{"", "AF", "AN", "AS", "EU", "NA", "OC", "SA"}

// continentIndex is the continent's index; 0: there is no such continent.
func continentIndex(code string) uint8 {
	for i, c := range continents {
		if c == code {
			return uint8(i)
		}
	}
	return 0
}
