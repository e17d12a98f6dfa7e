package pool

import (
	"net/netip"
	"slices"
	"strings"
)

// HostName is a name that stands in place of a member's addresses.
type HostName struct {
	Name string // lower case and without the final dot
	// Inside tells that it may lead to addresses that are not public: every pool that
	// has the name also has a member with such an address of its own.
	Inside bool
}

// HostNames are those of all members that are given to somebody, each once, sorted.
func (d *Definition) HostNames() []HostName {
	inside := map[string]bool{}
	for _, pool := range d.Pools {
		own := slices.ContainsFunc(pool.Members, hasInsideAddress)
		for _, member := range pool.Members {
			if member.HostName == "" || member.Weight == 0 {
				continue
			}
			before, known := inside[member.HostName]
			inside[member.HostName] = own && (before || !known)
		}
	}
	names := make([]HostName, 0, len(inside))
	for name, is := range inside {
		names = append(names, HostName{name, is})
	}
	slices.SortFunc(names, func(a, b HostName) int { return strings.Compare(a.Name, b.Name) })
	return names
}

func hasInsideAddress(m *Member) bool {
	return m.HostName == "" && slices.ContainsFunc(m.Addresses, func(address netip.Addr) bool {
		kind, _ := special(address)
		return kind != ""
	})
}

// Refuses tells what kind of address the name may not lead to this one is; empty: it may.
// No server has a link-local or multicast address. Others that are not public are the
// administrators' own word alone: who keeps a mirror's name must not send the pool's
// clients, or the nodes' checks, to their own machine or network.
func (h HostName) Refuses(address netip.Addr) string {
	kind, never := special(address)
	switch {
	case !address.IsValid():
		return "no address"
	case address.Is4In6():
		return "an IPv4 address in the form of an IPv6 one"
	case never, kind != "" && !h.Inside, !address.IsGlobalUnicast() && !address.IsLoopback():
		return kind
	}
	return ""
}

// Resolved gives the definition with the addresses that the members' host names have at
// the moment, in the order in which they are given. A member whose name has none stays
// without any; an address that another member of the pool has is not given a second time.
// All that has no host names is shared with d, and a definition without any is d itself.
func (d *Definition) Resolved(addresses func(host string) []netip.Addr) *Definition {
	resolved := *d
	resolved.Pools = slices.Clone(d.Pools)
	changed := false
	for i, pool := range d.Pools {
		if hasHostNames(pool) {
			resolved.Pools[i] = pool.resolved(addresses)
			changed = true
		}
	}
	if !changed {
		return d
	}
	return &resolved
}

func hasHostNames(p *Pool) bool {
	return slices.ContainsFunc(p.Members, func(m *Member) bool { return m.HostName != "" })
}

func (p *Pool) resolved(addresses func(host string) []netip.Addr) *Pool {
	resolved := *p
	resolved.Members = slices.Clone(p.Members)
	taken := map[netip.Addr]bool{}
	for _, member := range p.Members {
		if member.HostName == "" {
			for _, address := range member.Addresses {
				taken[address] = true
			}
		}
	}
	for i, member := range p.Members {
		if member.HostName == "" {
			continue
		}
		own := *member
		own.Addresses = nil
		for _, address := range addresses(member.HostName) {
			if !taken[address] {
				taken[address] = true
				own.Addresses = append(own.Addresses, address)
			}
		}
		resolved.Members[i] = &own
	}
	return &resolved
}
