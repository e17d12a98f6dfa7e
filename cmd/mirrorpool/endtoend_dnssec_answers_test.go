//go:build e2e

package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// askSigned asks the server itself for an answer with signatures, and gives how
// many bytes that has.
func (w *world) askSigned(network, name string, kind, size uint16) (*dns.Msg, int) {
	w.Helper()
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	question.RecursionDesired = false
	question.SetEdns0(size, true)
	reply, length, err := exchangeOnce(network, fmt.Sprintf("127.0.0.1:%d", w.dnsPort), question)
	if err != nil {
		w.Fatalf("asking for %s %s over %s: %v", name, dns.Type(kind), network, err)
	}
	return reply, length
}

func exchangeOnce(network, at string, question *dns.Msg) (*dns.Msg, int, error) {
	connection, err := dns.DialTimeout(network, at, 5*time.Second)
	if err != nil {
		return nil, 0, err
	}
	defer connection.Close()
	connection.UDPSize = dns.MaxMsgSize
	if err := connection.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, 0, err
	}
	if err := connection.WriteMsg(question); err != nil {
		return nil, 0, err
	}
	message, err := connection.ReadMsgHeader(nil)
	if err != nil {
		return nil, 0, err
	}
	reply := new(dns.Msg)
	return reply, len(message), reply.Unpack(message)
}

// recordSet is what one signature is of.
type recordSet struct {
	owner string
	kind  uint16
}

// checkSignatures says what is wrong with the signatures of a section. One key
// signs them all, and their time is now.
func checkSignatures(section []dns.RR, key *dns.DNSKEY) string {
	sets := map[recordSet][]dns.RR{}
	var signatures []*dns.RRSIG
	for _, record := range section {
		if signature, ok := record.(*dns.RRSIG); ok {
			signatures = append(signatures, signature)
			continue
		}
		set := recordSet{strings.ToLower(record.Header().Name), record.Header().Rrtype}
		sets[set] = append(sets[set], record)
	}
	signed := map[recordSet]bool{}
	for _, signature := range signatures {
		set := recordSet{strings.ToLower(signature.Hdr.Name), signature.TypeCovered}
		records := sets[set]
		switch {
		case len(records) == 0:
			return fmt.Sprintf("a signature of nothing: %s", signature)
		case signature.Hdr.Ttl != records[0].Header().Ttl:
			return fmt.Sprintf("the TTL of a signature is not that of its records: %s", signature)
		case !signature.ValidityPeriod(time.Now()):
			return fmt.Sprintf("a signature of another time: %s", signature)
		}
		if err := signature.Verify(key, records); err != nil {
			return fmt.Sprintf("%s: %v", signature, err)
		}
		signed[set] = true
	}
	for set, records := range sets {
		if !signed[set] && !signedElsewhere(set, records, sets) {
			return fmt.Sprintf("no signature of %s %s", set.owner, dns.Type(set.kind))
		}
	}
	return ""
}

// signedElsewhere reports whether records have no signature by right: the name
// servers of a zone below, and what a DNAME makes up.
func signedElsewhere(set recordSet, records []dns.RR, sets map[recordSet][]dns.RR) bool {
	switch set.kind {
	case dns.TypeNS:
		return set.owner != "mirrors.test." && set.owner != "signed.mirrors.test."
	case dns.TypeCNAME:
		for other := range sets {
			if other.kind == dns.TypeDNAME && dns.IsSubDomain(other.owner, set.owner) && other.owner != set.owner {
				return true
			}
		}
	}
	return false
}

// sizes are those of the buffers that questions announce.
var sizes = []uint16{512, 800, 1232, 4096}

// answersAreWhole asks the server itself: over TCP and with every size the same
// is answered, or it is truncated; and each signature is good.
func (l *signedLab) answersAreWhole() {
	truncated := 0
	for _, q := range validatedQuestions {
		name, kind := fullName(q.name), typeOf(q.kind)
		zone := "mirrors.test."
		if dns.IsSubDomain("signed.mirrors.test.", strings.ToLower(name)) && kind != dns.TypeDS {
			zone = "signed.mirrors.test."
		}
		key, _ := l.keyOf(l.keys, zone)
		whole, _ := l.askSigned("tcp", name, kind, 1232)
		if whole.Truncated {
			l.Errorf("%s %s is truncated over TCP", name, q.kind)
		}
		for _, section := range [][]dns.RR{whole.Answer, whole.Ns} {
			if problem := checkSignatures(section, key); problem != "" {
				l.Errorf("%s %s: %s in\n%s", name, q.kind, problem, whole)
			}
		}
		for _, size := range sizes {
			reply, length := l.askSigned("udp", name, kind, size)
			if length > int(min(size, 1232)) {
				l.Errorf("%s %s: %d bytes for a buffer of %d", name, q.kind, length, size)
			}
			if reply.Truncated {
				truncated++
				continue
			}
			if got, want := shape(reply), shape(whole); got != want {
				l.Errorf("%s %s with a buffer of %d: %s, over TCP %s", name, q.kind, size, got, want)
			}
		}
	}
	if truncated == 0 {
		l.Error("nothing was truncated, so that nothing shows that it is done right")
	}
	if reply, _ := l.askSigned("udp", "dl.signed.mirrors.test.", dns.TypeAAAA, 1232); reply.Truncated || len(reply.Answer) != 5 {
		l.Errorf("a signed answer of four addresses does not fit:\n%s", reply)
	}
}

// shape is an answer without what is drawn: its code, and the types of its
// records in order.
func shape(reply *dns.Msg) string {
	text := dns.RcodeToString[reply.Rcode]
	for _, section := range [][]dns.RR{reply.Answer, reply.Ns} {
		text += ";"
		for _, record := range section {
			text += " " + strings.ToLower(record.Header().Name) + " " + dns.Type(record.Header().Rrtype).String()
		}
	}
	return text
}

// chanceOf is how likely it is that what was seen is as far from the shares, by χ²:
// exact for three shares, by Wilson and Hilferty's approximation for more.
func chanceOf(seen, shares map[string]float64, total float64) float64 {
	statistic := 0.0
	for address, share := range shares {
		difference := seen[address] - share*total
		statistic += difference * difference / (share * total)
	}
	freedom := float64(len(shares) - 1)
	if freedom == 2 {
		return math.Exp(-statistic / 2)
	}
	spread := 2 / (9 * freedom)
	return math.Erfc((math.Cbrt(statistic/freedom)-1+spread)/math.Sqrt(2*spread)) / 2
}
