package geo

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
	"unsafe"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// writeCities writes a city database like those that are sold: about so many
// networks of IPv4, a third as many of IPv6, and a place for every twenty.
func writeCities(t testing.TB, path string, networks int) {
	t.Helper()
	r := rand.New(rand.NewPCG(31, 32))
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "Synthetic-City", BuildEpoch: 1_780_000_000, RecordSize: 28,
		IncludeReservedNetworks: true, DisableIPv4Aliasing: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	places := make([]mmdbtype.Map, max(networks/20, 1))
	for i := range places {
		row := countries().rows[1+i*(len(countries().rows)-1)/len(places)] // neighbours share one
		degrees := func(center float64, limit float64) mmdbtype.Float64 {
			return mmdbtype.Float64(math.Round(max(min(center+r.NormFloat64()*4, limit), -limit)*1e4) / 1e4)
		}
		name := mmdbtype.String(fmt.Sprintf("Place %d", i))
		places[i] = mmdbtype.Map{
			"country":   mmdbtype.Map{"iso_code": text(row.code), "geoname_id": mmdbtype.Uint32(r.Uint32N(1e7)), "names": mmdbtype.Map{"en": mmdbtype.String("Country " + row.code)}},
			"continent": mmdbtype.Map{"code": text(row.continent)},
			"city":      mmdbtype.Map{"geoname_id": mmdbtype.Uint32(i), "names": mmdbtype.Map{"en": name, "de": name, "fr": name}},
			"location": mmdbtype.Map{
				"latitude": degrees(row.latitude, 90), "longitude": degrees(row.longitude, 180),
				"accuracy_radius": mmdbtype.Uint16(r.IntN(1000)), "time_zone": mmdbtype.String("Etc/UTC"),
			},
			"postal": mmdbtype.Map{"code": mmdbtype.String(fmt.Sprint(r.IntN(99999)))},
		}
	}
	insert := func(prefix netip.Prefix, place int) {
		_, network, err := net.ParseCIDR(prefix.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, places[place%len(places)]); err != nil {
			t.Fatal(err)
		}
	}
	// Neighbours are near each other, and the most have a length of 24.
	place := 0
	step := float64(1<<32) * 2 / float64(networks) // many are cut by where they begin
	for at := uint64(1 << 24); at < 224<<24; {
		length := 32 - int(math.Round(math.Log2(step*math.Exp(r.NormFloat64()*1.6))))
		length = min(max(length, 14), 30)
		for at&(1<<(32-length)-1) != 0 {
			length++ // as far as it reaches from here
		}
		insert(netip.PrefixFrom(address4(uint32(at)), length), place)
		at += 1 << (32 - length)
		if place += r.IntN(50); r.IntN(8) == 0 {
			place = r.IntN(len(places))
		}
	}
	for left := networks / 3; left > 0; {
		first := []uint64{0x2001, 0x2400, 0x2402, 0x2404, 0x2409, 0x2600, 0x2604, 0x2620, 0x2804, 0x2a00, 0x2a02, 0x2a06, 0x2a0e, 0x2c0f}[r.IntN(14)]
		allocation := first<<48 | r.Uint64N(1<<16)<<32
		// An allocation is of one country, and most of its parts are.
		place = r.IntN(len(places))
		insert(netip.PrefixFrom(wide{high: allocation}.address(), 32), place)
		for range r.IntN(60) {
			length := []int{36, 40, 44, 48, 48, 48, 56, 64}[r.IntN(8)]
			network := wide{high: allocation | r.Uint64N(1<<32)>>(64-length)<<(64-length)}
			part := place + r.IntN(50)
			if r.IntN(16) == 0 {
				part = r.IntN(len(places))
			}
			insert(netip.PrefixFrom(network.address(), length), part)
			left--
		}
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCities loads a city database of 100 MB and sorts its places. Writing
// it takes minutes: the environment's CITIES may name a file to keep it in.
func BenchmarkCities(b *testing.B) {
	path := filepath.Join(b.TempDir(), "city.mmdb")
	if prepared := os.Getenv("CITIES"); prepared != "" {
		path = prepared
	}
	if _, err := os.Stat(path); err != nil {
		writeCities(b, path, 3_100_000)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	var source *Source
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			source = nil
			debug.FreeOSMemory()
			before := heap()
			watch := watchHeap()
			source, err = Open(Config{City: path})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(watch()-before)/1e6, "peak-MB")
			runtime.GC()
			b.ReportMetric(float64(heap()-before)/1e6, "kept-MB")
		}
		m := source.Map()
		b.ReportMetric(float64(m.city.table.size()+cap(m.city.records)*int(unsafe.Sizeof(record{})))/1e6, "table-MB")
		b.ReportMetric(float64(m.city.table.ranges())/1e6, "Mranges")
		b.ReportMetric(float64(len(m.city.records))/1e3, "krecords")
		b.ReportMetric(float64(info.Size())/1e6, "file-MB")
	})
	m := source.Map()
	for name, g := range map[string]Grouping{
		"by country":     {Countries: true},
		"by coordinates": {Coordinates: true},
	} {
		b.Run("group "+name, func(b *testing.B) {
			g.MaxRanges = maxGroupRanges
			g.Group = func(_ netip.Addr, p Place) (uint16, bool) {
				if g.Coordinates {
					return uint16(p.Longitude+180) / 60, true
				}
				return countries().index(p.Country) % 7, true
			}
			var groups *Groups
			for b.Loop() {
				before := heap()
				watch := watchHeap()
				var ok bool
				if groups, ok = m.Group(g); !ok {
					b.Fatal("no groups")
				}
				b.ReportMetric(float64(watch()-before)/1e6, "peak-MB")
			}
			b.ReportMetric(float64(groups.Size())/1e6, "size-MB")
			b.ReportMetric(float64(groups.Ranges())/1e6, "Mranges")
		})
	}
	addresses := make([]netip.Addr, 1<<16)
	r := rand.New(rand.NewPCG(33, 34))
	for i := range addresses {
		addresses[i] = address4(r.Uint32())
	}
	b.Run("look up", func(b *testing.B) {
		i := 0
		for b.Loop() {
			m.Lookup(addresses[i&(1<<16-1)])
			i++
		}
	})
}

// heap is how many bytes the heap has, garbage and all.
func heap() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse)
}

// watchHeap looks at the heap all the time, and tells what was the most.
func watchHeap() (most func() int64) {
	end, result := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for {
			most = max(most, heap())
			select {
			case <-end:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-result
	}
}
