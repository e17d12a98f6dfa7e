package zones

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// signingTime is when the tests sign.
var signingTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// planFor makes a plan with one key that signs all.
func planFor(t testing.TB, apex string, algorithm uint8) *signing.Plan {
	t.Helper()
	key, err := signing.Generate(apex, algorithm, true, signing.Times{Created: signingTime})
	if err != nil {
		t.Fatal(err)
	}
	keys := []*signing.Key{key}
	return &signing.Plan{
		Apex: apex, Published: keys, Zone: keys, Entry: keys, Child: keys,
		TTL: 3600, Lifetime: 14 * 24 * time.Hour, Now: signingTime,
	}
}

// sign gives an input plans for all its zones.
func signInput(t testing.TB, in *Input, algorithm uint8) {
	t.Helper()
	in.Signing = map[string]*signing.Plan{}
	for apex := range in.Static.zones {
		in.Signing[apex] = planFor(t, apex, algorithm)
	}
}

// sections are those of an answer in which all RRsets of signed zones are signed.
func sections(a *Answer) [][]dns.RR {
	return [][]dns.RR{append(slices.Clip(a.Answer), a.Signatures...), a.Authority}
}

// TestEverySetIsSigned: with DO, every RRset that is the zone's own has good
// signatures in its section.
func TestEverySetIsSigned(t *testing.T) {
	for _, a := range readArchives(t, "answers-*.txtar") {
		in := a.input(t)
		signInput(t, &in, dns.ECDSAP256SHA256)
		table, err := Compile(in)
		if err != nil {
			t.Fatalf("%s: %v", a.path, err)
		}
		for seed := range uint64(3) {
			for _, fields := range a.lines("questions") {
				q := parseQuestion(t, fields)
				plain := table.Answer(q, rand.NewPCG(seed, 1))
				q.DNSSEC = true
				answer := table.Answer(q, rand.NewPCG(seed, 1))
				if answer.Rcode != plain.Rcode || answer.Authoritative != plain.Authoritative {
					t.Errorf("%s %v: rcode %d, AA %v with DO, %d, %v without", a.path, fields, answer.Rcode, answer.Authoritative, plain.Rcode, plain.Authoritative)
				}
				for number, section := range sections(&answer) {
					checkSigned(t, a.path, fields, in.Signing, &answer, number, section)
				}
			}
		}
	}
}

func checkSigned(t *testing.T, path string, fields []string, plans map[string]*signing.Plan, answer *Answer, number int, section []dns.RR) {
	t.Helper()
	sets := map[dns.Question][]dns.RR{}
	signatures := map[dns.Question][]*dns.RRSIG{}
	for _, rr := range section {
		header := rr.Header()
		key := dns.Question{Name: canonical(header.Name), Qtype: header.Rrtype}
		if signature, ok := rr.(*dns.RRSIG); ok {
			key.Qtype = signature.TypeCovered
			signatures[key] = append(signatures[key], signature)
			continue
		}
		sets[key] = append(sets[key], rr)
	}
	for key, set := range sets {
		set = owned(set, key.Name) // the library's check does not read escapes
		referral := number == 1 && key.Qtype == dns.TypeNS
		synthesized := key.Qtype == dns.TypeCNAME && slices.ContainsFunc(section, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeDNAME && dns.IsSubDomain(canonical(rr.Header().Name), key.Name) && canonical(rr.Header().Name) != key.Name
		})
		if referral || synthesized {
			continue
		}
		if len(signatures[key]) == 0 {
			t.Errorf("%s %v: %s %s is not signed:\n%v\n%v", path, fields, key.Name, dns.Type(key.Qtype), answer.Answer, answer.Authority)
			continue
		}
		for _, signature := range signatures[key] {
			published := plans[signature.SignerName].Records()[0][0].(*dns.DNSKEY)
			signature = dns.Copy(signature).(*dns.RRSIG)
			signature.Hdr.Name = key.Name
			if err := signature.Verify(published, set); err != nil {
				t.Errorf("%s %v: %s %s: %v\n%v", path, fields, key.Name, dns.Type(key.Qtype), err, set)
			}
			if !signature.ValidityPeriod(signingTime) {
				t.Errorf("%s %v: %v is not valid at the time of signing", path, fields, signature)
			}
		}
	}
}
