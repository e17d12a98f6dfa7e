package alert

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what is counted, and what is looked up when it is asked for.
type metrics struct {
	messages *prometheus.CounterVec
	dropped  prometheus.Counter
	center   *Center
}

func newMetrics() *metrics {
	return &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_alerts_messages_total",
			Help: "Messages to people: sent, failed (an attempt to deliver one), dry_run (one that would have been sent).",
		}, []string{"way", "result"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mirrorpool_alerts_dropped_total",
			Help: "Events that there was no room for.",
		}),
	}
}

var (
	openTroubles = prometheus.NewDesc("mirrorpool_alerts_troubles", "Troubles that are there now, by kind.", []string{"kind"}, nil)
	pendingDesc  = prometheus.NewDesc("mirrorpool_alerts_pending", "Changes that a way has not told yet.", []string{"way"}, nil)
	heldDesc     = prometheus.NewDesc("mirrorpool_alerts_held_back_total", "Times that a way's limit began to hold messages back.", []string{"way"}, nil)
	failingDesc  = prometheus.NewDesc("mirrorpool_alerts_failing", "1 where a way's last message was not delivered, or not to all.", []string{"way"}, nil)
)

// Collectors are the Center's metrics, to be registered once.
func (c *Center) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.metrics.messages, c.metrics.dropped, c}
}

// Describe is prometheus.Collector's.
func (c *Center) Describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{openTroubles, pendingDesc, heldDesc, failingDesc} {
		to <- one
	}
}

// Collect is prometheus.Collector's.
func (c *Center) Collect(to chan<- prometheus.Metric) {
	counts := map[Kind]int{}
	c.mutex.Lock()
	for _, t := range c.troubles {
		if t.standing() != over && !t.Event.Once {
			counts[t.Event.Kind]++
		}
	}
	c.mutex.Unlock()
	for _, kind := range Kinds() {
		to <- prometheus.MustNewConstMetric(openTroubles, prometheus.GaugeValue, float64(counts[kind]), string(kind))
	}
	for _, w := range c.States() {
		failing := 0.0
		if w.Err != nil {
			failing = 1
		}
		to <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(w.Pending), w.Name)
		to <- prometheus.MustNewConstMetric(heldDesc, prometheus.CounterValue, float64(w.Held), w.Name)
		to <- prometheus.MustNewConstMetric(failingDesc, prometheus.GaugeValue, failing, w.Name)
	}
}

// WayState is how it goes with a way.
type WayState struct {
	Name    string
	DryRun  bool
	Pending int       // changes that it has not told yet
	Last    time.Time // when the last message was delivered; zero: none was since the start
	Err     error     // why the last was not, or not to all; nil: it was
	Held    uint64    // times that its limit began to hold back
}

// States tell how it goes with each way, in their order.
func (c *Center) States() []WayState {
	now := c.now()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	list := make([]WayState, 0, len(c.ways))
	for _, w := range c.ways {
		s := WayState{Name: w.Name, DryRun: w.DryRun, Last: w.last, Err: w.err, Held: w.held}
		for key, t := range c.troubles {
			if what, _ := w.pending(&w.Administrators, key, t, now); what != "" && what != statusReminder {
				s.Pending++
			}
		}
		list = append(list, s)
	}
	return list
}
