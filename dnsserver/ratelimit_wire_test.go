package dnsserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// limitZone has an answer of each kind for both tables.
const limitZone = `$TTL 60
@ IN SOA ns1 hostmaster 7 7200 900 1209600 60
@ IN NS ns1
ns1 IN A 127.0.0.3
txt IN TXT "one"
txt IN TXT "two"
big IN TXT "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001"
empty IN A 127.0.0.4
sub IN NS ns.sub
sub IN NS ns.other.test.
ns.sub IN AAAA ::3:1
`

// limited is a server with rate limits whose clock stands until it is moved,
// and with one worker, so that answers come in the order of the questions.
type limited struct {
	*running
	clock *atomic.Int64 // ns since testNow
	// sentinel is a client without a limit, for whom answers wait behind all others'.
	sentinel net.Conn
}

// sentinelNetwork is exempt in all tests.
const sentinelNetwork = "127.255.255.0/24"

func startLimited(t *testing.T, table Answerer, settings Settings) *limited {
	t.Helper()
	s := &limited{clock: new(atomic.Int64)}
	settings.RateLimits.Exempt = append(settings.RateLimits.Exempt, netip.MustParsePrefix(sentinelNetwork))
	s.running = start(t, Config{
		Listen: []string{"127.0.0.1:0"}, Workers: 1, Settings: settings, Table: func() Answerer { return table },
		now: func() time.Time { return testNow.Add(time.Duration(s.clock.Load())) },
	})
	s.sentinel = s.from(t, "127.255.255.1")
	return s
}

// from makes a client at an address.
func (s *limited) from(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0))}
	c, err := d.Dial("udp4", s.address(false).String())
	if err != nil {
		t.Skipf("this system has but one address of loopback: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask gives the answer to a question, or nil for silence: when the sentinel has
// its answer, the one before it has been sent, if ever.
func (s *limited) ask(t *testing.T, c net.Conn, packet []byte) []byte {
	t.Helper()
	send(t, c, packet)
	if m := parse(t, ask(t, s.sentinel, query{id: 1, name: "txt.example.test.", qtype: typeTXT}.bytes())); len(m.Answer) != 2 {
		t.Fatalf("the sentinel got: %v", m)
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, maxMessage)
	n := 0
	if err := raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), answer)
		return true // without waiting
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return answer[:n]
}

// count is what was counted of a kind: dropped, truncated, badcookie, slipped.
func (s *limited) count(kind string) (all [4]float64) {
	for i, action := range []string{actionDropped, actionTruncated, actionBadCookie, actionSlipped} {
		all[i] = counted(s.metrics.limited, kind, action)
	}
	return all
}

// limitTables are for tests that go over both paths.
func limitTables(t *testing.T) map[string]Answerer {
	t.Helper()
	archive := newArchived(t, "limits", map[string]string{
		"pools.json": `{"version": 1, "pools": []}`, "zones/example.test.zone": limitZone,
	})
	return map[string]Answerer{"wire": archive.table, "slow": testTable()}
}

// kindQuestions are questions for each kind of answer, with their response code.
func kindQuestions() map[string][]struct {
	query
	rcode int
} {
	type one = struct {
		query
		rcode int
	}
	withOPT := [][]byte{opt(1232, 0)}
	return map[string][]one{
		"answer": {
			{query{name: "txt.example.test.", qtype: typeTXT}, dns.RcodeSuccess},
			{query{name: "TXT.example.TEST.", qtype: typeTXT, opts: withOPT}, dns.RcodeSuccess},
			{query{name: "empty.example.test.", qtype: typeTXT}, dns.RcodeSuccess},
			{query{name: "empty.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionNSID, ""))}}, dns.RcodeSuccess},
		},
		"referral": {
			{query{name: "host.sub.example.test.", qtype: dns.TypeA}, dns.RcodeSuccess},
			{query{name: "host.sub.example.test.", qtype: dns.TypeA, opts: withOPT}, dns.RcodeSuccess},
		},
		"nxdomain": {
			{query{name: "no.example.test.", qtype: dns.TypeA}, dns.RcodeNameError},
			{query{name: "nor.this.example.test.", qtype: dns.TypeA, opts: withOPT}, dns.RcodeNameError},
		},
		"error": {
			{query{name: "elsewhere.test.", qtype: dns.TypeA}, dns.RcodeRefused},
			{query{name: "txt.example.test.", qtype: typeTXT, trailing: "!"}, dns.RcodeFormatError},
			{query{name: "txt.example.test.", qtype: typeTXT, flags: 2 << 11}, dns.RcodeNotImplemented},
			{query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 1<<16)}}, dns.RcodeBadVers},
			{query{name: "txt.example.test.", qtype: typeTXT, class: 4}, dns.RcodeRefused},
		},
	}
}

