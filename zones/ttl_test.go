package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
	"mirrorpool/zones/signing"
)

// near is the state of what is up, and may be down some time after the first table.
func near(after time.Duration) health.State {
	return health.State{Verdict: health.Up, Reason: "connection refused", Failures: 1, Change: testNow.Add(after)}
}

// ttls are those of an answer's records, by type.
func ttls(a *Answer) map[uint16]uint32 {
	out := map[uint16]uint32{}
	for _, rr := range slices.Concat(a.Answer, a.Authority, a.Signatures) {
		out[rr.Header().Rrtype] = rr.Header().Ttl
	}
	return out
}

func (w *town) ttl(t *testing.T, table *Table, kind uint16) uint32 {
	t.Helper()
	answer := table.Answer(Question{Name: w.pool.Name + ".", Type: kind}, rand.NewPCG(1, 1))
	ttl, given := ttls(&answer)[kind]
	if !given {
		t.Fatalf("nothing is given: %s", answerText(answer))
	}
	for _, rr := range answer.Answer {
		if rr.Header().Ttl != ttl {
			t.Errorf("TTLs differ: %s", answerText(answer))
		}
	}
	return ttl
}

// The TTL is the time until the soonest change of a member that counts, and no more
// than the repository's, and not less than 30 s.
func TestTTLFollowsHealth(t *testing.T) {
	for _, c := range []struct {
		name  string
		ttl   uint32
		after time.Duration // of the table
		set   func(w *town)
		want  [2]uint32 // A and AAAA
	}{
		{"no change is near", 300, 0, func(*town) {}, [2]uint32{300, 300}},
		{"one is", 300, 0, func(w *town) { w.set("one", near(100*time.Second)) }, [2]uint32{100, 100}},
		{"the soonest", 300, 0, func(w *town) { w.set("one", near(100*time.Second)); w.set("two", near(90*time.Second)) }, [2]uint32{90, 90}},
		{"by now", 300, time.Minute, func(w *town) { w.set("one", near(100*time.Second)) }, [2]uint32{40, 40}},
		{"whole seconds", 300, 0, func(w *town) { w.set("one", near(100*time.Second-1)) }, [2]uint32{99, 99}},
		{"no less than 30 s", 300, 0, func(w *town) { w.set("one", near(10*time.Second)) }, [2]uint32{30, 30}},
		{"it should have been by now", 300, 5 * time.Minute, func(w *town) { w.set("one", near(time.Minute)) }, [2]uint32{30, 30}},
		{"no more than the pool's", 300, 0, func(w *town) { w.set("one", near(301*time.Second)) }, [2]uint32{300, 300}},
		{"just as much", 300, 0, func(w *town) { w.set("one", near(300*time.Second)) }, [2]uint32{300, 300}},
		{"a pool's of less than 30 s", 20, 0, func(w *town) { w.set("one", near(time.Second)) }, [2]uint32{20, 20}},
		{"a pool's of 30 s", 30, 0, func(w *town) { w.set("one", near(time.Second)) }, [2]uint32{30, 30}},
		{"TTL 0", 0, 0, func(w *town) { w.set("one", near(time.Second)) }, [2]uint32{0, 0}},
		{"one that may come back", 300, 0, func(w *town) {
			w.set("one", health.State{Verdict: health.Down, Successes: 1, Change: testNow.Add(50 * time.Second)})
		}, [2]uint32{50, 50}},
		{"each family by itself", 300, 0, func(w *town) { w.setAddress(w.pool.Members[0].Addresses[1], near(70*time.Second)) }, [2]uint32{300, 70}},
		{"a reserve while others are up", 300, 0, func(w *town) { w.set("reserve", near(70*time.Second)) }, [2]uint32{300, 300}},
		{"a reserve while no others are", 300, 0, func(w *town) {
			w.set("one", health.State{Verdict: health.Down})
			w.set("two", health.State{Verdict: health.Down})
			w.set("reserve", near(70*time.Second))
		}, [2]uint32{70, 70}},
		{"a reserve that some clients may get now", 300, 0, func(w *town) {
			w.set("reserve", near(70*time.Second))
			w.pool.Members[0].Only = &pool.Rules{Countries: []string{"DE"}}
		}, [2]uint32{70, 70}},
		{"one of weight 0", 300, 0, func(w *town) { w.set("off", near(70*time.Second)) }, [2]uint32{300, 300}},
		{"one that is disabled here", 300, 0, func(w *town) {
			w.set("one", near(70*time.Second))
			w.say(saying(administrative.Disable, "one", "new disks", 0))
		}, [2]uint32{300, 300}},
		{"one that is taken for up", 300, 0, func(w *town) {
			w.set("one", near(70*time.Second))
			w.say(saying(administrative.ForceUp, "one", "needed", 0))
		}, [2]uint32{300, 300}},
		{"the node's own addresses", 300, 0, func(w *town) {
			w.pool.WhenAllDown = pool.AnswerSelf
			w.in.SelfAddresses = []netip.Addr{netip.MustParseAddr("127.9.9.9"), netip.MustParseAddr("fd09::1")}
			for _, id := range []string{"one", "two", "reserve"} {
				w.set(id, health.State{Verdict: health.Down})
			}
			w.set("two", health.State{Verdict: health.Down, Change: testNow.Add(80 * time.Second)})
		}, [2]uint32{80, 80}},
	} {
		w := newTown(t, func(w *town) {
			w.pool.TTL = c.ttl
			w.pool.Members[2].Reserve, w.pool.Members[3].Weight = true, 0
		}, "one", "two", "reserve", "off")
		c.set(w)
		table := w.compile(t, c.after)
		if got := [2]uint32{w.ttl(t, table, dns.TypeA), w.ttl(t, table, dns.TypeAAAA)}; got != c.want {
			t.Errorf("%s: TTLs %v, expected %v", c.name, got, c.want)
		}
		if described := table.Pools(nil)[0]; described.IPv4.TTL != c.want[0] || described.IPv6.TTL != c.want[1] || described.TTL != c.ttl {
			t.Errorf("%s: described as %d, %d and %d", c.name, described.IPv4.TTL, described.IPv6.TTL, described.TTL)
		}
		notes := fmt.Sprint(table.ExplainPool(w.pool.Name, netip.Addr{}, 4, nil).Notes)
		if told := slices.Contains(table.ExplainPool(w.pool.Name, netip.Addr{}, 4, nil).Notes, table.pools[0].ttlNote(0)); told != (c.want[0] != c.ttl) {
			t.Errorf("%s: explained as %s", c.name, notes)
		}
	}
}

