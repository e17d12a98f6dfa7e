//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
)

// randomZones is how many zones there are, and randomQuestions how many questions for
// each, if no more are wanted.
const (
	randomZones     = 12
	randomQuestions = 120
)

// serveRandomZones serves random zones, all of them below one.
func (l *signedLab) serveRandomZones(tame bool) []*randomZone {
	random := rand.New(rand.NewPCG(testdraw.Seed(l.T), 1))
	l.generateKey(l.keys, "mirrors.test.")
	parent := "$TTL 300\n@ IN SOA ns1 hostmaster ( 1 7200 900 1209600 300 )\n@ IN NS ns1\nns1 IN A " + host(l.home, tapHost).String() + "\n"
	var zones []*randomZone
	pools := []any{manyMembers()}
	for i := range randomZones {
		z := newRandomZone(random, fmt.Sprintf("r%d.mirrors.test.", i), 5+random.IntN(60), tame)
		if i%2 == 0 {
			l.generateKey(l.keys, z.apex)
		} else {
			l.generateBINDKey(l.keys, z.apex)
		}
		parent += fmt.Sprintf("r%d IN NS ns1\nr%d IN DS %s\n", i, i, digestText(l.digestOf(l.keys, z.apex), ""))
		l.write("checkout/zones/"+z.apex+"zone", z.text.String())
		zones = append(zones, z)
		pools = append(pools, z.pools...)
	}
	l.write("checkout/zones/mirrors.test.zone", parent)
	file, err := json.Marshal(map[string]any{"version": 1, "pools": pools})
	if err != nil {
		l.Fatal(err)
	}
	l.write("checkout/pools.json", string(file))
	l.serve()
	return zones
}

// asKnotAnswers compares each answer with that of Knot, which serves the same
// zones signed by BIND's tools: there have to be the same records, but for what
// signatures hold, and for what a pool draws.
func (l *signedLab) asKnotAnswers(zones []*randomZone) {
	directory := filepath.Join(l.directory, "knot")
	var names []string
	texts := map[string]string{"mirrors.test.": l.read(filepath.Join(l.checkout, "zones/mirrors.test.zone"))}
	for _, z := range zones {
		texts[z.apex] = z.text.String() + z.poolText()
	}
	for _, zone := range slices.Sorted(mapKeys(setOf(texts))) {
		key, _ := l.keyOf(l.keys, zone)
		child := fmt.Sprintf("%s\n%s\n", key.ToCDNSKEY(), key.ToDS(dns.SHA256).ToCDS())
		file := l.write("knot/"+zone+"zone", texts[zone]+strings.ReplaceAll(child, "\t3600\t", "\t300\t"))
		l.command("dnssec-signzone", "-S", "-z", "-K", l.keys, "-d", l.directory, "-o", zone, "-f", file+".signed", file)
		l.command("mv", file+".signed", file)
		names = append(names, zone)
	}
	port := unusedPort(l.T)
	l.startKnot("random", directory, fmt.Sprintf("127.0.0.1@%d", port), names...)
	l.eventually("Knot answers", 10*time.Second, func() bool { return accepts("127.0.0.1", port) })
	for range testdraw.Cases(l.T, randomQuestions) {
		for _, z := range zones {
			name, kind := z.question()
			question := new(dns.Msg)
			question.SetQuestion(name, kind)
			question.SetEdns0(4096, true)
			ours, _, err := exchangeOnce("tcp", fmt.Sprintf("127.0.0.1:%d", l.dnsPort), question)
			if err != nil {
				l.Fatal(err)
			}
			knots, _, err := exchangeOnce("tcp", fmt.Sprintf("127.0.0.1:%d", port), question)
			if err != nil {
				l.Fatal(err)
			}
			if z.kindOf(ours) != z.kindOf(knots) {
				l.Errorf("%s %s: we say\n%s\nKnot says\n%s\nthe zone:\n%s", name, dns.Type(kind), ours, knots, z.text.String())
				return
			}
		}
	}
}

// poolText are records in the place of those of the pools.
func (z *randomZone) poolText() string {
	var text strings.Builder
	for _, pool := range z.pools {
		pool := pool.(map[string]any)
		for _, member := range pool["members"].([]any) {
			for _, address := range member.(map[string]any)["addresses"].([]string) {
				kind := "A"
				if strings.Contains(address, ":") {
					kind = "AAAA"
				}
				fmt.Fprintf(&text, "%s. %s %s\n", pool["name"], kind, address)
			}
		}
	}
	return text.String()
}

// kindOf is what two right answers to a question have in common.
func (z *randomZone) kindOf(reply *dns.Msg) string {
	var lines []string
	for i, section := range [][]dns.RR{reply.Answer, reply.Ns} {
		for _, record := range section {
			line := fmt.Sprint(i, " ", record)
			switch record := record.(type) {
			case *dns.RRSIG:
				line = fmt.Sprint(i, record.Hdr.Name, record.Hdr.Ttl, dns.Type(record.TypeCovered), record.Labels, record.OrigTtl, record.SignerName)
			case *dns.SOA:
				line = fmt.Sprint(i, " SOA ", record.Hdr.Ttl)
			case *dns.A, *dns.AAAA:
				if z.owners[strings.ToLower(record.Header().Name)] == ownerPool {
					line = fmt.Sprint(i, record.Header().Name, record.Header().Ttl, dns.Type(record.Header().Rrtype))
				}
			}
			lines = append(lines, strings.ToLower(line))
		}
	}
	slices.Sort(lines)
	return dns.RcodeToString[reply.Rcode] + fmt.Sprint(reply.Authoritative) + strings.Join(slices.Compact(lines), "\n")
}

