package geo

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const torIPv4, torIPv6 = "/usr/share/tor/geoip", "/usr/share/tor/geoip6"

// readInstalled reads a file of the package tor-geoipdb, or skips the test.
func readInstalled(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the package tor-geoipdb is needed: %v", err)
		}
		t.Skipf("the package tor-geoipdb is not installed: %v", err)
	}
	return data
}

func TestEmbedded(t *testing.T) {
	m, database, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	data, err := embeddedFiles.ReadFile(embeddedFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 2_500_000 {
		t.Errorf("the country table has %d bytes in the program, the limit is 2.5 MB", len(data))
	}
	base := m.base4
	size := base.size()
	if size > 4_000_000 {
		t.Errorf("the country table takes %d bytes of memory, the limit is 4 MB", size)
	}
	t.Logf("%d bytes in the program, %d in memory, %d ranges", len(data), size, base.ranges())
	if database.Entries < 500_000 || database.Built.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) ||
		database.Licence != "CC BY-SA 4.0" || !strings.Contains(database.Source, "IPFire") || database.Kind != KindCountry || database.Path != "" {
		t.Errorf("the country table is described as %+v", database)
	}
	// Networks that have been where they are for decades.
	for address, want := range map[string]string{
		"8.8.8.8": "US", "17.1.2.3": "US", "::ffff:8.8.8.8": "US", "133.1.1.1": "JP", "131.188.3.1": "DE", "129.132.1.1": "CH",
		"130.89.1.1": "NL", "200.160.0.8": "BR", "196.25.1.1": "ZA", "202.12.27.33": "JP", "2001:200::1": "JP",
		"2001:638::1": "DE", "2001:610::1": "NL", "2620:0:860::1": "US", "10.0.0.1": "", "127.0.0.1": "", "192.0.2.1": "",
		"::1": "", "2001:db8::1": "", "fe80::1": "", "0.0.0.0": "", "255.255.255.255": "", "ffff::": "",
	} {
		place, _ := m.Lookup(netip.MustParseAddr(address))
		if want := complete(Place{Country: want}); place != want {
			t.Errorf("%s is at %+v, want %+v", address, place, want)
		}
	}
}