func rcodeOf(m *dns.Msg) int {
	if o := m.IsEdns0(); o != nil {
		return o.ExtendedRcode() | m.Rcode&15
	}
	return m.Rcode
}

// TestRateLimitKindsOverTheWire holds that each kind of answer has its own limit, that
// all addresses of a network share it, and that other networks have their own.
func TestRateLimitKindsOverTheWire(t *testing.T) {
	const perSecond = 5
	for path, table := range limitTables(t) {
		s := startLimited(t, table, Settings{RateLimits: RateLimits{PerSecond: perSecond}})
		for kind, questions := range kindQuestions() {
			for network := range 2 {
				clients := []net.Conn{s.from(t, fmt.Sprintf("127.0.%d.1", network)), s.from(t, fmt.Sprintf("127.0.%d.254", network))}
				before := s.count(kind)
				for i := range 3 * perSecond {
					q := questions[i%len(questions)]
					q.id = uint16(i + 100)
					answer := s.ask(t, clients[i%2], q.bytes())
					if got := answer != nil; got != (i < perSecond) {
						t.Errorf("%s, %s, network %d: answer %d is sent: %v", path, kind, network, i, got)
					}
					if answer == nil {
						continue
					}
					if m := parse(t, answer); m.Id != q.id || rcodeOf(m) != q.rcode || m.Truncated {
						t.Errorf("%s, %s, %v: got %v", path, kind, q.query, m)
					}
				}
				after := s.count(kind)
				if after[0]-before[0] != 2*perSecond || after[1]+after[2]+after[3] != 0 {
					t.Errorf("%s, %s, network %d: counted %v after %v, expected %d dropped", path, kind, network, after, before, 2*perSecond)
				}
			}
		}
		// A fifth of a second later there is one more for each.
		s.clock.Add(int64(time.Second / perSecond))
		c := s.from(t, "127.0.1.77")
		for kind, questions := range kindQuestions() {
			for i, want := range []bool{true, false} {
				if got := s.ask(t, c, questions[0].bytes()) != nil; got != want {
					t.Errorf("%s, %s: answer %d after 200 ms is sent: %v", path, kind, i, got)
				}
			}
		}
	}
}

