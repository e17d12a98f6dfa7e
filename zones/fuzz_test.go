package zones

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"mirrorpool/pool"
)

// FuzzParse: no zone file makes Parse fail in another way than by problems
// that name the file, and what it takes can be compiled and asked, and every
// record in an answer can be packed.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(data).Files {
			if filepath.Dir(file.Name) == "zones" {
				f.Add(file.Data, "www.example.org.", dns.TypeA)
			}
		}
	}
	f.Add([]byte("$TTL 1\n@ SOA . . 1 2 3 4 5\n@ NS .\n* LOC 1 N 1 E 0m\n"), "x.example.org.", dns.TypeLOC)
	const limit = 1000 // enough to find what there is to find, and quick
	f.Fuzz(func(t *testing.T, data []byte, name string, kind uint16) {
		definition := &pool.Definition{
			Zones: []pool.ZoneFile{{Path: "zones/example.org.zone", Data: data}},
			Pools: []*pool.Pool{{Name: "dl.example.org", TTL: 1, Answers: 1}},
		}
		static, problems := parse(definition, limit)
		if (static == nil) != pool.HasErrors(problems) {
			t.Fatalf("Static is nil: %v, but %v", static == nil, problems)
		}
		for _, p := range problems {
			if p.Line < 0 || p.Expected == "" || p.File == "" && p.What != "pools[0].name" {
				t.Fatalf("a problem without place or words: %+v", p)
			}
		}
		if static == nil {
			return
		}
		table, err := Compile(Input{Definition: definition, Static: static, Now: testNow})
		if err != nil {
			t.Fatal(err)
		}
		names := append([]string{name, "x." + name}, static.sorted[0].names...)
		for i, asked := range names[:min(len(names), 100)] {
			if _, ok := dns.IsDomainName(asked); !ok && i < 2 {
				continue
			}
			for _, k := range []uint16{kind, dns.TypeA, dns.TypeANY} {
				checkAnswer(t, table.Answer(Question{Name: asked, Type: k}, rand.NewPCG(1, 1)))
			}
		}
	})
}

// checkAnswer holds what is true of every answer.
func checkAnswer(t *testing.T, a Answer) {
	t.Helper()
	if a.Drawn > len(a.Answer) || a.Rcode == dns.RcodeRefused && a.Authoritative {
		t.Fatalf("an answer that cannot be:\n%s", answerText(a))
	}
	if a.Rcode == dns.RcodeNameError && len(a.Authority) == 0 {
		t.Fatalf("NXDOMAIN without SOA:\n%s", answerText(a))
	}
	for _, section := range [][]dns.RR{a.Answer, a.Authority, a.Additional} {
		for _, rr := range section {
			buffer := make([]byte, dns.MaxMsgSize+512)
			if _, err := dns.PackRR(dns.Copy(rr), buffer, 0, nil, false); err != nil {
				t.Fatalf("%v cannot be packed: %v", rr, err)
			}
		}
	}
}
