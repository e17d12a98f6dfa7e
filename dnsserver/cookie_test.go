package dnsserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The secrets of RFC 9018 appendix A.
const (
	secretOne = "e5e973e5a6b2a43f48e7dc849e37bfcf"
	secretOld = "dd3bdf9344b678b185a6f5cb60fca715"
	secretNew = "445536bcd2513298075a5d379663c962"
)

func mustSecrets(tb testing.TB, lines ...string) CookieSecrets {
	tb.Helper()
	s, err := ParseCookieSecrets([]byte(strings.Join(lines, "\n")))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// TestCookieVectors holds the examples of RFC 9018 appendix A. The addresses
// are those of the document; no packet goes to them.
func TestCookieVectors(t *testing.T) {
	for _, test := range []struct {
		name       string
		secrets    []string
		client     string
		asked      string
		at         int64
		state      cookieState
		answered   string
		alsoGoodAt int64 // 0: no other time
	}{
		{
			"A.1: learning a new server cookie",
			[]string{secretOne},
			"198.51.100.100", "2464c4abcf10c957", 1559731985,
			cookieNew, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 0,
		},
		{
			"A.2: the same client learning a renewed server cookie",
			[]string{secretOne},
			"198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559734385,
			cookieGood, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77", 1559731985,
		},
		{
			// The document lets it be good nearly two hours after it was made;
			// the hour of its section 4.3 has passed. The answer is the same.
			"A.3: another client learning a renewed server cookie",
			[]string{secretOne},
			"203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700,
			cookieBad, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e", 1559727985,
		},
		{
			"A.4: IPv6, and a secret that was rolled over",
			[]string{secretNew, secretOld},
			"2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961,
			cookieGood, "22681ab97d52c298010000005cf7c609a6bb79d16625507a", 1559741817,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			secrets := mustSecrets(t, test.secrets...)
			client := netip.MustParseAddr(test.client)
			var got [wholeCookieSize]byte
			state, ok := secrets.answer(&got, unhex(t, test.asked), client, time.Unix(test.at, 0))
			if !ok || state != test.state || hex.EncodeToString(got[:]) != test.answered {
				t.Errorf("got %v %v %x, want %v %s", ok, state, got, test.state, test.answered)
			}
			if test.alsoGoodAt != 0 {
				if state, _ := secrets.answer(&got, unhex(t, test.asked), client, time.Unix(test.alsoGoodAt, 0)); state != cookieGood {
					t.Errorf("when it was made it is %v, want good", state)
				}
			}
		})
	}
}

// cookieAt makes the cookie that a client with this part gets.
func cookieAt(tb testing.TB, secrets CookieSecrets, client string, at time.Time) []byte {
	tb.Helper()
	var whole [wholeCookieSize]byte
	if state, ok := secrets.answer(&whole, []byte("clientpt"), netip.MustParseAddr(client), at); !ok || state != cookieNew {
		tb.Fatalf("a client's part alone gives %v, %v", state, ok)
	}
	return whole[:]
}

// TestCookieTimes holds the times of RFC 9018 section 4.3 to the second, also
// where the counter of seconds wraps.
func TestCookieTimes(t *testing.T) {
	secrets := mustSecrets(t, secretOne)
	const client = "127.0.0.7"
	for _, made := range []time.Time{time.Unix(1559731985, 0), time.Unix(1<<32-100, 0), time.Unix(1<<32+100, 0)} {
		cookie := cookieAt(t, secrets, client, made)
		for _, test := range []struct {
			age   int
			state cookieState
			same  bool // the cookie comes back as it was
		}{
			{0, cookieGood, true},
			{1800, cookieGood, true},
			{1801, cookieGood, false},
			{3600, cookieGood, false},
			{3601, cookieBad, false},
			{1 << 30, cookieBad, false},
			{-1, cookieGood, true},
			{-300, cookieGood, true},
			{-301, cookieBad, false},
			{-1 << 30, cookieBad, false},
		} {
			now := made.Add(time.Duration(test.age) * time.Second)
			var got [wholeCookieSize]byte
			state, ok := secrets.answer(&got, cookie, netip.MustParseAddr(client), now)
			want := cookie
			if !test.same {
				want = cookieAt(t, secrets, client, now)
			}
			if !ok || state != test.state || string(got[:]) != string(want) {
				t.Errorf("made at %d, %d s old: %v %x, want %v %x", made.Unix(), test.age, state, got, test.state, want)
			}
		}
	}
}

