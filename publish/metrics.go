package publish

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector makes metrics of the states.
type collector struct{ of *Publisher }

var (
	labels          = []string{"pool", "zone", "server"}
	goodMetric      = prometheus.NewDesc("mirrorpool_publish_good", "1 while the primary has the addresses that the pool gives.", labels, nil)
	lastGoodMetric  = prometheus.NewDesc("mirrorpool_publish_last_good_timestamp_seconds", "When the primary was last known to have the addresses that the pool gives; 0: never.", labels, nil)
	lastLookMetric  = prometheus.NewDesc("mirrorpool_publish_last_look_timestamp_seconds", "When the primary last told what it has; 0: never.", labels, nil)
	addressesMetric = prometheus.NewDesc("mirrorpool_publish_addresses", "Addresses of the pool that were at the primary when it was last looked at.", labels, nil)
	updatesMetric   = prometheus.NewDesc("mirrorpool_publish_updates_total", "Dynamic updates that the primary took.", labels, nil)
	failuresMetric  = prometheus.NewDesc("mirrorpool_publish_failures_total", "Looks and updates that failed.", labels, nil)
	foreignMetric   = prometheus.NewDesc("mirrorpool_publish_foreign_changes_total", "Times that others had changed what was published.", labels, nil)
)

// Describe is a Collector's.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{goodMetric, lastGoodMetric, lastLookMetric, addressesMetric, updatesMetric, failuresMetric, foreignMetric} {
		to <- one
	}
}

// Collect is a Collector's.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.of.States() {
		gauge := func(of *prometheus.Desc, kind prometheus.ValueType, value float64) {
			to <- prometheus.MustNewConstMetric(of, kind, value, s.Pool, s.Zone, s.Server.String())
		}
		good := 0.0
		if s.Condition == Published {
			good = 1
		}
		gauge(goodMetric, prometheus.GaugeValue, good)
		gauge(lastGoodMetric, prometheus.GaugeValue, seconds(s.LastGood))
		gauge(lastLookMetric, prometheus.GaugeValue, seconds(s.LastLook))
		gauge(addressesMetric, prometheus.GaugeValue, float64(len(s.Found)))
		gauge(updatesMetric, prometheus.CounterValue, float64(s.Updates))
		gauge(failuresMetric, prometheus.CounterValue, float64(s.Failures))
		gauge(foreignMetric, prometheus.CounterValue, float64(s.ForeignChanges))
	}
}

func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}
