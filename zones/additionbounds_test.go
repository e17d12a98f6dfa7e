package zones

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// crowd gives names many addresses each.
func crowd(count int, format string) string {
	var records strings.Builder
	for i := range count {
		for j := range 16 {
			fmt.Fprintf(&records, "$GENERATE 0-249 %s A 127.%d.%d.$\n", fmt.Sprintf(format, i), i, j)
		}
	}
	return records.String()
}

// TestAdditionalOfManyNames: the addresses of a wildcard are put together no
// oftener than one message holds them, however many names it stands for.
func TestAdditionalOfManyNames(t *testing.T) {
	const least = 1 + recordFixed + 4
	table := zoneTable(t, "$GENERATE 1-300 mx MX 1 h$.w\n$GENERATE 1-300 sub NS h$.w\n$GENERATE 1-300 s HTTPS 1 h$.w\n"+
		"a HTTPS 1 h1.w\nb HTTPS 0 a\nb HTTPS 1 h2.w\n*.v HTTPS 1 .\n*.v HTTPS 2 h1.w\n"+crowd(1, "*.v%.0d")+crowd(1, "*.w%.0d"))
	for _, q := range []Question{
		{Name: "mx.example.org.", Type: dns.TypeMX},
		{Name: "x.sub.example.org.", Type: dns.TypeA},
		{Name: "s.example.org.", Type: dns.TypeHTTPS},
		{Name: "b.example.org.", Type: dns.TypeHTTPS},
		{Name: "x.v.example.org.", Type: dns.TypeHTTPS},
	} {
		count := 0
		for _, rr := range table.Answer(q, nil).Additional {
			if rr.Header().Rrtype == dns.TypeA {
				count++
			}
		}
		if count == 0 || count*least > maxMessage {
			t.Errorf("%s %s: %d addresses", q.Name, dns.Type(q.Type), count)
		}
	}
	for name, node := range table.static.zones["example.org."].nodes {
		for _, set := range node.Sets {
			count := 0
			for _, one := range set.Additional {
				if one.Service == nil {
					count += len(one.Records)
				}
			}
			if count*least > maxMessage {
				t.Errorf("%s %s keeps %d addresses", name, dns.Type(set.Type), count)
			}
		}
	}
}

// TestGlueBeyondAMessage: a referral without glue that it needs is truncated,
// also where no message has room for it; one without other addresses is not.
func TestGlueBeyondAMessage(t *testing.T) {
	table := zoneTable(t, "sub NS ns0.sub\nsub NS ns1.sub\nsub NS ns2.sub\nelse NS ns0.sub\nelse NS ns1.sub\nelse NS ns.else\nns.else A 127.0.0.1\n"+
		"one NS ns0.sub\none NS ns1.other\n"+crowd(3, "ns%d.sub")+crowd(2, "ns%d.other"))
	p := newPathPair(table)
	for _, c := range []struct {
		name      string
		limit     int
		truncated bool
		most      int
	}{
		{"x.sub.example.org.", maxMessage, true, 8000},
		{"x.sub.example.org.", 1232, true, 8000},
		{"x.else.example.org.", maxMessage, false, 4001},
		{"x.else.example.org.", 512, false, 4001},
		{"x.one.example.org.", maxMessage, false, 4000},
	} {
		a := table.Answer(Question{Name: c.name, Type: dns.TypeA}, nil)
		var question [maxName]byte
		n, err := dns.PackDomainName(c.name, question[:], 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.packer.Begin(append(question[:n], 0, 1, 0, 1), c.name, c.limit); err != nil {
			t.Fatal(err)
		}
		if err := p.packer.Fill(&a); err != nil {
			t.Fatal(err)
		}
		if p.packer.Truncated != c.truncated || len(a.Additional) > c.most {
			t.Errorf("%s within %d: truncated %v, %d addresses", c.name, c.limit, p.packer.Truncated, len(a.Additional))
		}
		if ready := p.ask(t, c.name, dns.TypeA, netip.Addr{}, c.limit, 1); ready && c.truncated {
			t.Errorf("%s within %d is answered by Append", c.name, c.limit)
		}
	}
}

// TestServicesShare: however many records lead in alias mode to the same names,
// what these lead to is kept once, and put together for a bounded number of them.
func TestServicesShare(t *testing.T) {
	var records strings.Builder
	for i := range 9 {
		fmt.Fprintf(&records, "$GENERATE 1-200 a%d HTTPS 1 t$\na%d HTTPS 0 a%d\n", i, i, i+1)
	}
	table := zoneTable(t, "$GENERATE 1-500 h$ HTTPS 0 a0\n$GENERATE 1-40 t$ A 127.0.0.$\n"+records.String())
	nodes := table.static.zones["example.org."].nodes
	first := nodes["a0.example.org."].set(dns.TypeHTTPS)
	if len(first.Additional) > maxServiceNames+1 {
		t.Errorf("a0 has %d additions", len(first.Additional))
	}
	for i := range 500 {
		name := fmt.Sprintf("h%d.example.org.", i+1)
		set := nodes[name].set(dns.TypeHTTPS)
		if len(set.Additional) != 1 || set.Additional[0].Service != first {
			t.Fatalf("%s does not share what a0 leads to: %d additions", name, len(set.Additional))
		}
	}
	addresses := 0
	for _, rr := range table.Answer(Question{Name: "h1.example.org.", Type: dns.TypeHTTPS}, nil).Additional {
		if rr.Header().Rrtype == dns.TypeA {
			addresses++
		}
	}
	if addresses != maxServiceNames {
		t.Errorf("%d addresses, expected %d", addresses, maxServiceNames)
	}
}

// TestWildcardServesOthersToo: where a wildcard's records are of services at the
// name asked for and at another that it stands for, the addresses of both are
// there, once, whichever of them is asked for.
func TestWildcardServesOthersToo(t *testing.T) {
	table := zoneTable(t, "*.w HTTPS 1 .\n*.w HTTPS 2 foo.w\n*.w A 127.0.0.9\nx HTTPS 0 bar.w\nc CNAME foo.w\n")
	p := newPathPair(table)
	for name, want := range map[string]string{
		"bar.w.example.org.":   "bar.w foo.w",
		"b.bar.w.example.org.": "b.bar.w foo.w",
		"foo.w.example.org.":   "foo.w",
		"FOO.w.example.org.":   "FOO.w",
		"*.w.example.org.":     "*.w foo.w",
		"x.example.org.":       "bar.w bar.w foo.w", // the first is the HTTPS RRset's
		"c.example.org.":       "foo.w",
	} {
		var got []string
		for rest := table.Answer(Question{Name: name, Type: dns.TypeHTTPS}, nil).Additional; len(rest) > 0; rest = rest[setLength(rest):] {
			got = append(got, strings.TrimSuffix(rest[0].Header().Name, ".example.org."))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: addresses of %q, expected %q", name, got, want)
		}
		for _, limit := range []int{512, maxMessage} {
			p.ask(t, name, dns.TypeHTTPS, netip.Addr{}, limit, 1)
		}
	}
}
