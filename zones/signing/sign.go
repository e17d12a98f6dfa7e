package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/dns"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
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

// signable is what signatures of an RRset are made over (RFC 4034, section 3.1.8.1):
// the data of the RRSIG without the signature, and the records.
type signable struct {
	header dns.RR_Header // of the first record
	labels uint8
	wire   []byte
}

// newSignable puts an RRset into canonical form once for all keys of a zone.
func newSignable(records []dns.RR, zone []byte, inception, expiration uint32) (*signable, error) {
	s := &signable{header: *records[0].Header()}
	prefix := make([]byte, signatureFixed+len(zone), 512)
	binary.BigEndian.PutUint16(prefix, s.header.Rrtype)
	binary.BigEndian.PutUint32(prefix[4:], s.header.Ttl)
	binary.BigEndian.PutUint32(prefix[8:], expiration)
	binary.BigEndian.PutUint32(prefix[12:], inception)
	copy(prefix[signatureFixed:], zone)
	var err error
	if s.wire, s.labels, err = appendSet(prefix, records); err != nil {
		return nil, err
	}
	s.wire[3] = s.labels
	return s, nil
}

// sign signs an RRset with one of the zone's keys.
func (s *signable) sign(key *Key) (Signature, error) {
	s.wire[2] = key.Algorithm()
	binary.BigEndian.PutUint16(s.wire[16:], key.tag)
	data, err := key.signature(s.wire)
	if err != nil {
		return Signature{}, fmt.Errorf("signing %s %s with key %s: %w", s.header.Name, dns.Type(s.header.Rrtype), key.ID(), err)
	}
	return Signature{
		Key: key, Covered: s.header.Rrtype, Labels: s.labels, TTL: s.header.Ttl,
		Expiration: binary.BigEndian.Uint32(s.wire[8:]), Inception: binary.BigEndian.Uint32(s.wire[12:]), Data: data,
	}, nil
}

// signature signs without randomness: ECDSA after RFC 6979, which a nil source
// asks for; the others are so by themselves.
func (k *Key) signature(data []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case nil:
		return nil, errors.New("its private half is not there")
	case *ecdsa.PrivateKey:
		digest, hash := digestOf(k.Algorithm(), data)
		encoded, err := private.Sign(nil, digest, hash)
		if err != nil {
			return nil, err
		}
		return plainECDSA(encoded, (private.Curve.Params().BitSize+7)/8)
	case *rsa.PrivateKey:
		digest, hash := digestOf(k.Algorithm(), data)
		return rsa.SignPKCS1v15(nil, private, hash, digest)
	default:
		return private.Sign(nil, data, crypto.Hash(0))
	}
}

// digestOf hashes as the algorithm wants it (RFC 5702, RFC 6605).
func digestOf(algorithm uint8, data []byte) ([]byte, crypto.Hash) {
	switch algorithm {
	case dns.RSASHA512:
		digest := sha512.Sum512(data)
		return digest[:], crypto.SHA512
	case dns.ECDSAP384SHA384:
		digest := sha512.Sum384(data)
		return digest[:], crypto.SHA384
	}
	digest := sha256.Sum256(data)
	return digest[:], crypto.SHA256
}

// plainECDSA makes the two numbers of a signature, each of so many bytes, out of
// their ASN.1 form (RFC 6605, section 4).
func plainECDSA(encoded []byte, size int) ([]byte, error) {
	var r, s []byte
	input := cryptobyte.String(encoded)
	var inner cryptobyte.String
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) ||
		len(r) > size || len(s) > size {
		return nil, errors.New("the library's signature is not of the form that it should have")
	}
	plain := make([]byte, 2*size)
	copy(plain[size-len(r):], r)
	copy(plain[2*size-len(s):], s)
	return plain, nil
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
