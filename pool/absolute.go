package pool

import (
	"net/netip"
	"strings"
)

// AbsoluteName gives a host name as look-ups take it for all of the name: with a final dot,
// behind which they put no search domain of /etc/resolv.conf. What has no dot stays as it
// is, for it is "localhost" or a name within a search domain, and so do addresses.
func AbsoluteName(host string) string {
	if !strings.Contains(host, ".") || strings.HasSuffix(host, ".") {
		return host
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	return host + "."
}
