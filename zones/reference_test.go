package zones

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// reference is a naive reading of RFC 1034 and RFC 4592 over a list of
// records: no tree, no maps, nothing precomputed.
type reference struct {
	apex    []string // labels, from the left
	records []referenceRecord
}

type referenceRecord struct {
	owner []string
	kind  uint16
	data  string // as the file has it
}

// outcome is what an answer comes down to.
type outcome struct {
	kind    string   // "data", "nodata", "nxdomain", "referral"
	source  string   // the owner of the records, before wildcards are filled in; of the delegation
	data    []string // sorted
	aliases int
}

func (o outcome) String() string {
	return fmt.Sprintf("%s from %q after %d aliases: %v", o.kind, o.source, o.aliases, o.data)
}

func endsWith(name, suffix []string) bool {
	return len(name) >= len(suffix) && slices.Equal(name[len(name)-len(suffix):], suffix)
}

// at gives the data of one type at a name.
func (r *reference) at(name []string, kind uint16) []string {
	var out []string
	for _, record := range r.records {
		if record.kind == kind && slices.Equal(record.owner, name) {
			out = append(out, record.data)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// exists: a name exists if it or a name below it owns records.
func (r *reference) exists(name []string) bool {
	for _, record := range r.records {
		if endsWith(record.owner, name) {
			return true
		}
	}
	return false
}

func (r *reference) ask(name []string, kind uint16) outcome {
	aliases := 0
	for seen := [][]string{}; ; aliases++ {
		found, target := r.once(name, kind)
		found.aliases = aliases
		if target == nil {
			return found
		}
		seen = append(seen, name)
		if slices.ContainsFunc(seen, func(s []string) bool { return slices.Equal(s, target) }) || aliases+1 == maxAliases {
			return outcome{kind: "aliases", aliases: aliases + 1}
		}
		if !endsWith(target, r.apex) {
			return outcome{kind: "aliases", aliases: aliases + 1}
		}
		name = target
	}
}

func (r *reference) once(name []string, kind uint16) (found outcome, target []string) {
	// The topmost delegation wins.
	for n := len(r.apex) + 1; n <= len(name); n++ {
		cut := name[len(name)-n:]
		if servers := r.at(cut, dns.TypeNS); len(servers) > 0 {
			if n == len(name) && kind == dns.TypeDS {
				break
			}
			return outcome{kind: "referral", source: strings.Join(cut, "."), data: servers}, nil
		}
	}
	source := name
	if !r.exists(name) {
		encloser := name
		for !r.exists(encloser) {
			encloser = encloser[1:]
		}
		source = append([]string{"*"}, encloser...)
		if !r.exists(source) {
			return outcome{kind: "nxdomain"}, nil
		}
	}
	if alias := r.at(source, dns.TypeCNAME); len(alias) > 0 && kind != dns.TypeCNAME {
		return outcome{}, dns.SplitDomainName(alias[0])
	}
	data := r.at(source, kind)
	if len(data) == 0 {
		return outcome{kind: "nodata"}, nil
	}
	return outcome{kind: "data", source: strings.Join(source, "."), data: data}, nil
}

// randomZone makes a zone of few labels, so that names meet often.
func randomZone(r *rand.Rand) (*reference, string) {
	ref := &reference{apex: []string{"zone", "test"}}
	labels := []string{"a", "b", "c", "*", `d\.e`}
	name := func() []string {
		var out []string
		for range 1 + r.IntN(4) {
			out = append(out, labels[r.IntN(len(labels))])
		}
		return append(out, ref.apex...)
	}
	var file strings.Builder
	file.WriteString("$TTL 60\n@ IN SOA ns.elsewhere.test. h 1 2 3 4 5\n@ IN NS ns.elsewhere.test.\n")
	ref.records = append(ref.records, referenceRecord{ref.apex, dns.TypeNS, "ns.elsewhere.test."}, referenceRecord{ref.apex, dns.TypeSOA, ""})
	for i := range 1 + r.IntN(12) {
		owner := name()
		record := referenceRecord{owner: owner}
		switch r.IntN(10) {
		case 0, 1:
			record.kind, record.data = dns.TypeNS, fmt.Sprintf("ns%d.elsewhere.test.", r.IntN(2))
		case 2, 3:
			record.kind, record.data = dns.TypeCNAME, strings.Join(name(), ".")+"."
			if r.IntN(8) == 0 {
				record.data = "elsewhere.test."
			}
		case 4:
			record.kind, record.data = dns.TypeTXT, fmt.Sprintf("\"%d\"", i)
		default:
			record.kind, record.data = dns.TypeA, fmt.Sprintf("127.0.0.%d", i)
		}
		others := slices.ContainsFunc(ref.records, func(other referenceRecord) bool {
			return slices.Equal(other.owner, owner) && (record.kind == dns.TypeCNAME || other.kind == dns.TypeCNAME)
		})
		if others || record.kind == dns.TypeNS && owner[0] == "*" {
			continue
		}
		ref.records = append(ref.records, record)
	}
	for _, i := range r.Perm(len(ref.records)) {
		if record := ref.records[i]; len(record.owner) > len(ref.apex) {
			fmt.Fprintf(&file, "%s. IN %s %s\n", strings.Join(record.owner, "."), dns.Type(record.kind), record.data)
		}
	}
	ref.hide()
	return ref, file.String()
}

// hide takes away what delegations hide: it does not make names exist.
func (r *reference) hide() {
	r.records = slices.DeleteFunc(slices.Clone(r.records), func(record referenceRecord) bool {
		return slices.ContainsFunc(r.records, func(cut referenceRecord) bool {
			isCut := cut.kind == dns.TypeNS && len(cut.owner) > len(r.apex)
			below := endsWith(record.owner, cut.owner) && len(record.owner) > len(cut.owner)
			beside := slices.Equal(record.owner, cut.owner) && record.kind != dns.TypeNS
			return isCut && (below || beside)
		})
	})
}

// observe brings an answer down to an outcome.
func observe(t *testing.T, a Answer, kind uint16) outcome {
	t.Helper()
	var o outcome
	rest := a.Answer
	for len(rest) > 0 && rest[0].Header().Rrtype == dns.TypeCNAME && kind != dns.TypeCNAME {
		rest = rest[1:]
		o.aliases++
	}
	data := func(records []dns.RR) (out []string) {
		for _, rr := range records {
			out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		slices.Sort(out)
		return out
	}
	negative := len(a.Authority) == 1 && a.Authority[0].Header().Rrtype == dns.TypeSOA
	switch {
	case len(rest) > 0:
		o.kind, o.data = "data", data(rest)
	case len(a.Authority) > 0 && a.Authority[0].Header().Rrtype == dns.TypeNS:
		o.kind, o.data = "referral", data(a.Authority)
		o.source = strings.TrimSuffix(a.Authority[0].Header().Name, ".")
		if a.Authoritative != (o.aliases > 0) {
			t.Errorf("a referral with AA %v after %d aliases", a.Authoritative, o.aliases)
		}
	case a.Rcode == dns.RcodeNameError && negative:
		o.kind = "nxdomain"
	case a.Rcode == dns.RcodeSuccess && negative:
		o.kind = "nodata"
	case o.aliases > 0:
		o.kind = "aliases"
	}
	if o.kind != "nxdomain" && a.Rcode != dns.RcodeSuccess {
		t.Errorf("%s with rcode %s", o.kind, dns.RcodeToString[a.Rcode])
	}
	if o.kind != "referral" && !a.Authoritative {
		t.Errorf("%s without AA", o.kind)
	}
	return o
}

// TestReference asks random zones for all names near theirs, and holds the
// answers against the reference.
func TestReference(t *testing.T) {
	const zones = 400
	kinds := map[string]int{}
	for seed := range uint64(zones) {
		r := rand.New(rand.NewPCG(seed, 1))
		ref, file := randomZone(r)
		definition := &pool.Definition{Zones: []pool.ZoneFile{{Path: "zones/zone.test.zone", Data: []byte(file)}}}
		static, problems := Parse(definition)
		if static == nil {
			t.Fatalf("zone %d: %v\n%s", seed, problems, file)
		}
		table, err := Compile(Input{Definition: definition, Static: static, Now: testNow})
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			name := slices.Clone(ref.apex)
			for range r.IntN(5) {
				name = append([]string{[]string{"a", "b", "c", "d", "*", `d\.e`, "x"}[r.IntN(7)]}, name...)
			}
			kind := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeCNAME, dns.TypeDS}[r.IntN(4)]
			want := ref.ask(name, kind)
			kinds[want.kind]++
			answer := table.Answer(Question{Name: strings.Join(name, ".") + ".", Type: kind}, nil)
			got := observe(t, answer, kind)
			if got.kind == "data" {
				got.source = want.source // the answer does not show it; the data is different everywhere
			}
			if got.String() != want.String() {
				t.Fatalf("zone %d, %s %s:\n got %v\nwant %v\n%s", seed, strings.Join(name, "."), dns.Type(kind), got, want, file)
			}
		}
	}
	for _, kind := range []string{"data", "nodata", "nxdomain", "referral", "aliases"} {
		if kinds[kind] < zones {
			t.Errorf("only %d answers were %s: the random zones are too poor", kinds[kind], kind)
		}
	}
}
