package zones

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// zoneTable compiles one zone, example.org.
func zoneTable(t *testing.T, records string) *Table {
	t.Helper()
	definition := &pool.Definition{Zones: []pool.ZoneFile{{
		Path: "zones/example.org.zone",
		Data: []byte("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.53\n" + records),
	}}}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	table, err := Compile(Input{Definition: definition, Static: static, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestAdditionalIsShared: however many records point to a name, its addresses
// are there once.
func TestAdditionalIsShared(t *testing.T) {
	table := zoneTable(t, "$GENERATE 1-255 host A 127.0.$.1\n$GENERATE 1-200 host A 127.1.0.$\n$GENERATE 1-300 mx$ MX 10 host\n*.w MX 10 host\n")
	zone := table.static.zones["example.org."]
	addresses := zone.nodes["host.example.org."].set(dns.TypeA).Records
	for i := range 300 {
		set := zone.nodes[fmt.Sprintf("mx%d.example.org.", i+1)].set(dns.TypeMX)
		if len(set.Additional) != 1 || &set.Additional[0].Records[0] != &addresses[0] {
			t.Fatalf("mx%d has its own copy", i+1)
		}
	}
}

// TestAdditionalIsBounded: records in alias mode are followed for some steps, and
// to some names.
func TestAdditionalIsBounded(t *testing.T) {
	var records strings.Builder
	for i := range 20 {
		fmt.Fprintf(&records, "s%d HTTPS 0 s%d\ns%d A 127.0.1.%d\n", i, i+1, i, i)
	}
	for i := range 100 {
		fmt.Fprintf(&records, "many HTTPS %d host%d\nhost%d A 127.0.2.%d\nmx MX 10 host%d\n", i+1, i, i, i, i)
	}
	table := zoneTable(t, records.String())
	for _, c := range []struct {
		name      string
		kind      uint16
		addresses int
		others    int
	}{
		{"s0.example.org.", dns.TypeHTTPS, maxAliases + 1, maxAliases},
		{"many.example.org.", dns.TypeHTTPS, maxServiceNames, 0},
		{"mx.example.org.", dns.TypeMX, 100, 0},
	} {
		addresses, others := 0, 0
		for _, rr := range table.Answer(Question{Name: c.name, Type: c.kind}, nil).Additional {
			if rr.Header().Rrtype == dns.TypeA {
				addresses++
			} else {
				others++
			}
		}
		if addresses != c.addresses || others != c.others {
			t.Errorf("%s: %d addresses and %d others, expected %d and %d", c.name, addresses, others, c.addresses, c.others)
		}
	}
}

// TestNoHiddenAdditional: what a delegation or a DNAME hides is nobody's
// additional data, but for glue of the delegations.
func TestNoHiddenAdditional(t *testing.T) {
	table := zoneTable(t, `
sub NS ns.sub
sub NS ns
ns.sub A 127.0.1.1
www.sub A 127.0.1.2
d DNAME elsewhere.test.
mx MX 1 ns.sub
mx MX 2 www.sub
mx MX 3 sub
mx MX 4 a.d
srv SRV 1 2 3 ns.sub
https HTTPS 1 www.sub
https HTTPS 0 ns.sub
`)
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"mx.example.org.", dns.TypeMX, ""},
		{"srv.example.org.", dns.TypeSRV, ""},
		{"https.example.org.", dns.TypeHTTPS, ""},
		{"x.sub.example.org.", dns.TypeA, "ns.sub.example.org. 127.0.1.1, ns.example.org. 127.0.0.53"},
	} {
		var got []string
		for _, rr := range table.Answer(Question{Name: c.name, Type: c.kind}, nil).Additional {
			got = append(got, rr.Header().Name+" "+addressOf(rr).String())
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
}