// TestRateLimitTruncates reads what slips through: nothing but the question and
// an OPT, never longer than what was asked, and the way to TCP is open.
func TestRateLimitTruncates(t *testing.T) {
	type question struct {
		kind string
		query
		edns, dnssec bool
	}
	for path, table := range limitTables(t) {
		s := startLimited(t, table, Settings{NSID: "ns7", RateLimits: RateLimits{PerSecond: 1, Slip: 1}})
		c := s.from(t, "127.0.0.1")
		for _, kind := range kindQuestions() {
			s.ask(t, c, kind[0].bytes()) // the one that may be sent
		}
		subnet := option(optionSubnet, "\x00\x01\x18\x00\x7f\x00\x01")
		for _, q := range []question{
			{"answer", query{name: "tXt.eXample.tesT.", qtype: typeTXT}, false, false},
			{"answer", query{name: "txt.example.test.", qtype: typeTXT, flags: flagRD}, false, false},
			{"answer", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0)}}, true, false},
			{"answer", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, flagDO)}}, true, true},
			{"answer", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionNSID, ""), subnet)}}, true, false},
			{"answer", query{name: "empty.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, subnet)}}, true, false},
			{"referral", query{name: "host.sub.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0)}}, true, false},
			{"nxdomain", query{name: "No.example.test.", qtype: dns.TypeA}, false, false},
			{"nxdomain", query{name: `a\.b\000\255.example.test.`, qtype: dns.TypeA, opts: [][]byte{opt(512, 0)}}, true, false},
		} {
			before := s.count(q.kind)
			q.id = 4711
			asked := q.bytes()
			answer := s.ask(t, c, asked)
			if answer == nil {
				t.Errorf("%s, %v: silence, expected an answer with TC", path, q.query)
				continue
			}
			m := parse(t, answer)
			if m.Id != 4711 || !m.Response || !m.Truncated || m.Rcode != 0 || len(m.Question) != 1 || len(m.Answer)+len(m.Ns) != 0 ||
				m.RecursionDesired != (q.flags&flagRD != 0) || m.RecursionAvailable || m.CheckingDisabled {
				t.Errorf("%s, %v: got %v", path, q.query, m)
			}
			if end := len(asked) - len(bytes.Join(q.opts, nil)); !bytes.Equal(answer[headerSize:end], asked[headerSize:end]) {
				t.Errorf("%s, %v: the question comes back as %x, expected %x", path, q.query, answer[headerSize:end], asked[headerSize:end])
			}
			o := m.IsEdns0()
			if (o != nil) != q.edns || o != nil && (o.Do() != q.dnssec || o.UDPSize() != DefaultUDPSize || len(o.Option) != 0) {
				t.Errorf("%s, %v: OPT %v", path, q.query, o)
			}
			if len(answer) > len(asked) {
				t.Errorf("%s, %v: %d bytes for a question of %d", path, q.query, len(answer), len(asked))
			}
			if after := s.count(q.kind); after[1]-before[1] != 1 || after[0]+after[2]+after[3] != 0 {
				t.Errorf("%s, %v: counted %v after %v, expected one more truncated", path, q.query, after, before)
			}
			whole := parse(t, ask(t, dialFrom(t, "127.0.0.1", s.running), asked))
			if whole.Truncated || len(whole.Answer)+len(whole.Ns) == 0 {
				t.Errorf("%s, %v: over TCP: %v", path, q.query, whole)
			}
		}
		// Errors keep their codes, and nothing else.
		for i, q := range kindQuestions()["error"] {
			answer := s.ask(t, c, q.bytes())
			if answer == nil {
				t.Errorf("%s, error %d: silence", path, i)
			} else if m := parse(t, answer); m.Truncated || rcodeOf(m) != q.rcode {
				t.Errorf("%s, error %d: %v", path, i, m)
			}
			if got := s.count("error"); got != [4]float64{3: float64(i + 1)} {
				t.Errorf("%s, error %d: counted %v", path, i, got)
			}
		}
	}
}

// TestRateLimitSlipOverTheWire counts what gets through, for each number that
// slip may be.
func TestRateLimitSlipOverTheWire(t *testing.T) {
	for _, c := range []struct{ slip, asked int }{{0, 200}, {1, 200}, {2, 800}, {5, 2000}} {
		s := startLimited(t, limitTables(t)["wire"], Settings{RateLimits: RateLimits{PerSecond: 1, Slip: c.slip}})
		client := s.from(t, "127.0.0.1")
		packet := query{name: "txt.example.test.", qtype: typeTXT}.bytes()
		s.ask(t, client, packet)
		got := 0
		for range c.asked {
			if s.ask(t, client, packet) != nil {
				got++
			}
		}
		want, width := 0.0, 0.0
		if c.slip > 0 {
			p := 1 / float64(c.slip)
			want, width = float64(c.asked)*p, 7*math.Sqrt(float64(c.asked)*p*(1-p)) // less than once in 10^10 runs
		}
		if math.Abs(float64(got)-want) > width {
			t.Errorf("slip %d: %d of %d came, expected %.0f ± %.0f", c.slip, got, c.asked, want, width)
		}
		if all := s.count("answer"); all != [4]float64{float64(c.asked - got), float64(got)} {
			t.Errorf("slip %d: counted %v, expected %d dropped and %d truncated", c.slip, all, c.asked-got, got)
		}
	}
}

// TestRateLimitExemptOverTheWire holds that exempt networks, TCP and good
// cookies have no limit, and bad cookies none that a new one does not lift.
func TestRateLimitExemptOverTheWire(t *testing.T) {
	secrets := mustSecrets(t, secretNew)
	for path, table := range limitTables(t) {
		for slip := range 2 {
			s := startLimited(t, table, Settings{
				Cookies:    secrets,
				RateLimits: RateLimits{PerSecond: 1, Slip: slip, Exempt: prefixes("127.0.0.0/25", "127.7.0.0/16")},
			})
			plain := query{name: "txt.example.test.", qtype: typeTXT}
			full := func(packet []byte) bool {
				return packet != nil && len(parse(t, packet).Answer) == 2
			}
			for _, exempt := range []string{"127.0.0.1", "127.7.9.9"} {
				c := s.from(t, exempt)
				for i := range 20 {
					if !full(s.ask(t, c, plain.bytes())) {
						t.Errorf("%s: answer %d to %s is limited", path, i, exempt)
					}
				}
			}
			// Of the same /24 as an exempt /25.
			c := s.from(t, "127.0.0.200")
			if full(s.ask(t, c, plain.bytes())) {
				t.Errorf("%s: the other half of an exempt network has no limit", path)
			}
			stream := dialFrom(t, "127.0.0.200", s.running)
			for i := range 20 {
				if !full(ask(t, stream, plain.bytes())) {
					t.Errorf("%s: answer %d over TCP is limited", path, i)
				}
			}
			good := cookieAt(t, secrets, "127.0.0.200", testNow)
			withCookie := func(cookie []byte) []byte {
				q := plain
				q.opts = [][]byte{opt(1232, 0, option(optionCookie, string(cookie)))}
				return s.ask(t, c, q.bytes())
			}
			for i := range 20 {
				if !full(withCookie(good)) {
					t.Errorf("%s: answer %d to a good cookie is limited", path, i)
				}
			}
			for what, cookie := range map[string][]byte{
				"new": good[:8], "another's": cookieAt(t, secrets, "127.0.0.1", testNow),
			} {
				answer := withCookie(cookie)
				if slip == 0 {
					if answer != nil {
						t.Errorf("%s: a cookie that is %s gets %v, expected silence", path, what, parse(t, answer))
					}
					continue
				}
				if answer == nil {
					t.Errorf("%s: a cookie that is %s gets silence", path, what)
					continue
				}
				if m := parse(t, answer); rcodeOf(m) != dns.RcodeBadCookie || cookieIn(m) != fmt.Sprintf("%x", good) {
					t.Errorf("%s: a cookie that is %s gets %v", path, what, m)
				}
			}
			want := [4]float64{0: 3}
			if slip == 1 {
				want = [4]float64{1: 1, 2: 2}
			}
			if got := s.count("answer"); got != want {
				t.Errorf("%s, slip %d: counted %v, expected %v", path, slip, got, want)
			}
		}
	}
}

// TestRateLimitChangesWhileItRuns has other limits hold from the next question
// on, without a second's worth more for whoever was at the limit.
func TestRateLimitChangesWhileItRuns(t *testing.T) {
	s := startLimited(t, limitTables(t)["wire"], Settings{RateLimits: RateLimits{PerSecond: 2}})
	c := s.from(t, "127.0.0.1")
	packet := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0)}}.bytes()
	exempt := prefixes(sentinelNetwork)
	for _, step := range []struct {
		what   string
		limits RateLimits
		wait   time.Duration
		want   string // of four answers: whole, truncated, silence
	}{
		{"two at once", RateLimits{PerSecond: 2, Exempt: exempt}, 0, "ww--"},
		{"each slips", RateLimits{PerSecond: 2, Slip: 1, Exempt: exempt}, 0, "tttt"},
		{"off", RateLimits{Exempt: exempt}, 0, "wwww"},
		{"on again", RateLimits{PerSecond: 3, Exempt: exempt}, 0, "www-"},
		{"a higher limit", RateLimits{PerSecond: 1000, Exempt: exempt}, 0, "----"},
		{"later", RateLimits{PerSecond: 1000, Exempt: exempt}, time.Millisecond, "w---"},
		{"a lower limit", RateLimits{PerSecond: 1, Exempt: exempt}, 999 * time.Millisecond, "----"},
		{"later", RateLimits{PerSecond: 1, Exempt: exempt}, time.Millisecond, "w---"},
		{"exempt", RateLimits{PerSecond: 1, Exempt: prefixes("127.0.0.0/8")}, 0, "wwww"},
		{"no longer", RateLimits{PerSecond: 1, Exempt: exempt}, 0, "----"},
	} {
		if err := s.Set(Settings{RateLimits: step.limits}); err != nil {
			t.Fatal(err)
		}
		s.clock.Add(int64(step.wait))
		got := ""
		for range 4 {
			answer := s.ask(t, c, packet)
			switch {
			case answer == nil:
				got += "-"
			case parse(t, answer).Truncated:
				got += "t"
			default:
				got += "w"
			}
		}
		if got != step.want {
			t.Errorf("%s: %s, expected %s", step.what, got, step.want)
		}
	}
	if err := s.Set(Settings{RateLimits: RateLimits{PerSecond: -1}}); err == nil {
		t.Error("a negative limit is taken")
	}
}