// TestEmbeddedIsOfInstalled compares every range of the installed files with
// the table in the program, when it was made of these.
func TestEmbeddedIsOfInstalled(t *testing.T) {
	ipv4, ipv6 := readInstalled(t, torIPv4), readInstalled(t, torIPv6)
	text4, err := parseCountryText(ipv4, false)
	if err != nil {
		t.Fatal(err)
	}
	text6, err := parseCountryText(ipv6, true)
	if err != nil {
		t.Fatal(err)
	}
	m, embedded, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if !text4.generated.Equal(embedded.Built) || !text6.generated.Equal(embedded.Built) {
		t.Skipf("the program has the table of %s, and installed are those of %s and %s", embedded.Built, text4.generated, text6.generated)
	}
	// The bytes may differ: compressors change from one Go to the next.
	if !sameRanges(m.base4, text4.table, false) || !sameRanges(m.base6, text6.table, true) {
		t.Error("the program has another table than the files it was made of: run make geodata")
	}
	checkRanges(t, m, ipv4, func(s string) netip.Addr {
		w, err := parseNarrow([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return address4(uint32(w.low))
	})
	checkRanges(t, m, ipv6, netip.MustParseAddr)
}

// checkRanges reads the text in its own way.
func checkRanges(t *testing.T, m *Map, file []byte, parse func(string) netip.Addr) {
	t.Helper()
	checked := 0
	for line := range strings.Lines(string(file)) {
		parts := strings.Split(strings.TrimSpace(line), ",")
		if strings.HasPrefix(line, "#") || len(parts) != 3 {
			continue
		}
		want := strings.Replace(parts[2], "UK", "GB", 1)
		if countries().index(want) == 0 {
			want = ""
		}
		for _, part := range parts[:2] {
			address := parse(part)
			if place, _ := m.Lookup(address); place.Country != want {
				t.Fatalf("%s is in %q, want %q", address, place.Country, want)
			}
		}
		checked++
	}
	if checked < 200_000 {
		t.Errorf("only %d ranges were checked", checked)
	}
}

func sameRanges(a, b *table, ipv6 bool) bool {
	starts1, values1 := rangesOf(a, ipv6)
	starts2, values2 := rangesOf(b, ipv6)
	return slices.Equal(starts1, starts2) && slices.Equal(values1, values2)
}

// randomCountryTable has ranges of all widths.
func randomCountryTable(t *testing.T, r *rand.Rand) *table {
	t.Helper()
	var b builder
	for _, is4 := range []bool{true, false} {
		var points []netip.Addr
		for range r.IntN(200) {
			points = append(points, randomAddress(r, points, is4))
		}
		slices.SortFunc(points, netip.Addr.Compare)
		points = slices.Compact(points)
		for i := 1; i < len(points); i++ {
			if err := b.addRange(points[i-1], points[i].Prev(), uint32(r.IntN(251))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.finish()
}

func TestEncodingRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for range 50 {
		want := randomCountryTable(t, r)
		header := countryHeader{Generated: time.Unix(1_780_000_000, 0).UTC(), Source: "s", Licence: "l", Entries4: 5, Entries6: 6}
		data, err := encodeCountries(header, want, want)
		if err != nil {
			t.Fatal(err)
		}
		got, decoded, err := decodeCountries(data)
		if err != nil {
			t.Fatal(err)
		}
		if !sameRanges(decoded, want, false) || !sameRanges(decoded, want, true) {
			t.Fatal("the table that was read is not the one that was written")
		}
		if !got.Generated.Equal(header.Generated) || got.Entries4 != 5 || got.Entries6 != 6 || got.Source != "s" || got.Licence != "l" {
			t.Fatalf("the header is %+v", got)
		}
		// Any damage is found.
		data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		if header, decoded, err := decodeCountries(data); err == nil {
			t.Fatalf("a damaged table was read: %+v, %d ranges", header, decoded.ranges())
		}
	}
}

func TestDamagedCountryData(t *testing.T) {
	good, err := encodeCountries(countryHeader{}, randomCountryTable(t, rand.New(rand.NewPCG(1, 1))), randomCountryTable(t, rand.New(rand.NewPCG(2, 1))))
	if err != nil {
		t.Fatal(err)
	}
	summed := func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		return append([]byte(text), sum[:]...)
	}
	for name, data := range map[string][]byte{
		"empty":          nil,
		"another file":   summed("GIF89a"),
		"magic alone":    summed(countryMagic),
		"no header":      summed(countryMagic + "\n"),
		"counts":         summed(countryMagic + `{"ipv4_ranges": 99999999}` + "\n"),
		"negative":       summed(countryMagic + `{"ipv6_ranges": -1}` + "\n"),
		"no payload":     summed(countryMagic + `{"ipv6_ranges": 1}` + "\n"),
		"cut short":      good[:len(good)-1],
		"something more": append(bytes.Clone(good), 0),
	} {
		if _, _, err := decodeCountries(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestCountryDataThatGrows has 64 MB of zeros in 64 KB, where the header leaves
// room for 42 bytes: no more than these are unpacked.
func TestCountryDataThatGrows(t *testing.T) {
	var compressed bytes.Buffer
	w, err := flate.NewWriter(&compressed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	header := &countryHeader{Ranges4: 1, Ranges6: 1, Codes: []string{""}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = decodePayload(header, compressed.Bytes())
	runtime.ReadMemStats(&after)
	if err == nil || err.Error() != "there is more data than the header says" {
		t.Errorf("refused with %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("it took %d bytes of memory", took)
	}
}

func FuzzCountryPayload(f *testing.F) {
	table := randomCountryTable(&testing.T{}, rand.New(rand.NewPCG(3, 1)))
	good, err := encodeCountries(countryHeader{}, table, table)
	if err != nil {
		f.Fatal(err)
	}
	header, payload, err := cutHeader(good[:len(good)-32])
	if err != nil {
		f.Fatal(err)
	}
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(flate.NewReader(bytes.NewReader(payload))); err != nil {
		f.Fatal(err)
	}
	line, err := json.Marshal(header)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line, plain.Bytes())
	f.Add([]byte(`{"ipv4_ranges":2,"ipv6_ranges":1,"codes":["","DE"]}`), []byte{8, 1, 0, 1, 1})
	f.Add([]byte(`{"ipv6_ranges":2,"codes":["","DE"]}`), []byte{127, 0, 0, 1})
	f.Add([]byte(`{"ipv4_ranges":4194304}`), []byte{})
	f.Fuzz(func(t *testing.T, line, plain []byte) {
		var compressed bytes.Buffer
		w, err := flate.NewWriter(&compressed, flate.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		header, payload, err := cutHeader(slices.Concat([]byte(countryMagic), line, []byte("\n"), compressed.Bytes()))
		if err != nil {
			return
		}
		table, err := decodePayload(header, payload)
		if err != nil {
			return
		}
		m := &Map{base4: table, base6: table}
		for _, address := range []string{"0.0.0.0", "255.255.255.255", "::", "2001:db8::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
			m.Lookup(netip.MustParseAddr(address))
		}
		for _, ipv6 := range []bool{false, true} {
			starts, _ := rangesOf(table, ipv6)
			if !slices.IsSortedFunc(starts, wide.compare) || len(slices.Compact(slices.Clone(starts))) != len(starts) {
				t.Fatalf("the ranges are out of order: %v", starts)
			}
		}
	})
}
