package publish

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// Bounds and defaults of an Entry.
const (
	DefaultInterval = time.Minute
	MinInterval     = time.Second
	MaxInterval     = 24 * time.Hour
	DefaultRotation = time.Hour
	MinRotation     = time.Minute
	MaxRotation     = 7 * 24 * time.Hour
	MaxTTL          = 7 * 24 * 60 * 60 // seconds
	MaxLimit        = 100
)

// Entry says what is published where. It never changes.
type Entry struct {
	Pool   string         // its name, which is that of the records as well
	Zone   string         // the apex of the zone at the primary
	Server netip.AddrPort // the primary
	Key    *tsig.Key
	// TTL of the records in seconds; 0: that of the pool.
	TTL uint32
	// Interval is how often the primary is looked at.
	Interval time.Duration
	// Limit is how many addresses of a family are published at most, drawn by
	// weight anew every Rotation; 0: all.
	Limit    int
	Rotation time.Duration
	// Adopt takes RRsets of the name over that others have put there.
	Adopt bool
	// DryRun looks and says, and changes nothing.
	DryRun bool
}

// Validate says what is wrong.
func (e Entry) Validate() error {
	for _, name := range []string{e.Pool, e.Zone} {
		if _, valid := dns.IsDomainName(name); !valid || name == "" {
			return fmt.Errorf("found %q, expected a domain name", name)
		}
	}
	switch {
	case !dns.IsSubDomain(canonical(e.Zone), canonical(e.Pool)):
		return fmt.Errorf("pool %s does not lie in zone %s", e.Pool, e.Zone)
	case !e.Server.IsValid() || e.Server.Port() == 0:
		return errors.New("no address and port of the primary")
	case e.Key == nil:
		return errors.New("no key to sign with")
	case e.TTL > MaxTTL:
		return fmt.Errorf("found a TTL of %d, expected %d s at most", e.TTL, MaxTTL)
	case e.Interval < MinInterval || e.Interval > MaxInterval:
		return fmt.Errorf("found an interval of %s, expected %s to %s", e.Interval, MinInterval, MaxInterval)
	case e.Limit < 0 || e.Limit > MaxLimit:
		return fmt.Errorf("found a limit of %d, expected 0 to %d", e.Limit, MaxLimit)
	case e.Limit > 0 && (e.Rotation < MinRotation || e.Rotation > MaxRotation):
		return fmt.Errorf("found a rotation of %s, expected %s to %s", e.Rotation, MinRotation, MaxRotation)
	}
	return nil
}

// place is what tells entries apart: two of the same place would fight.
func (e Entry) place() place {
	return place{Server: e.Server.String(), Zone: canonical(e.Zone), Pool: canonical(e.Pool)}
}

type place struct {
	Server string `json:"server"`
	Zone   string `json:"zone"` // canonical, as Pool is
	Pool   string `json:"pool"`
}

// same reports whether two entries say the same.
func (e Entry) same(other Entry) bool {
	one, two := e, other
	one.Key, two.Key = nil, nil
	return one == two && sameKey(e.Key, other.Key)
}

func sameKey(a, b *tsig.Key) bool {
	if a == b || a == nil || b == nil {
		return a == b
	}
	one, err := tsig.NewKeyring(a)
	if err != nil {
		return false
	}
	two, err := tsig.NewKeyring(b)
	return err == nil && one.Equal(two)
}

func canonical(name string) string { return dns.CanonicalName(name) }
