package geo

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// record is what a city or country database says of a network, in small:
// there are hundreds of thousands. What can be completed from the country is.
type record struct {
	latitude, longitude float64
	country             uint16 // index of the country table
	continent           uint8  // index of continents
	hasCoordinates      bool
}

func (r record) place() Place {
	return Place{
		Country: countries().rows[r.country].code, Continent: continents[r.continent],
		HasCoordinates: r.hasCoordinates, Latitude: r.latitude, Longitude: r.longitude,
	}
}

// completed is r, which has no country, with what another database says of the
// same address. Its country comes with its continent, and r's own coordinates
// stay: they are nearer than those of a whole country.
func (r record) completed(other record) record {
	if other.country != 0 || r.continent == 0 {
		r.country, r.continent = other.country, other.continent
	}
	if !r.hasCoordinates {
		r.hasCoordinates, r.latitude, r.longitude = other.hasCoordinates, other.latitude, other.longitude
	}
	return r
}

// fields are what is read of a record of a database, in the nested form that
// MaxMind uses, or in the flat form that others do.
type fields struct {
	country, continent  string
	latitude, longitude float64 // NaN: not given
	asn                 uint32
}

// reset makes the fields those of an empty record.
func (f *fields) reset() { *f = fields{latitude: math.NaN(), longitude: math.NaN()} }

// UnmarshalMaxMindDBCursor reads the whole record. It goes down one level at
// most; everything that it does not know is skipped.
func (f *fields) UnmarshalMaxMindDBCursor(cursor mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return eachEntry(cursor, func(name string, value mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		kind, err := value.Kind()
		if err != nil {
			return mmdbdata.Cursor{}, err
		}
		if kind == mmdbdata.KindMap {
			return eachEntry(value, func(inner string, value mmdbdata.Cursor) (mmdbdata.Cursor, error) {
				return f.entry(name+"."+inner, value)
			})
		}
		return f.entry(name, value)
	})
}

// entry takes one value. Names of nested values have a dot.
func (f *fields) entry(name string, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	switch name {
	case "country.iso_code", "country_code", "country":
		f.country, next, err = readCode(value, f.country)
	case "continent.code", "continent_code", "continent":
		f.continent, next, err = readCode(value, f.continent)
	case "location.latitude", "latitude", "lat":
		f.latitude, next, err = readDegrees(value)
	case "location.longitude", "longitude", "lng", "lon":
		f.longitude, next, err = readDegrees(value)
	case "autonomous_system_number", "asn":
		f.asn, next, err = readASN(value)
	default:
		return value.Skip()
	}
	if err != nil {
		return next, fmt.Errorf("reading %s: %w", name, err)
	}
	return next, nil
}

// record takes the fields as a place.
func (f *fields) record() (record, error) {
	table := countries()
	r := record{country: table.canonical(f.country), continent: continentIndex(strings.ToUpper(f.continent))}
	if f.country == "EU" && r.continent == 0 { // a "country" of some databases
		r.continent = continentIndex("EU")
	}
	given := !math.IsNaN(f.latitude) && !math.IsNaN(f.longitude)
	if given && (math.Abs(f.latitude) > 90 || math.Abs(f.longitude) > 180) {
		return record{}, fmt.Errorf("found the coordinates %v, %v, expected -90 to 90 and -180 to 180 degrees", f.latitude, f.longitude)
	}
	// 0,0 is open sea: databases that mean "not known" write it.
	if given && (f.latitude != 0 || f.longitude != 0) {
		r.hasCoordinates, r.latitude, r.longitude = true, f.latitude, f.longitude
	}
	if r.country != 0 {
		row := &table.rows[r.country]
		if r.continent == 0 {
			r.continent = continentIndex(row.continent)
		}
		if !r.hasCoordinates {
			r.hasCoordinates, r.latitude, r.longitude = true, row.latitude, row.longitude
		}
	}
	return r, nil
}

// eachEntry reads a map.
func eachEntry(cursor mmdbdata.Cursor, read func(string, mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	entries, err := cursor.Map()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	var next mmdbdata.Cursor
	for {
		name, value, ok := entries.Next(next)
		if !ok {
			return entries.End()
		}
		if next, err = read(string(name), value); err != nil {
			return mmdbdata.Cursor{}, err
		}
	}
}

// readCode reads a code of two letters. Longer texts are names: the old code
// stays, as "country" is the name beside "country_code" in some databases.
func readCode(value mmdbdata.Cursor, old string) (string, mmdbdata.Cursor, error) {
	text, next, err := value.ReadString()
	if err == nil && len(text) == 2 {
		return text, next, nil
	}
	return old, next, err
}

// readDegrees reads a number, or a text that is one.
func readDegrees(value mmdbdata.Cursor) (float64, mmdbdata.Cursor, error) {
	kind, err := value.Kind()
	if err != nil {
		return 0, mmdbdata.Cursor{}, err
	}
	if kind != mmdbdata.KindString {
		degrees, next, err := value.ReadFloat()
		if err == nil && (math.IsNaN(degrees) || math.IsInf(degrees, 0)) {
			return 0, next, fmt.Errorf("found %v, expected degrees", degrees)
		}
		return degrees, next, err
	}
	text, next, err := value.ReadString()
	if err != nil || text == "" {
		return math.NaN(), next, err
	}
	degrees, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(degrees) || math.IsInf(degrees, 0) {
		return 0, next, fmt.Errorf("found %.40q, expected degrees", text)
	}
	return degrees, next, nil
}

// readASN reads a number, or a text such as "AS64500" or "64500".
func readASN(value mmdbdata.Cursor) (uint32, mmdbdata.Cursor, error) {
	kind, err := value.Kind()
	if err != nil {
		return 0, mmdbdata.Cursor{}, err
	}
	if kind != mmdbdata.KindString {
		number, next, err := value.ReadUint()
		if err == nil && number > math.MaxUint32 {
			return 0, next, fmt.Errorf("found %d, expected an AS number of at most 32 bits", number)
		}
		return uint32(number), next, err
	}
	text, next, err := value.ReadString()
	if err != nil || text == "" {
		return 0, next, err
	}
	digits := strings.TrimPrefix(strings.ToUpper(text), "AS")
	number, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, next, fmt.Errorf("found %.40q, expected an AS number such as \"AS64500\"", text)
	}
	return uint32(number), next, nil
}
