package publish

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

const others = "www A 127.0.0.99\ndl TXT text\n"

// beside puts those of others around the pool's records, as fakePrimary.text does.
func beside(records string) string {
	return "dl 300 TXT \"text\", " + records + ", www 300 A 127.0.0.99"
}

// TestFirstPublishAndHealth: the sets are put beside what else is there, and follow
// health at once.
func TestFirstPublishAndHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), others)
		of := newPool("127.0.0.1", "127.0.0.2", "::1")
		of.change(func(p *testPool) { p.none = true })
		n := runNode(t, of, at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		n.expectCondition(t, "before the first table", Waiting)
		if at.messages() > 0 {
			t.Error("asked before there was anything to publish")
		}

		of.change(func(p *testPool) { p.none = false })
		n.Changed()
		pass(2 * pause)
		expect(t, at, "first", beside("dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1"))
		n.expectCondition(t, "first", Published)
		if at.taken() != 1 {
			t.Errorf("%d updates, expected one for both families", at.taken())
		}

		n.up("127.0.0.1", "::1")
		pass(time.Millisecond)
		expect(t, at, "one down", beside("dl 60 A 127.0.0.1, dl 60 AAAA ::1"))
		n.up("127.0.0.1", "127.0.0.2", "::1")
		pass(2 * pause)
		expect(t, at, "up again", beside("dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1"))

		before := at.taken()
		n.Changed()
		pass(10 * time.Minute)
		if at.taken() != before {
			t.Error("updates without a change")
		}
		if n.told(Foreign) != nil || n.told(Failed) != nil {
			t.Errorf("told of foreign changes %q and failures %q", n.told(Foreign), n.told(Failed))
		}
	})
}

// TestForeignChanges: what others do to the sets is said and put back.
func TestForeignChanges(t *testing.T) {
	for name, test := range map[string]struct {
		change func(at *fakePrimary)
		after  time.Duration
	}{
		"taken away":  {func(at *fakePrimary) { at.remove("dl.example.test.", dns.TypeA) }, 70 * time.Second},
		"one added":   {func(at *fakePrimary) { at.add("dl 60 A 127.0.0.66") }, 70 * time.Second},
		"another set": {func(at *fakePrimary) { at.remove("dl.example.test.", dns.TypeA); at.add("dl 60 A 127.0.0.66") }, 70 * time.Second},
		"another TTL": {func(at *fakePrimary) {
			at.remove("dl.example.test.", dns.TypeA)
			at.add("dl 5 A 127.0.0.1\ndl 5 A 127.0.0.2")
		}, 95 * time.Second},
		"a member less": {func(at *fakePrimary) {
			at.remove("dl.example.test.", dns.TypeA)
			at.add("dl 60 A 127.0.0.1")
		}, 95 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := newFake(t, testKeys(t), others)
				n := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, testEntry(t))
				defer n.stop()
				synctest.Wait()
				test.change(at)
				pass(test.after)
				expect(t, at, "put back", beside("dl 60 A 127.0.0.1, dl 60 A 127.0.0.2"))
				if told := n.told(Foreign); len(told) != 1 {
					t.Errorf("told %q", told)
				}
				if s := n.States()[0]; s.ForeignChanges != 1 || s.Foreign == "" {
					t.Errorf("state %+v", s)
				}
				n.expectCondition(t, "put back", Published)
			})
		})
	}
}

