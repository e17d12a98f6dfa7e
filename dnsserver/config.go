package dnsserver

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"mirrorpool/zones"
)

// Answerer is what the answers come from. *zones.Table is one. Answer is
// called by many goroutines at once.
type Answerer interface {
	Answer(zones.Question, zones.Random) zones.Answer
}

// What a Config's zero values stand for.
const (
	DefaultUDPSize        = 1232
	DefaultTCPConnections = 1000
	DefaultTCPIdle        = 10 * time.Second
)

// maxNSID keeps the identifier from crowding the records out of 512 bytes.
const maxNSID = 128

// Config is what a Server is made of.
type Config struct {
	// Listen are the addresses that are served, UDP and TCP on each, such as
	// "0.0.0.0:53" or "[::]:53". An IPv6 address is for IPv6 alone. Port 0 is
	// one that is free for both.
	Listen []string
	// NSID is given to whoever asks for the name server's identifier; at most
	// 128 bytes; empty: nobody gets one.
	NSID string
	// Table gives what is answered from; it is called once for all questions that
	// are answered in one go, which may be many, and not before the first of them
	// is there. While it gives nil (an interface that is nil, see FromTable), questions
	// get silence, so that resolvers ask another server.
	Table func() Answerer
	// UDPSize is the largest UDP answer in bytes, and what is announced in
	// EDNS: 512 to 4096; 0: DefaultUDPSize.
	UDPSize int
	// TCP bounds what connections take.
	TCP TCPLimits
	// Workers is how many goroutines answer at each address, one for each core
	// that is to answer; 0: runtime.GOMAXPROCS.
	Workers int
	// Random gives each worker its source of draws; nil: ChaCha8, seeded from
	// the operating system.
	Random func() zones.Random
	// Report is told of what should not happen: a panic while answering, a
	// record that cannot be packed, a socket that fails. It may be called by
	// many goroutines at once and very often, so it has to limit itself; what
	// it gets holds no client's address. nil: nobody is told.
	Report func(error)
}

// TCPLimits bound what TCP connections take. They can change while the server
// runs.
type TCPLimits struct {
	// Connections is the number of connections, over all addresses, beyond
	// which a new one takes the place of the one that was quiet the longest;
	// 0: DefaultTCPConnections.
	Connections int
	// PerNetwork is the same for the connections from one client network (/24,
	// /48), so that none takes all places: the one of that network that was quiet
	// the longest goes. 0: a quarter of Connections. That is far more than the
	// resolvers behind one address need, who keep one connection or a few each,
	// and it leaves places where three networks want them all. A number not
	// below Connections is no limit.
	PerNetwork int
	// Idle is how long a connection may wait for the next question, take to
	// send a whole one, or take to accept the answers that are sent in one go,
	// which are 32 KiB or one answer; 0: DefaultTCPIdle. It shrinks while more than half of Connections are open, down to half a
	// second (or to itself, if that is less) where all are.
	Idle time.Duration
}

// FromTable makes a Config's Table of a function such as the Load method of an
// atomic pointer, minding that a nil *zones.Table is no table.
func FromTable(load func() *zones.Table) func() Answerer {
	return func() Answerer {
		if t := load(); t != nil {
			return t
		}
		return nil
	}
}

// Validate reports everything that is wrong with the configuration, each error
// naming its key.
func (c Config) Validate() error {
	_, err := c.addresses()
	errs := []error{err}
	if c.Table == nil {
		errs = append(errs, errors.New("dns: no table to answer from, expected one"))
	}
	errs = append(errs, checkNSID(c.NSID))
	if c.Workers < 0 {
		errs = append(errs, fmt.Errorf("dns: found %d workers, expected at least 1", c.Workers))
	}
	if c.UDPSize != 0 && (c.UDPSize < minUDPSize || c.UDPSize > 4096) {
		errs = append(errs, fmt.Errorf("dns.udp_size: found %d, expected %d to 4096 bytes", c.UDPSize, minUDPSize))
	}
	errs = append(errs, c.TCP.validate())
	return errors.Join(errs...)
}

func (l TCPLimits) validate() error {
	var errs []error
	if l.Connections < 0 {
		errs = append(errs, fmt.Errorf("dns.tcp_connections: found %d, expected at least 1", l.Connections))
	}
	if l.PerNetwork < 0 {
		errs = append(errs, fmt.Errorf("dns.tcp_connections_per_network: found %d, expected at least 1", l.PerNetwork))
	}
	if l.Idle < 0 {
		errs = append(errs, fmt.Errorf("dns.tcp_idle: found %v, expected more than 0s", l.Idle))
	}
	return errors.Join(errs...)
}

// withDefaults puts in what zero values stand for.
func (l TCPLimits) withDefaults() TCPLimits {
	if l.Connections == 0 {
		l.Connections = DefaultTCPConnections
	}
	if l.PerNetwork == 0 {
		l.PerNetwork = max(l.Connections/4, 1)
	}
	if l.Idle == 0 {
		l.Idle = DefaultTCPIdle
	}
	return l
}

func checkNSID(identifier string) error {
	if len(identifier) > maxNSID {
		return fmt.Errorf("dns.nsid: found %d bytes, expected at most %d", len(identifier), maxNSID)
	}
	return nil
}

// addresses reads Listen, in its order.
func (c Config) addresses() ([]netip.AddrPort, error) {
	if len(c.Listen) == 0 {
		return nil, errors.New(`dns.listen: found no address, expected at least one, such as "0.0.0.0:53"`)
	}
	var errs []error
	addresses := make([]netip.AddrPort, 0, len(c.Listen))
	seen := make(map[netip.AddrPort]bool)
	for i, text := range c.Listen {
		a, err := netip.ParseAddrPort(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf(`dns.listen[%d]: found %q, expected an IP address and a port, such as "0.0.0.0:53" or "[::]:53"`, i, text))
			continue
		case a.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("dns.listen[%d]: found %q, expected the IPv4 address itself, %q",
				i, text, netip.AddrPortFrom(a.Addr().Unmap(), a.Port())))
			continue
		case seen[a] && a.Port() != 0:
			errs = append(errs, fmt.Errorf("dns.listen[%d]: found %q a second time, expected each address once", i, text))
			continue
		}
		seen[a] = true
		addresses = append(addresses, a)
	}
	return addresses, errors.Join(errs...)
}

// withDefaults puts in what zero values stand for.
func (c Config) withDefaults() Config {
	if c.UDPSize == 0 {
		c.UDPSize = DefaultUDPSize
	}
	c.TCP = c.TCP.withDefaults()
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Random == nil {
		c.Random = newRandom
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	return c
}
