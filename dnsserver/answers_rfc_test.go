package dnsserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// served makes a server of zone files, given by their paths without "zones/" and
// ".zone", and pools.
func served(t *testing.T, files map[string]string, pools string) *running {
	t.Helper()
	all := map[string]string{}
	if pools != "" {
		all["pools.json"] = pools
	}
	for name, text := range files {
		all["zones/"+name+".zone"] = text
	}
	a := newArchived(t, t.Name(), all)
	return start(t, Config{Table: func() Answerer { return a.table }})
}

// askText asks over UDP and TCP, and gives the answer as answerText has it, which
// is the same both times.
func askText(t *testing.T, s *running, name string, kind uint16) string {
	t.Helper()
	q := query{name: name, qtype: kind, opts: [][]byte{opt(1232, 0)}}.bytes()
	first := answerText(parse(t, ask(t, dial(t, "udp", s.address(false)), q)))
	if second := answerText(parse(t, ask(t, dial(t, "tcp", s.address(true)), q))); second != first {
		t.Errorf("%s %s over UDP\n%s, over TCP\n%s", name, dns.Type(kind), first, second)
	}
	return first
}

// TestRFC4592 asks the questions of RFC 4592, section 2.2.1.
func TestRFC4592(t *testing.T) {
	a := readTables(t, "testdata/tables/rfc4592.txtar")[0]
	s := start(t, Config{Table: func() Answerer { return a.table }})
	const soa = "authority: example. 60 IN SOA"
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode string
		want  string // the first record
	}{
		// "will be synthesized from one of the wildcards"
		{"host3.example.", dns.TypeMX, "NOERROR aa", "answer: host3.example. 3600 IN MX 10 host1.example."},
		{"host3.example.", dns.TypeA, "NOERROR aa", soa}, // "no error, but no data"
		{"foo.bar.example.", dns.TypeTXT, "NOERROR aa", `answer: foo.bar.example. 3600 IN TXT "this is a wildcard"`},
		// "will not be synthesized"
		{"host1.example.", dns.TypeMX, "NOERROR aa", soa},                                       // because host1.example. exists
		{"sub.*.example.", dns.TypeMX, "NOERROR aa", soa},                                       // because sub.*.example. exists
		{"_telnet._tcp.host1.example.", dns.TypeSRV, "NXDOMAIN aa", soa},                        // because _tcp.host1.example. exists
		{"host.subdel.example.", dns.TypeA, "NOERROR", "authority: subdel.example. 3600 IN NS"}, // because subdel.example. is a zone cut
		{"ghost.*.example.", dns.TypeMX, "NXDOMAIN aa", soa},                                    // because *.example. exists
	} {
		text := askText(t, s, c.name, c.kind)
		if got := strings.Split(text, "\n"); got[0] != "  "+c.rcode || !strings.HasPrefix(got[1], "  "+c.want) {
			t.Errorf("%s %s, expected %s and %s:\n%s", c.name, dns.Type(c.kind), c.rcode, c.want, text)
		}
	}
}

// TestRFC6672Substitution asks the questions of the table in RFC 6672, section
// 2.2: each owner and target is a zone of its own.
func TestRFC6672Substitution(t *testing.T) {
	for _, c := range []struct{ name, owner, target, want string }{
		{"com.", "example.com.", "example.net.", ""},
		{"example.com.", "example.com.", "example.net.", ""}, // "[0]": the owner itself is not renamed
		{"a.example.com.", "example.com.", "example.net.", "a.example.net."},
		{"a.b.example.com.", "example.com.", "example.net.", "a.b.example.net."},
		{"ab.example.com.", "b.example.com.", "example.net.", ""},
		{"foo.example.com.", "example.com.", "example.net.", "foo.example.net."},
		{"a.x.example.com.", "x.example.com.", "example.net.", "a.example.net."},
		{"a.example.com.", "example.com.", "y.example.net.", "a.y.example.net."},
		{"cyc.example.com.", "example.com.", "example.com.", "cyc.example.com."},
		{"cyc.example.com.", "example.com.", "c.example.com.", "cyc.c.example.com."},
		{"shortloop.x.x.", "x.", ".", "shortloop.x."},
		{"shortloop.x.", "x.", ".", "shortloop."},
	} {
		t.Run(c.name+" "+c.owner+" "+c.target, func(t *testing.T) {
			labels := dns.SplitDomainName(c.owner)
			apex := labels[len(labels)-1]
			s := served(t, map[string]string{
				apex: fmt.Sprintf("$TTL 77\n@ IN SOA ns.test. h.test. 1 2 3 4 5\n@ IN NS ns.test.\n%s IN DNAME %s\n", c.owner, c.target),
			}, "")
			text := askText(t, s, c.name, dns.TypeA)
			dname := fmt.Sprintf("answer: %s 77 IN DNAME %s\n", c.owner, c.target)
			cname := fmt.Sprintf("answer: %s 77 IN CNAME %s\n", c.name, c.want)
			if c.want == "" {
				if strings.Contains(text, "answer:") {
					t.Errorf("expected no answer:\n%s", text)
				}
			} else if !strings.Contains(text, "  "+dname+"  "+cname) {
				t.Errorf("expected\n%sand\n%sin\n%s", dname, cname, text)
			}
		})
	}
}

