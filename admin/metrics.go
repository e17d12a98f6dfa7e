package admin

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

// collector makes metrics of the current table and status when it is asked, so
// that nothing has to be taken back when a pool or a member goes.
type collector struct {
	table  func() *zones.Table
	status func() Status
	live   func() *health.Report
	now    func() time.Time
	said   func() said
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mirrorpool_"+name, help, labels, nil)
}

// descriptions are the metrics of a collector.
type descriptions struct {
	build, ready, target, members, mirrors              *prometheus.Desc
	commit, committed, refused, stale, serial, modified *prometheus.Desc
	administrative                                      *prometheus.Desc
}

func newDescriptions() descriptions {
	return descriptions{
		build: describe("build_info", "Always 1; the version of the program in its labels.", "version", "goversion"),
		ready: describe("ready", "1 once answers can be given, otherwise 0."),
		target: describe("target_up",
			"1 if the target is up, 0 if it is down; none for targets that are disabled or not probed yet. "+
				"Pool members have the labels pool, member and address, mirrors host and mirror.",
			"pool", "member", "address", "host", "mirror"),
		members: describe("pool_members",
			"Members of a DNS pool by state; up if any of a member's addresses is.", "pool", "state"),
		mirrors:   describe("redirect_mirrors", "Mirrors of a redirect host by state.", "host", "state"),
		commit:    describe("commit_info", "Always 1; the commit that is served in its label.", "commit"),
		committed: describe("commit_timestamp_seconds", "Date of the commit that is served, in Unix time."),
		refused:   describe("commit_refused", "1 while the newest commit is refused and an older one served, otherwise 0."),
		stale: describe("stale_seconds",
			"How long a stage of the way from commit to table has been failing; 0 if it is fine.", "stage"),
		serial: describe("zone_serial", "SOA serial of a zone.", "zone"),
		administrative: describe("administrative",
			"Always 1; what was said of a member or mirror on this node: disable or force-up.", "pool", "member", "action"),
		modified: describe("source_last_success_timestamp_seconds", "When the repository was last looked at with success, in Unix time."),
	}
}

func (d descriptions) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.build, d.ready, d.target, d.members, d.mirrors, d.commit, d.committed, d.refused, d.stale, d.serial, d.modified, d.administrative,
	}
}

// Describe sends what Collect may send.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range newDescriptions().all() {
		out <- d
	}
}

// Collect sends the metrics of this moment.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	d := newDescriptions()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metric, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, labels...)
		if err != nil {
			// A label that is not UTF-8: report it in the metric's place.
			metric = prometheus.NewInvalidMetric(desc, err)
		}
		out <- metric
	}
	table, status := c.table(), c.status()
	gauge(d.build, 1, status.Version, runtime.Version())
	gauge(d.ready, number(table != nil))
	gauge(d.refused, number(status.Source.Refused != nil))
	if t := status.Source.LastSuccess; !t.IsZero() {
		gauge(d.modified, float64(t.Unix()))
	}
	for _, stage := range status.Stages {
		seconds := 0.0
		if !stage.StaleSince.IsZero() {
			seconds = max(0, c.now().Sub(stage.StaleSince).Seconds())
		}
		gauge(d.stale, seconds, stage.Name)
	}
	said := c.said()
	for _, word := range said.words {
		gauge(d.administrative, 1, word.Pool, word.Member, string(word.Action))
	}
	if table == nil {
		return
	}
	gauge(d.commit, 1, table.Commit)
	if !table.CommitTime.IsZero() {
		gauge(d.committed, float64(table.CommitTime.Unix()))
	}
	for _, zone := range table.Zones() {
		gauge(d.serial, float64(zone.Serial.Number), zone.Apex)
	}
	collectPools(d, table.Pools(c.live()), said, gauge)
	collectHosts(d, table.Hosts(c.live()), said, gauge)
}

type gaugeFunc func(desc *prometheus.Desc, value float64, labels ...string)

func collectPools(d descriptions, pools []zones.PoolDescription, said said, gauge gaugeFunc) {
	for _, p := range pools {
		members := newTally()
		for _, m := range p.Members {
			best := ""
			for _, a := range m.Addresses {
				state := stateOf(m.Weight, a.State)
				best = better(best, state)
				if probed(state) {
					gauge(d.target, number(a.State.Verdict == health.Up), p.Name, m.ID, a.Address.String(), "", "")
				}
			}
			if len(m.Addresses) == 0 { // a host name that has none
				best = stateOf(m.Weight, health.State{})
			}
			if said.disables(p.Name, m.ID) {
				best = disabled
			}
			members[best]++
		}
		members.send(d.members, p.Name, gauge)
	}
}

func collectHosts(d descriptions, hosts []zones.HostDescription, said said, gauge gaugeFunc) {
	for _, host := range hosts {
		mirrors := newTally()
		for _, m := range host.Mirrors {
			state := stateOf(m.Weight, m.State)
			if said.disables(host.Host, m.URLPrefix) {
				mirrors[disabled]++
			} else {
				mirrors[state]++
			}
			if probed(state) {
				gauge(d.target, number(m.State.Verdict == health.Up), "", "", "", host.Host, m.URLPrefix)
			}
		}
		mirrors.send(d.mirrors, host.Host, gauge)
	}
}

// disabled is the state of what has weight 0, and is therefore not probed, and of what
// administrators have disabled on this node.
const disabled = "disabled"

func stateOf(weight uint32, s health.State) string {
	if weight == 0 {
		return disabled
	}
	return s.Verdict.String()
}

// tally counts members or mirrors by state.
type tally map[string]int

// newTally holds every state, so that all series are there from the start.
func newTally() tally {
	return tally{disabled: 0, health.Unknown.String(): 0, health.Down.String(): 0, health.Up.String(): 0}
}

func (t tally) send(desc *prometheus.Desc, owner string, gauge gaugeFunc) {
	for state, count := range t {
		gauge(desc, float64(count), owner, state)
	}
}

// better gives the better of two states of one member's addresses: up, then
// unknown, then down. Disabled members have no other state.
func better(a, b string) string {
	for _, state := range []string{disabled, health.Up.String(), health.Unknown.String()} {
		if a == state || b == state {
			return state
		}
	}
	return health.Down.String()
}

// probed reports whether a state is the result of a probe.
func probed(state string) bool {
	return state == health.Up.String() || state == health.Down.String()
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
