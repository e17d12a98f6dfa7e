//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// cityOptions say how large a city database is to be.
type cityOptions struct {
	cities int
	// split is the probability that a network of a length has parts; networks
	// of the longest lengths have none.
	split4, split6     float64
	longest4, longest6 int
	seed               uint64
}

// largeCity makes a database of about 100 MB, with six million networks: as
// large as those that are sold, and with as many lengths of networks.
var largeCity = cityOptions{cities: 280_000, split4: 0.9, split6: 0.687, longest4: 24, longest6: 40, seed: 1}

// cityCountries are where invented cities are.
var cityCountries = []struct{ code, continent string }{
	{"AR", "SA"},
	{"AU", "OC"},
	{"AT", "EU"},
	{"BD", "AS"},
	{"BE", "EU"},
	{"BR", "SA"},
	{"CA", "NA"},
	{"CH", "EU"},
	{"CL", "SA"},
	{"CN", "AS"},
	{"CO", "SA"},
	{"CZ", "EU"},
	{"DE", "EU"},
	{"DK", "EU"},
	{"EG", "AF"},
	{"ES", "EU"},
	{"FI", "EU"},
	{"FR", "EU"},
	{"GB", "EU"},
	{"GR", "EU"},
	{"HK", "AS"},
	{"HU", "EU"},
	{"ID", "AS"},
	{"IE", "EU"},
	{"IL", "AS"},
	{"IN", "AS"},
	{"IR", "AS"},
	{"IT", "EU"},
	{"JP", "AS"},
	{"KE", "AF"},
	{"KR", "AS"},
	{"MA", "AF"},
	{"MX", "NA"},
	{"MY", "AS"},
	{"NG", "AF"},
	{"NL", "EU"},
	{"NO", "EU"},
	{"NZ", "OC"},
	{"PE", "SA"},
	{"PH", "AS"},
	{"PK", "AS"},
	{"PL", "EU"},
	{"PT", "EU"},
	{"RO", "EU"},
	{"RU", "EU"},
	{"SA", "AS"},
	{"SE", "EU"},
	{"SG", "AS"},
	{"TH", "AS"},
	{"TR", "AS"},
	{"TW", "AS"},
	{"UA", "EU"},
	{"US", "NA"},
	{"VN", "AS"},
	{"ZA", "AF"},
}

// cityDatabase is one in the making, in the MaxMind DB format, version 2.0.
type cityDatabase struct {
	cityOptions
	random  *rand.Rand
	nodes   [][2]uint32
	data    []byte
	cities  [][]uint32        // of each country: where in data
	written map[string]uint32 // where in data
}

// Values of records in the tree while it grows: a node's number, or one of
// these with what follows.
const (
	emptyRecord = math.MaxUint32
	dataRecord  = 1 << 31 // and where in the data
)

