package geo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// TestDamagedDatabases holds that none of them is taken for whole, and that
// none makes the reader panic or go on for ever.
func TestDamagedDatabases(t *testing.T) {
	files, err := filepath.Glob("testdata/mmdb/bad/*.mmdb")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		refuseAll(t, filepath.Base(file), data)
	}
}

func refuseAll(t *testing.T, name string, data []byte) {
	t.Helper()
	if _, _, err := parsePlaces(data, KindCity); err == nil {
		t.Errorf("%s is taken for a city database", name)
	}
	if _, _, err := parsePlaces(data, KindCountry); err == nil {
		t.Errorf("%s is taken for a country database", name)
	}
	if _, _, err := parseASNs(data); err == nil {
		t.Errorf("%s is taken for an AS database", name)
	}
}

// TestDamageInWhatIsNotRead has a name that is no UTF-8: nobody reads it, but
// a file with such damage has more of it.
func TestDamageInWhatIsNotRead(t *testing.T) {
	data := readTestFile(t, "GeoLite2-City-Test.mmdb")
	at := bytes.Index(data, []byte("London"))
	if at < 0 {
		t.Fatal("there is no London")
	}
	data[at] = 0xff
	refuseAll(t, "a database with a damaged name", data)
}

func TestDatabasesCutShort(t *testing.T) {
	data := readTestFile(t, "GeoLite2-City-Test.mmdb")
	for size := 0; size < len(data); size += 1 + size/40 {
		refuseAll(t, "a part", data[:size])
		refuseAll(t, "a part, with zeros", append(bytes.Clone(data[:size]), make([]byte, len(data)-size)...))
		// The end alone: the head was overwritten.
		if size > 0 {
			refuseAll(t, "the end", data[size:])
		}
	}
}

// TestDatabasesWithChangedBytes only asks that reading ends.
func TestDatabasesWithChangedBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, name := range []string{"small-geo.mmdb", "GeoLite2-ASN-Test.mmdb"} {
		whole := readTestFile(t, name)
		for range 300 {
			data := bytes.Clone(whole)
			for range 1 + r.IntN(3) {
				data[r.IntN(len(data))] = byte(r.Uint32())
			}
			places, _, err := parsePlaces(data, KindCountry)
			if err != nil {
				places = nil
			}
			numbers, _, _ := parseASNs(data)
			m := &Map{country: places, asn: numbers}
			for range 20 {
				m.Lookup(address4(r.Uint32()))
				m.Lookup(randomAddress(r, nil, false))
			}
		}
	}
}

func TestBuildEpoch(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", BuildEpoch: 5})
	if err != nil {
		t.Fatal(err)
	}
	_, network, _ := net.ParseCIDR("81.2.69.0/24")
	if err := tree.Insert(network, mmdbtype.Map{"asn": text("AS1")}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if _, _, err := parseASNs(out.Bytes()); err == nil || !strings.Contains(err.Error(), "time of building") {
		t.Errorf("a database of 1970 is refused with %v", err)
	}
}

// TestSharedTree has 40 nodes, both sides of which lead to the next one: that
// makes 2^40 networks.
func TestSharedTree(t *testing.T) {
	const nodes = 40
	var data []byte
	for i := range nodes {
		next := uint32(i + 1)
		if i == nodes-1 {
			next = nodes + 16 // the first record
		}
		side := binary.BigEndian.AppendUint32(nil, next)[1:]
		data = append(append(data, side...), side...)
	}
	data = append(data, make([]byte, 16)...)
	pair := func(out []byte, key string, value []byte) []byte {
		return append(append(append(out, 0x40|byte(len(key))), key...), value...)
	}
	data = pair(append(data, 0xe1), "asn", []byte("\x43AS1"))
	data = append(append(data, "\xab\xcd\xefMaxMind.com"...), 0xe9)
	data = pair(data, "node_count", []byte{0xc1, nodes})
	data = pair(data, "record_size", []byte{0xa1, 24})
	data = pair(data, "ip_version", []byte{0xa1, 6})
	data = pair(data, "database_type", []byte("\x44Test"))
	data = pair(data, "languages", []byte{0x00, 0x04})
	data = pair(data, "binary_format_major_version", []byte{0xa1, 2})
	data = pair(data, "binary_format_minor_version", []byte{0xa0})
	data = pair(data, "build_epoch", []byte{0x04, 0x02, 0x6a, 0x00, 0x00, 0x00})
	data = pair(data, "description", []byte{0xe0})
	_, _, err := parseASNs(data)
	if err == nil || !strings.Contains(err.Error(), "more networks than nodes") {
		t.Errorf("2^40 networks: %v", err)
	}
}