// randomZonesHold asks unbound for much, in zones by chance: it has to find each
// answer secure, and the same as the server gives it without signatures.
func (l *signedLab) randomZonesHold(zones []*randomZone) {
	kind := resolverKinds[0]
	l.startValidator(kind, resolverSettings{placeless: true})
	asked, codes := 0, map[int]int{}
	for range testdraw.Cases(l.T, randomQuestions) {
		for _, z := range zones {
			name, kind := z.question()
			question := new(dns.Msg)
			question.SetQuestion(name, kind)
			want, _, err := exchangeOnce("tcp", fmt.Sprintf("127.0.0.1:%d", l.dnsPort), question)
			if err != nil {
				l.Fatal(err)
			}
			if isReferral(want) {
				continue // to where there is nothing
			}
			asked++
			codes[want.Rcode]++
			reply, got := l.validate(name, kind)
			if reply.Rcode != want.Rcode || answerTypes(reply) != answerTypes(want) || got != secure {
				var told strings.Builder
				for _, e := range l.tap.of(name, kind) {
					fmt.Fprintf(&told, "over %s\n%s\n", e.over, e.answer)
				}
				l.Fatalf("%s %s is %s:\n%s\nthe server told it\n%s\nand says without signatures\n%s\nthe end of the resolver's log:\n%s\nthe zone:\n%s",
					name, dns.Type(kind), got, reply, &told, want, lastLines(l.read(l.log("resolver")), 10), z.text.String())
			}
		}
	}
	if asked < randomZones*randomQuestions/2 || codes[noError] < asked/5 || codes[nameError] < asked/20 {
		l.Errorf("%d questions with the codes %v are no test", asked, codes)
	}
}

// isReferral reports whether an answer leads to name servers below, maybe through
// aliases.
func isReferral(reply *dns.Msg) bool {
	for _, record := range reply.Ns {
		if record.Header().Rrtype == dns.TypeNS {
			return true
		}
	}
	return false
}

// manyMembers is a pool that can give more sets than are signed ahead.
func manyMembers() any {
	var members []any
	for i := range 50 {
		members = append(members, map[string]any{
			"id": fmt.Sprint("m", i), "addresses": []string{fmt.Sprintf("127.0.2.%d", i), fmt.Sprintf("fd00::2:%x", i)}, "weight": 1 + i%5,
		})
	}
	return map[string]any{
		"name": "many.mirrors.test", "ttl": 60, "answers": 4, "members": members, "health": map[string]any{"check": "none"},
	}
}

// transfersAreWhole has ldns and BIND look at each zone as it is transferred: all
// signatures, and the chain of what is not there.
func (l *signedLab) transfersAreWhole(zones []*randomZone) {
	need(l.T, "dig", "ldns-verify-zone", "dnssec-verify")
	names := []string{"mirrors.test."}
	for _, z := range zones {
		names = append(names, z.apex)
	}
	for _, zone := range names {
		text := l.command("dig", "@127.0.0.1", "-p", fmt.Sprint(l.dnsPort), "+onesoa", "+nocomments", "+nocmd", "+nostats", "+nocookie", zone, "AXFR")
		if !strings.Contains(text, "RRSIG") {
			l.Fatalf("%s was not transferred:\n%s", zone, text)
		}
		file := l.write("transferred/"+zone+"zone", text)
		_, key := l.keyOf(l.keys, zone)
		if said := l.say("ldns-verify-zone", "-k", key, file); !strings.Contains(said, "Zone is verified and complete") {
			l.Errorf("ldns-verify-zone of %s says:\n%s\n%s", zone, said, text)
		}
		l.command("dnssec-verify", "-z", "-o", zone, file)

		damaged := l.write("transferred/damaged", damage(text))
		if said := l.say("ldns-verify-zone", "-k", key, damaged); strings.Contains(said, "Zone is verified and complete") {
			l.Errorf("ldns-verify-zone believes what is damaged:\n%s", damage(text))
		}
	}
}

// damage takes an NSEC record and its signature out of a zone.
func damage(text string) string {
	var kept []string
	dropped := ""
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 4 && (fields[3] == "NSEC" || fields[3] == "RRSIG" && fields[4] == "NSEC") && (dropped == "" || dropped == fields[0]) {
			dropped = fields[0]
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

// manyDrawsHold asks for a pool whose sets are mostly signed on first use: each
// answer is signed, and every member comes first as often as its weight says.
func (l *signedLab) manyDrawsHold() {
	const draws = 3000
	key, _ := l.keyOf(l.keys, "mirrors.test.")
	shares, seen := map[string]float64{}, map[string]float64{}
	for i := range 50 {
		shares[fmt.Sprintf("127.0.2.%d", i)] = float64(1+i%5) / 150
	}
	for range draws {
		reply, size := l.askSigned("udp", "many.mirrors.test.", dns.TypeA, 1232)
		if problem := checkSignatures(reply.Answer, key); problem != "" || len(reply.Answer) != 5 {
			l.Fatalf("%s in %d bytes\n%s", problem, size, reply)
		}
		seen[addresses(reply)[0]]++
	}
	if p := chanceOf(seen, shares, draws); p < 1e-10 {
		l.Errorf("clients got %v first: p = %g", seen, p)
	}
}
