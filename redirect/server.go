// Package redirect answers HTTP downloads: every GET or HEAD on a redirect
// host gets a 302 to a good mirror for the client's place, drawn by the rule
// of choice that the DNS pools use as well. It imports zones and what lies
// below it, and promises: a redirect never leaves the mirror's URL prefix, an
// https client is never sent to http, and no client address is kept, counted
// or logged.
package redirect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/zones"
)

// Limits of the HTTP server. Requests have no body and answers are small, so
// that slow clients need no patience.
const (
	readHeaderTimeout  = 5 * time.Second
	readTimeout        = 10 * time.Second
	writeTimeout       = 30 * time.Second
	idleTimeout        = 60 * time.Second
	shutdownTimeout    = 5 * time.Second
	maxHeaderBytes     = 16 << 10
	defaultConnections = 8192
)

// Config is how redirects are served.
type Config struct {
	// Listen are the addresses to serve on, such as "0.0.0.0:80" and
	// "[::]:80": at least one. "0.0.0.0" is IPv4 alone, "[::]" IPv6 alone, no
	// address (":80") both. Port 0 takes a free one.
	Listen []string
	// TrustedProxies are the networks from which X-Forwarded-For,
	// X-Forwarded-Proto and Forwarded are believed; IPv4 networks as IPv4.
	TrustedProxies []netip.Prefix
	// Table gives the current table; nil while there is none yet, which is
	// answered with 503. It is called once per request, from many goroutines.
	Table func() *zones.Table
	// Random is where draws come from. It is used from many goroutines at
	// once; nil: the generator of math/rand/v2.
	Random zones.Random
	// MaxConnections is the number of open connections, over all addresses,
	// beyond which a new one takes the place of the one that has been quiet the
	// longest; 0: 8192.
	MaxConnections int
	// Report is told what went wrong inside the server: connections that
	// cannot be accepted, a panic in a handler. It is called from many
	// goroutines, must not block, and may be nil. No error that it gets holds
	// a client's address.
	Report func(error)
}

// Validate reports the first mistake.
func (c Config) Validate() error {
	if len(c.Listen) == 0 {
		return errors.New("redirect listener: no address given; expected at least one such as 0.0.0.0:80")
	}
	for _, address := range c.Listen {
		if _, err := network(address); err != nil {
			return fmt.Errorf("redirect listener: address %q: %w", address, err)
		}
	}
	if err := checkProxies(c.TrustedProxies); err != nil {
		return err
	}
	switch {
	case c.Table == nil:
		return errors.New("redirect listener: no source of tables given")
	case c.MaxConnections < 0:
		return fmt.Errorf("redirect listener: %d connections at most; expected 0 (the default) or more", c.MaxConnections)
	}
	return nil
}

// network gives the network of net.Listen for an address: one family, unless
// the address names none. That keeps "0.0.0.0:80" and "[::]:80" apart.
func network(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", errors.New("expected ADDRESS:PORT, such as 0.0.0.0:80 or [::]:80")
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return "", fmt.Errorf("port %q; expected a number from 0 to 65535", port)
	}
	if host == "" {
		return "tcp", nil
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q is not an IP address; names are not looked up", host)
	case ip.Unmap().Is4():
		return "tcp4", nil
	}
	return "tcp6", nil
}

func checkProxies(networks []netip.Prefix) error {
	for _, prefix := range networks {
		switch {
		case !prefix.IsValid():
			return errors.New("redirect listener: a trusted proxy is not a network; expected one such as 127.0.0.1/32")
		case prefix.Addr().Is4In6():
			return fmt.Errorf("redirect listener: trusted proxy %s is an IPv4 network in IPv6 form; write it as IPv4", prefix)
		}
	}
	return nil
}

// Server is a bound redirect listener.
type Server struct {
	handler   *handler
	server    *http.Server
	open      *connections
	listeners []net.Listener
	addresses []netip.AddrPort
}

// Listen binds every configured address, or none: the error names the address
// that cannot be had. The caller ends with Run or Close.
func Listen(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Random == nil {
		config.Random = sharedRandom{}
	}
	if config.Report == nil {
		config.Report = func(error) {}
	}
	if config.MaxConnections == 0 {
		config.MaxConnections = defaultConnections
	}
	s := &Server{handler: newHandler(config)}
	s.open = newConnections(config.MaxConnections)
	for _, address := range config.Listen {
		family, err := network(address)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		listener, err := net.Listen(family, address)
		if err != nil {
			err = fmt.Errorf("listening for redirects on %s: %w", address, err)
			return nil, errors.Join(err, s.Close())
		}
		if bound, ok := listener.Addr().(*net.TCPAddr); ok {
			s.addresses = append(s.addresses, bound.AddrPort())
		}
		s.listeners = append(s.listeners, &boundedListener{Listener: listener, connections: s.open, report: config.Report})
	}
	s.server = &http.Server{
		Handler:                      s.handler,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ConnState:                    s.open.changed,
		// What net/http would log names clients by their addresses.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return s, nil
}

// SetTrustedProxies changes whose headers are believed while the server runs,
// from the next request on. The error is that of Config.Validate.
func (s *Server) SetTrustedProxies(networks []netip.Prefix) error {
	if err := checkProxies(networks); err != nil {
		return err
	}
	s.handler.trust(networks)
	return nil
}

// Run serves until ctx ends, then gives requests in flight five seconds and
// returns nil. A listener that fails ends all of them and is the error.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.listeners))
	for _, listener := range s.listeners {
		go func() { failed <- s.server.Serve(listener) }()
	}
	var failure error
	waiting := len(s.listeners)
	select {
	case <-ctx.Done():
	case err := <-failed:
		waiting--
		if !errors.Is(err, http.ErrServerClosed) {
			failure = fmt.Errorf("serving redirects: %w", err)
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(grace); err != nil {
		// Only connections that did not end in time are left; they are cut.
		_ = s.server.Close()
	}
	for range waiting {
		<-failed
	}
	return failure
}

// Close gives the addresses back at once. It is for servers that never run.
func (s *Server) Close() error {
	var errs []error
	for _, listener := range s.listeners {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("closing the redirect listener: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Addresses are those that the server listens on, with the ports that it got.
func (s *Server) Addresses() []netip.AddrPort {
	return append([]netip.AddrPort(nil), s.addresses...)
}

// Handler answers requests as the listeners do.
func (s *Server) Handler() http.Handler { return s.handler }

// Collectors are the server's metrics: mirrorpool_http_requests_total and
// mirrorpool_http_choices_total.
func (s *Server) Collectors() []prometheus.Collector { return s.handler.metrics.collectors() }

// sharedRandom is the generator of math/rand/v2, which goroutines may share.
type sharedRandom struct{}

func (sharedRandom) Uint64() uint64 { return rand.Uint64() }