// TestCookieOfAnother holds that a cookie is good for the one who got it, from
// who gave it, and as it was given.
func TestCookieOfAnother(t *testing.T) {
	now := time.Unix(1700000000, 0)
	secrets := mustSecrets(t, secretNew, secretOld)
	check := func(what string, want cookieState, client string, cookie []byte) {
		t.Helper()
		var got [wholeCookieSize]byte
		state, ok := secrets.answer(&got, cookie, netip.MustParseAddr(client), now)
		if !ok || state != want {
			t.Errorf("%s: %v, want %v", what, state, want)
		}
		var part [wholeCookieSize]byte
		copy(part[:], cookie[:clientCookieSize])
		if want != cookieGood || what == "from the other secret" {
			_, _ = secrets.answer(&part, cookie[:clientCookieSize], netip.MustParseAddr(client), now)
			if got != part {
				t.Errorf("%s: got back %x, want the fresh %x", what, got, part)
			}
		}
	}
	for _, client := range []string{"127.0.0.7", "::1"} {
		good := cookieAt(t, secrets, client, now)
		check("as given", cookieGood, client, good)
		for i := range good {
			for bit := range 8 {
				spoilt := append([]byte(nil), good...)
				spoilt[i] ^= 1 << bit
				check(fmt.Sprintf("bit %d of byte %d changed", bit, i), cookieBad, client, spoilt)
			}
		}
		check("from the other secret", cookieGood, client, cookieAt(t, mustSecrets(t, secretOld), client, now))
		check("from a stranger's secret", cookieBad, client, cookieAt(t, mustSecrets(t, secretOne), client, now))
	}
	check("another client's", cookieBad, "127.0.0.8", cookieAt(t, secrets, "127.0.0.7", now))
	check("another client's, IPv6", cookieBad, "::2", cookieAt(t, secrets, "::1", now))
	check("the same client through an IPv6 socket", cookieGood, "::ffff:127.0.0.7", cookieAt(t, secrets, "127.0.0.7", now))
	check("through an IPv6 socket, then not", cookieGood, "127.0.0.7", cookieAt(t, secrets, "::ffff:127.0.0.7", now))
	check("from an interface", cookieGood, "fe80::1%lo", cookieAt(t, secrets, "fe80::1", now))
}

// TestCookieReserved holds that reserved bytes are hashed as they are, and not
// told to be zero (RFC 9018 section 4.2).
func TestCookieReserved(t *testing.T) {
	now := time.Unix(1700000000, 0)
	client := netip.MustParseAddr("127.0.0.7")
	secrets := mustSecrets(t, secretOne)
	var cookie, got [wholeCookieSize]byte
	copy(cookie[:], "clientpt\x01\xab\xcd\xef")
	binary.BigEndian.PutUint32(cookie[cookieTimestampAt:], uint32(now.Unix()))
	binary.LittleEndian.PutUint64(cookie[cookieHashAt:], secrets.current.hash(&cookie, client))
	if state, _ := secrets.answer(&got, cookie[:], client, now); state != cookieGood {
		t.Errorf("with reserved bytes set: %v, want good", state)
	}
}

// TestCookieOfOtherForm holds that what is not of our making is bad, whatever
// its hash, and that where there is one secret no other one makes good cookies.
func TestCookieOfOtherForm(t *testing.T) {
	now := time.Unix(1700000000, 0)
	client := netip.MustParseAddr("127.0.0.7")
	secrets := mustSecrets(t, secretOne)
	good := cookieAt(t, secrets, "127.0.0.7", now)

	var version [wholeCookieSize]byte
	copy(version[:], good)
	version[clientCookieSize]++
	binary.LittleEndian.PutUint64(version[cookieHashAt:], secrets.current.hash(&version, client))

	zero := CookieSecrets{count: 1}
	for what, cookie := range map[string][]byte{
		"of another version":   version[:],
		"and a byte more":      append(good[:wholeCookieSize:wholeCookieSize], 0),
		"and 16 bytes more":    append(good[:wholeCookieSize:wholeCookieSize], good[:16]...),
		"less a byte":          good[:wholeCookieSize-1],
		"by a secret of zeros": cookieAt(t, zero, "127.0.0.7", now),
	} {
		var got [wholeCookieSize]byte
		if state, ok := secrets.answer(&got, cookie, client, now); !ok || state != cookieBad || string(got[:]) != string(good) {
			t.Errorf("a good cookie %s: %v %v %x, want a bad one and %x back", what, ok, state, got, good)
		}
	}
}

