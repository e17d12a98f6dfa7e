package dnsserver

import (
	"errors"
	"fmt"
	"net/netip"

	"mirrorpool/dnsserver/tsig"
)

// DefaultTransfers is what a zero TransferSettings.Concurrent stands for.
const DefaultTransfers = 10

// TransferSettings say who gets whole zones.
type TransferSettings struct {
	// Allow are the rules of which one has to fit who asks for a zone; none:
	// nobody gets one.
	Allow []TransferRule
	// Keys are those by which requests may be signed, of any kind; nil: none.
	Keys *tsig.Keyring
	// Concurrent is how many transfers go on at the same time at most, two of them
	// on one connection, where more wait; 0: DefaultTransfers.
	Concurrent int
	// TLSOnly: zones are given over TLS alone (RFC 9103).
	TLSOnly bool
}

// TransferRule is who gets zones: whoever asks from a network, whoever signs with a
// key, or who does both.
type TransferRule struct {
	// Network is where the client asks from; the zero value: anywhere.
	Network netip.Prefix
	// Key is the name of the key that has to sign, as tsig.Key.Name gives it;
	// empty: none has to.
	Key string
}

// allows reports whether a client that has signed with a key, or with none, gets
// zones.
func (s *TransferSettings) allows(client netip.Addr, key *tsig.Key) bool {
	client = client.Unmap().WithZone("")
	for _, rule := range s.Allow {
		from := !rule.Network.IsValid() || rule.Network.Contains(client)
		signed := rule.Key == "" || key != nil && key.Name() == rule.Key
		if from && signed {
			return true
		}
	}
	return false
}

// has reports whether there is a key of that name, written as keys have it.
func (s *TransferSettings) has(name string) bool {
	key := s.Keys.Find(name)
	return key != nil && key.Name() == name
}

func (s *TransferSettings) validate() error {
	var errs []error
	for i, rule := range s.Allow {
		key := fmt.Sprintf("dns.transfer.allow[%d]", i)
		switch {
		case !rule.Network.IsValid() && rule.Key == "":
			errs = append(errs, fmt.Errorf("%s: found neither a network nor a key, expected one or both", key))
		case rule.Key != "" && !s.has(rule.Key):
			errs = append(errs, fmt.Errorf("%s: found the key %s, expected one of dns.transfer.tsig_keys, in lower case with the final dot", key, rule.Key))
		case rule.Network.IsValid():
			errs = append(errs, checkNetworks(key, []netip.Prefix{rule.Network}))
		}
	}
	if s.Concurrent < 0 {
		errs = append(errs, fmt.Errorf("dns.transfer.concurrent: found %d, expected at least 1", s.Concurrent))
	}
	return errors.Join(errs...)
}
