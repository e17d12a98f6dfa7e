package dnsserver

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
)

// maxIdentity keeps texts about this server from crowding the records out of
// 512 bytes.
const maxIdentity = 128

// What Settings' zero values stand for.
const (
	DefaultUDPSize        = 1232
	DefaultTCPConnections = 1000
	DefaultTCPIdle        = 10 * time.Second
)

// Settings are what can change while the server runs, without new sockets.
type Settings struct {
	// NSID is given to whoever asks for the name server's identifier (RFC
	// 5001); at most 128 bytes; empty: nobody gets one.
	NSID string
	// Version is what version.bind and version.server have in class CH, and
	// Identity what id.server and hostname.bind have (RFC 4892); at most 128
	// bytes each; empty: REFUSED.
	Version, Identity string
	// UDPSize is the largest UDP answer in bytes, and what is announced in
	// EDNS: 512 to 4096; 0: DefaultUDPSize.
	UDPSize int
	// TCP bounds what connections take.
	TCP TCPLimits
	// SubnetFrom are the networks of the resolvers whose client subnet is
	// believed (RFC 7871 section 11.2); nil: everyone's; empty: nobody's.
	SubnetFrom []netip.Prefix
	// Cookies are the secrets of server cookies (RFC 9018); the zero value:
	// random ones, which stay for as long as the server runs.
	Cookies CookieSecrets
	// RateLimits bound what is sent over UDP to each network.
	RateLimits RateLimits
	// ProxyFrom are the networks whose packets and connections begin with a
	// header of the PROXY protocol, version 2.
	ProxyFrom []netip.Prefix
	// Transfer is for whole zones, and for signatures.
	Transfer TransferSettings
}

// TCPLimits bound what TCP connections take.
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

// validate reports everything that is wrong with the settings, each error
// naming its key.
func (s Settings) validate() error {
	return errors.Join(
		checkText("dns.nsid", s.NSID, maxIdentity),
		checkText("dns.version", s.Version, maxIdentity),
		checkText("dns.identity", s.Identity, maxIdentity),
		checkUDPSize(s.UDPSize),
		s.TCP.validate(),
		checkNetworks("dns.client_subnet_from", s.SubnetFrom),
		s.RateLimits.validate(),
		checkNetworks("dns.proxy_protocol_from", s.ProxyFrom),
		s.Transfer.validate(),
	)
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

// checkText holds a text to its length.
func checkText(key, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%s: found %d bytes, expected at most %d", key, len(text), most)
	}
	return nil
}

func checkUDPSize(size int) error {
	if size != 0 && (size < minUDPSize || size > roomSize) {
		return fmt.Errorf("dns.udp_size: found %d, expected %d to %d bytes", size, minUDPSize, roomSize)
	}
	return nil
}

func checkNetworks(key string, networks []netip.Prefix) error {
	var errs []error
	for i, network := range networks {
		if !network.IsValid() || network != network.Masked() || network.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("%s[%d]: found %q, expected a network without host bits, such as 127.0.0.0/8 or ::1/128", key, i, network))
		}
	}
	return errors.Join(errs...)
}

// withDefaults puts in what zero values stand for.
func (s Settings) withDefaults() Settings {
	if s.UDPSize == 0 {
		s.UDPSize = DefaultUDPSize
	}
	s.TCP = s.TCP.withDefaults()
	if s.Transfer.Concurrent == 0 {
		s.Transfer.Concurrent = DefaultTransfers
	}
	return s
}

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

// settings are Settings made ready for use; they never change. What they point
// to does: counts of rate limits go on from one to the next.
type settings struct {
	Settings
	keepalive uint16   // of TCP.Idle, in keepaliveUnit
	limiter   *limiter // nil: responses are not limited
	drawn     bool     // Cookies are random ones
	// subnetFrom is SubnetFrom; nil: everyone.
	subnetFrom *networks
}

// makeSettings takes over from the settings before them, if there are any, the
// random secrets and what was counted.
func makeSettings(next Settings, before *settings) *settings {
	next = next.withDefaults()
	var counted *limiter
	if before != nil {
		counted = before.limiter
	}
	s := &settings{Settings: next, keepalive: keepaliveUnits(next.TCP.Idle), limiter: newLimiter(next.RateLimits, counted)}
	if s.SubnetFrom != nil {
		s.subnetFrom = newNetworks(s.SubnetFrom)
	}
	if s.Cookies != (CookieSecrets{}) {
		return s
	}
	s.drawn = true
	if before != nil && before.drawn {
		s.Cookies = before.Cookies
	} else {
		s.Cookies = NewCookieSecrets()
	}
	return s
}

// keepaliveUnits is a time-out as edns-tcp-keepalive tells it, rounded down: the
// client is to close first.
func keepaliveUnits(timeout time.Duration) uint16 {
	return uint16(min(max(timeout/keepaliveUnit, 0), math.MaxUint16))
}

// chaos gives the text of a name in class CH (RFC 4892), in lower case with the
// final dot; empty: there is none.
func (s *settings) chaos(name string) string {
	switch strings.ToLower(name) {
	case "version.bind.", "version.server.":
		return s.Version
	case "id.server.", "hostname.bind.":
		return s.Identity
	}
	return ""
}
