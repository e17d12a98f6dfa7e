package health

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"mirrorpool/pool"
)

// Resolver finds the addresses of mirrors' names; a NameResolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// NameResolver finds addresses in /etc/hosts and by DNS. Names with a dot in them are
// taken for whole names: a mirror that is gone must not be found as another machine
// within a search domain of /etc/resolv.conf.
type NameResolver struct {
	server   string // empty: those of /etc/resolv.conf
	resolver net.Resolver
}

// NewResolver makes a NameResolver that asks a server, an address and port; empty: those of
// /etc/resolv.conf.
func NewResolver(server string) *NameResolver {
	// Only Go's own resolver gives up when its context ends.
	r := &NameResolver{server, net.Resolver{PreferGo: true}}
	if server != "" {
		r.resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		}
	}
	return r
}

// LookupNetIP is as that of net.Resolver, but for search domains. Errors have the name as
// it was given, and the server that was asked.
func (r *NameResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := r.resolver.LookupNetIP(ctx, network, pool.AbsoluteName(host))
	if failed, is := errors.AsType[*net.DNSError](err); is {
		named := *failed
		if named.Name = host; r.server != "" && named.Server != "" {
			named.Server = r.server // and not the one of /etc/resolv.conf
		}
		err = &named
	}
	return found, err
}