// What is told of one that is about to change says so.
func TestWordsOfProbesThatCount(t *testing.T) {
	w := newTown(t, nil, "one", "two", "three")
	w.set("one", near(time.Minute))
	w.set("two", health.State{Verdict: health.Down, Reason: "status 200", Successes: 2})
	words := w.words(w.compile(t, 0))
	for member, want := range map[string]string{
		"one": "up, 1 failure so far: connection refused", "two": "down, 2 successes so far: status 200", "three": "up: status 200",
	} {
		if words[member] != want || words["http://"+member+".test/"] != want {
			t.Errorf("%s: %q and %q, expected %q", member, words[member], words["http://"+member+".test/"], want)
		}
	}
}

// Everything else keeps its TTL: aliases, other negative answers, what is transferred,
// and what the serial is of.
func TestTTLOfTheRest(t *testing.T) {
	w := newTown(t, nil, "one", "two")
	w.in.Signing = map[string]*signing.Plan{"example.org.": planFor(t, "example.org.", dns.ECDSAP256SHA256)}
	before := w.compile(t, 0)
	w.set("one", near(40*time.Second))
	table := w.compile(t, 10*time.Second)
	if a := table.Answer(Question{Name: "www.example.org.", Type: dns.TypeA}, rand.NewPCG(1, 1)); ttls(&a)[dns.TypeCNAME] != 3600 || ttls(&a)[dns.TypeA] != 30 {
		t.Error(answerText(a))
	}
	if a := table.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA, DNSSEC: true}, rand.NewPCG(1, 1)); ttls(&a)[dns.TypeA] != 30 || ttls(&a)[dns.TypeRRSIG] != 30 {
		t.Error(answerText(a))
	} else if signature := a.Signatures[0].(*dns.RRSIG); signature.OrigTtl != 300 {
		t.Errorf("the original TTL is %d", signature.OrigTtl)
	} else {
		key := w.in.Signing["example.org."].Zone[0].Record
		if err := signature.Verify(key, withTTL(a.Answer, "dl.example.org.", 300)); err != nil {
			t.Errorf("the signature does not verify: %v", err)
		}
	}
	if a := table.Answer(Question{Name: "dl.example.org.", Type: dns.TypeTXT}, nil); !cmp.Equal(ttls(&a), map[uint16]uint32{dns.TypeSOA: 3600}) {
		t.Error(answerText(a))
	}
	if table.Serials()["example.org."] != before.Serials()["example.org."] || table.Version("example.org.") != before.Version("example.org.") {
		t.Error("the serial or what is transferred has changed")
	}
	for rr := range table.Version("example.org.").Records() {
		if rr.Header().Name == "dl.example.org." && rr.Header().Rrtype == dns.TypeA && rr.Header().Ttl != 300 {
			t.Errorf("transferred: %s", rr)
		}
	}
	if given, _ := table.Given("dl.example.org"); given.TTL != 300 {
		t.Errorf("published with TTL %d", given.TTL)
	}
}

