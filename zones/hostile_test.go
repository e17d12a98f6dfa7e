package zones

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/testdraw"
	"mirrorpool/zones/signing"
)

// largeText is a TXT record's data of strings of 255 bytes.
func largeText(strs int) string {
	return "TXT" + strings.Repeat(` "`+strings.Repeat("x", 255)+`"`, strs)
}

// hostileFiles are what somebody may push by mistake or on purpose, behind an apex
// that is well. Each refusal of the parser is there alone at its name, beside other
// types, at the apex and at a pool's name.
func hostileFiles() map[string]string {
	large := largeText(254)
	files := map[string]string{
		"large alone":            "a " + large,
		"large twice":            "a " + large + "\na " + large,
		"large behind small":     "a TXT x\na " + large,
		"small behind large":     "a " + large + "\na TXT x",
		"large beside other":     "a " + large + "\na A 127.0.0.1",
		"large at the apex":      "@ " + large,
		"large at a pool":        "dl " + large,
		"large at a wildcard":    "*.w " + large,
		"large below delegation": "sub NS ns\nx.sub " + large,
		"large at delegation":    "sub NS ns\nsub " + large,
		"large below DNAME":      "sub DNAME ns\nx.sub " + large,
		"large beside CNAME":     "a CNAME ns\na " + large,
		"largest that fits":      "a " + largeText(251),
		"larger than a message":  "a " + largeText(300),
		"large of unknown type":  "a TYPE65000 \\# 65000 " + strings.Repeat("00", 65000),
		"many large":             "a " + largeText(130) + "\na " + strings.Replace(largeText(130), "x", "y", 1) + "\na " + strings.Replace(largeText(130), "x", "z", 1),
		"outside alone":          "a.example.com. A 127.0.0.1",
		"second SOA":             "@ SOA ns h 1 2 3 4 5\na SOA ns h 1 2 3 4 5",
		"large SOA elsewhere":    "example.com. SOA ns h 1 2 3 4 5",
		"DNSSEC alone":           "a NSEC b A\n@ DNSKEY 257 3 13 AAAA",
		"DS at the apex":         "@ DS 1 13 2 " + strings.Repeat("00", 32),
		"DS alone":               "a DS 1 13 2 " + strings.Repeat("00", 32),
		"DS alone, twice":        "a DS 1 13 2 " + strings.Repeat("00", 32) + "\na DS 2 13 2 " + strings.Repeat("00", 32),
		"DS beside TXT":          "a DS 1 13 2 " + strings.Repeat("00", 32) + "\na TXT x",
		"DS at a pool":           "dl DS 1 13 2 " + strings.Repeat("00", 32),
		"DS below":               "sub NS ns\nx.sub DS 1 13 2 " + strings.Repeat("00", 32),
		"wildcard NS alone":      "*.w NS ns\n* DNAME ns",
		"wildcard DS":            "* DS 1 13 2 " + strings.Repeat("00", 32),
		"CNAME and CNAME":        "a CNAME b\na CNAME c",
		"CNAME at a pool":        "dl CNAME ns",
		"CNAME at the apex":      "@ CNAME ns",
		"CNAME loop":             "a CNAME b\nb CNAME a\n*.w CNAME x.w\nc CNAME c",
		"CNAME loop to a pool":   "a CNAME dl\ndl CNAME a",
		"DNAME and DNAME":        "a DNAME b\na DNAME c\nx.a A 127.0.0.1",
		"DNAME at the apex":      "@ DNAME b\nx A 127.0.0.1",
		"DNAME to itself":        "a DNAME a\nb DNAME x.b",
		"DNAME and NS":           "a DNAME b\na NS ns",
		"delegation of a pool":   "dl NS ns",
		"delegation above":       "a NS ns.a\nb.a NS ns.b.a\nns.b.a A 127.0.0.1",
		"server that is alias":   "a NS b\nb CNAME c",
		"server that is hidden":  "a NS x.d\nd DNAME ns",
		"duplicates":             "a A 127.0.0.1\na A 127.0.0.1\nA A 127.0.0.1",
		"TTL that differ":        "a 1 A 127.0.0.1\na 2 A 127.0.0.2\na 99999999999 A 127.0.0.3",
		"classes":                "a CH TXT x\na HS A 127.0.0.1",
		"empty data":             "a TYPE1 \\# 0\nb TYPE2 \\# 0\nc TYPE5 \\# 0\nd TYPE6 \\# 0\ne TYPE65000 \\# 0\nf TYPE10 \\# 0\ng TYPE42 \\# 0",
		"empty data at the apex": "@ TYPE2 \\# 0\n@ TYPE5 \\# 0\n@ TYPE39 \\# 0",
		"generated":              "$GENERATE 0-9 a$ CNAME a$\n$GENERATE 0-9 $ NS ns",
		"root":                   ". A 127.0.0.1\n. NS ns",
		"names of bytes":         "\\000\\255 A 127.0.0.1\n\\042 CNAME \\000",
	}
	return files
}

