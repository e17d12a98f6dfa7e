package signing

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// fixedPart is what stands between the owner and the data of a record: type, class,
// TTL and length, in bytes.
const fixedPart = 10

// appendSet appends an RRset as signatures cover it (RFC 4034, section 6): each
// record in canonical form with the TTL of the first, in order of their data, each
// once. It also gives the number of labels that an RRSIG says.
func appendSet(buffer []byte, records []dns.RR) (wire []byte, labels uint8, err error) {
	ttl := records[0].Header().Ttl
	start := len(buffer)
	var few [8][]byte
	canonical := few[:0]
	owner := 0
	for _, rr := range records {
		begin := len(buffer)
		// The length that the library tells is that without compression, or more.
		buffer = slices.Grow(buffer, dns.Len(rr)+1)
		// A copy: packing writes to the record, which others may read meanwhile.
		end, err := dns.PackRR(dns.Copy(rr), buffer[:cap(buffer)], begin, nil, false)
		if err != nil {
			return nil, 0, fmt.Errorf("packing %s %s: %w", rr.Header().Name, dns.Type(rr.Header().Rrtype), err)
		}
		buffer = buffer[:end]
		one := buffer[begin:]
		owner = lowerName(one)
		binary.BigEndian.PutUint32(one[owner+4:], ttl)
		lowerData(rr.Header().Rrtype, one[owner+fixedPart:])
		canonical = append(canonical, one)
	}
	labels = countLabels(buffer[start:])
	if len(records) == 1 {
		return buffer, labels, nil
	}
	slices.SortFunc(canonical, func(a, b []byte) int { return bytes.Compare(a[owner+fixedPart:], b[owner+fixedPart:]) })
	canonical = slices.CompactFunc(canonical, bytes.Equal)
	sorted := append(make([]byte, 0, len(buffer)), buffer[:start]...)
	for _, one := range canonical {
		sorted = append(sorted, one...)
	}
	return sorted, labels, nil
}

// countLabels counts those of a name in wire format, but for the root's and that of
// a wildcard.
func countLabels(wire []byte) (labels uint8) {
	if wire[0] == 1 && wire[1] == '*' {
		wire = wire[2:]
	}
	for ; wire[0] != 0; wire = wire[1+int(wire[0]):] {
		labels++
	}
	return labels
}

// lowerName turns the name in wire format that stands first to lower case, and gives
// its length.
func lowerName(wire []byte) int {
	at := 0
	for at < len(wire) && wire[at] != 0 {
		end := min(at+1+int(wire[at]), len(wire))
		for i := at + 1; i < end; i++ {
			if 'A' <= wire[i] && wire[i] <= 'Z' {
				wire[i] += 'a' - 'A'
			}
		}
		at = end
	}
	return at + 1
}

// lowerData turns the names in a record's data to lower case where they are to be
// for signatures (RFC 4034, section 6.2, with RFC 6840, section 5.1).
func lowerData(kind uint16, data []byte) {
	names, skip := 1, 0
	switch kind {
	case dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR, dns.TypeDNAME, dns.TypeNXT:
	case dns.TypeSOA, dns.TypeMINFO, dns.TypeRP:
		names = 2
	case dns.TypeMX, dns.TypeAFSDB, dns.TypeRT, dns.TypeKX:
		skip = 2
	case dns.TypePX:
		names, skip = 2, 2
	case dns.TypeSRV:
		skip = 6
	case dns.TypeSIG:
		skip = signatureFixed
	case dns.TypeNAPTR:
		skip = 4
		for range 3 { // flags, services and regular expression
			if skip < len(data) {
				skip += 1 + int(data[skip])
			}
		}
	default:
		return
	}
	for ; names > 0 && skip < len(data); names-- {
		skip += lowerName(data[skip:])
	}
}
