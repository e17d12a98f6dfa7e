package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// generatedRSABits is the size of an RSA key that is made here.
const generatedRSABits = 2048

// Generate makes a new key of a zone: a secure entry point or not. The times are
// taken as they are: Created has to be among them where it is wanted.
func Generate(zone string, algorithm uint8, entry bool, times Times) (*Key, error) {
	if zone == "" {
		return nil, errors.New("making a key: the name of the zone is empty")
	}
	private, err := generatePrivate(algorithm)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", zone, err)
	}
	public, err := encodePublic(private.Public())
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", zone, err)
	}
	record := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: dns.Fqdn(zone)},
		Flags: FlagsZone, Protocol: 3, Algorithm: algorithm, PublicKey: public,
	}
	if entry {
		record.Flags = FlagsEntry
	}
	key, err := newKey(record, private, times)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", zone, err)
	}
	return key, nil
}

// GenerateDistinct is Generate for a zone that has keys already: a key whose tag one
// of them has is drawn anew, so that validators and files can tell them apart.
func GenerateDistinct(zone string, algorithm uint8, entry bool, times Times, others []*Key) (*Key, error) {
	for {
		key, err := Generate(zone, algorithm, entry, times)
		if err != nil || !key.collides(others) {
			return key, err
		}
	}
}

// collides reports whether another key has the same tag, or would have it if either
// were revoked, which changes a key's tag (RFC 5011, section 2.1).
func (k *Key) collides(others []*Key) bool {
	revoked := k.revokedTag()
	return slices.ContainsFunc(others, func(other *Key) bool {
		return k.tag == other.tag || k.tag == other.revokedTag() || revoked == other.tag
	})
}

func (k *Key) revokedTag() uint16 {
	revoked := *k.Record
	revoked.Flags |= dns.REVOKE
	return revoked.KeyTag()
}

func generatePrivate(algorithm uint8) (crypto.Signer, error) {
	switch algorithm {
	case dns.ECDSAP256SHA256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case dns.ECDSAP384SHA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case dns.ED25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case dns.RSASHA256, dns.RSASHA512:
		return rsa.GenerateKey(rand.Reader, generatedRSABits)
	}
	return nil, fmt.Errorf("algorithm %d is none that zones are signed with here: 8, 10, 13, 14 or 15", algorithm)
}
