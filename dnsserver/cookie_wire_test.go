package dnsserver

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// cookieZone is served by both kinds of table: of a fake one the wire path knows
// nothing.
const cookieZone = "$TTL 60\n@ IN SOA ns1 hostmaster 7 7200 900 1209600 60\n@ IN NS ns1\nns1 IN A 127.0.0.3\ntxt IN TXT \"one\"\ntxt IN TXT \"two\"\n"

// bothTables are for tests that go over both paths.
func bothTables(t *testing.T) map[string]Answerer {
	t.Helper()
	archive := newArchived(t, "cookies", map[string]string{
		"pools.json": `{"version": 1, "pools": []}`, "zones/example.test.zone": cookieZone,
	})
	return map[string]Answerer{"wire": archive.table, "slow": testTable()}
}

// startCookies serves with secrets, at a time that stands still.
func startCookies(t *testing.T, table Answerer, settings Settings) *running {
	t.Helper()
	return start(t, Config{
		Settings: settings, Table: func() Answerer { return table }, now: func() time.Time { return testNow },
	})
}

// askWithCookies asks for a name, or for nothing, with COOKIE options.
func askWithCookies(t *testing.T, c net.Conn, name string, cookies ...[]byte) *dns.Msg {
	t.Helper()
	q := query{id: 4711, name: name, qtype: typeTXT}
	if name == "" {
		q.counts = &[4]uint16{0, 0, 0, 1}
	}
	var options [][]byte
	for _, cookie := range cookies {
		options = append(options, option(optionCookie, string(cookie)))
	}
	q.opts = [][]byte{opt(1232, 0, options...)}
	m := parse(t, ask(t, c, q.bytes()))
	if m.Id != 4711 || !m.Response || m.IsEdns0() == nil {
		t.Fatalf("answered: %v", m)
	}
	return m
}

// cookieIn gives the values of an answer's COOKIE options, one after the other.
func cookieIn(m *dns.Msg) string {
	all := ""
	for _, o := range m.IsEdns0().Option {
		if cookie, is := o.(*dns.EDNS0_COOKIE); is {
			all += cookie.Cookie
		}
	}
	return all
}

// cookieCounts are what was counted of cookies; the last number are questions
// whose cookie was malformed.
func (r *running) cookieCounts() [4]float64 {
	r.metrics.sum()
	return [4]float64{
		counted(r.metrics.cookies, "new"), counted(r.metrics.cookies, "good"), counted(r.metrics.cookies, "bad"),
		counted(r.metrics.malformed, string(faultCookie)),
	}
}

// cookieCase is one question with cookies and what is said to it.
type cookieCase struct {
	name    string
	cookies [][]byte
	state   cookieState // cookieAbsent: malformed, FORMERR
	// answered is the cookie that comes back.
	answered []byte
}

// cookieCases are those of a client at an address.
func cookieCases(t *testing.T, client string) []cookieCase {
	t.Helper()
	current, both := mustSecrets(t, secretNew), mustSecrets(t, secretNew, secretOld)
	fresh := cookieAt(t, both, client, testNow)
	at := func(seconds int) []byte {
		return cookieAt(t, current, client, testNow.Add(time.Duration(seconds)*time.Second))
	}
	other := "127.0.0.9"
	if client != "127.0.0.1" {
		other = "127.0.0.1"
	}
	changed := func(i int) []byte {
		cookie := slices.Clone(fresh)
		cookie[i] ^= 0x20
		return cookie
	}
	cases := []cookieCase{
		{"the client's part", [][]byte{fresh[:8]}, cookieNew, fresh},
		{"good", [][]byte{fresh}, cookieGood, fresh},
		{"half an hour old", [][]byte{at(-1800)}, cookieGood, at(-1800)},
		{"more than half an hour old", [][]byte{at(-1801)}, cookieGood, fresh},
		{"an hour old", [][]byte{at(-3600)}, cookieGood, fresh},
		{"expired", [][]byte{at(-3601)}, cookieBad, fresh},
		{"five minutes ahead", [][]byte{at(300)}, cookieGood, at(300)},
		{"from the future", [][]byte{at(301)}, cookieBad, fresh},
		{"another client's", [][]byte{cookieAt(t, current, other, testNow)}, cookieBad, fresh},
		{"by the previous secret", [][]byte{cookieAt(t, mustSecrets(t, secretOld), client, testNow)}, cookieGood, fresh},
		{"by a stranger's secret", [][]byte{cookieAt(t, mustSecrets(t, secretOne), client, testNow)}, cookieBad, fresh},
		{"of another version", [][]byte{changed(8)}, cookieBad, fresh},
		{"with other reserved bytes", [][]byte{changed(9)}, cookieBad, fresh},
		{"with another time", [][]byte{changed(15)}, cookieBad, fresh},
		{"with another hash", [][]byte{changed(23)}, cookieBad, fresh},
		{"good, then bad", [][]byte{fresh, changed(23)}, cookieGood, fresh},
		{"good, then malformed", [][]byte{fresh, fresh[:9]}, cookieGood, fresh},
		{"bad, then good", [][]byte{changed(23), fresh}, cookieBad, fresh},
		{"the client's part, then good", [][]byte{fresh[:8], fresh}, cookieNew, fresh},
		{"malformed, then good", [][]byte{fresh[:7], fresh}, cookieAbsent, nil},
		{"empty, then good", [][]byte{nil, fresh}, cookieAbsent, nil},
	}
	for length := range 46 {
		value := append(fresh[:8:8], strings.Repeat("x", 40)...)[:length]
		one := cookieCase{fmt.Sprintf("%d bytes", length), [][]byte{value}, cookieAbsent, nil}
		switch {
		case length == 8:
			one.state, one.answered = cookieNew, fresh
		case length >= 16 && length <= 40:
			one.state, one.answered = cookieBad, fresh
		}
		cases = append(cases, one)
	}
	return cases
}

