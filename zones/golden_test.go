package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// TestAnswers holds the answers of every archive answers-*.txtar.
func TestAnswers(t *testing.T) {
	questions := 0
	for _, a := range readArchives(t, "answers-*.txtar") {
		t.Run(a.path, func(t *testing.T) {
			table := a.table(t)
			var out strings.Builder
			for _, fields := range a.lines("questions") {
				questions++
				q := parseQuestion(t, fields)
				answer := table.Answer(q, rand.NewPCG(1, 2))
				fmt.Fprintf(&out, "\n%s\n%s", strings.Join(fields, " "), answerText(answer))
			}
			a.compare(t, "answers", out.String())
		})
	}
	if questions < 100 {
		t.Errorf("%d questions were asked: archives are missing", questions)
	}
}

// TestProblems holds what Parse says of every archive problems-*.txtar.
func TestProblems(t *testing.T) {
	for _, a := range readArchives(t, "problems-*.txtar") {
		t.Run(a.path, func(t *testing.T) {
			definition, problems := pool.Parse(a.repository())
			if definition == nil {
				t.Fatalf("the repository is no good before its zones are looked at: %v", problems)
			}
			static, problems := Parse(definition)
			if (static == nil) != pool.HasErrors(problems) {
				t.Errorf("Static is nil: %v; problems have errors: %v", static == nil, pool.HasErrors(problems))
			}
			var out strings.Builder
			for _, p := range problems {
				fmt.Fprintln(&out, p)
			}
			a.compare(t, "problems", out.String())
		})
	}
}

// TestDuplicatePoolOnce: a pool's name that stands there twice is reported by
// one of the two that check it.
func TestDuplicatePoolOnce(t *testing.T) {
	one := `{"name": "dl.example.org", "health": {"check": "none"}, "members": [{"id": "a", "addresses": ["8.8.8.1"], "weight": 1}]}`
	definition, problems := pool.Inspect(fstest.MapFS{
		"pools.json":             {Data: []byte(`{"pools": [` + one + `,` + one + `]}`)},
		"zones/example.org.zone": {Data: []byte("$TTL 1\n@ SOA . . 1 2 3 4 5\n@ NS .\n")},
	})
	_, more := Parse(definition)
	if problems = append(problems, more...); len(problems) != 1 {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
}

// TestLimits: what one file can make of the machine and of the log is bounded.
func TestLimits(t *testing.T) {
	head := "$TTL 1\n@ SOA . . 1 2 3 4 5\n@ NS .\n"
	definition := func(file string) *pool.Definition {
		return &pool.Definition{Zones: []pool.ZoneFile{
			{Path: "zones/a.example.zone", Data: []byte(head + file)},
			{Path: "zones/b.example.zone", Data: []byte(head)},
		}}
	}
	static, problems := parse(definition("$GENERATE 1-60000 h$ A 127.0.0.1\n"), 1000)
	if static != nil || len(problems) != 2 || problems[0].Line != 4 || !strings.Contains(problems[0].String(), "at most 1000") {
		t.Errorf("too many records: %v", problems)
	}
	static, problems = Parse(definition("$GENERATE 1-600 h A 127.0.0.1\nx A 127.0.0.1\nx CNAME h\n$GENERATE 1-2 y$ TXT \"$\"\n"))
	if static != nil || len(problems) != maxProblems+1 || problems[0].String() != "zones/a.example.zone: error: found 100 more problems, expected those listed to be mended first" {
		t.Errorf("%d problems, the first %v", len(problems), problems[0])
	}
	static, problems = Parse(definition("$GENERATE 1-8000 h A 127.0.${0}.$\n"))
	if static != nil || len(problems) == 0 {
		t.Error("a broken $GENERATE was taken")
	}
	static, problems = Parse(definition("$GENERATE 0-255 h A 127.0.0.$\n$GENERATE 1-5000 h A 127.0.1.1\n"))
	if static == nil || static.zones["a.example."].Records != 259 {
		t.Errorf("an RRset of 257 records: %v", problems[len(problems)-1])
	}
	var large strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&large, "h A 127.0.%d.%d\n", i/256, i%256)
	}
	static, problems = Parse(definition(large.String()))
	if static != nil || len(problems) != 1 || !strings.Contains(problems[0].Found, "one message") {
		t.Errorf("an RRset that no message holds: %v", problems)
	}
}

func parseQuestion(t *testing.T, fields []string) Question {
	t.Helper()
	q := Question{Name: fields[0], Type: dns.StringToType[fields[1]]}
	if q.Type == 0 {
		if _, err := fmt.Sscanf(fields[1], "TYPE%d", &q.Type); err != nil {
			t.Fatalf("no type: %q", fields)
		}
	}
	if len(fields) > 2 {
		q.Client = netip.MustParseAddr(fields[2])
	}
	if len(fields) > 3 {
		q.Resolver = netip.MustParseAddr(fields[3])
	}
	return q
}

// answerText writes an answer. What was drawn comes sorted: the order in which
// a seed draws is the business of the rule of choice.
func answerText(a Answer) string {
	var out strings.Builder
	fmt.Fprintf(&out, "  %s", dns.RcodeToString[a.Rcode])
	if a.Authoritative {
		out.WriteString(" aa")
	}
	if a.Pool != "" {
		members := slices.Sorted(slices.Values(a.Members))
		fmt.Fprintf(&out, " pool=%s members=%s drawn=%d", a.Pool, strings.Join(members, ","), a.Drawn)
	}
	if a.PlaceDependent {
		fmt.Fprintf(&out, " scope=%d", a.ScopeBits)
	}
	out.WriteString("\n")
	section := func(name string, records []dns.RR, drawn int) {
		var lines []string
		for _, rr := range records {
			lines = append(lines, fmt.Sprintf("  %s %s\n", name, strings.ReplaceAll(rr.String(), "\t", " ")))
		}
		slices.Sort(lines[len(lines)-drawn:])
		out.WriteString(strings.Join(lines, ""))
	}
	section("answer:", a.Answer, a.Drawn)
	section("authority:", a.Authority, 0)
	section("additional:", a.Additional, 0)
	return out.String()
}
