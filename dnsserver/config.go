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

// Config is what a Server is made of.
type Config struct {
	// Listen are the addresses that are served, UDP and TCP on each, such as
	// "0.0.0.0:53" or "[::]:53". An IPv6 address is for IPv6 alone. Port 0 is
	// one that is free for both.
	Listen []string
	// TLS is for DNS over TLS.
	TLS TLSConfig
	// Table gives what is answered from; it is called once for all questions that
	// are answered in one go, which may be many, and not before the first of them
	// is there. While it gives nil (an interface that is nil, see FromTable), questions
	// get silence, so that resolvers ask another server; those for zones that
	// Transfers does not give get SERVFAIL.
	Table func() Answerer
	// Transfers gives what zones are transferred from; nil, or where it gives nil
	// (an interface that is nil): nobody gets one.
	Transfers func() Transfers
	// Workers is how many goroutines answer at each address, one for each core
	// that is to answer; 0: runtime.GOMAXPROCS.
	Workers int
	// Random gives each worker its source of draws; nil: ChaCha8, seeded from
	// the operating system.
	Random func() zones.Random
	// Report is told of what should not happen: a panic while answering, a
	// record that cannot be packed, a difference that cannot be read, a socket that
	// fails. It may be called by
	// many goroutines at once and very often, so it has to limit itself; what
	// it gets holds no client's address. nil: nobody is told.
	Report func(error)
	// Settings are those to begin with.
	Settings Settings

	now      func() time.Time // nil: time.Now
	portable bool             // connections are read as on systems other than Linux
	shortest time.Duration    // the idle time-out where all places are taken; 0: shortestIdle
	drains   time.Duration    // how long connections have at the end; 0: drainWhole
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
	errs := []error{err, c.TLS.validate()}
	if c.Table == nil {
		errs = append(errs, errors.New("dns: no table to answer from, expected one"))
	}
	if c.Workers < 0 {
		errs = append(errs, fmt.Errorf("dns: found %d workers, expected at least 1", c.Workers))
	}
	errs = append(errs, c.Settings.validate())
	return errors.Join(errs...)
}

// addresses reads Listen, in its order.
func (c Config) addresses() ([]netip.AddrPort, error) {
	if len(c.Listen) == 0 {
		return nil, errors.New(`dns.listen: found no address, expected at least one, such as "0.0.0.0:53"`)
	}
	return readAddresses("dns.listen", 53, c.Listen)
}

// readAddresses reads what is to be listened at under a key; port is the usual one.
func readAddresses(key string, port int, listen []string) ([]netip.AddrPort, error) {
	var errs []error
	addresses := make([]netip.AddrPort, 0, len(listen))
	seen := make(map[netip.AddrPort]bool)
	for i, text := range listen {
		a, err := netip.ParseAddrPort(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf(`%s[%d]: found %q, expected an IP address and a port, such as "0.0.0.0:%d" or "[::]:%d"`,
				key, i, text, port, port))
			continue
		case a.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("%s[%d]: found %q, expected the IPv4 address itself, %q",
				key, i, text, netip.AddrPortFrom(a.Addr().Unmap(), a.Port())))
			continue
		case seen[a] && a.Port() != 0:
			errs = append(errs, fmt.Errorf("%s[%d]: found %q a second time, expected each address once", key, i, text))
			continue
		}
		seen[a] = true
		addresses = append(addresses, a)
	}
	return addresses, errors.Join(errs...)
}

// withDefaults puts in what zero values stand for.
func (c Config) withDefaults() Config {
	c.Settings = c.Settings.withDefaults()
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Random == nil {
		c.Random = newRandom
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}
