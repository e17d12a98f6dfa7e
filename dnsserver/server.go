package dnsserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// When the server ends, it answers what has arrived: each socket is read until
// nothing comes for drainQuiet, and no longer than drainWhole.
const (
	drainQuiet = 5 * time.Millisecond
	drainWhole = 200 * time.Millisecond
)

// Server is a name server whose sockets are bound. Make one with Listen; call
// Run once, or Close if it is not to be run.
type Server struct {
	config   Config
	metrics  *metrics
	settings atomic.Pointer[settings]
	open     *openConnections
	bindings []*binding
	secure   []*binding  // for TLS
	tls      *tls.Config // nil: there is no TLS
	ran      atomic.Bool
}

// Listen binds UDP and TCP, and TCP for TLS, on every address of the
// configuration that is for them. It fails
// whole: on an error nothing stays bound. The error names the address and the
// way out.
func Listen(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	addresses, err := config.addresses()
	if err != nil {
		return nil, err
	}
	secure, err := config.TLS.addresses()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config.withDefaults(), metrics: newMetrics()}
	s.settings.Store(makeSettings(config.Settings, nil))
	s.open = newOpenConnections(s.config.Settings.TCP, s.metrics.connections)
	s.open.shortest, s.open.drains = cmp.Or(s.config.shortest, shortestIdle), cmp.Or(s.config.drains, drainWhole)
	for i, address := range addresses {
		b, err := bind(i, address, s.config.Workers)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.bindings = append(s.bindings, b)
	}
	if len(secure) > 0 {
		s.tls = makeTLS(config.TLS.Certificate)
	}
	for i, address := range secure {
		b, err := bindTLS(i, address)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.secure = append(s.secure, b)
	}
	return s, nil
}

// Run answers until ctx ends, and then what has arrived by then, which takes
// at most a moment. It returns nil, or the error of a socket that nothing can
// be read from any more. All that it has started has ended when it returns,
// and the sockets are closed; the addresses are free before, while it goes on
// with the connections that have begun a question.
func (s *Server) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return errors.New("running the name server: it has run before")
	}
	defer s.Close()
	group, ctx := errgroup.WithContext(ctx)
	for _, b := range s.bindings {
		sockets := b.takeSockets()
		var left atomic.Int32
		left.Store(int32(len(sockets)))
		for _, socket := range sockets {
			w := newUDPWorker(s, socket, b.wildcard())
			group.Go(func() error {
				defer func() {
					if left.Add(-1) == 0 {
						b.closeUDP() // what nobody reads would get silence
					}
				}()
				return w.run(ctx)
			})
		}
	}
	tcp := newTCPServer(s)
	for _, b := range s.bindings {
		group.Go(func() error { return tcp.accept(ctx, b.listener, overTCP) })
	}
	for _, b := range s.secure {
		group.Go(func() error { return tcp.accept(ctx, b.listener, overTLS) })
	}
	err := group.Wait()
	tcp.finish()
	return err
}

// Set changes the settings while the server runs: the next questions are
// answered by the new ones. Connections that are too many for them end, those
// that were quiet the longest first. The error says what is wrong with the
// settings, and then nothing has changed. It is not for use by several goroutines
// at once.
func (s *Server) Set(next Settings) error {
	if err := next.validate(); err != nil {
		return err
	}
	s.settings.Store(makeSettings(next, s.settings.Load()))
	s.open.setLimits(next.TCP.withDefaults())
	return nil
}

// newResponder makes one for a worker of this server.
func (s *Server) newResponder(over transport) *responder {
	return newResponder(&s.config, &s.settings, s.metrics, over)
}

// Close closes the sockets of a server that is not run. It is for nothing
// after Run.
func (s *Server) Close() {
	for _, b := range slices.Concat(s.bindings, s.secure) {
		b.close()
	}
}

// Addresses are those that are served, in the order of the configuration, with
// the ports that were found where it said 0.
func (s *Server) Addresses() []netip.AddrPort { return addressesOf(s.bindings) }

// TLSAddresses are the same for DNS over TLS.
func (s *Server) TLSAddresses() []netip.AddrPort { return addressesOf(s.secure) }

func addressesOf(bindings []*binding) []netip.AddrPort {
	addresses := make([]netip.AddrPort, 0, len(bindings))
	for _, b := range bindings {
		addresses = append(addresses, b.address)
	}
	return addresses
}

// Collectors are the server's metrics, for one registry.
func (s *Server) Collectors() []prometheus.Collector { return s.metrics.collectors() }
