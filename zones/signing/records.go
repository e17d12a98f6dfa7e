package signing

import (
	"github.com/miekg/dns"
)

// Records are those that the plan itself puts at the apex: DNSKEY, and CDNSKEY and
// CDS (RFC 7344) where there are any, one RRset after another.
func (p *Plan) Records() [][]dns.RR {
	var keys, child, digests []dns.RR
	for _, key := range p.Published {
		keys = append(keys, p.published(key))
	}
	if p.Withdraw {
		child = append(child, &dns.CDNSKEY{DNSKEY: dns.DNSKEY{Hdr: p.header(dns.TypeCDNSKEY), Protocol: 3, PublicKey: "AA=="}})
		digests = append(digests, &dns.CDS{DS: dns.DS{Hdr: p.header(dns.TypeCDS), Digest: "00"}})
		return [][]dns.RR{keys, child, digests}
	}
	for _, key := range p.Child {
		published := p.published(key)
		child = append(child, published.ToCDNSKEY())
		digest := published.ToDS(dns.SHA256).ToCDS()
		digest.Hdr.Ttl = p.TTL
		digests = append(digests, digest)
	}
	sets := [][]dns.RR{keys}
	if len(child) > 0 {
		sets = append(sets, child, digests)
	}
	return sets
}

func (p *Plan) header(kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: p.Apex, Rrtype: kind, Class: dns.ClassINET, Ttl: p.TTL}
}

// published is a key as it stands in the zone.
func (p *Plan) published(key *Key) *dns.DNSKEY {
	record := *key.Record
	record.Hdr = p.header(dns.TypeDNSKEY)
	return &record
}
