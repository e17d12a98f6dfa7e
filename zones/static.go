package zones

import (
	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// For gives the same zones for a definition that differs from theirs in nothing but the
// members' addresses, so that it need not be parsed again; nil if the pools are others.
func (s *Static) For(definition *pool.Definition) *Static {
	if s.definition == definition {
		return s
	}
	if len(s.definition.Pools) != len(definition.Pools) {
		return nil
	}
	for i, one := range definition.Pools {
		if s.definition.Pools[i].Name != one.Name {
			return nil
		}
	}
	other := *s
	other.definition = definition
	return &other
}

// withoutAddress says why a member can be in no answer of a type.
func withoutAddress(member *pool.Member, kind uint16) string {
	address := dns.Type(kind).String() + " address"
	if member.HostName != "" {
		return member.HostName + " has no " + address + " that is known"
	}
	return "no " + address
}
