package signing

import (
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Flags of a DNSKEY (RFC 4034, section 2.1.1).
const (
	FlagsZone  = 256 // a zone signing key
	FlagsEntry = 257 // a key signing key, or the only one: the secure entry point
)

// Key is a DNSKEY and, where it is there, its private half. It is immutable.
type Key struct {
	// Record has the zone's canonical name as owner, class IN, and TTL 0.
	Record *dns.DNSKEY
	Times  Times

	private crypto.Signer // nil: there is only the public half
	tag     uint16
	// wireName is the zone's name in wire format.
	wireName []byte
}

// Times are what the files say of a key's life; zero: nothing.
type Times struct {
	Created     time.Time
	Publish     time.Time // in the DNSKEY RRset from then on
	Activate    time.Time // signs from then on
	Inactive    time.Time // does not sign any more
	Delete      time.Time // not in the DNSKEY RRset any more
	SyncPublish time.Time // CDS and CDNSKEY name it from then on
	SyncDelete  time.Time // and from then on they do not
}

// Tag is the key's tag (RFC 4034, appendix B). Two keys may have the same.
func (k *Key) Tag() uint16 { return k.tag }

// Algorithm is the key's algorithm number.
func (k *Key) Algorithm() uint8 { return k.Record.Algorithm }

// Entry reports whether the key is a secure entry point: what a DS names.
func (k *Key) Entry() bool { return k.Record.Flags&dns.SEP != 0 }

// CanSign reports whether the private half is there.
func (k *Key) CanSign() bool { return k.private != nil }

// Same reports whether two keys have the same public half and role.
func (k *Key) Same(other *Key) bool {
	return k.Record.Hdr.Name == other.Record.Hdr.Name && k.Record.Flags == other.Record.Flags &&
		k.Record.Algorithm == other.Record.Algorithm && k.Record.PublicKey == other.Record.PublicKey
}

// ID is the key's name as BIND's files have it, such as Kexample.org.+013+12345.
func (k *Key) ID() string {
	return fmt.Sprintf("K%s+%03d+%05d", k.Record.Hdr.Name, k.Record.Algorithm, k.tag)
}

// newKey makes a key of its parts; private may be nil.
func newKey(record *dns.DNSKEY, private crypto.Signer, times Times) (*Key, error) {
	var wire [256]byte
	length, err := dns.PackDomainName(record.Hdr.Name, wire[:], 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("a key of %q: %w", record.Hdr.Name, err)
	}
	return &Key{Record: record, Times: times, private: private, tag: record.KeyTag(), wireName: slices.Clone(wire[:length])}, nil
}

// signer is the zone's name in wire format.
func (k *Key) signer() []byte { return k.wireName }