// TestCookieLengths holds RFC 7873 section 5.2.2.
func TestCookieLengths(t *testing.T) {
	secrets := mustSecrets(t, secretOne)
	for length := range 64 {
		var got [wholeCookieSize]byte
		state, ok := secrets.answer(&got, make([]byte, length), netip.MustParseAddr("127.0.0.7"), time.Unix(1700000000, 0))
		want, wantOK := cookieAbsent, false
		switch {
		case length == 8:
			want, wantOK = cookieNew, true
		case length >= 16 && length <= 40:
			want, wantOK = cookieBad, true
		}
		if state != want || ok != wantOK {
			t.Errorf("%d bytes: %v, %v, want %v, %v", length, state, ok, want, wantOK)
		}
		if !ok && got != [wholeCookieSize]byte{} {
			t.Errorf("%d bytes: %x was written", length, got)
		}
	}
}

// TestCookieOverlap holds that an answer may be written over its question.
func TestCookieOverlap(t *testing.T) {
	now := time.Unix(1700000000, 0)
	client := netip.MustParseAddr("127.0.0.7")
	secrets := mustSecrets(t, secretOne)
	want := cookieAt(t, secrets, "127.0.0.7", now)
	var room [wholeCookieSize]byte
	copy(room[:], want)
	room[wholeCookieSize-1]++
	if state, ok := secrets.answer(&room, room[:], client, now); !ok || state != cookieBad || string(room[:]) != string(want) {
		t.Errorf("got %v %v %x, want %x", ok, state, room, want)
	}
}

func TestCookieAllocatesNothing(t *testing.T) {
	now := time.Unix(1700000000, 0)
	secrets := mustSecrets(t, secretNew, secretOld)
	var to [wholeCookieSize]byte
	for _, text := range []string{"127.0.0.7", "::1"} {
		client := netip.MustParseAddr(text)
		good, stranger := cookieAt(t, secrets, text, now), cookieAt(t, mustSecrets(t, secretOne), text, now)
		if n := testing.AllocsPerRun(100, func() {
			for _, option := range [][]byte{good[:clientCookieSize], good, stranger, good[:20], good[:3]} {
				_, _ = secrets.answer(&to, option, client, now)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want none", text, n)
		}
	}
}

func BenchmarkCookie(b *testing.B) {
	now := time.Unix(1700000000, 0)
	secrets := mustSecrets(b, secretNew, secretOld)
	client := netip.MustParseAddr("127.0.0.7")
	good := cookieAt(b, secrets, "127.0.0.7", now)
	var to [wholeCookieSize]byte
	for name, option := range map[string][]byte{"new": good[:clientCookieSize], "good": good} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = secrets.answer(&to, option, client, now)
			}
		})
	}
}

// FuzzCookie holds that whatever comes in, what goes out is good from then on.
func FuzzCookie(f *testing.F) {
	f.Add([]byte("clientpt"), []byte{127, 0, 0, 7}, int64(1700000000))
	f.Add([]byte("clientpt\x01\x00\x00\x00\x65\x53\xf1\x00hashhash"), make([]byte, 16), int64(1700000000))
	secrets := mustSecrets(f, secretNew, secretOld)
	f.Fuzz(func(t *testing.T, option, address []byte, at int64) {
		client, isAddress := netip.AddrFromSlice(address)
		if !isAddress {
			return
		}
		var got, again [wholeCookieSize]byte
		_, ok := secrets.answer(&got, option, client, time.Unix(at, 0))
		if ok != (len(option) == 8 || len(option) >= 16 && len(option) <= 40) {
			t.Fatalf("%d bytes: %v", len(option), ok)
		}
		if !ok {
			return
		}
		if string(got[:clientCookieSize]) != string(option[:clientCookieSize]) {
			t.Fatalf("the client's part %x became %x", option[:clientCookieSize], got[:clientCookieSize])
		}
		if state, _ := secrets.answer(&again, got[:], client, time.Unix(at, 0)); state != cookieGood || again != got {
			t.Fatalf("%x was given and is %v, and became %x", got, state, again)
		}
	})
}
