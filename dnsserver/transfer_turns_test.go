package dnsserver

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/zones"
)

// keptTransfers gives what is kept as it is.
type keptTransfers struct {
	*fakeTransfers
	kept  []zones.Packed
	asked func() // called with each Since
}

func (k *keptTransfers) Since(string, uint32, int64) ([]zones.Packed, bool) {
	k.asked()
	return k.kept, true
}

// TestFewTransfersAtOnce: half as many transfers as there are workers make something at
// a time, and questions are answered meanwhile.
func TestFewTransfersAtOnce(t *testing.T) {
	const workers, clients = 4, 8
	var entered atomic.Int32
	going := make(chan struct{})
	given := &keptTransfers{fakeTransfers: testTransfers(3), asked: func() {
		entered.Add(1)
		<-going
	}}
	s := start(t, Config{Workers: workers, Settings: everybody(t), Transfers: func() Transfers { return given }})
	var all []net.Conn
	for range clients {
		c := dial(t, "tcp", s.address(false))
		send(t, c, ixfr(5))
		all = append(all, c)
	}
	eventually(t, "all have begun", func() bool { return s.metrics.transfers.running.Load() == clients && entered.Load() > 0 })
	for _, network := range []string{"udp", "tcp"} {
		c := dial(t, network, s.address(false))
		for range 20 {
			if m := parse(t, ask(t, c, query{name: "txt.example.test.", qtype: dns.TypeTXT}.bytes())); len(m.Answer) != 2 {
				t.Errorf("over %s: %v", network, m)
			}
		}
	}
	if n := entered.Load(); n > workers/2 {
		t.Errorf("%d transfers work at once", n)
	}
	close(going)
	for _, c := range all {
		readTransfer(t, c, nil, false)
	}
}

// manyKept are differences of so many records each, of which the last undoes the others.
func manyKept(t testing.TB, records, differences int) []zones.Packed {
	t.Helper()
	var kept []zones.Packed
	for i := range differences {
		d := &zones.Difference{Old: soaOfSerial(7 - differences + i), New: soaOfSerial(8 - differences + i)}
		if own := hosts(records); i%2 == 0 {
			d.Added = own
		} else {
			d.Deleted = own
		}
		packed, err := d.Pack()
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, packed)
	}
	return kept
}

// TestPlanInTurns: what is looked at before the first message is looked at a part at a
// time, and what was undone is not sent.
func TestPlanInTurns(t *testing.T) {
	given := &keptTransfers{fakeTransfers: testTransfers(9000), kept: manyKept(t, 4000, 3), asked: func() {}}
	config := Config{}.withDefaults()
	q := parseRequest(ixfr(4))
	transfer := responderOf(&config, overTCP).newTransfer(&q, kindIXFR, given, given.versions["example.test."])
	turns, records := 0, 0
	for last := false; !last; {
		message, isLast, err := transfer.next(nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case message == nil && (records > 0 || isLast):
			t.Fatal("a message is none")
		case message == nil:
			turns++
		default:
			records += len(parse(t, message).Answer)
		}
		last = isLast
	}
	if want := 3 * 4000 / stepsATurn; turns != want || transfer.result != transferDifferences || records != 4+4002 {
		t.Errorf("%s of %d records after %d turns, want differences of %d after %d", transfer.result, records, turns, 4+4002, want)
	}
	// SOA records are not among those that are too many.
	all := changes{all: slices.Repeat(manyKept(t, 0, 2), mostCondensed/5)}
	if err := all.condense(func() bool { return true }); err != nil || all.left == nil {
		t.Errorf("%v: differences of few records are not put together", err)
	}
	// Too many are sent as they are, and no longer looked at than it takes to find that.
	c := newChanges(manyKept(t, mostCondensed/3+1, 3))
	size, steps := c.size, 0
	if err := c.condense(func() bool { steps++; return true }); err != nil || c.left != nil || c.size != size || steps > mostCondensed+6 {
		t.Errorf("%v: %d bytes of %d are left after %d steps", err, c.size, size, steps)
	}
}

// TestDamagedDifference: who asks for what changed gets the whole zone where what is kept
// of that is no difference, whether it is one or several.
func TestDamagedDifference(t *testing.T) {
	good := manyKept(t, 3, 2)
	cut := func(bytes int) string { return good[1].Records[:len(good[1].Records)-bytes] }
	twice := good[1].Records + good[0].Records
	one, _, _ := zones.CutRecord(good[1].Records)
	for name, records := range map[string]string{
		"cut in a record": cut(3), "one SOA alone": one.Wire, "of nothing": "", "four SOA records": twice,
	} {
		damaged := good[1]
		damaged.Records = records
		for among, kept := range map[string][]zones.Packed{"alone": {damaged}, "the last of two": {good[0], damaged}} {
			t.Run(name+", "+among, func(t *testing.T) {
				reports := make(chan error, 2)
				given := &keptTransfers{fakeTransfers: testTransfers(500), kept: kept, asked: func() {}}
				s := start(t, Config{Settings: everybody(t), Transfers: func() Transfers { return given }, Report: func(err error) { reports <- err }})
				c := dial(t, "tcp", s.address(false))
				send(t, c, ixfr(int(kept[0].Old)))
				if all, _ := readTransfer(t, c, nil, false); len(all) != 504 || !strings.HasPrefix(short(all), "SOA7 example/NS ") {
					t.Errorf("got %d records", len(all))
				}
				if err := <-reports; !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "example.test.") {
					t.Errorf("reported: %v", err)
				}
				eventually(t, "it is counted as whole", func() bool {
					return testutil.ToFloat64(s.metrics.transfers.total.WithLabelValues(kindIXFR, transferWhole)) == 1
				})
				if m := parse(t, ask(t, dial(t, "udp", s.address(false)), ixfr(int(kept[0].Old)))); short(m.Answer) != "SOA7" {
					t.Errorf("over UDP: %v", m)
				}
			})
		}
	}
}

// TestDamageInTheMidst: what is found behind the first record ends the transfer, without
// its last SOA.
func TestDamageInTheMidst(t *testing.T) {
	damaged := manyKept(t, 3, 1)
	damaged[0].Records = damaged[0].Records[:len(damaged[0].Records)-3]
	var given []transferItem
	p := planner{
		zoneTransfer: &zoneTransfer{version: testTransfers(3).versions["example.test."]},
		yield:        func(one transferItem) bool { given = append(given, one); return true },
	}
	kept := newChanges(damaged)
	p.differences(&kept)
	if last := given[len(given)-1]; len(given) < 3 || !errors.Is(last.err, errDamaged) {
		t.Errorf("%d items, and %v", len(given), last.err)
	}
}
