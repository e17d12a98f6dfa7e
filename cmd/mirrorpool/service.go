package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// listener is a server that has bound its addresses.
type listener interface {
	Run(ctx context.Context) error
}

// collectors are those of a listener that counts.
func collectors(of listener) []prometheus.Collector {
	if counting, counts := of.(interface{ Collectors() []prometheus.Collector }); counts {
		return counting.Collectors()
	}
	return nil
}

// service runs one listener, and replaces it while the node runs. Its methods
// are called by one goroutine.
type service struct {
	name     string
	registry *prometheus.Registry
	// failed gets the error that ends a listener by itself.
	failed chan<- error

	running *runningListener
}

type runningListener struct {
	listener listener
	cancel   context.CancelFunc
	done     chan struct{}
}

// start binds and runs a listener. bind returns nil for a service that is
// configured away.
func (s *service) start(bind func() (listener, error)) error {
	next, err := bind()
	if err != nil {
		return withWayOut(err)
	}
	s.run(next)
	return nil
}

// withWayOut adds what can be done about an address that cannot be bound.
func withWayOut(err error) error {
	for cause, wayOut := range map[error]string{
		syscall.EACCES:        "ports below 1024 need the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose a higher port",
		syscall.EADDRINUSE:    "another program has the port (`ss -lntup` shows which): stop that one, or choose another port",
		syscall.EADDRNOTAVAIL: "this machine has no such address: `ip address` shows those that it has",
		syscall.EAFNOSUPPORT:  "this machine does not speak this address family: take the address out",
	} {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %s", err, wayOut)
		}
	}
	return err
}

func (s *service) run(next listener) {
	if next == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &runningListener{listener: next, cancel: cancel, done: make(chan struct{})}
	s.register(next)
	s.running = running
	go func() {
		defer close(running.done)
		if err := next.Run(ctx); err != nil && ctx.Err() == nil {
			s.failed <- fmt.Errorf("%s: %w", s.name, err)
		}
	}()
}

// replace lets another listener take over. Where both can be bound at once, no
// question is lost; where they cannot, the old one makes room and comes back
// if the new one cannot be bound.
func (s *service) replace(bind, old func() (listener, error)) error {
	next, err := bind()
	if err == nil {
		s.stop()
		s.run(next)
		return nil
	}
	s.stop()
	next, err = bind()
	if err == nil {
		s.run(next)
		return nil
	}
	err = withWayOut(err)
	if again := s.start(old); again != nil {
		s.failed <- fmt.Errorf("%s: the old listener does not come back: %w", s.name, again)
		return errors.Join(err, again)
	}
	return err
}

// stop ends the listener and waits for it.
func (s *service) stop() {
	if s.running == nil {
		return
	}
	s.running.cancel()
	<-s.running.done
	for _, collector := range collectors(s.running.listener) {
		s.registry.Unregister(collector)
	}
	s.running = nil
}

func (s *service) register(next listener) {
	for _, collector := range collectors(next) {
		s.registry.MustRegister(collector)
	}
}
