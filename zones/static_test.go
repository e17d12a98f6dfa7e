package zones

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/fstest"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// The zones of a definition are good for the same with other addresses, and for no other.
func TestStaticFor(t *testing.T) {
	parsed := func(pools string) (*pool.Definition, *Static) {
		t.Helper()
		definition, problems := pool.Parse(fstest.MapFS{
			"pools.json":         {Data: []byte(`{"pools": [` + pools + `]}`)},
			"zones/example.zone": {Data: []byte("@ 300 IN SOA ns h 1 2 3 4 5\n@ 300 IN NS ns\nns 300 IN A 127.0.0.1\n")},
		})
		if definition == nil {
			t.Fatal(problems)
		}
		static, problems := Parse(definition)
		if static == nil {
			t.Fatal(problems)
		}
		return definition, static
	}
	const named = `{"name": "dl.example", "health": {"check": "none"}, "members": [{"id": "a", "host": "m.test", "weight": 1}]}`
	definition, static := parsed(named)
	at := func(text string) *pool.Definition {
		return definition.Resolved(func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} })
	}
	var before *Table
	var serials map[string]Serial
	for i, address := range []string{"127.0.0.2", "127.0.0.3"} {
		resolved := at(address)
		table, err := Compile(Input{Definition: resolved, Static: static.For(resolved), Now: time.Unix(1_800_000_000+int64(i)*3600, 0), Previous: before, Serials: serials})
		if err != nil {
			t.Fatal(err)
		}
		answer := table.Answer(Question{Name: "dl.example.", Type: dns.TypeA}, rand.NewPCG(1, 2))
		if len(answer.Answer) != 1 || answer.Answer[0].(*dns.A).A.String() != address {
			t.Errorf("answered %v, want %s", answer.Answer, address)
		}
		if before != nil && table.Serials()["example."].Number == before.Serials()["example."].Number {
			t.Error("other addresses have the same serial")
		}
		before, serials = table, table.Serials()
	}
	if static.For(definition) != static {
		t.Error("the definition's own zones are copied")
	}
	for _, pools := range []string{``, named + `, {"name": "x.example", "members": [{"id": "a", "host": "m.test", "weight": 1}]}`, `{"name": "x.example", "members": [{"id": "a", "host": "m.test", "weight": 1}]}`} {
		other, _ := parsed(pools)
		if static.For(other) != nil {
			t.Errorf("the zones are taken for those of %s", pools)
		}
	}
	if _, err := Compile(Input{Definition: at("127.0.0.2"), Static: static}); err == nil {
		t.Error("zones of another definition were compiled")
	}
}