// TestCookiesOverTheWire asks with every kind of cookie over all transports and
// both paths, with a question and without one (RFC 7873 sections 5.2 and 5.4).
func TestCookiesOverTheWire(t *testing.T) {
	for path, table := range bothTables(t) {
		s := startCookies(t, table, Settings{Cookies: mustSecrets(t, secretNew, secretOld)})
		for _, way := range ways {
			if way.v6 && !haveIPv6() {
				continue
			}
			c := dial(t, way.network, s.address(way.v6))
			client := s.address(way.v6).Addr().String()
			for _, one := range cookieCases(t, client) {
				for _, name := range []string{"txt.example.test.", ""} {
					t.Run(fmt.Sprintf("%s/%s/%s/question %q", path, way.name, one.name, name), func(t *testing.T) {
						before := s.cookieCounts()
						m := askWithCookies(t, c, name, one.cookies...)
						checkCookieAnswer(t, m, &one, name)
						after := s.cookieCounts()
						want := before
						want[map[cookieState]int{cookieNew: 0, cookieGood: 1, cookieBad: 2, cookieAbsent: 3}[one.state]]++
						if after != want {
							t.Errorf("counted %v, want %v", after, want)
						}
					})
				}
			}
		}
	}
}

func checkCookieAnswer(t *testing.T, m *dns.Msg, one *cookieCase, name string) {
	t.Helper()
	rcode, answers, questions := dns.RcodeSuccess, 2, 1
	switch {
	case one.state == cookieAbsent:
		rcode, answers = dns.RcodeFormatError, 0
	case name == "" && one.state == cookieBad:
		rcode, answers = dns.RcodeBadCookie, 0
	}
	if name == "" {
		answers, questions = 0, 0
	}
	if m.Rcode != rcode || len(m.Answer) != answers || len(m.Question) != questions || len(m.Ns) != 0 {
		t.Errorf("want %s, %d answers, %d questions, got\n%v", rcodeName(rcode), answers, questions, m)
	}
	if got := cookieIn(m); got != hex.EncodeToString(one.answered) {
		t.Errorf("got the cookie %s, want %x", got, one.answered)
	}
}

// TestCookieOfAnotherAddress holds that a cookie goes with the address that the
// packet came from, for both kinds of transport.
func TestCookieOfAnotherAddress(t *testing.T) {
	for path, table := range bothTables(t) {
		s := startCookies(t, table, Settings{Cookies: mustSecrets(t, secretOne)})
		from := func(address, network string) net.Conn {
			t.Helper()
			d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(address)}}
			if network == "tcp" {
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(address)}
			}
			c, err := d.Dial(network, s.address(false).String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			return c
		}
		got := unhex(t, cookieIn(askWithCookies(t, from("127.0.0.8", "udp"), "txt.example.test.", []byte("clientpt"))))
		for _, test := range []struct {
			address, network string
			want             [4]float64
		}{
			{"127.0.0.8", "udp", [4]float64{1, 1, 0, 0}},
			{"127.0.0.8", "tcp", [4]float64{1, 2, 0, 0}},
			{"127.0.0.9", "udp", [4]float64{1, 2, 1, 0}},
			{"127.0.0.9", "tcp", [4]float64{1, 2, 2, 0}},
		} {
			if m := askWithCookies(t, from(test.address, test.network), "txt.example.test.", got); len(m.Answer) != 2 {
				t.Errorf("%s: %s over %s: %v", path, test.address, test.network, m)
			}
			if after := s.cookieCounts(); after != test.want {
				t.Errorf("%s: %s over %s: counted %v, want %v", path, test.address, test.network, after, test.want)
			}
		}
	}
}