// writeCityDatabase writes an invented database to a file.
func writeCityDatabase(file string, o cityOptions) (err error) {
	d := &cityDatabase{cityOptions: o, random: rand.New(rand.NewPCG(o.seed, 0))}
	d.writePlaces()
	d.spine(0)
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("writing a city database: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buffered := bufio.NewWriterSize(out, 1<<20)
	if err := d.write(buffered); err != nil {
		return fmt.Errorf("writing a city database: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing a city database: %w", err)
	}
	return nil
}

// writePlaces writes every record of the data section once. What it says of
// countries and continents is written with the first of their cities, and
// pointed to by the others, as in the databases that are sold.
func (d *cityDatabase) writePlaces() {
	d.cities = make([][]uint32, len(cityCountries))
	d.written = map[string]uint32{}
	for i := range d.cityOptions.cities {
		country := i % len(cityCountries)
		d.cities[country] = append(d.cities[country], uint32(len(d.data)))
		d.writeCity(i, country)
	}
}

// once writes a value, or a pointer to it if it is there already.
func (d *cityDatabase) once(name string, write func()) {
	if at, there := d.written[name]; there {
		d.pointer(at)
		return
	}
	d.written[name] = uint32(len(d.data))
	write()
}

func (d *cityDatabase) writeCity(number, country int) {
	place := cityCountries[country]
	d.startMap(5)
	d.text("city")
	d.startMap(2)
	d.text("geoname_id")
	d.number(typeUint32, uint64(2_000_000+number))
	d.text("names")
	d.startMap(2)
	d.text("de")
	d.text(fmt.Sprintf("Stadt %d", number))
	d.text("en")
	d.text(fmt.Sprintf("City %d", number))
	d.text("continent")
	d.once("continent "+place.continent, func() {
		d.startMap(1)
		d.text("code")
		d.text(place.continent)
	})
	d.text("country")
	d.once("country "+place.code, func() {
		d.startMap(3)
		d.text("geoname_id")
		d.number(typeUint32, uint64(1_000_000+country))
		d.text("iso_code")
		d.text(place.code)
		d.text("names")
		d.startMap(1)
		d.text("en")
		d.text("The Country of " + place.code)
	})
	d.text("location")
	d.startMap(3)
	d.text("accuracy_radius")
	d.number(typeUint16, uint64(1+number%1000))
	d.text("latitude")
	d.double(math.Round(d.random.Float64()*1200_000-500_000) / 10_000)
	d.text("longitude")
	d.double(math.Round(d.random.Float64()*3600_000-1800_000) / 10_000)
	d.text("postal")
	d.startMap(1)
	d.text("code")
	d.text(fmt.Sprintf("%05d", number%100_000))
}

// spine grows the way down from ::/0 to ::/96, where IPv4 is. Beside it lies
// 2000::/3 and nothing else.
func (d *cityDatabase) spine(length int) uint32 {
	if length == 96 {
		return d.place4(0, 0, d.drawCountry())
	}
	return d.fork(
		func() uint32 { return d.spine(length + 1) },
		func() uint32 {
			if length == 2 {
				return d.place6(length+1, d.drawCountry())
			}
			return emptyRecord
		})
}

// forkAlways is the length up to which every network has parts, counted from
// where the unicast networks of its family begin.
const forkAlways = 8

// changeCountry is how often a part of a network is in another country.
const changeCountry = 0.1

// place4 grows an IPv4 network.
func (d *cityDatabase) place4(length int, start uint32, country int) uint32 {
	if length == 8 && (start == 0 || start == 10 || start == 127 || start >= 224) {
		return emptyRecord
	}
	if length >= d.longest4 || length >= forkAlways && d.random.Float64() >= d.split4 {
		return d.drawCity(country)
	}
	country = d.moveCountry(country)
	return d.fork(
		func() uint32 { return d.place4(length+1, start<<1, country) },
		func() uint32 { return d.place4(length+1, start<<1|1, country) })
}

// place6 grows an IPv6 network.
func (d *cityDatabase) place6(length, country int) uint32 {
	if length >= d.longest6 || length >= 3+forkAlways && d.random.Float64() >= d.split6 {
		return d.drawCity(country)
	}
	country = d.moveCountry(country)
	return d.fork(
		func() uint32 { return d.place6(length+1, country) },
		func() uint32 { return d.place6(length+1, country) })
}

// fork makes a node with two parts.
func (d *cityDatabase) fork(left, right func() uint32) uint32 {
	node := len(d.nodes)
	d.nodes = append(d.nodes, [2]uint32{})
	first := left()
	second := right()
	d.nodes[node] = [2]uint32{first, second}
	return uint32(node)
}

func (d *cityDatabase) drawCountry() int { return d.random.IntN(len(cityCountries)) }

func (d *cityDatabase) moveCountry(country int) int {
	if d.random.Float64() < changeCountry {
		return d.drawCountry()
	}
	return country
}

func (d *cityDatabase) drawCity(country int) uint32 {
	cities := d.cities[country]
	return dataRecord | cities[d.random.IntN(len(cities))]
}

// makeCity writes the city database if a server needs it.
func (c *comparison) makeCity(_ context.Context) error {
	for _, s := range c.servers {
		if s.site == nil {
			continue
		}
		s.site.city = filepath.Join(c.directory, "city.mmdb")
		fmt.Fprintln(c.progress, "writing a city database")
		if err := writeCityDatabase(s.site.city, largeCity); err != nil {
			return err
		}
	}
	return nil
}
