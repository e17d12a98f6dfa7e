package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/zones"
)

// TestCondense holds that one difference leads to the same zone as several do, and
// says nothing of what came and went.
func TestCondense(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		there := map[string]bool{}
		all := records("example.test. 60 IN NS ns1.example.test.")
		for i := range 10 {
			if there[fmt.Sprint("host", i)] = random.IntN(2) == 0; there[fmt.Sprint("host", i)] {
				all = append(all, records(fmt.Sprintf("host%d.example.test. 60 IN A 127.0.0.%d", i, i))...)
			}
		}
		first := zones.NewVersion(soaOfSerial(1), all)
		var steps []*zones.Difference
		for serial := 1; serial < 2+random.IntN(6); serial++ {
			d := &zones.Difference{Old: soaOfSerial(serial), New: soaOfSerial(serial + 1)}
			for i := range 10 {
				name := fmt.Sprint("host", i)
				rr := records(fmt.Sprintf("%s.example.test. 60 IN A 127.0.0.%d", name, i))
				switch {
				case random.IntN(3) > 0:
				case there[name]:
					d.Deleted, there[name] = append(d.Deleted, rr...), false
				default:
					d.Added, there[name] = append(d.Added, rr...), true
				}
			}
			steps = append(steps, d)
		}
		want, err := first.Apply(steps...)
		if err != nil {
			t.Fatal(err)
		}
		condensed := condensedOf(t, steps)
		got, err := first.Apply(condensed...)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		wantLines, gotLines := lines(slices.Collect(want.Records())), lines(slices.Collect(got.Records()))
		if len(condensed) != 1 || !slices.Equal(wantLines, gotLines) || got.SOA.Serial != want.SOA.Serial {
			t.Fatalf("round %d: %d differences lead to %v, want %v", round, len(condensed), gotLines, wantLines)
		}
		both := zones.Compare(first, want)
		if len(condensed[0].Deleted) != len(both.Deleted) || len(condensed[0].Added) != len(both.Added) {
			t.Fatalf("round %d: deleted %v, added %v, want %v and %v", round,
				lines(condensed[0].Deleted), lines(condensed[0].Added), lines(both.Deleted), lines(both.Added))
		}
	}
}

// condensedOf packs differences, and reads what is sent of them.
func condensedOf(t *testing.T, all []*zones.Difference) []*zones.Difference {
	t.Helper()
	var kept []zones.Packed
	for _, d := range all {
		packed, err := d.Pack()
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, packed)
	}
	c := newChanges(kept)
	if err := c.condense(func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	var sent []byte
	if whole, err := c.each(func(one zones.PackedRecord) bool {
		sent = append(sent, one.Wire...)
		return true
	}); !whole || err != nil {
		t.Fatal(whole, err)
	}
	d, err := zones.UnpackDifference(sent)
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) != c.size {
		t.Errorf("%d bytes are sent, and %d were counted", len(sent), c.size)
	}
	return []*zones.Difference{d}
}

// TestSignedAnswersOverTheRateLimit holds that what slips through is signed.
func TestSignedAnswersOverTheRateLimit(t *testing.T) {
	keys := testKeys(t)
	key := keys.Keys()[0]
	imposter, err := tsig.NewKey(key.Name(), key.Algorithm(), []byte("something else"))
	if err != nil {
		t.Fatal(err)
	}
	s := startLimited(t, testTable(), Settings{RateLimits: RateLimits{PerSecond: 1, Slip: 1}, Transfer: TransferSettings{Keys: keys}})
	for name, test := range map[string]struct {
		from   string
		key    *tsig.Key
		edns   bool
		rcode  int
		tc     bool
		signed bool
	}{
		"good":           {"127.1.0.1", key, false, dns.RcodeSuccess, true, true},
		"good with EDNS": {"127.2.0.1", key, true, dns.RcodeSuccess, true, true},
		"BADSIG":         {"127.3.0.1", imposter, true, dns.RcodeNotAuth, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := query{name: "pool.example.test.", qtype: dns.TypeA}
			if test.edns {
				q.opts = [][]byte{opt(1232, 0)}
			}
			packet, mac := signedQuestion(q.bytes(), test.key, testNow)
			c := s.from(t, test.from)
			s.ask(t, c, packet)
			answer := s.ask(t, c, packet)
			m := parse(t, answer)
			if m.Rcode != test.rcode || m.Truncated != test.tc || len(m.Answer) > 0 || m.IsTsig() == nil || (m.IsEdns0() != nil) != test.edns {
				t.Fatalf("got %v", m)
			}
			if _, err := tsig.Verify(answer, keys, mac, testNow.Add(time.Second)); (err == nil) != test.signed {
				t.Errorf("the signature: %v", err)
			}
		})
	}
}
