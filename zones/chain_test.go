package zones

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// chainText writes a chain as NSEC records.
func chainText(c *chain, apexTypes, poolTypes []uint16) string {
	var out strings.Builder
	for i := range c.links {
		record := c.record(i, 60, c.types(i, apexTypes, poolTypes))
		fmt.Fprintf(&out, "%s %s", record.Hdr.Name, record.NextDomain)
		for _, kind := range record.TypeBitMap {
			out.WriteString(" " + dns.Type(kind).String())
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestChains holds the chains of every archive chains-*.txtar.
func TestChains(t *testing.T) {
	for _, a := range readArchives(t, "chains-*.txtar") {
		t.Run(a.path, func(t *testing.T) {
			var out strings.Builder
			for _, zone := range a.table(t).static.sorted {
				fmt.Fprintf(&out, "\n%s", chainText(newChain(zone), []uint16{dns.TypeDNSKEY}, []uint16{dns.TypeA, dns.TypeAAAA}))
			}
			a.compare(t, "chains", out.String())
		})
	}
}

// canonicalOrder compares names as RFC 4034, section 6.1, says it.
func canonicalOrder(a, b string) int {
	labels := func(name string) (out [][]byte) {
		var wire [maxName + 1]byte
		length, err := dns.PackDomainName(name, wire[:], 0, nil, false)
		if err != nil {
			panic(err)
		}
		for at := 0; at < length-1; at += 1 + int(wire[at]) {
			out = append(out, []byte(lower(string(wire[at+1:at+1+int(wire[at])]))))
		}
		slices.Reverse(out)
		return out
	}
	return slices.CompareFunc(labels(a), labels(b), bytes.Compare)
}

// The example of RFC 4034, section 6.1.
func TestCanonicalOrder(t *testing.T) {
	names := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
		`\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	var keys [][]byte
	c := chain{apexLabels: 1}
	for _, name := range names {
		var wire WireName
		if !wire.set(name) {
			t.Fatal(name)
		}
		keys = append(keys, c.appendKey(nil, &wire, 0))
	}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Errorf("%q", keys)
	}
	if !slices.IsSortedFunc(names, canonicalOrder) {
		t.Error("the test has another order")
	}
}

// randomOwner is a name of few labels of few and strange bytes, so that names meet
// and lie close together.
func randomOwner(r *rand.Rand, apex string) string {
	parts := []string{"a", "b", "B", "*", "-", `\000`, `\001`, `\002`, `\127`, `\200`, `\255`, `\.`, "aa", `a\000`, `a\000b`, "zzzzzzzz", "zzzzzzzza", "zzzzzzzzb"}
	name := strings.TrimPrefix(apex, ".")
	for range r.IntN(5) {
		label := ""
		for range 1 + r.IntN(2) {
			label += parts[r.IntN(len(parts))]
		}
		name = label + "." + name
	}
	return dns.Fqdn(name)
}

// TestChainFinds holds the order of random chains and what is found in them
// against RFC 4034, section 6.1, read naively.
func TestChainFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		apex := []string{"example.", `\.x.Example.`, "."}[round%3]
		text := fmt.Sprintf("$ORIGIN %s\n$TTL 1\n@ SOA . . 1 2 3 4 5\n@ NS .\n", apex)
		owners := []string{canonical(apex)}
		for range r.IntN(30) {
			name := randomOwner(r, apex)
			owners = append(owners, canonical(name))
			text += name + " TXT x\n"
		}
		static := parsed(t, map[string]string{"x": text})
		c := newChain(static.sorted[0])
		slices.SortFunc(owners, canonicalOrder)
		owners = slices.Compact(owners)
		var names []string
		for _, one := range c.links {
			names = append(names, one.name)
		}
		if !slices.Equal(names, owners) {
			t.Fatalf("the chain is %q, expected %q", names, owners)
		}
		for i := range 100 {
			name := randomOwner(r, apex)
			if i%3 == 0 {
				name = owners[r.IntN(len(owners))]
			}
			want, exactly := slices.BinarySearchFunc(owners, canonical(name), canonicalOrder)
			if !exactly {
				want--
			}
			if index, exact := c.find(canonical(name)); index != want || exact != exactly {
				t.Fatalf("%q was found at %d, %v, expected at %d, %v, in %q", name, index, exact, want, exactly, owners)
			}
		}
	}
}

// TestChainTypes: whatever a name answers with records stands in its bitmap, and
// nothing else does.
func TestChainTypes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		_, text := randomZone(r)
		static := parsed(t, map[string]string{"zone.test": text},
			&pool.Pool{Name: "pool.zone.test", TTL: 60, Answers: 1, Members: []*pool.Member{}})
		zone := static.sorted[0]
		c := newChain(zone)
		table := unpooled(static)
		for i, one := range c.links {
			types := c.types(i, []uint16{dns.TypeDNSKEY}, []uint16{dns.TypeA})
			if !slices.IsSortedFunc(types, func(a, b uint16) int { return cmp.Compare(a, b) }) || len(slices.Compact(slices.Clone(types))) != len(types) {
				t.Fatalf("%s: %v is no bitmap", one.name, types)
			}
			want := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
			if one.name == zone.Apex {
				want = append(want, dns.TypeDNSKEY, dns.TypeSOA)
			}
			if one.node.Pool >= 0 {
				want = append(want, dns.TypeA)
			}
			if one.node.Delegation {
				want = append(want, dns.TypeNS)
			}
			for kind := range uint16(300) {
				if isMeta(kind) || kind == dns.TypeSOA || kind == dns.TypeNone {
					continue
				}
				l := lookup{table: table, question: Question{Name: one.name, Type: kind}, name: one.name, key: one.name, zone: table.zones[zone.Apex]}
				l.step()
				if len(l.answer.Answer) > 0 && l.answer.Answer[0].Header().Rrtype == kind {
					want = append(want, kind)
				}
			}
			slices.Sort(want)
			if want = slices.Compact(want); !slices.Equal(types, want) {
				t.Fatalf("%s: the bitmap is %v, but the name has %v in\n%s", one.name, types, want, text)
			}
		}
	}
}

// BenchmarkChainFind finds what covers a name among 100,000.
func BenchmarkChainFind(b *testing.B) {
	for _, format := range []string{"h%[1]d.n%[2]d", "host%06[1]d", "%08[3]x"} {
		b.Run(format, func(b *testing.B) {
			r := rand.New(rand.NewPCG(5, 6))
			var text strings.Builder
			text.WriteString("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns.other.test.\n")
			for i := range 100_000 {
				fmt.Fprintf(&text, format+" TXT x\n", i, i%1000, r.Uint32())
			}
			c := newChain(parsed(b, map[string]string{"example.org": text.String()}).sorted[0])
			names := make([]WireName, 4096)
			for i := range names {
				n := r.IntN(100_000)
				name := strings.Split(fmt.Sprintf(format+"\x00%[1]d%[2]d%[3]d", n, n%1000, r.Uint32()), "\x00")[0]
				if !names[i].set(name + "-.example.org.") {
					b.Fatal(name)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.findWire(&names[i%len(names)], 0)
				i++
			}
		})
	}
}
