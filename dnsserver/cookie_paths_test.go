package dnsserver

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
)

// cookiePackets are questions with cookies of clients, which are seeds of both
// paths' fuzzing: their secret and time are testSecrets and testNow.
func cookiePackets(tb testing.TB, clients ...string) (all [][]byte) {
	tb.Helper()
	for _, client := range clients {
		for _, at := range []time.Time{testNow, testNow.Add(-31 * time.Minute), testNow.Add(-2 * time.Hour)} {
			cookie := cookieAt(tb, testSecrets, client, at)
			for _, length := range []int{0, 7, 8, 15, 16, 23, 24, 40, 41} {
				value := append(cookie[:len(cookie):len(cookie)], make([]byte, 17)...)[:length]
				for _, name := range []string{"dl.example.test.", ""} {
					q := query{name: name, qtype: dns.TypeA}
					q.opts = [][]byte{opt(1232, 0, option(optionCookie, string(value)), option(optionCookie, string(cookie)))}
					if name == "" {
						q.counts = &[4]uint16{0, 0, 0, 1}
					}
					all = append(all, q.bytes())
				}
			}
		}
	}
	return all
}

// TestBothPathsWithCookies asks both paths with cookies that are good, nearly
// good, and malformed, beside all else that is in a question.
func TestBothPathsWithCookies(t *testing.T) {
	questions := testdraw.Cases(t, 100)
	for _, a := range fuzzTables() {
		if a == nil {
			continue
		}
		random := rand.New(rand.NewPCG(2, 2))
		p, fast := newPair(a), 0
		for range questions {
			q := randomQuestion(a, random)
			q.packet = query{
				id: uint16(random.Uint32()), name: a.names[random.IntN(len(a.names))], qtype: questionTypes[random.IntN(len(questionTypes))],
				opts: [][]byte{opt(1232, 0, randomCookie(t, q.client, random)...)},
			}.bytes()
			if p.askOnEdge(t, q) {
				fast++
			}
		}
		if fast < questions/5 {
			t.Errorf("%s: the wire path answered %d of %d: it is hardly tried", a.path, fast, questions)
		}
	}
}

// randomCookie gives options with one COOKIE of a client or several, mostly good.
func randomCookie(t *testing.T, client netip.Addr, random *rand.Rand) (options [][]byte) {
	t.Helper()
	for len(options) == 0 || random.IntN(3) == 0 {
		age := []int{0, 0, -301, -300, 1800, 1801, 3600, 3601}[random.IntN(8)]
		cookie := cookieAt(t, testSecrets, client.String(), testNow.Add(-time.Duration(age)*time.Second))
		if random.IntN(4) == 0 {
			cookie[random.IntN(len(cookie))] ^= 1 << random.IntN(8)
		}
		cookie = append(cookie, make([]byte, 17)...)
		length := wholeCookieSize
		switch random.IntN(6) {
		case 0:
			length = clientCookieSize
		case 1:
			length = random.IntN(len(cookie) + 1)
		}
		options = append(options, option(optionCookie, string(cookie[:length])))
		if random.IntN(3) == 0 {
			options = append(options, option(optionSubnet, randomSubnet(random)))
		}
	}
	return options
}
