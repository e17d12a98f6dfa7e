package signing

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/miekg/dns"
)

// Signature is what an RRSIG record says of one RRset (RFC 4034, section 3). It is
// immutable.
type Signature struct {
	Key                   *Key
	Covered               uint16 // the type of the RRset
	Labels                uint8
	TTL                   uint32 // of the RRset, in seconds
	Inception, Expiration uint32
	Data                  []byte
}

// sign signs an RRset.
func (k *Key) sign(records []dns.RR, inception, expiration uint32) (Signature, error) {
	header := records[0].Header()
	if k.private == nil {
		return Signature{}, fmt.Errorf("signing %s %s: the private half of key %s is not there", header.Name, dns.Type(header.Rrtype), k.ID())
	}
	rr := dns.RRSIG{
		Algorithm: k.Record.Algorithm, KeyTag: k.tag, SignerName: k.Record.Hdr.Name,
		Inception: inception, Expiration: expiration,
	}
	if err := rr.Sign(deterministic{k.private}, records); err != nil {
		return Signature{}, fmt.Errorf("signing %s %s with key %s: %w", header.Name, dns.Type(header.Rrtype), k.ID(), err)
	}
	data, err := base64.StdEncoding.DecodeString(rr.Signature)
	if err != nil {
		return Signature{}, fmt.Errorf("signing %s %s: %w", header.Name, dns.Type(header.Rrtype), err)
	}
	return Signature{
		Key: k, Covered: rr.TypeCovered, Labels: rr.Labels, TTL: rr.OrigTtl,
		Inception: inception, Expiration: expiration, Data: data,
	}, nil
}

// deterministic signs without randomness: ECDSA after RFC 6979, the others are so
// by themselves.
type deterministic struct{ crypto.Signer }

func (d deterministic) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if _, ok := d.Signer.(*ecdsa.PrivateKey); ok {
		random = nil
	}
	return d.Signer.Sign(random, digest, options)
}

// RR gives the RRSIG record, whose owner is that of the RRset as it is answered.
func (s *Signature) RR(owner string) *dns.RRSIG {
	return &dns.RRSIG{
		Hdr: dns.RR_Header{
			Name: owner, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: s.TTL,
			Rdlength: uint16(s.dataSize()),
		},
		TypeCovered: s.Covered, Algorithm: s.Key.Record.Algorithm, Labels: s.Labels, OrigTtl: s.TTL,
		Expiration: s.Expiration, Inception: s.Inception, KeyTag: s.Key.tag,
		SignerName: s.Key.Record.Hdr.Name, Signature: base64.StdEncoding.EncodeToString(s.Data),
	}
}

// signatureFixed is what stands before the signer's name, in bytes.
const signatureFixed = 18

func (s *Signature) dataSize() int { return signatureFixed + len(s.Key.signer()) + len(s.Data) }

// AppendRecord writes the RRSIG record in wire format behind its owner.
func (s *Signature) AppendRecord(wire []byte) []byte {
	wire = binary.BigEndian.AppendUint16(wire, dns.TypeRRSIG)
	wire = binary.BigEndian.AppendUint16(wire, dns.ClassINET)
	wire = binary.BigEndian.AppendUint32(wire, s.TTL)
	wire = binary.BigEndian.AppendUint16(wire, uint16(s.dataSize()))
	wire = binary.BigEndian.AppendUint16(wire, s.Covered)
	wire = append(wire, s.Key.Record.Algorithm, s.Labels)
	wire = binary.BigEndian.AppendUint32(wire, s.TTL)
	wire = binary.BigEndian.AppendUint32(wire, s.Expiration)
	wire = binary.BigEndian.AppendUint32(wire, s.Inception)
	wire = binary.BigEndian.AppendUint16(wire, s.Key.tag)
	wire = append(wire, s.Key.signer()...)
	return append(wire, s.Data...)
}

// Verify reports what is wrong with the signature of an RRset; its time is not
// looked at.
func (s *Signature) Verify(records []dns.RR) error {
	if len(records) == 0 {
		return errors.New("verifying a signature: there are no records")
	}
	return s.RR(records[0].Header().Name).Verify(s.Key.Record, records)
}
