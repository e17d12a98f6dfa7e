// Package admin is the way in for those who run a node: /healthz, /metrics and
// the JSON API on one address, which is loopback unless told otherwise. It
// imports zones and what lies below it, changes nothing by itself, and keeps
// nothing of what it is asked: addresses to be explained are neither stored
// nor logged.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

// DefaultListen is the address that a Config without one means.
const DefaultListen = "127.0.0.1:8053"

const (
	readTimeout     = 10 * time.Second
	reloadTimeout   = 50 * time.Second
	writeTimeout    = 60 * time.Second
	idleTimeout     = 60 * time.Second
	shutdownTimeout = 2 * time.Second
	maxHeaderBytes  = 16 << 10
)

// Config is what the admin listener shows and does. Its functions are called
// from many goroutines.
type Config struct {
	// Listen is the address to serve on; empty: DefaultListen. Port 0 takes a
	// free one. Whoever reaches it may read all of the state and ask for a
	// reload.
	Listen string
	// Hosts are names by which the listener may be reached for changes, beside
	// IP addresses and "localhost". Other names are taken for an attack by DNS
	// rebinding. Reading is allowed under any name: what can be read holds no
	// secret and nothing of clients.
	Hosts []string
	// Table gives the current table, nil while there is none yet.
	Table func() *zones.Table
	// Status gives the rest of the state.
	Status func() Status
	// Reload reads the configuration again and looks at the repository now. An
	// error means that nothing has changed. It ends with its context; nil:
	// reloading is answered with 501.
	Reload func(context.Context) error
	// Health gives what the prober knows now, which may be newer than the table;
	// nil: the table's own report is shown.
	Health func() *health.Report
	// Rollovers leads the rollovers of zones' keys; nil: asking for one is answered
	// with 501.
	Rollovers Rollovers
	// Words leads what administrators say of members; nil: it is answered with 501.
	Words Words
	// History answers questions of what checks have found over time; nil: they are
	// answered with 501.
	History Histories
	// Gatherer gives the program's metrics; nil: only those made here. The
	// metrics of table and status are added when they are asked for.
	Gatherer prometheus.Gatherer
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Report is told what went wrong inside the server: metrics that cannot be
	// gathered, a panic in a handler. It must not block, and may be nil.
	Report func(error)
}

// Validate reports the first mistake.
func (c Config) Validate() error {
	switch {
	case c.Table == nil:
		return errors.New("admin listener: no source of tables given")
	case c.Status == nil:
		return errors.New("admin listener: no source of status given")
	case c.Listen == "":
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("admin listener: address %q; expected ADDRESS:PORT, such as %s", c.Listen, DefaultListen)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return fmt.Errorf("admin listener: address %q: %q is not an IP address; names are not looked up", c.Listen, host)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("admin listener: address %q: port %q; expected a number from 0 to 65535", c.Listen, port)
	}
	return nil
}

// Server is a bound admin listener.
type Server struct {
	handler  http.Handler
	server   *http.Server
	listener net.Listener
}

// live is the newest report there is; nil: the table's own.
func (c Config) live() *health.Report {
	if c.Health == nil {
		return nil
	}
	return c.Health()
}

// NewHandler makes what a Server serves, for who has a way of their own to ask
// it. Listen of the configuration is not looked at.
func NewHandler(config Config) (http.Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Report == nil {
		config.Report = func(error) {}
	}
	return newHandler(config)
}

// Listen binds the address. The caller ends with Run or Close.
func Listen(config Config) (*Server, error) {
	handler, err := NewHandler(config)
	if err != nil {
		return nil, err
	}
	if config.Listen == "" {
		config.Listen = DefaultListen
	}
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for the admin interface on %s: %w", config.Listen, err)
	}
	return &Server{
		handler:  handler,
		listener: listener,
		server: &http.Server{
			Handler:                      handler,
			ReadHeaderTimeout:            readTimeout,
			ReadTimeout:                  readTimeout,
			WriteTimeout:                 writeTimeout,
			IdleTimeout:                  idleTimeout,
			MaxHeaderBytes:               maxHeaderBytes,
			DisableGeneralOptionsHandler: true,
			// What net/http would log names clients by their addresses.
			ErrorLog: log.New(io.Discard, "", 0),
		},
	}, nil
}

// Run serves until ctx ends, then gives requests in flight two seconds and
// returns nil.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(s.listener) }()
	select {
	case <-ctx.Done():
	case err := <-ended:
		return fmt.Errorf("serving the admin interface: %w", err)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(grace); err != nil {
		// Only connections that did not end in time are left; they are cut.
		_ = s.server.Close()
	}
	<-ended
	return nil
}

// Close gives the address back at once. It is for servers that never run.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing the admin listener: %w", err)
	}
	return nil
}

// Address is the one that the server listens on, with the port that it got.
func (s *Server) Address() netip.AddrPort {
	if bound, ok := s.listener.Addr().(*net.TCPAddr); ok {
		return bound.AddrPort()
	}
	return netip.AddrPort{}
}

// Handler answers requests as the listener does.
func (s *Server) Handler() http.Handler { return s.handler }
