package dnsserver

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"mirrorpool/zones"
)

// FuzzLimitedWire asks a real table of which most is answered on the wire path,
// within the rate limit and over it: who shows a good cookie gets the whole
// answer, nobody gets more than that, and what is sent is an answer still.
func FuzzLimitedWire(f *testing.F) {
	client := netip.MustParseAddr("127.2.0.1")
	cookie := func(by CookieSecrets) string {
		var value [wholeCookieSize]byte
		by.answer(&value, []byte("clientpt"), client, testNow)
		return string(value[:])
	}
	for i, c := range common {
		f.Add(c.q.bytes(), byte(i))
		for _, value := range []string{"clientpt", cookie(testSecrets), cookie(NewCookieSecrets())} {
			q := c.q
			q.opts = [][]byte{opt(1232, 0, option(optionCookie, value), option(8, "\x00\x01\x18\x00\x7f\x01\x02"))}
			f.Add(q.bytes(), byte(i))
		}
	}
	for i, packet := range fuzzPackets(f, "dl.example.test.", "sub.example.test.", "no.such.example.test.") {
		f.Add(packet, byte(i))
	}
	table := wireTable(f)
	newOne := func(limits RateLimits) *responder {
		config := Config{
			Table: func() Answerer { return table }, now: func() time.Time { return testNow },
			Random:   func() zones.Random { return zeros{} },
			Settings: Settings{NSID: "ns1", Cookies: testSecrets, RateLimits: limits},
		}.withDefaults()
		return responderOf(&config, overUDP)
	}
	free := newOne(RateLimits{})
	// By what is drawn here, one in any number slips through.
	all, some, none := newOne(RateLimits{PerSecond: 1, Slip: 1}), newOne(RateLimits{PerSecond: 1, Slip: 3}), newOne(RateLimits{PerSecond: 1})
	for _, r := range []*responder{all, some, none} {
		for kind := range responseKinds {
			r.settings.limiter.passes(client, kind, r.settings.limiter.at(testNow))
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte, which byte) {
		packet = packet[:min(len(packet), roomSize)]
		reply := func(r *responder, over transport) []byte {
			r.begin()
			defer r.end()
			room := make([]byte, roomSize)
			return bytes.Clone(r.reply(room, copy(room, packet), client, over))
		}
		r := []*responder{all, some, none}[which%3]
		want := reply(free, overUDP)
		good := free.cookie == cookieGood
		got := reply(r, overUDP)
		c := checks{over: overUDP, udpSize: DefaultUDPSize, silent: r == none}
		c.check(t, packet, want)
		c.check(t, packet, got)
		switch {
		case good && !bytes.Equal(got, want):
			t.Fatalf("%x with a good cookie gets\n%x over the limit, and\n%x below it", packet, got, want)
		case len(got) > len(want):
			t.Fatalf("%x gets more over the limit,\n%x, than below it,\n%x", packet, got, want)
		case !good && r == none && got != nil:
			t.Fatalf("%x gets %x over the limit, where nothing slips through", packet, got)
		case !good && got != nil && len(got) > len(packet)+optFixed+optionFixed+wholeCookieSize:
			t.Fatalf("%x gets a larger answer over the limit, %x", packet, got)
		}
		if a, b := reply(r, overTCP), reply(free, overTCP); !bytes.Equal(a, b) {
			t.Fatalf("%x over TCP gets\n%x with a limit, and\n%x without", packet, a, b)
		}
	})
}

// zeros draws 0 each time.
type zeros struct{}

func (zeros) Uint64() uint64 { return 0 }
