package geo

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// placeTable is a city or country database, compiled.
type placeTable struct {
	records []record // the first one is empty
	table   *table
}

func (t *placeTable) lookup(k key) (record, int) {
	index, length := t.table.lookup(k)
	return t.records[index], length
}

// Databases say when they were built. A time outside these bounds is a sign
// of damage.
var (
	earliestBuild = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latestBuild   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// parsePlaces reads a database in the MaxMind format for the slot of the
// given kind, KindCity or KindCountry.
func parsePlaces(data []byte, kind Kind) (places *placeTable, database Database, err error) {
	places = &placeTable{records: make([]record, 1)}
	known := map[record]uint32{{}: 0}
	var countries, coordinates bool
	t, database, err := compileDatabase(data, func(f *fields) (uint32, error) {
		r, err := f.record()
		if err != nil {
			return 0, err
		}
		countries = countries || r.country != 0
		coordinates = coordinates || !math.IsNaN(f.latitude) && !math.IsNaN(f.longitude)
		index, ok := known[r]
		if !ok {
			index = uint32(len(places.records))
			places.records = append(places.records, r)
			known[r] = index
		}
		return index, nil
	})
	switch {
	case err != nil:
		return nil, Database{}, err
	case !countries:
		return nil, Database{}, fmt.Errorf("it is of type %q and names no countries: it is no %s database", database.Type, kind)
	case kind == KindCity && !coordinates:
		return nil, Database{}, fmt.Errorf("it is of type %q and has no coordinates: name it as the country database", database.Type)
	}
	places.table, places.records = t, exactly(places.records)
	database.Kind = kind
	return places, database, nil
}

// parseASNs reads a database in the MaxMind format for AS numbers.
func parseASNs(data []byte) (*table, Database, error) {
	var numbers bool
	t, database, err := compileDatabase(data, func(f *fields) (uint32, error) {
		numbers = numbers || f.asn != 0
		return f.asn, nil
	})
	if err != nil {
		return nil, Database{}, err
	}
	if !numbers {
		return nil, Database{}, fmt.Errorf("it is of type %q and holds no AS numbers: it is no AS database", database.Type)
	}
	database.Kind = KindASN
	return t, database, nil
}

// compileDatabase checks a whole database in the MaxMind format and makes a
// table of it. The function gives the value of a record, and is called once
// for each. A database that is damaged gives an error, also where its reader
// panics.
func compileDatabase(data []byte, value func(*fields) (uint32, error)) (t *table, database Database, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			t, database, err = nil, Database{}, fmt.Errorf("the database is damaged: reading it ended in %v", reason)
		}
	}()
	reader, err := openDatabase(data)
	if err != nil {
		return nil, Database{}, err
	}
	t, entries, err := walkDatabase(reader, value)
	if err != nil {
		return nil, Database{}, err
	}
	families := "IPv4"
	if reader.Metadata.IPVersion == 6 {
		families = "IPv4, IPv6"
	}
	return t, Database{
		Type: reader.Metadata.DatabaseType, Built: reader.Metadata.BuildTime().UTC(), Entries: entries,
		Source: reader.Metadata.Description["en"], Families: families,
	}, nil
}

// openDatabase checks the structure of the whole database, which Open alone
// does not.
func openDatabase(data []byte) (*maxminddb.Reader, error) {
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	metadata := &reader.Metadata
	if size := metadata.RecordSize; size != 24 && size != 28 && size != 32 {
		return nil, fmt.Errorf("the database is damaged: its records have %d bits, expected 24, 28 or 32", size)
	}
	if metadata.BuildEpoch < uint(earliestBuild.Unix()) || metadata.BuildEpoch > uint(latestBuild.Unix()) {
		return nil, fmt.Errorf("the database is damaged: its time of building is %d, expected seconds from %s to %s",
			metadata.BuildEpoch, earliestBuild.Format(time.DateOnly), latestBuild.Format(time.DateOnly))
	}
	if len(metadata.Description) == 0 {
		// The format asks for it, builders outside MaxMind leave it out, and
		// nothing depends on it.
		metadata.Description = map[string]string{"en": metadata.DatabaseType}
	}
	if err := reader.Verify(); err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	return reader, nil
}

// walkDatabase visits every network once, in ascending order. It counts those
// that have a record.
func walkDatabase(reader *maxminddb.Reader, value func(*fields) (uint32, error)) (*table, int, error) {
	// A tree of n nodes has n+1 leaves. Where parts of it are shared, the same
	// few nodes can make up any number of networks.
	left := int(reader.Metadata.NodeCount) + 1
	options := []maxminddb.NetworksOption{maxminddb.IncludeNetworksWithoutData()}
	zero := reader.Lookup(netip.IPv4Unspecified())
	if zero.Err() != nil {
		return nil, 0, zero.Err()
	}
	if prefix := zero.Prefix(); prefix.Addr().Is6() {
		// There is no tree for IPv4 that anything could be an alias of.
		options = append(options, maxminddb.IncludeAliasedNetworks())
	}
	var (
		b       builder
		f       fields
		entries int
		known   = map[uintptr]uint32{}
	)
	for result := range reader.Networks(options...) {
		if err := result.Err(); err != nil {
			return nil, 0, fmt.Errorf("walking the networks: %w", err)
		}
		if left--; left < 0 {
			return nil, 0, errors.New("the database is damaged: it has more networks than nodes")
		}
		if !result.Found() {
			continue
		}
		entries++
		v, ok := known[result.Offset()]
		if !ok {
			f.reset()
			if err := result.Decode(&f); err != nil {
				return nil, 0, fmt.Errorf("decoding the record of %s: %w", result.Prefix(), err)
			}
			var err error
			if v, err = value(&f); err != nil {
				return nil, 0, fmt.Errorf("decoding the record of %s: %w", result.Prefix(), err)
			}
			known[result.Offset()] = v
		}
		if err := addNetwork(&b, result.Prefix(), v); err != nil {
			return nil, 0, fmt.Errorf("walking the networks: %w", err)
		}
	}
	return b.finish(), entries, nil
}

// addNetwork adds a network of a database. IPv4 lies in its tree at ::/96; a
// wider network there is one of IPv6 and of all IPv4 addresses.
func addNetwork(b *builder, prefix netip.Prefix, value uint32) error {
	if prefix.Addr().Is6() && prefix.Addr().IsUnspecified() && prefix.Bits() < 96 {
		all4 := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if err := b.addRange(all4.Addr(), lastAddress(all4), value); err != nil {
			return err
		}
	}
	return b.addRange(prefix.Addr(), lastAddress(prefix), value)
}
