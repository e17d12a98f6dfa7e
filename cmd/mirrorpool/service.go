package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

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

// places are those that the running listener has.
func (s *service) places() []place { return boundPlaces(s.listener()) }

// replace lets another listener take over, which is for the places next. It is
// bound beside the old one if it can be. If it collides with the old one it
// cannot: then the old one gives its sockets up, goes on with what it has begun,
// and is bound again if the new one cannot be.
func (s *service) replace(bind, old func() (listener, error), next []place) error {
	bound, err := bind()
	before := s.running
	if before != nil && errors.Is(err, syscall.EADDRINUSE) && collide(next, s.places()) {
		s.release()
		bound, err = bindAfter(before, bind)
		if err != nil {
			err = withWayOut(err)
			if again := s.start(func() (listener, error) { return bindAfter(before, old) }); again != nil {
				s.failed <- fmt.Errorf("%s: the old listener does not come back: %w", s.name, again)
				err = errors.Join(err, again)
			}
			<-before.done
			return err
		}
	}
	if err != nil {
		return withWayOut(err)
	}
	s.release()
	s.run(bound)
	if before != nil {
		<-before.done
	}
	return nil
}

// bindAfter binds as soon as a listener that is ending has let its sockets go,
// which may be before it has ended: both kinds go on with what clients have begun
// after they have closed the sockets that others need. What cannot be bound then,
// another program has.
func bindAfter(ending *runningListener, bind func() (listener, error)) (listener, error) {
	places := boundPlaces(ending.listener)
	for {
		next, err := bind()
		if !errors.Is(err, syscall.EADDRINUSE) {
			return next, err
		}
		if allFree(places) {
			return bind()
		}
		select {
		case <-ending.done:
			return bind()
		case <-time.After(time.Millisecond):
		}
	}
}

// listener is the one that runs; nil if none does.
func (s *service) listener() listener {
	if s.running == nil {
		return nil
	}
	return s.running.listener
}

// stop ends the listener and waits for it.
func (s *service) stop() {
	before := s.running
	s.release()
	if before != nil {
		<-before.done
	}
}

// release tells the listener to end.
func (s *service) release() {
	if s.running == nil {
		return
	}
	for _, collector := range collectors(s.running.listener) {
		s.registry.Unregister(collector)
	}
	s.running.cancel()
	s.running = nil
}

func (s *service) register(next listener) {
	for _, collector := range collectors(next) {
		s.registry.MustRegister(collector)
	}
}
