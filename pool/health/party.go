package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLinks is how many connections a party keeps open.
const maxLinks = 4

// party is one side that a probe asks, with all servers that it leads to: the target, or
// the origin of a file. It is used by one goroutine, and closed when the probe ends.
type party struct {
	*checker
	// name and address are a member's own: the name is not looked up.
	name    string
	address netip.Addr
	follow  bool     // redirects are followed
	scribe  *attempt // notes what is seen; nil for those that evidence does not tell of
	timeout time.Duration

	doing phase
	first netip.Addr // what was connected to first
	links []*link
}

// link is an open connection to a server.
type link struct {
	key        string // scheme, host and port
	raw        net.Conn
	connection net.Conn // raw, or TLS over it
	limited    *io.LimitedReader
	reader     *bufio.Reader
	used       bool // a question was answered on it
}

// close closes what is still open.
func (p *party) close() {
	for _, l := range p.links {
		l.raw.Close()
	}
	p.links = nil
}

// step notes a part of the probe for the evidence.
func (p *party) step(name, words string) {
	if p.scribe != nil {
		p.scribe.step(name, words)
	}
}

// link takes a connection to a URL's server, one that is open if there is.
func (p *party) link(ctx context.Context, u *url.URL) (*link, error) {
	key := u.Scheme + "://" + u.Host
	if i := slices.IndexFunc(p.links, func(l *link) bool { return l.key == key }); i >= 0 {
		l := p.links[i]
		p.links = slices.Delete(p.links, i, i+1)
		return l, nil
	}
	return p.open(ctx, u, key)
}

// keep puts a connection back that can be used again.
func (p *party) keep(l *link) {
	if len(p.links) == maxLinks {
		p.links[0].raw.Close()
		p.links = slices.Delete(p.links, 0, 1)
	}
	l.used = true
	p.links = append(p.links, l)
}

// open connects to a URL's server.
func (p *party) open(ctx context.Context, u *url.URL, key string) (*link, error) {
	port, err := portOf(u)
	if err != nil {
		return nil, err
	}
	addresses, err := p.addresses(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := p.bounded(addresses); err != nil {
		return nil, err
	}
	raw, err := p.connect(ctx, addresses, port)
	if err != nil {
		return nil, err
	}
	l := &link{key: key, raw: raw, connection: raw}
	if u.Scheme == "https" {
		secured, err := p.secure(ctx, raw, u.Hostname())
		if err != nil {
			raw.Close()
			return nil, err
		}
		l.connection = secured
	}
	l.limited = &io.LimitedReader{R: l.connection}
	l.reader = bufio.NewReader(l.limited)
	return l, nil
}

// portOf is the port that a URL names, or its scheme's own.
func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	switch {
	case text == "" && u.Scheme == "http":
		return 80, nil
	case text == "" && u.Scheme == "https":
		return 443, nil
	case u.Scheme != "http" && u.Scheme != "https":
		return 0, fail(Failed, "no way to fetch %s", quote([]byte(u.Redacted())))
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fail(Failed, "%s is not a port", quote([]byte(text)))
	}
	return uint16(port), nil
}

// addresses are those that a URL's host is to be asked at. A member's own name
// stands for its address; other names are resolved, and what a name cannot mean
// is left out. An address in a URL of the configuration is the administrators'
// own word, and asked whatever it is.
func (p *party) addresses(ctx context.Context, u *url.URL) ([]netip.Addr, error) {
	name := u.Hostname()
	if p.address.IsValid() && strings.EqualFold(name, p.name) {
		return []netip.Addr{p.address}, nil
	}
	if literal, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{literal.Unmap()}, nil
	}
	p.doing = resolving
	found, err := p.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	found = slices.Clone(found)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	// Resolvers rotate their answers. In a fixed order the same address is
	// asked every time, and the mirror's place stays. IPv4 goes first, as not
	// every node has IPv6.
	slices.SortFunc(found, netip.Addr.Compare)
	found = slices.Compact(found)
	if len(found) == 0 {
		return nil, fail(Resolution, "resolving %s: no address", quote([]byte(name)))
	}
	first := found[0]
	found = slices.DeleteFunc(found, func(address netip.Addr) bool { return !askable(address) })
	if len(found) == 0 {
		return nil, fail(Resolution, "resolving %s: %s is no address of a server; write it in the URL if it is", quote([]byte(name)), first)
	}
	if p.scribe != nil {
		p.step(stepResolve, addressesInWords(name, found))
	}
	return found[:min(len(found), maxAddresses)], nil
}

// addressesInWords says where a name leads.
func addressesInWords(name string, found []netip.Addr) string {
	var words []string
	for _, address := range found {
		words = append(words, address.String())
	}
	return name + ": " + shortList(words)
}

// connect connects to the first of the addresses that lets it, as a client
// does. Each gets an equal part of the time that is left. If none does, the
// failure is that of the first.
func (p *party) connect(ctx context.Context, addresses []netip.Addr, port uint16) (net.Conn, error) {
	p.doing = connecting
	var first error
	for i, address := range addresses {
		part, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && i < len(addresses)-1 {
			part, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(addresses)-i))
		}
		at := netip.AddrPortFrom(address, port).String()
		connection, err := p.dial(part, "tcp", at)
		cancel()
		if err == nil {
			if !p.first.IsValid() { // the first of all, not where redirects led
				p.first = address
			}
			if a := p.scribe; a != nil && !a.result.Address.IsValid() {
				a.result.Address = address
			}
			p.step(stepConnect, at)
			return connection, nil
		}
		if first == nil || explainShortage(err) != nil { // what was not tried may be the one that would have connected
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(addresses) > 1 && ctx.Err() == nil {
		f := explain(ctx, first, connecting, p.timeout)
		return nil, fail(f.outcome, "%s (%s; none of %d addresses connects)", f.reason, addresses[0], len(addresses))
	}
	return nil, first
}

// secure makes the TLS handshake and verifies the certificate for the name.
func (p *party) secure(ctx context.Context, connection net.Conn, name string) (net.Conn, error) {
	p.doing = shaking
	secured := tls.Client(connection, &tls.Config{
		ServerName: strings.TrimSuffix(name, "."),
		RootCAs:    p.roots,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		Time:       p.now,
	})
	err := secured.HandshakeContext(ctx)
	if err != nil {
		p.sawCertificate(leafOf(err), true)
		return nil, err
	}
	p.sawCertificate(secured.ConnectionState().PeerCertificates[0], false)
	return secured, nil
}

// sawCertificate notes whose a certificate is and when it ends; of several,
// behind redirects, the soonest.
func (p *party) sawCertificate(leaf *x509.Certificate, refused bool) {
	a := p.scribe
	if leaf == nil || a == nil {
		return
	}
	if known := a.result.CertificateExpiry; known.IsZero() || leaf.NotAfter.Before(known) {
		a.result.CertificateExpiry = leaf.NotAfter.UTC()
	}
	words := certificateInWords(leaf)
	if refused {
		a.refused = words // the step that fails tells it
		return
	}
	a.step(stepTLS, words)
}

// certificateInWords tells for whom a certificate is, from when to when, and by whom.
func certificateInWords(leaf *x509.Certificate) string {
	const layout = "2006-01-02 15:04 UTC"
	by := leaf.Issuer.CommonName
	if by == "" {
		by = leaf.Issuer.String()
	}
	return "for " + namesOf(leaf) + ", from " + leaf.NotBefore.UTC().Format(layout) +
		" to " + leaf.NotAfter.UTC().Format(layout) + ", by " + quote([]byte(by))
}
