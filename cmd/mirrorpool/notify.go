package main

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"mirrorpool/admin"
	"mirrorpool/dnsserver/notify"
	"mirrorpool/zones"
)

// secondaries are those to tell. Where an entry names no key, the first one of the file
// signs, and who refuses that is told without a signature. That the keys are there
// has been seen to when the configuration and the keys were read.
func (c *config) secondaries() []notify.Secondary {
	if c.DNS.Transfer == nil {
		return nil
	}
	keys, from := c.transferKeys.current(), c.DNS.ownAddresses()
	list := make([]notify.Secondary, 0, len(c.DNS.Transfer.notify))
	for _, entry := range c.DNS.Transfer.notify {
		one := notify.Secondary{Address: entry.address, From: from}
		if entry.key != "" {
			one.Key = keys.Find(entry.key)
		} else if all := keys.Keys(); len(all) > 0 {
			one.Key, one.Unsigned = all[0], true
		}
		list = append(list, one)
	}
	return list
}

// ownAddresses are those that dns.listen names, without the families of which it names
// all.
func (d *dnsConfig) ownAddresses() []netip.Addr {
	var own []netip.Addr
	all := map[bool]bool{}
	for _, text := range d.Listen {
		address := netip.MustParseAddrPort(text).Addr().Unmap()
		all[address.Is4()] = all[address.Is4()] || address.IsUnspecified()
		own = append(own, address)
	}
	return slices.DeleteFunc(own, func(address netip.Addr) bool { return all[address.Is4()] })
}

// newNotifier makes what tells secondaries. It logs what changes about them.
func newNotifier(logger zerolog.Logger) *notify.Notifier {
	sampled := logger.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Second})
	return notify.New(func(event notify.Event) {
		line, message := sampled.Warn().Str("problem", event.Problem), "a secondary does not take a NOTIFY: it learns of changes when it asks by itself"
		if event.Problem == "" {
			line, message = sampled.Info(), "the secondary takes NOTIFYs again"
		}
		if event.Apex != "" {
			line = line.Str("zone", event.Apex)
		}
		line.Str("secondary", event.Address).Msg(message)
	})
}

// tellSecondaries tells of the zones whose serials have changed.
func tellSecondaries(notifier *notify.Notifier, table *zones.Table) {
	var served []*dns.SOA
	for apex := range table.Serials() {
		if version := table.Version(apex); version != nil {
			served = append(served, version.SOA)
		}
	}
	notifier.Serve(served)
}

// secondariesStatus is what the admin listener shows of the secondaries.
func (n *node) secondariesStatus() []admin.Secondary {
	states := n.notifier.States()
	shown := make([]admin.Secondary, len(states))
	for i, s := range states {
		shown[i] = admin.Secondary{
			Address: s.Address, Key: s.Key, Answered: s.Answered, Silent: s.Silent,
			Zones: make([]admin.SecondaryZone, len(s.Zones)),
		}
		for j, zone := range s.Zones {
			shown[i].Zones[j] = admin.SecondaryZone{
				Apex: zone.Apex, Standing: string(zone.Standing()), Serial: zone.Serial, Told: zone.Told, ToldAt: zone.ToldAt,
				Acknowledged: zone.Acknowledged, AcknowledgedAt: zone.AcknowledgedAt, Problem: zone.Problem, Next: zone.Next,
			}
		}
	}
	return shown
}

// notifyMetrics are the metrics of what secondaries are told.
type notifyMetrics struct{ notifier *notify.Notifier }

var (
	notifyTotal = prometheus.NewDesc("mirrorpool_dns_notify_total",
		"NOTIFYs to secondaries by what came of them; ignored: datagrams that were no answer to one.", []string{"result"}, nil)
	secondaryZones = prometheus.NewDesc("mirrorpool_dns_secondary_zones",
		"Zones by how a secondary stands to them: current (it has acknowledged the serial that is served), behind (it has not yet), refused (it takes no NOTIFY of it from here).",
		[]string{"secondary", "standing"}, nil)
)

// Describe is prometheus.Collector's.
func (notifyMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- notifyTotal
	to <- secondaryZones
}

// Collect is prometheus.Collector's.
func (m notifyMetrics) Collect(to chan<- prometheus.Metric) {
	counts := m.notifier.Counts()
	for _, result := range notify.Results() {
		to <- prometheus.MustNewConstMetric(notifyTotal, prometheus.CounterValue, float64(counts[result]), string(result))
	}
	for _, state := range m.notifier.States() {
		for _, standing := range notify.Standings() {
			to <- prometheus.MustNewConstMetric(secondaryZones, prometheus.GaugeValue, float64(state.Count(standing)), state.Address, string(standing))
		}
	}
}
