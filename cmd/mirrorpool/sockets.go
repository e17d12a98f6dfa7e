package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// place is an address that a listener binds for TCP and, where udp says so, for
// UDP. key is where the configuration has it; empty for one that is bound.
type place struct {
	key     string
	address netip.AddrPort
	udp     bool
}

// dnsPlaces are those of the name server.
func (c *config) dnsPlaces() []place {
	return slices.Concat(places("dns.listen", c.DNS.Listen, true), places("dns.tls.listen", c.DNS.tlsListen(), false))
}

// httpPlaces are those of the redirect listener.
func (c *config) httpPlaces() []place { return places("http.listen", c.HTTP.Listen, false) }

// places are made of addresses that the configuration's validation has seen.
func places(key string, addresses []string, udp bool) []place {
	var made []place
	for i, address := range addresses {
		made = append(made, place{key: fmt.Sprintf("%s[%d]", key, i), address: netip.MustParseAddrPort(address), udp: udp})
	}
	return made
}

// boundPlaces are those that a listener has.
func boundPlaces(of listener) []place {
	var bound []place
	_, hasUDP := of.(interface{ TLSAddresses() []netip.AddrPort }) // the name server
	if plain, has := of.(interface{ Addresses() []netip.AddrPort }); has {
		for _, address := range plain.Addresses() {
			bound = append(bound, place{address: address, udp: hasUDP})
		}
	}
	if secure, has := of.(interface{ TLSAddresses() []netip.AddrPort }); has {
		for _, address := range secure.TLSAddresses() {
			bound = append(bound, place{address: address})
		}
	}
	return bound
}

// networks are those of net.Listen: IPv6 alone where the address is of IPv6, as
// the listeners bind it.
func (p place) networks() []string {
	family := "4"
	if p.address.Addr().Unmap().Is6() {
		family = "6"
	}
	if p.udp {
		return []string{"tcp" + family, "udp" + family}
	}
	return []string{"tcp" + family}
}

// collides reports whether the two cannot be bound in one network at once: an
// address that means all collides with any of its family.
func (p place) collides(network string, other place) bool {
	one, two := p.address.Addr().Unmap(), other.address.Addr().Unmap()
	return p.address.Port() != 0 && p.address.Port() == other.address.Port() &&
		slices.Contains(p.networks(), network) && slices.Contains(other.networks(), network) &&
		(one == two || one.IsUnspecified() || two.IsUnspecified())
}

// collide reports whether any of the ones does with any of the others.
func collide(ones, others []place) bool {
	return slices.ContainsFunc(ones, func(one place) bool {
		return slices.ContainsFunc(others, func(other place) bool {
			return slices.ContainsFunc(one.networks(), func(network string) bool { return one.collides(network, other) })
		})
	})
}

// probe binds the place for a moment. Port 0 is free always.
func (p place) probe(network string) error {
	if p.address.Port() == 0 {
		return nil
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	if network == "udp4" || network == "udp6" {
		socket, err := config.ListenPacket(context.Background(), network, p.address.String())
		if err != nil {
			return err
		}
		return socket.Close()
	}
	socket, err := config.Listen(context.Background(), network, p.address.String())
	if err != nil {
		return err
	}
	return socket.Close()
}

// probePlaces binds the places for a moment, so that an address that cannot be
// had is found before anything is given up for it. That those which are given
// up are in the way is no error.
func probePlaces(next, givenUp []place) error {
	for _, one := range next {
		for _, network := range one.networks() {
			err := one.probe(network)
			inTheWay := func(other place) bool { return one.collides(network, other) }
			if err == nil || errors.Is(err, syscall.EADDRINUSE) && slices.ContainsFunc(givenUp, inTheWay) {
				continue
			}
			return withWayOut(fmt.Errorf("%s: binding %s: %s: %w", one.key, one.address, network[:3], innermost(err)))
		}
	}
	return nil
}

// allFree reports whether all the places can be bound.
func allFree(all []place) bool {
	for _, one := range all {
		for _, network := range one.networks() {
			if one.probe(network) != nil {
				return false
			}
		}
	}
	return true
}

// innermost strips what the error of a place says again.
func innermost(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
