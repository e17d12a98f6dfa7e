package geo

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"mirrorpool/pool"
)

// box is a rectangle of degrees; one that crosses the 180th meridian has a
// western edge east of its eastern one.
type box struct{ south, north, west, east float64 }

func (b box) contains(latitude, longitude float64) bool {
	if latitude < b.south || latitude > b.north {
		return false
	}
	if b.west > b.east {
		return longitude >= b.west || longitude <= b.east
	}
	return longitude >= b.west && longitude <= b.east
}

// Generous: they are there to find a lost sign or swapped columns.
var continentBoxes = map[string]box{
	"AF": {-35, 38, -26, 64},
	"AN": {-90, -45, -180, 180},
	"AS": {-13, 56, 25, 146},
	"EU": {34, 82, -29, 50},
	"NA": {7, 84, -172, -50},
	"OC": {-48, 22, 105, -124},
	"SA": {-56, 13, -82, -34},
}

func TestCountriesFile(t *testing.T) {
	records, err := csv.NewReader(strings.NewReader(countriesCSV)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := countries().rows[1:]
	if len(rows) != 250 || len(records) != 251 {
		t.Fatalf("%d rows and %d countries, want the 249 of ISO 3166-1 and XK, and a head", len(records), len(rows))
	}
	continentsSeen := map[string]int{}
	for i, row := range rows {
		if i > 0 && rows[i-1].code >= row.code {
			t.Errorf("%s stands behind %s", row.code, rows[i-1].code)
		}
		if records[i+1][4] == "" {
			t.Errorf("%s has no name", row.code)
		}
		area, ok := continentBoxes[row.continent]
		if !ok || continentIndex(row.continent) == 0 {
			t.Errorf("%s has continent %q", row.code, row.continent)
		} else if !area.contains(row.latitude, row.longitude) {
			t.Errorf("%s lies at %v, %v: that is not in %s", row.code, row.latitude, row.longitude, row.continent)
		}
		continentsSeen[row.continent]++
	}
	want := map[string]int{"AF": 58, "AN": 5, "AS": 51, "EU": 53, "NA": 41, "OC": 28, "SA": 14}
	for continent, n := range want {
		if continentsSeen[continent] != n {
			t.Errorf("%d countries in %s, want %d", continentsSeen[continent], continent, n)
		}
	}
}

// TestCountriesOfISO compares the codes with the list that comes with the
// time zones, where there is one.
func TestCountriesOfISO(t *testing.T) {
	data, err := os.ReadFile("/usr/share/zoneinfo/iso3166.tab")
	if err != nil {
		t.Skip("no list of countries here (package tzdata):", err)
	}
	codes := map[string]bool{"XK": true}
	for line := range strings.Lines(string(data)) {
		if code, _, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			codes[code] = true
			if countries().index(code) == 0 {
				t.Errorf("%s is missing", code)
			}
		}
	}
	for _, row := range countries().rows[1:] {
		if !codes[row.code] {
			t.Errorf("%s is no country", row.code)
		}
	}
}

func TestCountryPlaces(t *testing.T) {
	for code, want := range map[string]string{"DE": "EU", "US": "NA", "JP": "AS", "BR": "SA", "ZA": "AF", "AU": "OC", "XK": "EU", "AQ": "AN"} {
		if got := complete(Place{Country: code}); got.Continent != want || !got.HasCoordinates {
			t.Errorf("%s is at %+v, want %s and coordinates", code, got, want)
		}
	}
	for _, code := range []string{"", "de", "ZZ", "??", "EU", "D", "DEU", "Ü"} {
		if got := complete(Place{Country: code}); got != (Place{Country: code}) {
			t.Errorf("%q is taken for a country: %+v", code, got)
		}
	}
}

func TestCanonical(t *testing.T) {
	table := countries()
	for code, want := range map[string]string{"DE": "DE", "de": "DE", "UK": "GB", "uk": "GB", "??": "", "EU": "", "AP": "", "A1": "", "": "", "germany": ""} {
		if got := table.rows[table.canonical(code)].code; got != want {
			t.Errorf("canonical(%q) is %q, want %q", code, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	de := complete(Place{Country: "DE"})
	tests := []struct {
		name     string
		location *pool.Location
		want     Place
	}{
		{"nil", nil, Place{}},
		{"nothing", &pool.Location{}, Place{}},
		{"country", &pool.Location{Country: "DE"}, de},
		{
			"country and AS", &pool.Location{Country: "DE", ASN: 64500},
			Place{ASN: 64500, Country: "DE", Continent: "EU", HasCoordinates: true, Latitude: de.Latitude, Longitude: de.Longitude},
		},
		{
			"all", &pool.Location{Country: "RU", Continent: "AS", HasCoordinates: true, Latitude: 43.1, Longitude: 131.9},
			Place{Country: "RU", Continent: "AS", HasCoordinates: true, Latitude: 43.1, Longitude: 131.9},
		},
		{
			"coordinates 0,0 that were given stay",
			&pool.Location{HasCoordinates: true},
			Place{HasCoordinates: true},
		},
		{"coordinates that were not given", &pool.Location{Latitude: 5}, Place{}},
		{"continent alone", &pool.Location{Continent: "EU"}, Place{Continent: "EU"}},
	}
	for _, test := range tests {
		if got := Resolve(test.location); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	if !de.HasCoordinates || de.Continent != "EU" {
		t.Errorf("nothing follows from the country: %+v", de)
	}
}
