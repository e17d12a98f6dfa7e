package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// randomZone is a zone of few labels, so that names meet often.
type randomZone struct {
	apex  string
	rand  *rand.Rand
	zones int                 // how many there are of them
	types map[string][]string // of the records at each name, without the apex
	text  strings.Builder
}

// randomZones makes zones, the same every time, and questions for names near
// theirs.
func randomZones(t *testing.T) (*archived, []dns.Question) {
	t.Helper()
	const zones, asked = 150, 80
	r := rand.New(rand.NewPCG(4, 1))
	files := make(map[string]string)
	var questions []dns.Question
	for i := range zones {
		z := randomZone{apex: fmt.Sprintf("z%d.test.", i), rand: r, zones: zones, types: map[string][]string{}}
		files[fmt.Sprintf("zones/z%d.test.zone", i)] = z.make()
		for range asked {
			name := z.apex
			for range r.IntN(5) {
				name = []string{"a", "b", "c", "*", "x", "A", "g"}[r.IntN(7)] + "." + name
			}
			kinds := []uint16{
				dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeHTTPS, dns.TypeHTTPS,
				dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS, dns.TypeNS, dns.TypeSOA,
			}
			questions = append(questions, dns.Question{Name: name, Qtype: kinds[r.IntN(len(kinds))], Qclass: dns.ClassINET})
		}
	}
	return newArchived(t, "random", files), questions
}

func (z *randomZone) make() string {
	fmt.Fprintf(&z.text, "$TTL 60\n$ORIGIN %s\n@ IN SOA ns1 h 1 2 3 4 5\n@ IN NS ns1\n@ IN NS ns.elsewhere.\nns1 IN A 127.0.0.1\n", z.apex)
	for i := range 3 + z.rand.IntN(14) {
		z.add(i)
	}
	return z.text.String()
}

// name makes a name without the apex.
func (z *randomZone) name() string {
	var labels []string
	for range 1 + z.rand.IntN(3) {
		labels = append(labels, []string{"a", "b", "c", "*"}[z.rand.IntN(4)])
	}
	return strings.Join(labels, ".")
}

// target makes a name that records may point to, in this zone or elsewhere.
func (z *randomZone) target() string {
	switch z.rand.IntN(12) {
	case 0:
		return z.name() + ".elsewhere."
	case 1:
		return z.name() + fmt.Sprintf(".z%d.test.", z.rand.IntN(z.zones))
	case 2:
		return z.apex
	}
	return strings.Replace(z.name(), "*", "x", z.rand.IntN(2)) + "." + z.apex
}

// add adds a record where it may stand.
func (z *randomZone) add(number int) {
	name := z.name()
	kind := []string{"A", "A", "AAAA", "TXT", "MX", "SRV", "HTTPS", "HTTPS", "CNAME", "CNAME", "DNAME", "NS"}[z.rand.IntN(12)]
	if !z.mayStand(name, kind) {
		return
	}
	z.types[name] = append(z.types[name], kind)
	data := z.target()
	switch kind {
	case "A":
		data = fmt.Sprintf("127.0.1.%d", number)
	case "AAAA":
		data = fmt.Sprintf("fd00::%d", number+1)
	case "TXT":
		data = fmt.Sprint(number)
	case "MX":
		data = fmt.Sprint(number, " ", data)
	case "SRV":
		data = fmt.Sprint("0 0 ", number, " ", data)
	case "HTTPS":
		if priority := z.rand.IntN(3); priority == 0 {
			data = "0 " + data
		} else if z.rand.IntN(2) == 0 {
			data = fmt.Sprintf("%d . port=%d", priority, number+1)
		} else {
			data = fmt.Sprintf("%d %s port=%d", priority, data, number+1)
		}
	case "NS":
		data = []string{"ns.elsewhere.", "ns1", "g." + name}[z.rand.IntN(3)]
		if strings.HasPrefix(data, "g.") {
			fmt.Fprintf(&z.text, "%s IN A 127.0.2.%d\n", data, number)
		}
	}
	fmt.Fprintf(&z.text, "%s IN %s %s\n", name, kind, data)
}

// mayStand reports whether a record may stand at a name: aliases and delegations
// stand alone, and nothing below a delegation or a DNAME.
func (z *randomZone) mayStand(name, kind string) bool {
	alone := func(kinds []string) bool { return slices.Contains(kinds, "CNAME") || slices.Contains(kinds, "NS") }
	at := z.types[name]
	if alone(at) || len(at) > 0 && alone([]string{kind}) || kind == "DNAME" && slices.Contains(at, "DNAME") ||
		strings.HasPrefix(name, "*") && (kind == "NS" || kind == "DNAME") {
		return false
	}
	for other, kinds := range z.types {
		hides := slices.Contains(kinds, "DNAME") || slices.Contains(kinds, "NS")
		if hides && strings.HasSuffix(name, "."+other) || (kind == "DNAME" || kind == "NS") && strings.HasSuffix(other, "."+name) {
			return false
		}
	}
	return true
}