// TestAdoption: what others put there before stays, unless it is taken over or can
// only be of a pool's node.
func TestAdoption(t *testing.T) {
	for name, test := range map[string]struct {
		there, after string
		adopt        bool
		condition    Condition
		words        []string
	}{
		"foreign": {there: "dl A 127.0.0.66\n", after: "dl 300 A 127.0.0.66", condition: Blocked, words: []string{"127.0.0.66", "adopt: true"}},
		"adopted": {there: "dl A 127.0.0.66\n", adopt: true, after: "dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1", condition: Published},
		"foreign of one family": {
			there: "dl AAAA ::66\n", after: "dl 300 AAAA ::66", condition: Blocked, words: []string{"::66"},
		},
		"members": {there: "dl A 127.0.0.2\n", after: "dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1", condition: Published},
		"alias":   {there: "dl CNAME www\n", after: "dl 300 CNAME www.example.test.", condition: Blocked, words: []string{"CNAME for www.example.test."}},
		"alias, adopted": {
			there: "dl CNAME www\n", adopt: true, after: "dl 300 CNAME www.example.test.", condition: Blocked, words: []string{"CNAME"},
		},
		"wildcard": {
			there: "* A 127.0.0.66\n* AAAA ::66\n", condition: Published,
			after: "* 300 A 127.0.0.66, * 300 AAAA ::66, dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1",
		},
		"wildcard, adopted": {
			there: "* A 127.0.0.66\n", adopt: true, condition: Published,
			after: "* 300 A 127.0.0.66, dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1",
		},
		"wildcard alias": {
			there: "* CNAME www\n", condition: Published,
			after: "* 300 CNAME www.example.test., dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := newFake(t, testKeys(t), test.there)
				e := testEntry(t)
				e.Adopt = test.adopt
				n := runNode(t, newPool("127.0.0.1", "127.0.0.2", "::1"), at, nil, e)
				defer n.stop()
				pass(10 * time.Minute)
				expect(t, at, "after ten minutes", test.after)
				n.expectCondition(t, "after ten minutes", test.condition, test.words...)
			})
		})
	}
}

// TestBlockedFamily: foreign records of one family do not keep the other from being
// kept up to date, and nothing waits once they are gone.
func TestBlockedFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		at.add("dl AAAA ::66")
		pass(5 * time.Minute)
		n.expectCondition(t, "foreign AAAA, and no members of that family", Published, "::66")
		n.pool.change(func(p *testPool) { p.given.Members = newPool("127.0.0.1", "127.0.0.2", "::1").given.Members })
		n.up("127.0.0.1", "127.0.0.2", "::1")
		pass(5 * time.Minute)
		n.expectCondition(t, "foreign AAAA", Blocked, "::66")
		n.up("127.0.0.2", "::1")
		pass(2 * pause)
		expect(t, at, "the other family", "dl 300 AAAA ::66, dl 60 A 127.0.0.2")
		at.remove("dl.example.test.", dns.TypeAAAA)
		n.Look()
		pass(time.Millisecond)
		expect(t, at, "nothing in the way", "dl 60 A 127.0.0.2, dl 60 AAAA ::1")
		n.expectCondition(t, "nothing in the way", Published)
	})
}

// TestRemoval: a family goes when the pool has no members of it, and what others
// added to it stays. What is wanted while all are down is given.
func TestRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), others)
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2", "::1"), at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		at.add("dl 60 AAAA ::66")
		n.pool.change(func(p *testPool) { p.given.Members = newPool("127.0.0.1", "127.0.0.2").given.Members })
		n.up("127.0.0.1", "127.0.0.2")
		pass(2 * pause)
		expect(t, at, "no members of IPv6", beside("dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::66"))
		n.up()
		pass(5 * time.Minute)
		n.expectCondition(t, "nothing is given, and not by wish", Published, "what is there stays")
		if at.taken() != 2 {
			t.Errorf("%d updates, expected 2", at.taken())
		}
		n.pool.change(func(p *testPool) { p.given.WhenAllDown = "empty" })
		n.Changed()
		pass(2 * pause)
		expect(t, at, "empty by wish", beside("dl 60 AAAA ::66"))
		n.up("127.0.0.2")
		pass(2 * pause)
		expect(t, at, "back", beside("dl 60 A 127.0.0.2, dl 60 AAAA ::66"))
	})
}

