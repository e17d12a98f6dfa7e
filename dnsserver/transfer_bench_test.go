package dnsserver

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// BenchmarkTransfer writes a zone of 100,000 names, as it is and as large as a signed
// one is, into messages.
func BenchmarkTransfer(b *testing.B) {
	for _, signed := range []bool{false, true} {
		all := hosts(100_000)
		if signed {
			for _, rr := range all {
				h := *rr.Header()
				for _, covered := range []uint16{h.Rrtype, dns.TypeNSEC} {
					signature := &dns.RRSIG{
						Hdr: h, TypeCovered: covered, Algorithm: dns.ECDSAP256SHA256, Labels: 3, SignerName: "example.test.",
						Signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
					}
					signature.Hdr.Rrtype = dns.TypeRRSIG
					all = append(all, signature)
				}
				nsec := &dns.NSEC{Hdr: h, NextDomain: "next." + h.Name, TypeBitMap: []uint16{h.Rrtype, dns.TypeRRSIG, dns.TypeNSEC}}
				nsec.Hdr.Rrtype = dns.TypeNSEC
				all = append(all, nsec)
			}
		}
		version := zones.NewVersion(soaOfSerial(7), all)
		key := testKeys(b).Keys()[0]
		b.Run(fmt.Sprint("signed=", signed), func(b *testing.B) {
			config := Config{now: time.Now}.withDefaults()
			r := responderOf(&config, overTCP)
			buffer := make([]byte, 0, 32<<10)
			messages, size := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				packet, _ := signedQuestion(axfr(), key, time.Now())
				q := parseRequest(bytes.Clone(packet))
				r.settings.Transfer.Keys = testKeys(b)
				r.authenticate(&q, packet)
				t := r.newTransfer(&q, kindAXFR, nil, version)
				messages, size = 0, 0
				for last := false; !last; messages++ {
					var message []byte
					var err error
					if message, last, err = t.next(buffer); err != nil {
						b.Fatal(err)
					}
					size += len(message)
				}
			}
			b.ReportMetric(float64(messages), "messages")
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
