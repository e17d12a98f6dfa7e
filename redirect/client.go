package redirect

import (
	"net/http"
	"net/netip"
	"strings"
)

// client is what is believed of who asks. It lives as long as the request.
type client struct {
	// address is the zero Addr where a trusted proxy says that it will not
	// tell: such a client is served as one of unknown place.
	address netip.Addr
	secure  bool // the client speaks https: never send it to http
}

// proxies are the networks whose word on the client is believed.
type proxies []netip.Prefix

func (p proxies) trust(address netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// client tells who asks.
//
// From a peer outside the trusted networks only the connection itself is
// believed. From a trusted one, X-Forwarded-For is read from the right, past
// further trusted proxies, up to the first address that is not trusted: what
// stands left of it is hearsay. What cannot be read ends the reading, and the
// last address read counts. Forwarded (RFC 7239) is read the same way where
// there is no X-Forwarded-For. Of the two, X-Forwarded-For goes first because
// nearly all proxies set it, and those that do pass on whatever Forwarded the
// client made up.
//
// A client is secure if any X-Forwarded-Proto or Forwarded proto says https,
// whoever on the way wrote it: a lie can only get its teller fewer mirrors.
func (p proxies) client(r *http.Request) client {
	c := client{secure: r.TLS != nil}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return c
	}
	c.address = plain(peer.Addr())
	if !p.trust(c.address) {
		return c
	}
	c.secure = c.secure || forwardedSecurely(r.Header)
	if lines := r.Header.Values("X-Forwarded-For"); len(lines) > 0 {
		c.address = p.walk(c.address, fromRight(lines), parseXForwardedFor)
		return c
	}
	c.address = p.walk(c.address, fromRight(r.Header.Values("Forwarded")), forwardedFor)
	return c
}

// node is the result of reading one proxy's word.
type node int

const (
	nodeUnreadable node = iota // ends the reading
	nodeHidden                 // RFC 7239 section 6: "unknown" or an obfuscated identifier
	nodeAddress
)

// walk goes from the peer towards the client.
func (p proxies) walk(last netip.Addr, elements func(func(string) bool), parse func(string) (netip.Addr, node)) netip.Addr {
	for element := range elements {
		address, kind := parse(element)
		switch kind {
		case nodeUnreadable:
			return last
		case nodeHidden:
			return netip.Addr{}
		}
		last = address
		if !p.trust(last) {
			break
		}
	}
	return last
}

// parseXForwardedFor reads an element of X-Forwarded-For: an address, with or
// without a port.
func parseXForwardedFor(element string) (netip.Addr, node) {
	if strings.EqualFold(element, "unknown") {
		return netip.Addr{}, nodeHidden
	}
	return parseNode(element)
}

// parseNode reads "192.0.2.1", "192.0.2.1:4711", "2001:db8::1",
// "[2001:db8::1]" and "[2001:db8::1]:4711".
func parseNode(s string) (netip.Addr, node) {
	if address, err := netip.ParseAddr(s); err == nil {
		return plain(address), nodeAddress
	}
	host, bracketed := strings.CutPrefix(s, "[")
	if bracketed {
		inside, rest, ok := strings.Cut(host, "]")
		address, err := netip.ParseAddr(inside)
		if !ok || err != nil || !address.Is6() || rest != "" && !isPort(rest) {
			return netip.Addr{}, nodeUnreadable
		}
		return plain(address), nodeAddress
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 || !isPort(s[colon:]) {
		return netip.Addr{}, nodeUnreadable
	}
	address, err := netip.ParseAddr(s[:colon])
	if err != nil {
		return netip.Addr{}, nodeUnreadable
	}
	return plain(address), nodeAddress
}

// isPort reports whether s is a colon and a port as RFC 7239 section 6 has
// them: up to five digits, or an obfuscated one.
func isPort(s string) bool {
	s, ok := strings.CutPrefix(s, ":")
	if !ok || s == "" {
		return false
	}
	if isObfuscated(s) {
		return true
	}
	return len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}

// plain gives an address as geo data knows it: without zone, IPv4 as IPv4.
func plain(address netip.Addr) netip.Addr { return address.WithZone("").Unmap() }
