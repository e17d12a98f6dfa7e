package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/admin"
	"mirrorpool/zones"
	"mirrorpool/zones/rollover"
	"mirrorpool/zones/rollover/parent"
	"mirrorpool/zones/signing"
)

// leading is how the admin listener reaches rollovers.
type leading struct{ rollovers *rollovers }

// Show is admin.Rollovers'.
func (l leading) Show(zone string) (*admin.Signing, error) { return l.rollovers.show(zone) }

// Change is admin.Rollovers'.
func (l leading) Change(ctx context.Context, asked admin.RolloverChange) (*admin.Signing, error) {
	return l.rollovers.change(ctx, asked)
}

// describe tells how the zones of a table are signed, by apex.
func (r *rollovers) describe(table *zones.Table) map[string]*admin.Signing {
	if table == nil {
		return nil
	}
	now := r.now()
	described, zones := map[string]*admin.Signing{}, table.Zones()
	read := make(map[string][]*signing.Key, len(zones))
	for _, zone := range zones {
		read[zone.Apex] = r.keys.of(zone.Apex)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, zone := range zones {
		signed, ok := table.Signed(zone.Apex)
		if !ok {
			continue
		}
		keys, state := read[zone.Apex], r.states[zone.Apex]
		if len(keys) == 0 {
			keys = signed.Plan.Published
		}
		one := &admin.Signing{
			Expires: moment(signed.Expire), Renewed: moment(signed.Renew), Keys: describeKeys(keys, signed.Plan),
			Parent: describeParent(r.parents[zone.Apex], signed.Plan, keys),
		}
		if state.Withdraw {
			one.Withdrawing = moment(state.WithdrawSince)
		}
		if last := state.Last; last != nil {
			one.Last = &admin.LastRollover{Kind: string(last.Kind), Old: named(last.Old), New: named(last.New), Ended: moment(last.Ended), Cancelled: last.Cancelled, Turned: last.Turned}
		}
		if _, known := r.served[zone.Apex]; known && state.Kind != "" {
			one.Rollover = describeRollover(state, r.facts(zone.Apex), now)
		}
		one.Problem = r.problem(state, keys, one.Parent)
		described[zone.Apex] = one
	}
	return described
}

// problem is what the operator has to mend, with the mutex held.
func (r *rollovers) problem(state rollover.State, keys []*signing.Key, ds admin.ParentDS) string {
	switch missing := state.Missing(keys); {
	case r.damaged != nil:
		return r.damaged.Error()
	case missing != "":
		return fmt.Sprintf("key %s of the rollover is not there with its private half: all keys that are sign, and CDS is left out, until it is back, "+
			"and validators take the zone for bogus if the parent's DS names no other key", missing)
	case ds.State == admin.ParentDiffers && state.Kind == "" && !state.Withdraw:
		return "the parent's DS records do not name the keys that CDS does: have the parent take them"
	}
	return ""
}

// moment is a time as the admin listener shows it; nil: none.
func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Second)
	return &at
}

func describeKeys(keys []*signing.Key, plan *signing.Plan) []admin.SigningKey {
	described := make([]admin.SigningKey, 0, len(keys))
	for _, key := range keys {
		in := func(list []*signing.Key) bool { return slices.ContainsFunc(list, key.Same) }
		one := admin.SigningKey{
			ID: key.ID(), Tag: key.Tag(), Algorithm: signing.AlgorithmName(key.Algorithm()),
			Role: "zsk", Published: in(plan.Published), Signs: in(plan.Zone) || in(plan.Entry), CDS: in(plan.Child),
		}
		if key.Entry() {
			ds := key.DS(dns.SHA256)
			one.Role = string(roleOf(key, plan))
			one.DS = fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
		}
		described = append(described, one)
	}
	return described
}

// roleOf is what a secure entry point signs.
func roleOf(key *signing.Key, plan *signing.Plan) keyRole {
	if slices.ContainsFunc(plan.Zone, func(one *signing.Key) bool { return !one.Entry() && one.Algorithm() == key.Algorithm() }) &&
		!slices.ContainsFunc(plan.Zone, key.Same) {
		return roleKSK
	}
	return roleCSK
}