// A family of which nothing is given for now is not told to be empty for longer than its
// addresses would be told, by either path, with signatures and without; one that there is
// nothing of at all, and other types, for as long as the zone says.
func TestTTLOfNothing(t *testing.T) {
	const zone = 3600 // the lesser of 7200 and 3600
	const name, alias, wildcard = "dl.example.org.", "www.example.org.", "a.any.example.org."
	down := func(w *town) {
		w.pool.WhenAllDown = pool.AnswerEmpty
		w.set("one", isDown)
		w.set("two", isDown)
	}
	for _, c := range []struct {
		what, name string
		kind       uint16
		set        func(w *town)
		want       uint32
	}{
		{"all down", name, dns.TypeA, down, 300},
		{"one family down", name, dns.TypeAAAA, func(w *town) {
			w.pool.WhenAllDown = pool.AnswerEmpty
			w.setAddress(w.pool.Members[0].Addresses[1], isDown)
			w.setAddress(w.pool.Members[1].Addresses[1], isDown)
		}, 300},
		{"one may come back", name, dns.TypeA, func(w *town) {
			down(w)
			w.set("one", health.State{Verdict: health.Down, Successes: 1, Change: testNow.Add(100 * time.Second)})
		}, 100},
		{"behind an alias", alias, dns.TypeA, down, 300},
		{"behind the alias of a wildcard", wildcard, dns.TypeAAAA, down, 300},
		{"disabled", name, dns.TypeAAAA, func(w *town) {
			w.say(saying(administrative.Disable, "one", "moving", 0), saying(administrative.Disable, "two", "moving", 0))
		}, 300},
		{"rules leave nobody", name, dns.TypeA, func(w *town) {
			for _, member := range w.pool.Members {
				member.Only = &pool.Rules{Countries: []string{"DE"}}
			}
		}, 300},
		{"a pool's TTL above the zone's", name, dns.TypeA, func(w *town) { down(w); w.pool.TTL = 7000 }, zone},
		{"TTL 0", name, dns.TypeA, func(w *town) { down(w); w.pool.TTL = 0 }, 0},
		{"no address of the family", name, dns.TypeAAAA, func(w *town) {
			down(w)
			for _, member := range w.pool.Members {
				member.Addresses = member.Addresses[:1]
			}
		}, zone},
		{"another type", name, dns.TypeTXT, down, zone},
		{"another type behind an alias", alias, dns.TypeTXT, down, zone},
		{"another name", "other.example.org.", dns.TypeA, down, zone},
	} {
		for _, signed := range []bool{false, true} {
			w := newTown(t, nil, "one", "two")
			if signed {
				plan := planFor(t, "example.org.", dns.ECDSAP256SHA256)
				plan.Now = testNow
				w.in.Signing = map[string]*signing.Plan{"example.org.": plan}
			}
			c.set(w)
			table := w.compile(t, 0)
			question := Question{Name: c.name, Type: c.kind, DNSSEC: signed}
			answer := table.Answer(question, rand.NewPCG(1, 1))
			if !slices.ContainsFunc(answer.Authority, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }) {
				t.Errorf("%s: this is no negative answer: %s", c.what, answerText(answer))
			}
			for _, rr := range answer.Authority {
				if rr.Header().Ttl != c.want {
					t.Errorf("%s: expected TTL %d: %s", c.what, c.want, rr)
				}
			}
			for _, rr := range answer.Answer {
				if covers(rr) == dns.TypeCNAME && rr.Header().Ttl != table.Answer(Question{Name: c.name, Type: dns.TypeCNAME}, nil).Answer[0].Header().Ttl {
					t.Errorf("%s: another TTL of the alias: %s", c.what, rr)
				}
			}
			p := newPathPair(table)
			p.asked.DNSSEC = signed
			if ready := p.ask(t, c.name, c.kind, netip.Addr{}, maxMessage, 1); ready != (len(answer.Answer) == 0) {
				t.Errorf("%s: answered by the wire path: %t", c.what, ready)
			}
			if !signed {
				continue
			}
			if err := validatorOf(&w.in).check(messageOf(t, new(Packer), question, &answer), c.name, c.kind); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			for rr := range table.Version("example.org.").Records() {
				if covers(rr) == dns.TypeNSEC && rr.Header().Ttl != zone {
					t.Errorf("%s: transferred: %s", c.what, rr)
				}
			}
		}
	}
}