// TestCookieThroughIPv6Socket holds that a client's cookie does not depend on
// the socket through which its IPv4 packets come.
func TestCookieThroughIPv6Socket(t *testing.T) {
	for path, table := range bothTables(t) {
		config := Config{
			Settings: Settings{Cookies: mustSecrets(t, secretOne)},
			Table:    func() Answerer { return table }, now: func() time.Time { return testNow },
		}.withDefaults()
		r := responderOf(&config, overUDP)
		cookie := cookieAt(t, config.Settings.Cookies, "127.0.0.7", testNow)
		packet := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionCookie, string(cookie)))}}.bytes()
		r.begin()
		for _, client := range []string{"127.0.0.7", "::ffff:127.0.0.7"} {
			buffer := make([]byte, maxMessage)
			m := parse(t, r.reply(buffer, copy(buffer, packet), netip.MustParseAddr(client), overUDP))
			if cookieIn(m) != hex.EncodeToString(cookie) || r.cookie != cookieGood {
				t.Errorf("%s: %s: %v", path, client, m)
			}
		}
		r.end()
	}
}

// TestCookiesUnderPressure holds that over the rate limit a client that can
// take a cookie is told to, and that it gets its answers once it has.
func TestCookiesUnderPressure(t *testing.T) {
	for path, table := range bothTables(t) {
		s := startCookies(t, table, Settings{
			Cookies:    mustSecrets(t, secretOne),
			RateLimits: RateLimits{PerSecond: 1, Slip: 1},
		})
		const name = "txt.example.test."
		c := dial(t, "udp", s.address(false))
		if m := askWithCookies(t, c, name, []byte("clientpt")); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
			t.Fatalf("%s: within the limit: %v", path, m)
		}
		fresh := cookieAt(t, mustSecrets(t, secretOne), "127.0.0.1", testNow)
		bad := slices.Clone(fresh)
		bad[23]++
		for what, cookie := range map[string][]byte{"the client's part": fresh[:8], "bad": bad} {
			m := askWithCookies(t, c, name, cookie)
			if m.Rcode != dns.RcodeBadCookie || len(m.Answer)+len(m.Ns) != 0 || len(m.Question) != 1 || m.Truncated || m.Authoritative {
				t.Errorf("%s: %s over the limit: %v", path, what, m)
			}
			if got := cookieIn(m); got != hex.EncodeToString(fresh) {
				t.Errorf("%s: %s over the limit: got the cookie %s, want %x", path, what, got, fresh)
			}
		}
		for range 5 {
			if m := askWithCookies(t, c, name, fresh); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
				t.Errorf("%s: a good cookie over the limit: %v", path, m)
			}
		}
		if m := askWithCookies(t, dial(t, "tcp", s.address(false)), name, bad); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
			t.Errorf("%s: a bad cookie over TCP: %v", path, m)
		}
		if m := askWithCookies(t, c, name); !m.Truncated || len(m.Answer) != 0 || cookieIn(m) != "" {
			t.Errorf("%s: no cookie over the limit: %v", path, m)
		}
		if got, want := s.cookieCounts(), [4]float64{2, 5, 2, 0}; got != want {
			t.Errorf("%s: counted %v, want %v", path, got, want)
		}
		if got := counted(s.metrics.limited, "answer", actionBadCookie); got != 2 {
			t.Errorf("%s: %v answers became BADCOOKIE, want 2", path, got)
		}
	}
}

// TestCookieSecretsChange holds that new secrets are used from the next
// question on, and that a server without any keeps those that it has drawn.
func TestCookieSecretsChange(t *testing.T) {
	for path, table := range bothTables(t) {
		s := startCookies(t, table, Settings{})
		c := dial(t, "udp", s.address(false))
		cookie := unhex(t, cookieIn(askWithCookies(t, c, "txt.example.test.", []byte("clientpt"))))
		for _, step := range []struct {
			what    string
			secrets CookieSecrets
			want    [4]float64
		}{
			{"other settings", CookieSecrets{}, [4]float64{1, 1, 0, 0}},
			{"a secret", mustSecrets(t, secretOld), [4]float64{1, 1, 1, 0}},
			{"one that is to come beside it", mustSecrets(t, secretOld, secretNew), [4]float64{1, 2, 1, 0}},
			{"it has come", mustSecrets(t, secretNew, secretOld), [4]float64{1, 3, 1, 0}},
			{"the former is gone", mustSecrets(t, secretNew), [4]float64{1, 4, 1, 0}},
			{"another one without warning", mustSecrets(t, secretOne), [4]float64{1, 4, 2, 0}},
		} {
			if err := s.Set(Settings{NSID: step.what, Cookies: step.secrets}); err != nil {
				t.Fatal(err)
			}
			cookie = unhex(t, cookieIn(askWithCookies(t, c, "txt.example.test.", cookie)))
			if got := s.cookieCounts(); got != step.want {
				t.Errorf("%s: %s: counted %v, want %v", path, step.what, got, step.want)
			}
		}
	}
}
