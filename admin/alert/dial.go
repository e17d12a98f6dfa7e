package alert

import (
	"context"
	"net"

	"mirrorpool/pool"
)

// dialer connects to an address and port, or a name and port, over TCP; nil: net.Dialer's way.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects to a server. What is told is for one machine alone: a name with a dot in
// it is not looked for within search domains of /etc/resolv.conf.
func (d dialer) dial(ctx context.Context, network, server string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return nil, hopeless{err}
	}
	if d == nil {
		d = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true}}).DialContext
	}
	return d(ctx, network, net.JoinHostPort(pool.AbsoluteName(host), port))
}
