package zones

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

func catalogInput(t *testing.T, apexes ...string) Input {
	t.Helper()
	definition := &pool.Definition{}
	for _, apex := range apexes {
		definition.Zones = append(definition.Zones, pool.ZoneFile{
			Path: "zones/" + apex + ".zone", Data: []byte("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\n"),
		})
	}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	return Input{Definition: definition, Static: static, Now: testNow, Catalog: "Catalog.Example"}
}

// TestCatalog holds what is in a catalog zone, that its serial follows the list of
// zones alone, and that nobody is answered from it.
func TestCatalog(t *testing.T) {
	in := catalogInput(t, "b.example", "a.example")
	first := mustCompile(t, in)
	version := first.Version("CATALOG.example")
	if version == nil {
		t.Fatal("there is no catalog")
	}
	want := `catalog.example. 0 IN SOA invalid. invalid. 1700000000 3600 600 2147483646 0
catalog.example. 0 IN NS invalid.
version.catalog.example. 0 IN TXT "2"
ac7bc1b89fa038485b4d2e08b7856c6d.zones.catalog.example. 0 IN PTR b.example.
c175fc847fdae717ed489fb9043f89ed.zones.catalog.example. 0 IN PTR a.example.
`
	if got := versionText(version); got != want {
		t.Errorf("the catalog is\n%sexpected\n%s", got, want)
	}
	if first.Serials()["catalog.example."].Number != version.SOA.Serial || first.CatalogProblem() != nil {
		t.Errorf("serials %v, problem %v", first.Serials(), first.CatalogProblem())
	}
	for _, name := range []string{"catalog.example.", "version.catalog.example.", "zones.catalog.example."} {
		for _, kind := range []uint16{dns.TypeSOA, dns.TypeTXT, dns.TypePTR} {
			if a := first.Answer(Question{Name: name, Type: kind}, rand.NewPCG(1, 1)); a.Rcode != dns.RcodeRefused || a.Authoritative {
				t.Errorf("%s %s is answered: %s", name, dns.Type(kind), answerText(a))
			}
		}
	}

	next := in
	next.Previous, next.Serials, next.Now = first, first.Serials(), in.Now.Add(time.Minute)
	if same := mustCompile(t, next); same.Version("catalog.example.") != version {
		t.Error("the catalog was made anew")
	}
	next.Previous = nil // a restart
	if same := mustCompile(t, next); same.Version("catalog.example.").SOA.Serial != version.SOA.Serial {
		t.Error("a restart has raised the serial")
	}
	more := catalogInput(t, "b.example", "a.example", "c.example")
	more.Previous, more.Serials, more.Now = first, first.Serials(), in.Now.Add(time.Minute)
	longer := mustCompile(t, more).Version("catalog.example.")
	if longer.SOA.Serial == version.SOA.Serial {
		t.Error("a new zone has not raised the serial")
	}
	d := Compare(version, longer)
	if got := differenceText(d); len(d.Deleted) != 0 || len(d.Added) != 1 || !strings.HasSuffix(got, "PTR c.example.\n") {
		t.Errorf("the difference is\n%s", got)
	}
}

// TestCatalogGivesWay: a zone of the repository is served, whatever the catalog is
// called, and secondaries do not get it for the catalog.
func TestCatalogGivesWay(t *testing.T) {
	in := catalogInput(t, "catalog.example", "a.example")
	table := mustCompile(t, in)
	if err := table.CatalogProblem(); err == nil || !strings.Contains(err.Error(), "zones/catalog.example.zone") || !strings.Contains(err.Error(), "dns.transfer.catalog") {
		t.Errorf("the problem is %v", err)
	}
	a := table.Answer(Question{Name: "ns.catalog.example.", Type: dns.TypeA}, rand.NewPCG(1, 1))
	if len(a.Answer) != 1 {
		t.Errorf("answered: %s", answerText(a))
	}
	if table.Version("Catalog.Example") != nil {
		t.Error("the zone is transferred in the catalog's place")
	}
	if soa := table.SOA("catalog.example."); soa == nil || soa.Serial == 0 {
		t.Errorf("the zone's SOA is %v", soa)
	}
	if table.Version("a.example.") == nil {
		t.Error("another zone is not transferred")
	}
	// The way out: another catalog.
	in.Catalog, in.Previous, in.Serials = "other.example", table, table.Serials()
	if v := mustCompile(t, in).Version("catalog.example"); v == nil || !strings.Contains(versionText(v), "127.0.0.1") {
		t.Error("without the clash the zone is not transferred")
	}
}

// TestIsCatalog: in any case, and nothing but the name itself.
func TestIsCatalog(t *testing.T) {
	with := mustCompile(t, catalogInput(t, "example"))
	without := catalogInput(t, "example")
	without.Catalog = ""
	for name, is := range map[string]bool{"catalog.example.": true, "CATALOG.Example.": true, "x.catalog.example.": false, "example.": false, ".": false} {
		var wire WireName
		if !wire.set(name) || with.IsCatalog(&wire) != is || mustCompile(t, without).IsCatalog(&wire) {
			t.Errorf("%s: expected %v", name, is)
		}
	}
}

func TestValidCatalog(t *testing.T) {
	for name, ok := range map[string]bool{
		"catalog.example": true, "catalog.example.": true, "c": true, "": false, ".": false, "a..b": false, "a b": false,
		strings.Repeat("a123456.", 25) + "example": true, strings.Repeat("a123456.", 28): false, strings.Repeat("x", 64): false,
	} {
		if err := ValidCatalog(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