// TestRateLimitIPv6 asks the responder as clients of networks that this machine
// is not in.
func TestRateLimitIPv6(t *testing.T) {
	for path, table := range limitTables(t) {
		config := Config{
			Table: func() Answerer { return table }, now: func() time.Time { return testNow },
			Settings: Settings{RateLimits: RateLimits{PerSecond: 2, Exempt: prefixes("fd00:7::/32")}},
		}.withDefaults()
		r := responderOf(&config, overUDP)
		for _, c := range []struct {
			client string
			over   transport
			want   bool
		}{
			{"fd00:1:2:300::1", overUDP, true},
			{"fd00:1:2:3ff::2", overUDP, true},
			{"fd00:1:2:355:ffff::", overUDP, false},
			{"fd00:1:2:355:ffff::", overTCP, true},
			{"fd00:1:2:355:ffff::", overTLS, true},
			{"fd00:1:2:400::1", overUDP, true},
			{"fd00:1:3:300::1", overUDP, true},
			{"fd00:1:2:300::1%lo", overUDP, false},
			{"fd00:7::1", overUDP, true},
			{"fd00:7::1", overUDP, true},
			{"fd00:7::1", overUDP, true},
			{"127.0.0.1", overUDP, true},
			{"::ffff:127.0.0.2", overUDP, true},
			{"127.0.0.3", overUDP, false},
			{"::ffff:127.0.0.4", overUDP, false},
		} {
			r.begin()
			room := make([]byte, maxMessage)
			length := copy(room, query{name: "txt.example.test.", qtype: typeTXT}.bytes())
			answer := r.reply(room, length, netip.MustParseAddr(c.client), c.over)
			if got := len(answer) > 0 && binary.BigEndian.Uint16(answer[6:]) == 2; got != c.want {
				t.Errorf("%s: %s over %s is answered: %v, expected %v", path, c.client, c.over, got, c.want)
			}
			r.end()
		}
	}
}

