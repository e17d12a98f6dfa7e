package hostnames

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// attemptTimeout bounds the wait for one server, and lookupTimeout that for all.
	attemptTimeout = 2 * time.Second
	lookupTimeout  = 10 * time.Second
	// attempts are how often each server is asked before it is given up.
	attempts = 2
	// maxServers are how many servers are asked, one after the other.
	maxServers = 3
	// maxAliases bounds a chain of CNAME records.
	maxAliases = 16
	// udpSize is what one packet holds on any way (DNS flag day 2020).
	udpSize = 1232
)

// finding is what a look-up of one family came to.
type finding struct {
	addresses []netip.Addr // as they were answered
	ttl       time.Duration
	// empty tells that the name is there and has no address of the family; missing that
	// it is not there at all.
	empty, missing bool
	err            error // anything else; its words do not change from try to try
}

// found reports whether there are addresses.
func (f finding) found() bool { return f.err == nil && len(f.addresses) > 0 }

// wire asks real servers.
type wire struct {
	// servers are those of a moment, as "127.0.0.1:53".
	servers func() ([]string, error)
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// lookUp asks the servers, one after the other, for one family of a name.
func (w wire) lookUp(ctx context.Context, name string, kind uint16) finding {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	servers, err := w.servers()
	if err != nil {
		return finding{err: err}
	}
	servers = servers[:min(len(servers), maxServers)]
	var first finding
	for range attempts {
		for _, server := range servers {
			one := w.ask(ctx, server, name, kind)
			if one.err == nil {
				return one
			}
			if first.err == nil {
				first = one
			}
			if ctx.Err() != nil {
				return first
			}
		}
	}
	return first
}

// ask asks one server, over TCP again where its answer does not fit a packet.
func (w wire) ask(ctx context.Context, server, name string, kind uint16) finding {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	query := new(dns.Msg)
	query.SetQuestion(dns.Fqdn(name), kind)
	query.SetEdns0(udpSize, false)
	reply, err := w.exchange(ctx, "udp", server, query)
	if err == nil && reply.Truncated {
		reply, err = w.exchange(ctx, "tcp", server, query)
	}
	if err != nil {
		return finding{err: fmt.Errorf("asking %s: %w", server, plain(ctx, err))}
	}
	return read(reply, server, kind)
}

// exchange sends a question and waits for the answer to it. What else comes meanwhile is
// passed over: anybody can send that.
func (w wire) exchange(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	raw, err := w.dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() {
		// A connection without deadlines ends when it is closed, so nothing is lost.
		_ = raw.SetDeadline(time.Unix(1, 0))
	})
	defer stop()
	connection := &dns.Conn{Conn: raw, UDPSize: udpSize}
	if err := connection.WriteMsg(query); err != nil {
		return nil, err
	}
	for {
		reply, err := connection.ReadMsg()
		if err == nil && isReply(reply, query) {
			return reply, nil
		}
		if _, failed := errors.AsType[*net.OpError](err); err != nil && (failed || network == "tcp" || ctx.Err() != nil) {
			return nil, err
		}
	}
}

func isReply(reply, query *dns.Msg) bool {
	return reply.Id == query.Id && reply.Response && reply.Opcode == dns.OpcodeQuery && len(reply.Question) == 1 &&
		strings.EqualFold(reply.Question[0].Name, query.Question[0].Name) &&
		reply.Question[0].Qtype == query.Question[0].Qtype && reply.Question[0].Qclass == dns.ClassINET
}

// plain gives an error's reason without the ports, which differ each time.
func plain(ctx context.Context, err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	if system, ok := errors.AsType[*os.SyscallError](err); ok {
		err = system.Err
	}
	if timeout, ok := err.(net.Error); ctx.Err() != nil || ok && timeout.Timeout() {
		return errors.New("no answer")
	}
	return err
}

// read makes a finding of a server's answer.
func read(reply *dns.Msg, server string, kind uint16) finding {
	switch {
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return finding{err: fmt.Errorf("asking %s: the answer is %s", server, rcode(reply))}
	case reply.Truncated:
		return finding{err: fmt.Errorf("asking %s: the answer is truncated over TCP", server)}
	}
	f, aliased := collect(reply, kind)
	switch {
	case f.found() || f.err != nil:
	case !reply.RecursionAvailable && (!reply.Authoritative || aliased):
		f.err = fmt.Errorf("asking %s: it does not look names up for others (RA is clear)", server)
	case reply.Rcode == dns.RcodeNameError:
		f.missing, f.ttl = true, negativeTTL(reply)
	default:
		f.empty, f.ttl = true, negativeTTL(reply)
	}
	return f
}

// rcode names what a server answered, with what it says of the reason (RFC 8914): that is
// where DNSSEC that does not hold can be told from a server that is down.
func rcode(reply *dns.Msg) string {
	text, known := dns.RcodeToString[reply.Rcode]
	if !known {
		text = fmt.Sprintf("RCODE %d", reply.Rcode)
	}
	if options := reply.IsEdns0(); options != nil {
		for _, option := range options.Option {
			if extended, ok := option.(*dns.EDNS0_EDE); ok {
				if reason := dns.ExtendedErrorCodeToString[extended.InfoCode]; reason != "" {
					return text + " (" + reason + ")"
				}
			}
		}
	}
	return text
}

// collect follows the aliases from the name that was asked to its addresses. The TTL is
// the least of all that leads there.
func collect(reply *dns.Msg, kind uint16) (f finding, aliased bool) {
	f.ttl = MostTTL
	name := strings.ToLower(reply.Question[0].Name)
	for range maxAliases {
		next := ""
		for _, rr := range reply.Answer {
			header := rr.Header()
			if header.Class != dns.ClassINET || strings.ToLower(header.Name) != name {
				continue
			}
			switch rr := rr.(type) {
			case *dns.CNAME:
				next = strings.ToLower(rr.Target)
			case *dns.A:
				if kind != dns.TypeA {
					continue
				}
				f.add(rr.A)
			case *dns.AAAA:
				if kind != dns.TypeAAAA {
					continue
				}
				f.add(rr.AAAA)
			default:
				continue
			}
			f.ttl = min(f.ttl, seconds(header.Ttl))
		}
		if len(f.addresses) > 0 || next == "" {
			return f, aliased
		}
		name, aliased = next, true
	}
	f.err = fmt.Errorf("more than %d aliases in a row", maxAliases)
	return f, aliased
}

// seconds is a TTL as it is meant: with the first bit set it is 0 (RFC 2181, section 8).
func seconds(ttl uint32) time.Duration {
	if ttl >= 1<<31 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

func (f *finding) add(ip net.IP) {
	if address, ok := netip.AddrFromSlice(ip); ok {
		f.addresses = append(f.addresses, address)
	}
}

// negativeTTL is how long a name is known not to have something (RFC 2308, section 5);
// without the record that tells it, as long as what fails may wait.
func negativeTTL(reply *dns.Msg) time.Duration {
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
		}
	}
	return mostRetry
}
