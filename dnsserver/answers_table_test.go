package dnsserver

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"mirrorpool/zones"
)

var updateTables = flag.Bool("update", false, "write the answers that the tests find into the archives in testdata/tables")

// answerTables are the archives with a section of answers.
var answerTables = []string{"rfc4592", "wildcards", "dname", "aliases", "additional", "cuts", "types"}

// TestAnswerTables asks the questions of the archives over UDP and TCP, holds the
// answers, and sees that each is counted.
func TestAnswerTables(t *testing.T) {
	for _, name := range answerTables {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata/tables", name+".txtar")
			a := readTables(t, path)[0]
			s := start(t, Config{Table: func() Answerer { return a.table }})
			var out strings.Builder
			for _, fields := range a.lines("questions") {
				q := questionOf(t, fields)
				fmt.Fprintf(&out, "\n%s\n%s", strings.Join(fields, " "), askEachWay(t, s, a, q))
			}
			if *updateTables {
				writeAnswers(t, path, out.String())
				return
			}
			if diff := cmp.Diff(strings.Split(a.files["answers"], "\n\n"), strings.Split(out.String(), "\n\n")); diff != "" {
				t.Errorf("%s (-expected +found; -update writes it):\n%s", path, diff)
			}
		})
	}
}

func writeAnswers(t *testing.T, path, answers string) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "answers" })
	archive.Files = append(archive.Files, txtar.File{Name: "answers", Data: []byte(answers)})
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// questionOf reads a line such as "www.example.test. TYPE65280".
func questionOf(t *testing.T, fields []string) dns.Question {
	t.Helper()
	q := dns.Question{Name: fields[0], Qtype: dns.StringToType[fields[1]], Qclass: dns.ClassINET}
	if _, err := fmt.Sscanf(fields[1], "TYPE%d", &q.Qtype); err != nil && q.Qtype == 0 {
		t.Fatalf("no type: %q", fields)
	}
	return q
}

// askEachWay asks over UDP and TCP, by IPv4 and IPv6, and gives the answer, which
// is the same each time.
func askEachWay(t *testing.T, s *running, a *archived, q dns.Question) string {
	t.Helper()
	pool := a.table.Answer(zones.Question{Name: q.Name, Type: q.Qtype}, newRandom()).Pool
	var texts []string
	for _, way := range ways {
		packet := query{id: 7, name: q.Name, qtype: q.Qtype}
		if way.network == "udp" {
			packet.opts = [][]byte{opt(1232, 0)}
		}
		before := s.answered(pool)
		c := dial(t, way.network, s.address(way.v6))
		answer := ask(t, c, packet.bytes())
		c.Close()
		m := parse(t, answer)
		if m.Id != 7 || !m.Response || m.Truncated || m.RecursionAvailable || m.AuthenticatedData || m.CheckingDisabled {
			t.Errorf("%s %s over %s: header %+v", q.Name, dns.Type(q.Qtype), way.name, m.MsgHdr)
		}
		if got := string(answer[headerSize : headerSize+len(wireName(q.Name))]); got != string(wireName(q.Name)) {
			t.Errorf("%s over %s comes back as %q", q.Name, way.name, got)
		}
		want := maps.Clone(before)
		want[dns.RcodeToString[m.Rcode]+" "+way.network]++
		if diff := cmp.Diff(want, s.answered(pool)); diff != "" {
			t.Errorf("%s %s over %s is counted so (-expected +found):\n%s", q.Name, dns.Type(q.Qtype), way.name, diff)
		}
		texts = append(texts, answerText(m))
	}
	for i, text := range texts {
		if text != texts[0] {
			t.Errorf("%s %s over %s\n%s\nand over %s\n%s", q.Name, dns.Type(q.Qtype), ways[0].name, texts[0], ways[i].name, text)
		}
	}
	return texts[0]
}

// answered gives how many questions of a pool (empty: of none) were answered, by
// response code and transport.
func (r *running) answered(pool string) map[string]float64 {
	r.metrics.sum()
	all := make(map[string]float64)
	for _, rcode := range []string{"NOERROR", "NXDOMAIN", "YXDOMAIN", "REFUSED", "SERVFAIL", "FORMERR"} {
		for _, network := range []string{"udp", "tcp"} {
			all[rcode+" "+network] = counted(r.metrics.queries, pool, rcode, network)
		}
	}
	return all
}

// answerText is an answer as a person reads it. What was drawn is sorted.
func answerText(m *dns.Msg) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s", dns.RcodeToString[m.Rcode])
	if m.Authoritative {
		b.WriteString(" aa")
	}
	b.WriteByte('\n')
	for _, section := range []struct {
		name    string
		records []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		all := lines(section.records)
		if section.name == "answer" {
			sortAddresses(all)
		}
		for _, line := range all {
			fmt.Fprintf(&b, "  %s: %s\n", section.name, line)
		}
	}
	return b.String()
}

// sortAddresses sorts the addresses at the end: they may have been drawn.
func sortAddresses(all []string) {
	first := len(all)
	for first > 0 && isAddress(strings.Fields(strings.ToLower(all[first-1]))) {
		first--
	}
	slices.Sort(all[first:])
}
