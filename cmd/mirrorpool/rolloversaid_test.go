package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/admin"
	"mirrorpool/zones/rollover"
)

// TestSaidAgainstParent: what people say of the parent stands for servers that do not
// answer, until they do; and no TTL is believed that is less than what they gave.
func TestSaidAgainstParent(t *testing.T) {
	first, second := newParentServer(t), newParentServer(t)
	first.ttl, second.ttl = 3600, 3600
	r := newRollingNode(t, "")
	r.write("node.yaml", r.config(fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], dnssec_keys: %q, dnssec_parents: [%q, %q]}\n",
		r.path("keys"), first.address, second.address)))
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.eventually("the zone is signed", func() bool { return len(r.published()) == 1 })
	child := func() []dns.RR { return r.ask("example.test.", dns.TypeCDS).Answer }
	old := child()
	first.take(old)
	second.take(old)
	r.eventually("the parent is in sync", func() bool { return r.signing().Parent.State == admin.ParentInSync })
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	r.step(rollover.StepParent)
	r.eventually("CDS names the new key", func() bool {
		now := child()
		return len(now) == 1 && now[0].(*dns.CDS).KeyTag != old[0].(*dns.CDS).KeyTag
	})
	first.take(child())
	second.refuse(true)
	asked := admin.RolloverChange{Zone: "example.test.", Action: admin.RolloverSay, ParentTTL: time.Second}
	described, err := r.node.rollovers.change(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if described.Rollover.Step != string(rollover.StepParentCaches) {
		t.Fatalf("step %s", described.Rollover.Step)
	}
	for _, step := range described.Rollover.Steps {
		if step.Step == string(rollover.StepParentCaches) && step.Seconds < 3600 {
			t.Errorf("the old DS is to be gone after %d seconds", step.Seconds)
		}
	}
	second.refuse(false)
	r.step(rollover.StepParent)
	if tags := r.published(); len(tags) != 2 {
		t.Errorf("the keys %v are published", tags)
	}
	second.take(child())
	r.step(rollover.StepParentCaches)
}

// noneBegins has somebody look with the command that begins a rollover as well.
func (r *rollingNode) noneBegins(says string) {
	r.Helper()
	zone := "example.test."
	err := r.change(admin.RolloverBegin)
	if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "mirrorpool rollover "+zone+" --again") {
		r.Errorf("%v, expected %q and what to type", err, says)
	}
	if described := r.signing(); described.Rollover != nil {
		r.Errorf("a rollover begins: %+v", described.Rollover)
	}
}

// TestLookBeginsNothing: no rollover begins by itself after one that was cancelled, and
// while the parent has other DS records, but by a word of its own.
func TestLookBeginsNothing(t *testing.T) {
	r := newRollingNode(t, ", dnssec_propagation: 24h")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.eventually("the zone is signed", func() bool { return len(r.published()) == 1 })
	cds := r.ask("example.test.", dns.TypeCDS).Answer[0].(*dns.CDS)
	other := *cds
	other.KeyTag++
	r.parent.take([]dns.RR{&other})
	r.noneBegins("have the parent take those first")
	r.parent.take([]dns.RR{cds})
	for _, action := range []string{admin.RolloverBegin, admin.RolloverCancel} {
		if err := r.change(action); err != nil {
			t.Fatal(err)
		}
	}
	r.noneBegins("was cancelled")
	if err := r.change(admin.RolloverStart); err != nil {
		t.Error(err)
	}
}