// TestRemovalOfDisabled: what was put there of members that are all disabled goes, of one
// family or of both, and comes back with them; what others put there stays.
func TestRemovalOfDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), others)
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2", "::1"), at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		// disable leaves the addresses as the only ones that are given.
		disable := func(four, six bool, left ...string) {
			n.pool.up(left...)
			n.pool.change(func(p *testPool) { p.given.IPv4.Disabled, p.given.IPv6.Disabled = four, six })
			n.Changed()
			pass(2 * pause)
		}
		disable(false, true, "127.0.0.1", "127.0.0.2")
		expect(t, at, "the only member of IPv6 is disabled", beside("dl 60 A 127.0.0.1, dl 60 A 127.0.0.2"))
		n.expectCondition(t, "the only member of IPv6 is disabled", Published)
		at.add("dl 60 A 127.0.0.66")
		disable(true, true)
		expect(t, at, "all are disabled", beside("dl 60 A 127.0.0.66"))
		n.expectCondition(t, "all are disabled", Published, "127.0.0.66")
		at.remove("dl.example.test.", dns.TypeA)
		disable(false, false, "127.0.0.1", "127.0.0.2", "::1")
		expect(t, at, "none is disabled", beside("dl 60 A 127.0.0.1, dl 60 A 127.0.0.2, dl 60 AAAA ::1"))
	})
	synctest.Test(t, func(t *testing.T) {
		there := "dl 3600 A 127.0.0.1"
		at := newFake(t, testKeys(t), there+"\n")
		of := newPool("127.0.0.1")
		of.up()
		of.given.IPv4.Disabled = true
		n := runNode(t, of, at, nil, testEntry(t))
		defer n.stop()
		pass(5 * time.Minute)
		expect(t, at, "it was not put there", there)
		n.expectCondition(t, "it was not put there", Published, "others put there stay")
	})
}

// TestPoolGone: what is published stays when a commit takes the pool away, and when
// the entry is taken away.
func TestPoolGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		n := runNode(t, newPool("127.0.0.1"), at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		n.pool.change(func(p *testPool) { p.err = errNoPool })
		n.Changed()
		pass(3 * time.Minute)
		n.expectCondition(t, "no pool", Failing, errNoPool.Error())
		n.pool.change(func(p *testPool) { p.err = nil })
		n.Changed()
		pass(2 * pause)
		n.expectCondition(t, "the pool is back", Published)
		if err := n.Set(nil); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Minute)
		expect(t, at, "no entry", "dl 60 A 127.0.0.1")
		if states := n.States(); len(states) != 0 {
			t.Errorf("states %v", states)
		}
	})
}

// TestRestart: after a restart it is known what was put there, also by an update
// whose answer never came.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, testEntry(t))
		pass(time.Minute)
		n.stop()
		at.add("dl 60 A 127.0.0.66")
		// 127.0.0.2 has left the repository meanwhile: only what was kept tells that it is ours.
		n = runNode(t, newPool("127.0.0.1", "127.0.0.3"), at, n.kept, testEntry(t))
		synctest.Wait()
		expect(t, at, "after a restart", "dl 60 A 127.0.0.1, dl 60 A 127.0.0.3")
		if len(n.told(Foreign)) != 1 {
			t.Errorf("told %q", n.told(Foreign))
		}
		at.with(func(p *fakePrimary) { p.mute = true })
		n.up("127.0.0.3")
		pass(2 * pause)
		n.expectCondition(t, "no answer", Failing, "closed")
		n.stop()
		at.with(func(p *fakePrimary) { p.mute = false })
		n = runNode(t, newPool("127.0.0.4"), at, n.kept, testEntry(t))
		defer n.stop()
		synctest.Wait()
		expect(t, at, "after another restart", "dl 60 A 127.0.0.4")
		if n.told(Foreign) != nil {
			t.Errorf("its own update is told as a foreign change: %q", n.told(Foreign))
		}
	})
}