// shortData is data of every known type that ends too soon, or names a length that is
// not so: by default of one octet each, in turn.
func shortData(t testing.TB) map[string]string {
	files := map[string]string{}
	for kind, name := range dns.TypeToString {
		if isMeta(kind) {
			continue
		}
		for i, length := range []int{1, 2, 3, 4, 5, 6, 8, 11, 18, 21} {
			for j, octet := range []string{"00", "03", "c0"} {
				if (int(kind)+i)%3 != j && !testdraw.Many(t) {
					continue
				}
				data := fmt.Sprintf("TYPE%d \\# %d %s", kind, length, strings.Repeat(octet, length))
				files[fmt.Sprintf("short %s %d %s", name, length, octet)] = "a " + data + "\nsub NS ns\nsub " + data + "\n* " + data
			}
		}
	}
	return files
}

// TestHostileFiles: nothing that stands in a zone file makes Parse panic or say
// nothing, and what it takes can be compiled, signed and asked.
func TestHostileFiles(t *testing.T) {
	const apex = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\n"
	key, err := signing.GenerateDistinct("example.org.", dns.ECDSAP256SHA256, true, signing.Times{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := &signing.Plan{
		Apex: "example.org.", TTL: 300, Lifetime: 14 * 24 * 3600e9, Now: testNow,
		Published: []*signing.Key{key}, Zone: []*signing.Key{key}, Entry: []*signing.Key{key},
	}
	guarded := func(name, data string, plans ...map[string]*signing.Plan) {
		defer func() {
			if value := recover(); value != nil {
				t.Errorf("%s: panic: %v", name, value)
			}
		}()
		parseHostile(t, name, data, plans)
	}
	for name, text := range hostileFiles() {
		for form, data := range map[string]string{"": apex + text, " without apex": "$TTL 60\n" + text, " before": "$TTL 60\n" + text + "\n" + apex} {
			guarded(name+form, data, nil, map[string]*signing.Plan{plan.Apex: plan})
		}
	}
	for name, text := range shortData(t) {
		guarded(name, apex+text, nil)
	}
}

func parseHostile(t *testing.T, name, data string, plans []map[string]*signing.Plan) {
	t.Helper()
	definition := &pool.Definition{
		Zones: []pool.ZoneFile{
			{Path: "zones/example.org.zone", Data: []byte(data)},
			{Path: "zones/x.sub.example.org.zone", Data: []byte("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\na CNAME a.example.org.\n")},
		},
		Pools: []*pool.Pool{{Name: "dl.example.org", TTL: 1, Answers: 1}},
	}
	static, problems := Parse(definition)
	if (static == nil) != pool.HasErrors(problems) {
		t.Errorf("%s: Static is nil: %v, but %v", name, static == nil, problems)
	}
	if strings.Contains(name, "large") && !strings.Contains(name, "fits") && static != nil {
		t.Errorf("%s is taken", name)
	}
	if static == nil {
		return
	}
	for _, plan := range plans {
		table, err := Compile(Input{Definition: definition, Static: static, Now: testNow, Signing: plan})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for range table.Version("example.org.").Records() {
		}
		for _, zone := range static.sorted {
			for _, asked := range append([]string{"x.w.example.org.", "x.a.example.org.", "y.sub.example.org."}, zone.names...) {
				for _, kind := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeMX, dns.TypeNS, dns.TypeTXT} {
					checkAnswer(t, table.Answer(Question{Name: asked, Type: kind, DNSSEC: plan != nil}, rand.NewPCG(1, 1)))
				}
			}
		}
	}
}
