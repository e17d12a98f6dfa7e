package signing

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Backdate is how long before the time of signing a signature begins, for
// validators whose clock is behind.
const Backdate = time.Hour

// renewals is how many periods there are in a signature's life: a signature is
// renewed when a quarter of its life is over, and has three to go.
const renewals = 4

// groups is how many times in a period signatures are renewed.
const groups = 64

// Plan is with what a zone is signed at one time. It is immutable.
type Plan struct {
	Apex string // canonical
	// Published are the keys in the DNSKEY RRset. Those that sign are among them,
	// but while an algorithm comes or goes (RFC 6781, section 4.1.4).
	Published []*Key
	// Zone sign all but DNSKEY, CDS and CDNSKEY, which Entry sign. The same key
	// may be in both.
	Zone, Entry []*Key
	// Child are those that CDS and CDNSKEY name (RFC 7344); none: there are no such
	// records. Withdraw asks the parent to delete all DS records instead (RFC 8078,
	// section 4).
	Child    []*Key
	Withdraw bool
	// ChildSince is when CDS and CDNSKEY came to be what they are; zero: not known.
	// Their signatures do not begin before: parents take none that is older than what
	// they took last (RFC 7344, section 6.2; dnssec-cds of BIND).
	ChildSince time.Time
	// TTL is that of DNSKEY, CDS and CDNSKEY, in seconds.
	TTL uint32
	// Lifetime is that of a signature, from the time of signing on.
	Lifetime time.Duration
	Now      time.Time
	// Warnings are what is to be known of keys whose times do not fit.
	Warnings []string
}

// Window is the time in which the signature of an RRset is good, and when it is to
// be renewed. It depends on the owner and the type, and stays the same until then.
func (p *Plan) Window(owner string, kind uint16) (inception, expiration uint32, renew time.Time) {
	period := max(int64(p.Lifetime/time.Second)/renewals, 1)
	step := max(period/groups, 1)
	hash := sha256.Sum256(binary.BigEndian.AppendUint16([]byte(owner), kind))
	offset := int64(binary.BigEndian.Uint32(hash[:])) % max(period/step, 1) * step
	now := p.Now.Unix()
	begin := now - ((now-offset)%period+period)%period
	first := begin - int64(Backdate/time.Second)
	if since := p.ChildSince; (kind == dns.TypeCDS || kind == dns.TypeCDNSKEY) && !since.IsZero() && since.Unix() <= now {
		first = max(first, since.Unix())
	}
	return uint32(first), uint32(begin + int64(p.Lifetime/time.Second)), time.Unix(begin+period, 0)
}

// Sign signs an RRset: all records have one owner, spelt in canonical form, type
// and TTL.
func (p *Plan) Sign(records []dns.RR) ([]Signature, error) {
	if len(records) == 0 {
		return nil, fmt.Errorf("signing in zone %s: there are no records", p.Apex)
	}
	header := records[0].Header()
	keys := p.keysFor(header.Rrtype)
	if len(keys) == 0 {
		return nil, fmt.Errorf("signing %s %s: there is no key for it", header.Name, dns.Type(header.Rrtype))
	}
	inception, expiration, _ := p.Window(header.Name, header.Rrtype)
	set, err := newSignable(records, keys[0].signer(), inception, expiration)
	if err != nil {
		return nil, fmt.Errorf("signing %s %s: %w", header.Name, dns.Type(header.Rrtype), err)
	}
	signatures := make([]Signature, 0, len(keys))
	for _, key := range keys {
		one, err := set.sign(key)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, one)
	}
	return signatures, nil
}

func (p *Plan) keysFor(kind uint16) []*Key {
	switch kind {
	case dns.TypeDNSKEY, dns.TypeCDNSKEY, dns.TypeCDS:
		return p.Entry
	}
	return p.Zone
}

// SameAs reports whether another plan signs with the same keys for as long: what it
// has signed is good until it is to be renewed. Either may be nil.
func (p *Plan) SameAs(other *Plan) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Apex == other.Apex && p.TTL == other.TTL && p.Lifetime == other.Lifetime && p.Withdraw == other.Withdraw &&
		p.ChildSince.Equal(other.ChildSince) &&
		sameKeys(p.Published, other.Published) && sameKeys(p.Zone, other.Zone) &&
		sameKeys(p.Entry, other.Entry) && sameKeys(p.Child, other.Child)
}

// Secret is what nobody knows who does not have the zone's key, the same each time.
func (p *Plan) Secret() (secret [sha256.Size]byte, err error) {
	if len(p.Zone) == 0 || !p.Zone[0].CanSign() {
		return secret, fmt.Errorf("making a secret of the keys of %s: there is none that signs", p.Apex)
	}
	// No RRSIG begins like this: it would cover a type of 29,541 with algorithm 99.
	signature, err := p.Zone[0].signature([]byte("secret of the sets of pools"))
	if err != nil {
		return secret, fmt.Errorf("making a secret of the keys of %s: %w", p.Apex, err)
	}
	return sha256.Sum256(signature), nil
}

// SignsAs reports whether another plan makes the same signatures of what the zone's
// keys sign, which is all but DNSKEY, CDS and CDNSKEY.
func (p *Plan) SignsAs(other *Plan) bool {
	return p.Apex == other.Apex && p.Lifetime == other.Lifetime && sameKeys(p.Zone, other.Zone)
}

func sameKeys(a, b []*Key) bool { return slices.EqualFunc(a, b, (*Key).Same) }