// TestRateLimitLeavesSilence counts nothing where nothing is answered.
func TestRateLimitLeavesSilence(t *testing.T) {
	s := startLimited(t, limitTables(t)["wire"], Settings{RateLimits: RateLimits{PerSecond: 1, Slip: 1}})
	c := s.from(t, "127.0.0.1")
	for range 5 {
		for _, packet := range [][]byte{[]byte("short"), query{name: "txt.example.test.", qtype: typeTXT, flags: flagQR}.bytes()} {
			if answer := s.ask(t, c, packet); answer != nil {
				t.Errorf("%x is answered with %x", packet, answer)
			}
		}
	}
	for kind, questions := range kindQuestions() {
		if answer := s.ask(t, c, questions[0].bytes()); answer == nil || parse(t, answer).Truncated {
			t.Errorf("%s: the first answer is limited after packets that got none", kind)
		}
		if got := s.count(kind); got != [4]float64{} {
			t.Errorf("%s: counted %v, expected nothing", kind, got)
		}
	}
}

// FuzzOverTheLimit holds what is sent over the limit, whatever came: the head of
// the answer that would have been sent, or an error, and no more.
func FuzzOverTheLimit(f *testing.F) {
	for _, questions := range kindQuestions() {
		for _, q := range questions {
			f.Add(q.bytes())
		}
	}
	f.Add(query{counts: &[4]uint16{0, 0, 0, 1}, opts: [][]byte{opt(1232, 0, option(optionCookie, "clientpt"))}}.bytes())
	f.Add(query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, flagDO, option(optionCookie, "clientpt"))}}.bytes())
	f.Add(query{name: "version.bind.", qtype: typeTXT, class: 3, opts: [][]byte{opt(1232, 0, option(optionCookie, "clientpt-server-part"))}}.bytes())
	f.Add(query{name: "elsewhere.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionNSID, ""))}}.bytes())
	f.Add(query{name: "elsewhere.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 1<<16)}}.bytes())
	f.Add(query{name: "yx.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0)}}.bytes())
	table := testTable()
	table["yx.example.test."] = func(zones.Question) zones.Answer {
		return zones.Answer{Rcode: dns.RcodeYXDomain, Authoritative: true, Answer: records("long.example.test. 60 IN DNAME " + strings.Repeat("sixteen-letters-", 3) + ".example.test.")}
	}
	newOne := func(limits RateLimits) *responder {
		config := Config{
			Table: func() Answerer { return table }, now: func() time.Time { return testNow },
			Settings: Settings{NSID: "ns7", Version: "7", Cookies: mustSecrets(f, secretNew), RateLimits: limits},
		}.withDefaults()
		return responderOf(&config, overUDP)
	}
	client := netip.MustParseAddr("127.0.0.1")
	over, free := newOne(RateLimits{PerSecond: 1, Slip: 1}), newOne(RateLimits{})
	for kind := range responseKinds {
		over.settings.limiter.passes(client, kind, over.settings.limiter.at(testNow))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		packet = packet[:min(len(packet), 4096)]
		reply := func(r *responder) []byte {
			r.begin()
			defer r.end()
			room := make([]byte, maxMessage)
			return bytes.Clone(r.reply(room, copy(room, packet), client, overUDP))
		}
		got, want := reply(over), reply(free)
		if (len(got) == 0) != (len(want) == 0) {
			t.Fatalf("%x: %x over the limit, %x below it", packet, got, want)
		}
		if len(want) == 0 {
			return
		}
		m, whole := parse(t, got), parse(t, want)
		if m.Id != whole.Id || !m.Response || len(got) > len(want) || m.Opcode != whole.Opcode ||
			m.RecursionDesired != whole.RecursionDesired || (m.IsEdns0() == nil) != (whole.IsEdns0() == nil) ||
			!bytes.Equal(packet[:2], got[:2]) || fmt.Sprint(m.Question) != fmt.Sprint(whole.Question) {
			t.Fatalf("%x: %v over the limit, %v below it", packet, m, whole)
		}
		switch {
		case bytes.Equal(got, want) && free.cookie == cookieGood:
			// As it is.
		case free.cookie == cookieGood:
			t.Fatalf("%x: %v with a good cookie, expected %v", packet, m, whole)
		case len(m.Answer)+len(m.Ns) != 0 || len(m.Extra) > 1:
			t.Fatalf("%x: records over the limit: %v", packet, m)
		case len(whole.Question) == 0 && rcodeOf(whole) == dns.RcodeSuccess:
			if rcodeOf(m) != dns.RcodeSuccess || cookieIn(m) != cookieIn(whole) || m.Truncated {
				t.Fatalf("%x: %v, expected the cookie of %v", packet, m, whole)
			}
		case free.cookie == cookieAbsent && kindOf(want) == kindError:
			if rcodeOf(m) != rcodeOf(whole) || m.Truncated || m.IsEdns0() != nil && len(m.IsEdns0().Option) > 0 {
				t.Fatalf("%x: %v, expected the code of %v and no more", packet, m, whole)
			}
		case free.cookie != cookieAbsent:
			if rcodeOf(m) != dns.RcodeBadCookie || cookieIn(m) != cookieIn(whole) || m.Truncated || m.Authoritative {
				t.Fatalf("%x: %v, expected BADCOOKIE with the cookie of %v", packet, m, whole)
			}
		case !m.Truncated || rcodeOf(m) != dns.RcodeSuccess || m.IsEdns0() != nil && len(m.IsEdns0().Option) > 0:
			t.Fatalf("%x: %v, expected TC and no more", packet, m)
		}
	})
}

// BenchmarkOverTheLimit is what a question in a flood takes, beside what it takes
// without limits.
func BenchmarkOverTheLimit(b *testing.B) {
	archive := newArchived(b, "limits", map[string]string{
		"pools.json": `{"version": 1, "pools": []}`, "zones/example.test.zone": limitZone,
	})
	packet := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0)}}.bytes()
	client := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		name   string
		limits RateLimits
	}{
		{"off", RateLimits{}},
		{"within", RateLimits{PerSecond: 1_000_000_000}},
		{"dropped", RateLimits{PerSecond: 1}},
		{"truncated", RateLimits{PerSecond: 1, Slip: 1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			config := Config{Table: func() Answerer { return archive.table }, Settings: Settings{RateLimits: c.limits}}.withDefaults()
			r := responderOf(&config, overUDP)
			room := make([]byte, maxMessage)
			b.ReportAllocs()
			r.begin()
			defer r.end()
			for b.Loop() {
				r.reply(room, copy(room, packet), client, overUDP)
			}
		})
	}
}
