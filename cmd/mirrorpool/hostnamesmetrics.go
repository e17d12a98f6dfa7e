package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/pool/hostnames"
)

// hostnamesMetrics tell of the host names that members are given by.
type hostnamesMetrics struct{ resolver *hostnames.Resolver }

var (
	hostnameAddressesDesc = prometheus.NewDesc("mirrorpool_hostname_addresses",
		"Addresses that a member's host name has, kept ones among them.", []string{"host", "family"}, nil)
	hostnameFailingDesc = prometheus.NewDesc("mirrorpool_hostname_failing",
		"1 while a member's host name cannot be resolved in one of the address families, and what it had last is kept.", []string{"host"}, nil)
)

func (m hostnamesMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- hostnameAddressesDesc
	to <- hostnameFailingDesc
}

func (m hostnamesMetrics) Collect(to chan<- prometheus.Metric) {
	for _, state := range m.resolver.States() {
		host, failing := state.Name.Name, 0.0
		if state.Failing() {
			failing = 1
		}
		to <- prometheus.MustNewConstMetric(hostnameFailingDesc, prometheus.GaugeValue, failing, host)
		for family, known := range map[string]hostnames.Family{"ipv4": state.IPv4, "ipv6": state.IPv6} {
			to <- prometheus.MustNewConstMetric(hostnameAddressesDesc, prometheus.GaugeValue, float64(len(known.Addresses)), host, family)
		}
	}
}
