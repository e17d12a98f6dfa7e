package zones

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// SerialShare tells which serials a node gives where several nodes give the same zones:
// those of which Of leaves the rest Place, so that no other node gives one of them to
// other content. Of is a power of two, so that this goes on where serials wrap. The
// zero SerialShare is all.
type SerialShare struct{ Place, Of uint32 }

// mostShares is among how many nodes serials can be shared.
const mostShares = 8

// ParseSerialShare reads "1/2", the first of two. Four places serve three nodes.
func ParseSerialShare(text string) (SerialShare, error) {
	place, of, _ := strings.Cut(text, "/")
	p, placeErr := strconv.ParseUint(place, 10, 8)
	n, ofErr := strconv.ParseUint(of, 10, 8)
	if placeErr != nil || ofErr != nil || n < 2 || n > mostShares || n&(n-1) != 0 || p < 1 || p > n {
		return SerialShare{}, fmt.Errorf(`found %q, expected this node's place and how many there are, such as "1/2", of 2, 4 or 8`, text)
	}
	return SerialShare{Place: uint32(p) - 1, Of: uint32(n)}, nil
}

// from gives the first serial of the share from a number on.
func (s SerialShare) from(number uint32) uint32 {
	if s.Of == 0 {
		return number
	}
	return number + (s.Place-number)%s.Of // which goes on where numbers wrap
}

// next gives the serial for content with the given digest. The number stays while the
// content does, if it is of the share, and otherwise only grows, in the arithmetic of
// RFC 1982; it follows the time of day where it can.
func (s SerialShare) next(last Serial, seen bool, digest string, now time.Time) Serial {
	if seen && last.Digest == digest && s.from(last.Number) == last.Number {
		return last
	}
	number := s.from(uint32(now.Unix()))
	if seen && !serialAfter(number, last.Number) {
		number = s.from(last.Number + 1)
	}
	return Serial{Number: number, Digest: digest}
}

// serialAfter reports whether a is greater than b (RFC 1982, section 3.2).
func serialAfter(a, b uint32) bool { return int32(a-b) > 0 }

// digest is a SHA-256 over fields, each with its length before it.
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) text(s string) {
	d.number(uint64(len(s)))
	_, _ = d.Write([]byte(s)) // a hash never fails
}

func (d digest) number(n uint64) {
	_, _ = d.Write(binary.BigEndian.AppendUint64(nil, n))
}

func (d digest) address(a netip.Addr) { d.text(string(a.AsSlice())) }

func (d digest) hexadecimal() string { return hex.EncodeToString(d.Sum(nil)) }

func (s RRset) owner() string { return canonical(s.Records[0].Header().Name) }

// set digests an RRset; the order of its records does not matter.
func (d digest) set(name string, set RRset) {
	d.text(name)
	d.number(uint64(set.Type))
	d.number(uint64(set.Records[0].Header().Ttl))
	data := make([]string, len(set.Records))
	for i, rr := range set.Records {
		data[i] = rdata(rr)
	}
	slices.Sort(data)
	d.number(uint64(len(data)))
	for _, each := range data {
		d.text(each)
	}
}

// rdata gives a record's data, uncompressed.
func rdata(rr dns.RR) string {
	buffer := make([]byte, min(dns.Len(rr)+256, dns.MaxMsgSize))
	length, err := dns.PackRR(rr, buffer, 0, nil, false)
	if err != nil {
		return rr.String() // what was unpacked packs; if not, this still tells it from others
	}
	return string(buffer[length-int(rr.Header().Rdlength) : length])
}

// content digests what the table gives for a zone: the static records and, of
// every pool, what may be drawn, and their signatures, also when that of the SOA was
// made. Weights and places are not in it: they decide who gets what, but not what
// there is.
func (t *Table) content(z *Zone, signed *signedZone) string {
	d := newDigest()
	_, _ = d.Write(z.digest[:])
	if signed != nil {
		_, _ = d.Write(signed.digest[:])
		inception, _, _ := signed.plan.Window(z.Apex, dns.TypeSOA)
		d.number(uint64(inception))
	}
	for _, name := range z.pools {
		d.text(name)
		_, _ = d.Write(t.pools[z.nodes[name].Pool].content[:])
	}
	return d.hexadecimal()
}

// digest digests what may be drawn from the pool.
func (s *compiledPool) digest() [sha256.Size]byte {
	d := newDigest()
	d.number(uint64(s.source.TTL))
	for _, f := range []*family{s.ipv4, s.ipv6} {
		given := f.given()
		d.number(uint64(len(given)))
		for _, address := range given {
			d.address(address)
		}
	}
	return [sha256.Size]byte(d.Sum(nil))
}
