package dnsserver

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// reading is an answer brought down to what can be compared: names in lower
// case, records sorted, and no serials.
type reading struct {
	rcode                         string
	aa                            bool
	answer, authority, additional []string
}

func readAnswer(m *dns.Msg) reading {
	section := func(rrs []dns.RR) []string {
		var all []string
		for _, rr := range rrs {
			switch rr := rr.(type) {
			case *dns.OPT:
				continue
			case *dns.SOA:
				rr.Serial = 0
			}
			all = append(all, strings.ToLower(strings.Join(strings.Fields(rr.String()), " ")))
		}
		slices.Sort(all)
		return all
	}
	return reading{dns.RcodeToString[m.Rcode], m.Authoritative, section(m.Answer), section(m.Ns), section(m.Extra)}
}

func (r *reading) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s aa=%v\n", r.rcode, r.aa)
	for _, section := range []struct {
		name    string
		records []string
	}{{"answer", r.answer}, {"authority", r.authority}, {"additional", r.additional}} {
		for _, record := range section.records {
			fmt.Fprintf(&b, "  %s: %s\n", section.name, record)
		}
	}
	return b.String()
}

func exchange(t *testing.T, c net.Conn, q dns.Question) *dns.Msg {
	t.Helper()
	send(t, c, query{name: q.Name, qtype: q.Qtype}.bytes())
	answer, err := receive(c)
	if err != nil {
		t.Fatalf("%s %s: %v", q.Name, dns.Type(q.Qtype), err)
	}
	return parse(t, answer)
}

// TestPeers asks other servers, with the same zone files, what it asks this one:
// each name of the archives for each type, and each question of the archives.
func TestPeers(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			program := p.find(t)
			used, ran := make(map[int]bool), 0
			for _, path := range referenceTables {
				t.Run(path, func(t *testing.T) {
					ran++
					a := readTables(t, filepath.Join("testdata/tables", path+".txtar"))[0]
					comparePeer(t, p, program, a, referenceQuestions(a), used)
				})
			}
			t.Run("random", func(t *testing.T) {
				ran++
				a, questions := randomZones(t)
				comparePeer(t, p, program, a, questions, used)
			})
			if ran <= len(referenceTables) {
				return // not all were asked for
			}
			for i, d := range differences {
				if d.peer == p.name && !used[i] && !t.Failed() {
					t.Errorf("no answer is different because it %s", d.why)
				}
			}
		})
	}
}

var referenceTables = []string{"rfc4592", "wildcards", "dname", "aliases", "additional", "cuts", "types", "root"}

func comparePeer(t *testing.T, p peer, program string, a *archived, questions []dns.Question, used map[int]bool) {
	t.Helper()
	theirs := startPeer(t, p, program, a)
	s := start(t, Config{Table: func() Answerer { return a.table }})
	ours := dial(t, "tcp", s.address(false))
	ours.SetDeadline(time.Now().Add(time.Minute))
	asked, differ := 0, 0
	left := p.leftOut(a)
	for _, q := range questions {
		if left[q.Name] || a.table.Answer(zones.Question{Name: q.Name, Type: q.Qtype}, newRandom()).Pool != "" {
			continue
		}
		asked++
		one, other := readAnswer(exchange(t, ours, q)), readAnswer(exchange(t, theirs, q))
		for i := 0; i < len(differences) && one.String() != other.String(); i++ {
			if d := &differences[i]; d.peer == "" || d.peer == p.name {
				used[i] = d.take(a, q, &one, &other) || used[i]
			}
		}
		if one.String() != other.String() {
			if differ++; differ <= 20 {
				t.Errorf("%s %s, ours\n%s%s\n%s", q.Name, dns.Type(q.Qtype), &one, p.name, &other)
			}
		}
	}
	if differ > 20 || asked < 400 {
		t.Errorf("%d of %d answers differ, expected none of at least 400", differ, asked)
	}
}

// isName reports whether a name may stand in a question.
func isName(name string) bool {
	wire := wireNameOrNil(name)
	return name != "" && len(wire) > 0 && len(wire) <= 255
}

// referenceQuestions are all that are worth asking about an archive.
func referenceQuestions(a *archived) (all []dns.Question) {
	seen := make(map[dns.Question]bool)
	add := func(name string, kind uint16) {
		if q := (dns.Question{Name: name, Qtype: kind, Qclass: dns.ClassINET}); !seen[q] && isName(name) {
			seen[q] = true
			all = append(all, q)
		}
	}
	for _, fields := range a.lines("questions") {
		kind, ok := dns.StringToType[fields[1]]
		if !ok {
			fmt.Sscanf(fields[1], "TYPE%d", &kind)
		}
		add(fields[0], kind)
	}
	for _, name := range a.names {
		for _, kind := range []uint16{
			dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeDNAME, dns.TypeMX, dns.TypeTXT,
			dns.TypeSRV, dns.TypeDS, dns.TypeSVCB, dns.TypeHTTPS, dns.TypeCAA, 65280,
		} {
			add(name, kind)
		}
	}
	return all
}