// covers is the type of a record, or the one that a signature is for.
func covers(rr dns.RR) uint16 {
	if signature, is := rr.(*dns.RRSIG); is {
		return signature.TypeCovered
	}
	return rr.Header().Rrtype
}

// A table that is made for a TTL alone has nothing made anew, and nothing signed.
func TestTTLAlone(t *testing.T) {
	w := newTown(t, nil, "one", "two", "three")
	w.in.Signing = map[string]*signing.Plan{"example.org.": planFor(t, "example.org.", dns.ECDSAP256SHA256)}
	before := w.compile(t, 0)
	for _, state := range []health.State{near(100 * time.Second), near(50 * time.Second), near(49 * time.Second), {Verdict: health.Up}} {
		w.set("one", state)
		table := w.compile(t, time.Second)
		one, other := before.pools[0], table.pools[0]
		if one.compiledPool != other.compiledPool || one.families[0].chooser != other.families[0].chooser {
			t.Error("the pool is compiled anew")
		}
		x, y := before.zones["example.org."].signed, table.zones["example.org."].signed
		if x.families[0][0] != y.families[0][0] || x.families[0][1] != y.families[0][1] || x.pools[0] != nil && x.pools[0].denial != y.pools[0].denial {
			t.Error("it is signed anew")
		}
		same := w.compile(t, time.Second)
		if other.families[0] != same.pools[0].families[0] {
			t.Error("nothing has changed, but the records are made anew")
		}
		before = table
	}
	if before.pools[0].families[0] != before.pools[0].ipv4 {
		t.Error("the TTL is that of the repository again, but the records are others")
	}
}

// Tables follow a change that comes near: as its time goes, the TTL told is never more
// than a third above what is left, and a grid's step.
func TestTTLInTime(t *testing.T) {
	w := newTown(t, func(w *town) { w.pool.TTL = 3600 }, "one", "two")
	const change = 2 * time.Hour
	w.set("one", near(change))
	tables := 0
	for now := time.Duration(0); now < change; {
		table := w.compile(t, now)
		tables++
		due := table.next
		ttl := time.Duration(w.ttl(t, table, dns.TypeA)) * time.Second
		if want := min(3600*time.Second, max(30*time.Second, (change-now).Truncate(time.Second))); ttl != want {
			t.Errorf("%v before, the TTL is %v", change-now, ttl)
		}
		if due.IsZero() {
			if ttl != 30*time.Second {
				t.Errorf("%v before, the TTL stays %v", change-now, ttl)
			}
			break
		}
		next := due.Sub(testNow)
		if next <= now {
			t.Fatalf("%v after the start, another table is due %v after", now, next)
		}
		if left := change - next; left < leastTTL*time.Second && ttl > (leastTTL+15)*time.Second || left >= leastTTL*time.Second && ttl > left*4/3+2*ttlGrid {
			t.Errorf("until %v before, the TTL is %v", left, ttl)
		}
		now = next
	}
	if tables < 5 || tables > 25 {
		t.Errorf("%d tables", tables)
	}
}