// TestNameTooLongForDNAME: 255 bytes are a name, 256 are not, and the answer is
// YXDOMAIN then (RFC 6672, section 2.2), whatever led there.
func TestNameTooLongForDNAME(t *testing.T) {
	label := strings.Repeat("x", 63)
	long := label + "." + label + "." + label + "." // 192 bytes
	// 192 + 1 + n + 2 + 6 bytes are asked for; 192 + 1 + n + 6 + 6 are what becomes of it.
	name := func(n int) string { return strings.Repeat("y", n) + "." + long + "o.test." }
	s := served(t, map[string]string{
		"test": "$TTL 77\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n" +
			"o IN DNAME longer\n*.longer IN A 127.0.0.2\nfits IN CNAME " + name(49) + "\nnot IN CNAME " + name(50) + "\n",
	}, "")
	if got := len(wireName(strings.Repeat("y", 49) + "." + long + "longer.test.")); got != 255 {
		t.Fatalf("the new name has %d bytes", got)
	}
	for _, c := range []struct {
		name   string
		kind   uint16
		rcode  string
		answer int
	}{
		{name(49), dns.TypeA, "NOERROR aa", 3},
		{name(50), dns.TypeA, "YXDOMAIN aa", 1},
		{name(51), dns.TypeA, "YXDOMAIN aa", 1},
		{name(50), dns.TypeCNAME, "YXDOMAIN aa", 1},
		{name(50), dns.TypeDNAME, "YXDOMAIN aa", 1},
		{name(50), dns.TypeANY, "YXDOMAIN aa", 1},
		{"fits.test.", dns.TypeA, "NOERROR aa", 4},
		{"not.test.", dns.TypeA, "YXDOMAIN aa", 2},
	} {
		text := askText(t, s, c.name, c.kind)
		if !strings.HasPrefix(text, "  "+c.rcode+"\n") || strings.Count(text, "answer:") != c.answer || strings.Contains(text, "authority:") {
			t.Errorf("%s %s, expected %s with %d records:\n%s", c.name, dns.Type(c.kind), c.rcode, c.answer, text)
		}
	}
}

// TestAliasesAreBounded asks for chains of aliases as long as an answer takes, and
// longer by one; and for circles.
func TestAliasesAreBounded(t *testing.T) {
	var zone strings.Builder
	zone.WriteString("$TTL 77\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\nend IN A 127.0.0.2\n" +
		"circle IN CNAME circle\none IN CNAME two\ntwo IN CNAME one\n*.w IN CNAME x.v\n*.v IN CNAME y.w\n" +
		"d IN DNAME e\ne IN DNAME d\nl1 IN CNAME end\n")
	for i := range 12 {
		fmt.Fprintf(&zone, "l%d IN CNAME l%d\n", i+2, i+1)
	}
	s := served(t, map[string]string{"test": zone.String()}, "")
	for _, c := range []struct {
		name             string
		aliases, records int
	}{
		{"l1.test.", 1, 2},
		{"l7.test.", 7, 8},
		{"l8.test.", 8, 8}, // as many as one answer has: the resolver asks on
		{"l9.test.", 8, 8},
		{"l13.test.", 8, 8},
		{"circle.test.", 1, 1},
		{"one.test.", 2, 2},
		{"two.test.", 2, 2},
		{"a.w.test.", 3, 3}, // to x.v, to y.w, to x.v
		{"y.w.test.", 2, 2},
		{"a.d.test.", 2, 4},
	} {
		text := askText(t, s, c.name, dns.TypeA)
		if strings.Count(text, "IN CNAME") != c.aliases || strings.Count(text, "answer:") != c.records || !strings.HasPrefix(text, "  NOERROR aa\n") {
			t.Errorf("%s, expected %d aliases among %d records:\n%s", c.name, c.aliases, c.records, text)
		}
	}
}