// TestTwoNodes: nodes with the same health do not fight, and the second one needs no
// permission to go on where the first one ends.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		of, also := newPool("127.0.0.1", "127.0.0.2", "127.0.0.3"), newPool("127.0.0.1", "127.0.0.2", "127.0.0.3")
		one := runNode(t, of, at, nil, testEntry(t))
		synctest.Wait()
		also.up("127.0.0.1", "127.0.0.2")
		two := runNode(t, also, at, nil, testEntry(t))
		defer two.stop()
		pass(2 * time.Second)
		also.up("127.0.0.1", "127.0.0.2", "127.0.0.3")
		two.Changed()
		pass(10 * time.Minute)
		before := at.taken()
		// A member goes down; the second node finds out five seconds later.
		one.up("127.0.0.2", "127.0.0.3")
		pass(5 * time.Second)
		two.up("127.0.0.2", "127.0.0.3")
		pass(10 * time.Minute)
		expect(t, at, "both", "dl 60 A 127.0.0.2, dl 60 A 127.0.0.3")
		if got := at.taken() - before; got != 1 {
			t.Errorf("%d updates for one change, expected 1", got)
		}
		one.stop()
		two.up("127.0.0.3")
		pass(2 * pause)
		expect(t, at, "one node alone", "dl 60 A 127.0.0.3")
	})
}

// TestNodesThatDisagree: nodes that see different mirrors up for long write over each
// other no more than once an interval each, and both tell.
func TestNodesThatDisagree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), others)
		one := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, testEntry(t))
		defer one.stop()
		of := newPool("127.0.0.1", "127.0.0.2")
		of.up("127.0.0.1")
		two := runNode(t, of, at, nil, testEntry(t))
		defer two.stop()
		pass(time.Hour)
		if at.taken() < 10 || at.taken() > 121 {
			t.Errorf("%d updates in an hour", at.taken())
		}
		if one.state().ForeignChanges < 5 || two.state().ForeignChanges < 5 {
			t.Errorf("told %d and %d times", one.state().ForeignChanges, two.state().ForeignChanges)
		}
	})
}

// TestNodesOfTwoCommits: a commit that puts a new member in an old one's place, and
// reaches one node before the other, makes them write over each other at no time.
func TestNodesOfTwoCommits(t *testing.T) {
	for name, test := range map[string]struct{ interval, late time.Duration }{
		"looked at often":             {2 * time.Second, 15 * time.Second},
		"looked at once in a while":   {time.Minute, 15 * time.Second},
		"the commit comes soon":       {2 * time.Second, 3 * time.Second},
		"the commit comes after long": {2 * time.Second, 19 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := newFake(t, testKeys(t), "")
				e := testEntry(t)
				e.Interval = test.interval
				first := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, e)
				defer first.stop()
				pass(time.Second)
				second := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, e)
				defer second.stop()
				pass(10 * time.Minute)
				before := at.taken()
				for _, n := range []*node{first, second} {
					n.pool.change(func(p *testPool) { p.given.Members[1] = netip.MustParseAddr("127.0.0.3") })
					n.up("127.0.0.1", "127.0.0.3")
					pass(test.late)
				}
				pass(10 * time.Minute)
				expect(t, at, "both have it", "dl 60 A 127.0.0.1, dl 60 A 127.0.0.3")
				if got := at.taken() - before; got != 1 {
					t.Errorf("%d updates for one commit, expected 1", got)
				}
				if told := append(first.told(Foreign), second.told(Foreign)...); told != nil {
					t.Errorf("told of foreign changes %q", told)
				}
			})
		})
	}
}

// TestNodeOfAnOlderCommit: what a node puts back that does not have the commit yet is
// let be for a while, and then put right.
func TestNodeOfAnOlderCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		e := testEntry(t)
		e.Interval = 2 * time.Second
		n := runNode(t, newPool("127.0.0.2"), at, nil, e)
		defer n.stop()
		pass(time.Minute)
		n.pool.change(func(p *testPool) { p.given.Members[0] = netip.MustParseAddr("127.0.0.3") })
		n.up("127.0.0.3")
		pass(time.Minute)
		older := func() {
			at.remove("dl.example.test.", dns.TypeA)
			at.add("dl 60 A 127.0.0.2")
		}
		older()
		pass(15 * time.Second)
		expect(t, at, "let be", "dl 60 A 127.0.0.2")
		n.expectCondition(t, "let be", Settling)
		pass(10 * time.Second)
		expect(t, at, "put right", "dl 60 A 127.0.0.3")
		n.expectCondition(t, "put right", Published)
		pass(lateness)
		older()
		pass(5 * time.Second)
		expect(t, at, "long after the commit", "dl 60 A 127.0.0.3")
	})
}
