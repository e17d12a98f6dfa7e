package publish

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// TestForgotten: what was published by an entry that was taken out is nobody's, in this
// run and in the next, and what others put there since is not replaced.
func TestForgotten(t *testing.T) {
	for name, restart := range map[string]bool{"in one run": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := newFake(t, testKeys(t), "")
				pool := newPool("127.0.0.1")
				n := runNode(t, pool, at, nil, testEntry(t))
				pass(time.Second)
				if restart {
					n.stop()
					n = runNode(t, pool, at, n.kept)
				} else if err := n.Set(nil); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				if strings.Contains(string(n.kept), poolName) {
					t.Errorf("it is kept: %s", n.kept)
				}
				at.remove("dl.example.test.", dns.TypeA)
				at.add("dl A 127.0.0.66")
				if restart {
					n.stop()
					n = runNode(t, pool, at, n.kept, testEntry(t))
				} else if err := n.Set([]Entry{testEntry(t)}); err != nil {
					t.Fatal(err)
				}
				defer n.stop()
				pass(5 * time.Minute)
				expect(t, at, "the entry is back", "dl 300 A 127.0.0.66")
				n.expectCondition(t, "the entry is back", Blocked, "127.0.0.66")
			})
		})
	}
}

// TestUnconfirmed: what a primary only says to have taken was not put there, so what
// others put there then is theirs, and nobody else changed anything meanwhile.
func TestUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		at.with(func(p *fakePrimary) { p.deaf = true })
		n := runNode(t, newPool("127.0.0.1"), at, nil, testEntry(t))
		defer n.stop()
		pass(time.Minute)
		if state := n.state(); state.ForeignChanges != 0 || state.Updates < 2 || state.Condition != Failing {
			t.Errorf("%d foreign changes %q, %d updates, %s", state.ForeignChanges, state.Foreign, state.Updates, state.Condition)
		}
		at.with(func(p *fakePrimary) { p.deaf = false })
		at.add("dl A 127.0.0.66")
		n.Look()
		pass(5 * time.Minute)
		expect(t, at, "others came first", "dl 300 A 127.0.0.66")
		n.expectCondition(t, "others came first", Blocked, "127.0.0.66")
	})
}

// TestUnconfirmedRemoval: records that a primary only says to have removed are still
// ours to remove, and nobody else put them there.
func TestUnconfirmedRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		pool := newPool("127.0.0.1", "127.0.0.2", "::1")
		pool.given.WhenAllDown = "empty"
		n := runNode(t, pool, at, nil, testEntry(t))
		defer n.stop()
		pass(time.Second)
		at.with(func(p *fakePrimary) { p.deaf = true })
		n.up("::1")
		pass(time.Minute)
		expect(t, at, "it does nothing", "dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1")
		n.expectCondition(t, "it does nothing", Failing, "127.0.0.1 127.0.0.2")
		if state := n.state(); state.ForeignChanges != 0 || len(state.Notes) != 0 {
			t.Errorf("%d foreign changes %q, notes %q", state.ForeignChanges, state.Foreign, state.Notes)
		}
		at.with(func(p *fakePrimary) { p.deaf = false })
		n.Look()
		pass(time.Second)
		expect(t, at, "it does", "dl 60 AAAA ::1")
		n.expectCondition(t, "it does", Published)
	})
}

// TestForeignChangeOnce: a change by others counts once, however often it is tried to
// put it right; and again when it is done again.
func TestForeignChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		n := runNode(t, newPool("127.0.0.1"), at, nil, testEntry(t))
		defer n.stop()
		pass(time.Second)
		for round := range uint64(2) {
			at.with(func(p *fakePrimary) { p.refuse = refuseUpdates })
			at.add("dl 60 A 127.0.0.66")
			pass(10 * time.Minute)
			if state := n.state(); state.ForeignChanges != round+1 || state.Failures < 3 {
				t.Errorf("%d foreign changes after %d failures", state.ForeignChanges, state.Failures)
			}
			at.with(func(p *fakePrimary) { p.refuse = nil })
			n.Look()
			pass(time.Minute)
			expect(t, at, "put right", "dl 60 A 127.0.0.1")
		}
	})
}

func refuseUpdates(m *dns.Msg) int {
	if m.Opcode == dns.OpcodeUpdate {
		return dns.RcodeRefused
	}
	return dns.RcodeSuccess
}

// TestRemovalNeedsMemory: records that have addresses of members alone are taken over,
// but only removed by who knows to have seen them as they should be, or put them there.
func TestRemovalNeedsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "dl 3600 A 127.0.0.1\n")
		pool := newPool("127.0.0.1", "127.0.0.2")
		pool.given.WhenAllDown = "empty"
		pool.up()
		n := runNode(t, pool, at, nil, testEntry(t))
		defer n.stop()
		pass(5 * time.Minute)
		expect(t, at, "all are down", "dl 3600 A 127.0.0.1")
		n.expectCondition(t, "all are down", Published, "others put there stay")
		n.up("127.0.0.2")
		pass(2 * pause)
		expect(t, at, "one is up", "dl 60 A 127.0.0.2")
		n.up()
		pass(2 * pause)
		expect(t, at, "all are down again", "")
	})
}
