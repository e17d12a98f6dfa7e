package dnsserver

import (
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/zones"
)

// tableTransfers gives what a table has, and no differences.
type tableTransfers struct{ *zones.Table }

func (tableTransfers) Since(string, uint32, int64) ([]zones.Packed, bool) { return nil, false }

// catalogTable is a zone and a catalog of any name.
func catalogTable(t *testing.T, catalog string) *zones.Table {
	t.Helper()
	definition, problems := pool.Inspect(fstest.MapFS{
		"pools.json":              {Data: []byte(`{"version": 1, "pools": [{"name": "dl.example.test", "health": {"check": "none"}, "members": [{"id": "a", "addresses": ["127.0.0.41"], "weight": 1}]}]}`)},
		"zones/example.test.zone": {Data: []byte("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\n*.wild TXT x\n*.alias CNAME ns\nsub NS ns\nat TXT x\ntree DNAME ns\n")},
	})
	static, more := zones.Parse(definition)
	if static == nil || pool.HasErrors(problems) {
		t.Fatal(problems, more)
	}
	table, err := zones.Compile(zones.Input{Definition: definition, Static: static, Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestCatalogAnywhere: whoever may transfer a catalog zone gets its SOA, also where
// its name lies in or above a zone that is served, and whatever that zone says of the
// name. Others get what the zone says, as for any other name.
func TestCatalogAnywhere(t *testing.T) {
	for catalog, others := range map[string]int{
		"catalog.example.test":   dns.RcodeNameError,
		"at.example.test":        dns.RcodeSuccess,
		"dl.example.test":        dns.RcodeSuccess,
		"x.wild.example.test":    dns.RcodeSuccess,
		"x.alias.example.test":   dns.RcodeSuccess,
		"sub.example.test":       dns.RcodeSuccess,
		"x.sub.example.test":     dns.RcodeSuccess,
		"x.tree.example.test":    dns.RcodeNameError,
		"test":                   dns.RcodeRefused,
		"catalog.invalid":        dns.RcodeRefused,
		"a.b.c.Example.Test.":    dns.RcodeNameError,
		"longer.dl.example.test": dns.RcodeNameError,
	} {
		table := catalogTable(t, catalog)
		s := startSecure(t, Config{
			Settings:  Settings{Transfer: TransferSettings{Allow: []TransferRule{{Network: netip.MustParsePrefix("127.0.0.1/32")}}}},
			Table:     func() Answerer { return table },
			Transfers: func() Transfers { return tableTransfers{table} },
		})
		for _, network := range []string{"udp", "tcp"} {
			for _, options := range [][][]byte{nil, {opt(1232, 0x8000)}, {opt(1232, 0, option(3, ""))}} {
				q := query{name: dns.Fqdn(catalog), qtype: dns.TypeSOA, opts: options}.bytes()
				m := parse(t, ask(t, dialAt(t, network, "127.0.0.1", s.address(false)), q))
				if m.Rcode != dns.RcodeSuccess || !m.Authoritative || len(m.Answer) != 1 || len(m.Ns) != 0 {
					t.Errorf("%s over %s, allowed: %x %v", catalog, network, q, m)
				} else if soa, is := m.Answer[0].(*dns.SOA); !is || soa.Ns != "invalid." || soa.Serial != table.Version(catalog).SOA.Serial {
					t.Errorf("%s over %s: %v is given", catalog, network, m.Answer[0])
				}
				m = parse(t, ask(t, dialAt(t, network, "127.0.0.3", s.address(false)), q))
				if m.Rcode != others || len(m.Answer) > 0 && m.Answer[0].Header().Rrtype == dns.TypeSOA {
					t.Errorf("%s over %s, a stranger: %v", catalog, network, m)
				}
			}
			// The zone's own SOA stays what it is.
			m := parse(t, ask(t, dialAt(t, network, "127.0.0.1", s.address(false)), query{name: "example.test.", qtype: dns.TypeSOA}.bytes()))
			if len(m.Answer) != 1 || m.Answer[0].(*dns.SOA).Ns != "ns.example.test." {
				t.Errorf("%s: the zone's SOA is %v", catalog, m)
			}
		}
	}
}