func describeParent(summary parent.Summary, plan *signing.Plan, keys []*signing.Key) admin.ParentDS {
	described := admin.ParentDS{State: admin.ParentUnknown, Asked: moment(summary.At)}
	for _, answer := range summary.Answers {
		server := admin.ParentServer{Address: answer.Server.String(), TTL: int64(answer.TTL / time.Second)}
		for _, ds := range answer.Records {
			server.DS = append(server.DS, fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToUpper(ds.Digest)))
		}
		if answer.Err != nil {
			server.Error = answer.Err.Error()
		}
		described.Servers = append(described.Servers, server)
	}
	wanted := plan.Child
	if len(wanted) == 0 {
		wanted = plan.Entry
	}
	var others []*signing.Key
	for _, key := range keys {
		if key.Entry() && !slices.ContainsFunc(wanted, key.Same) {
			others = append(others, key)
		}
	}
	switch {
	case len(summary.Answers) == 0:
	case summary.None():
		described.State = admin.ParentNone
	case !summary.Have(wanted, others):
		described.State = admin.ParentDiffers
	case summary.Complete() && summary.Strange(keys):
		described.State = admin.ParentDiffers
	case summary.Complete():
		described.State = admin.ParentInSync
	}
	return described
}

func named(roles []rollover.Role) []string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = role.ID
	}
	return names
}

func describeRollover(state rollover.State, facts rollover.Facts, now time.Time) *admin.Rollover {
	described := &admin.Rollover{
		Kind: string(state.Kind), Algorithm: signing.AlgorithmName(state.Algorithm),
		Old: named(state.Old), New: named(state.New), Turned: state.Turned, Step: string(state.Step()),
	}
	ahead := state.Forecast(facts)
	for _, one := range state.Steps[:len(state.Steps)-1] {
		described.Steps = append(described.Steps, admin.RolloverStep{
			Step: string(one.Step), About: state.About(one.Step), Reached: moment(one.At),
		})
	}
	described.Number, described.Of = len(described.Steps)+1, len(described.Steps)+len(ahead)
	for i, one := range ahead {
		step := admin.RolloverStep{Step: string(one.Step), About: one.About, Seconds: int64(one.Wait / time.Second), Parent: one.Parent}
		if i == 0 {
			step.Reached = moment(state.Steps[len(state.Steps)-1].At)
		}
		described.Steps = append(described.Steps, step)
	}
	var until time.Time
	described.Waiting, until = state.Waiting(now, facts)
	described.Until = moment(until)
	_, events, _ := state.Cancel(now)
	described.Cancel = len(events) > 0
	return described
}

// rolloverSteps is the metric of rollovers that are under way.
type rolloverSteps struct{ rollovers *rollovers }

var (
	rolloverStepDescription = prometheus.NewDesc("mirrorpool_dnssec_rollover_step",
		"The number of the step that a zone's rollover is in, from 1; 0: none is under way.", []string{"zone", "kind", "step"}, nil)
	rolloverUntilDescription = prometheus.NewDesc("mirrorpool_dnssec_rollover_until_timestamp_seconds",
		"When the next step of a zone's rollover is due, in Unix time; none while that is not known.", []string{"zone"}, nil)
	parentDescription = prometheus.NewDesc("mirrorpool_dnssec_parent_ds",
		"1 for what the parent's servers have as DS of a zone: in sync, none, differs or unknown.", []string{"zone", "state"}, nil)
)

// Describe is prometheus.Collector's.
func (rolloverSteps) Describe(to chan<- *prometheus.Desc) {
	to <- rolloverStepDescription
	to <- rolloverUntilDescription
	to <- parentDescription
}

// Collect is prometheus.Collector's.
func (s rolloverSteps) Collect(to chan<- prometheus.Metric) {
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	for apex, zone := range s.rollovers.describe(s.rollovers.table()) {
		gauge(parentDescription, 1, apex, zone.Parent.State)
		if zone.Rollover == nil {
			gauge(rolloverStepDescription, 0, apex, "", "")
			continue
		}
		gauge(rolloverStepDescription, float64(zone.Rollover.Number), apex, zone.Rollover.Kind, zone.Rollover.Step)
		if until := zone.Rollover.Until; until != nil {
			gauge(rolloverUntilDescription, float64(until.Unix()), apex)
		}
	}
}
