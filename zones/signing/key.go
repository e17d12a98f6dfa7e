package signing

import (
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Flags of a DNSKEY (RFC 4034, section 2.1.1).
const (
	FlagsZone  = dns.ZONE           // a zone signing key
	FlagsEntry = dns.ZONE | dns.SEP // a key signing key, or the only one: the secure entry point
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

// Tag is the key's tag (RFC 4034, appendix B). Two keys may have the same.
func (k *Key) Tag() uint16 { return k.tag }

// Algorithm is the key's algorithm number.
func (k *Key) Algorithm() uint8 { return k.Record.Algorithm }

// Zone is the canonical name of the zone that the key is for.
func (k *Key) Zone() string { return k.Record.Hdr.Name }

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
	return fmt.Sprintf("K%s+%03d+%05d", fileName(k.wireName), k.Record.Algorithm, k.tag)
}

// DS is the key's DS record with a digest of type dns.SHA256 or dns.SHA384, and
// TTL 0.
func (k *Key) DS(digest uint8) *dns.DS {
	ds := k.Record.ToDS(digest)
	ds.Digest = strings.ToUpper(ds.Digest)
	return ds
}

// WithTimes is the same key with other times. Files are not touched: see
// WriteTimes.
func (k *Key) WithTimes(times Times) *Key {
	changed := *k
	changed.Times = times
	return &changed
}

// newKey makes a key of its parts; private may be nil.
func newKey(record *dns.DNSKEY, private crypto.Signer, times Times) (*Key, error) {
	wire, name, err := canonicalName(record.Hdr.Name)
	if err != nil {
		return nil, err
	}
	own := *record
	own.Hdr = dns.RR_Header{Name: name, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET}
	own.PublicKey = strings.Clone(own.PublicKey)
	return &Key{Record: &own, Times: times, private: private, tag: own.KeyTag(), wireName: wire}, nil
}

// signer is the zone's name in wire format.
func (k *Key) signer() []byte { return k.wireName }

// canonicalName gives a name in wire format and as text, with lower case letters
// and each byte spelt in the one usual way.
func canonicalName(name string) (wire []byte, text string, err error) {
	var buffer [256]byte
	length, err := dns.PackDomainName(dns.CanonicalName(name), buffer[:], 0, nil, false)
	if err != nil {
		return nil, "", fmt.Errorf("%q is no name of a zone: %w", name, err)
	}
	for i := range buffer[:length] { // lengths of labels are below 'A'
		if 'A' <= buffer[i] && buffer[i] <= 'Z' {
			buffer[i] += 'a' - 'A'
		}
	}
	text, _, err = dns.UnpackDomainName(buffer[:length], 0)
	if err != nil {
		return nil, "", fmt.Errorf("%q is no name of a zone: %w", name, err)
	}
	return slices.Clone(buffer[:length]), text, nil
}

// fileName is a name as BIND writes it into file names: all but letters, digits,
// hyphens and underscores is percent-encoded.
func fileName(wire []byte) string {
	if len(wire) == 1 {
		return "."
	}
	var text strings.Builder
	for at := 0; wire[at] != 0; at += 1 + int(wire[at]) {
		for _, c := range wire[at+1 : at+1+int(wire[at])] {
			if c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' {
				text.WriteByte(c)
			} else {
				fmt.Fprintf(&text, "%%%02X", c)
			}
		}
		text.WriteByte('.')
	}
	return text.String()
}
