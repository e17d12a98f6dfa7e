package main

import (
	"fmt"
	"net/netip"
)

// leastRate and mostRate bound health.rate: one probe a minute, and more than a machine
// can make.
const (
	leastRate = 1.0 / 60
	mostRate  = 10_000
)

// validatePace looks at how fast this node checks, and at what tells whether its own
// network is up.
func (h *healthConfig) validatePace(v *validation) {
	if h.Rate != nil && !(*h.Rate >= leastRate && *h.Rate <= mostRate) { // so that NaN is refused
		v.wrong("health.rate", *h.Rate, fmt.Sprintf("probes a second, from one a minute (0.017) to %d", mostRate))
	}
	for i, text := range h.Control {
		key := fmt.Sprintf("health.control[%d]", i)
		at, err := netip.ParseAddrPort(text)
		if err != nil || at.Port() == 0 || at.Addr().IsUnspecified() || at.Addr().IsMulticast() || at.Addr().Is4In6() {
			v.wrong(key, text, "the address and port of a server that is up whenever this machine's network is, such as 192.0.2.53:53 or [2001:db8::53]:53")
		}
		v.once("health.control", h.Control, i)
	}
}

// rate is 0 where the default counts.
func (h *healthConfig) rate() float64 {
	if h.Rate == nil {
		return 0
	}
	return *h.Rate
}

// control are its addresses. Validation has seen them.
func (h *healthConfig) control() []netip.AddrPort {
	all := make([]netip.AddrPort, 0, len(h.Control))
	for _, text := range h.Control {
		if at, err := netip.ParseAddrPort(text); err == nil {
			all = append(all, at)
		}
	}
	return all
}

// useHealthPace gives the prober what it may do, and whom it may ask.
func (n *node) useHealthPace(config *config) {
	n.prober.SetRate(config.Health.rate())
	n.prober.SetControl(config.Health.control())
}
