package dnsserver

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// proxyHeader writes a header with any family, protocol and contents.
func proxyHeader(versionCommand, kind byte, contents string) []byte {
	b := append([]byte(proxySignature), versionCommand, kind)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(contents))), contents...)
}

// proxied is the header for a client.
func proxied(client string, more ...string) []byte {
	address := netip.MustParseAddr(client)
	kind, to := byte(0x12), netip.MustParseAddr("127.0.0.1")
	if address.Is6() {
		kind, to = 0x22, netip.IPv6Loopback()
	}
	contents := append(address.AsSlice(), to.AsSlice()...)
	contents = append(contents, 0x30, 0x39, 0, 53)
	return proxyHeader(0x21, kind, string(contents)+strings.Join(more, ""))
}

const (
	four    = "\x7f\x09\x08\x07\x7f\x00\x00\x01\x30\x39\x00\x35"
	pathsOf = 216 // bytes of two local sockets
)

var six = string(netip.MustParseAddr("fd12::9").AsSlice()) + string(netip.IPv6Loopback().AsSlice()) + "\x30\x39\x00\x35"

// proxyCases are headers with what they say.
var proxyCases = []struct {
	name   string
	header []byte
	client string // empty: nobody
	bad    bool
}{
	{"TCP over IPv4", proxyHeader(0x21, 0x11, four), "127.9.8.7", false},
	{"UDP over IPv4", proxyHeader(0x21, 0x12, four), "127.9.8.7", false},
	{"unknown protocol over IPv4", proxyHeader(0x21, 0x10, four), "127.9.8.7", false},
	{"TCP over IPv6", proxyHeader(0x21, 0x21, six), "fd12::9", false},
	{"UDP over IPv6", proxyHeader(0x21, 0x22, six), "fd12::9", false},
	{"IPv4 inside IPv6", proxyHeader(0x21, 0x21, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x09\x08\x07"+six[16:]), "127.9.8.7", false},
	{"more after the addresses", proxyHeader(0x21, 0x11, four+"\x04\x00\x02ab\x20\x00\x01c"), "127.9.8.7", false},
	{"the most there may be", proxyHeader(0x21, 0x21, six+strings.Repeat("t", maxProxyHeader-proxyFixed-len(six))), "fd12::9", false},
	{"LOCAL", proxyHeader(0x20, 0x00, ""), "", false},
	{"LOCAL with addresses", proxyHeader(0x20, 0x11, four), "", false},
	{"LOCAL with an unknown family", proxyHeader(0x20, 0xFF, "abc"), "", false},
	{"unknown family", proxyHeader(0x21, 0x00, ""), "", false},
	{"unknown family with contents", proxyHeader(0x21, 0x00, "abcdefghijklmnopqrstuvwxyz"), "", false},
	{"local sockets", proxyHeader(0x21, 0x31, strings.Repeat("p", pathsOf)), "", false},

	{"too much", proxyHeader(0x21, 0x21, six+strings.Repeat("t", maxProxyHeader-proxyFixed-len(six)+1)), "", true},
	{"too little for IPv4", proxyHeader(0x21, 0x11, four[:11]), "", true},
	{"too little for IPv6", proxyHeader(0x21, 0x21, six[:35]), "", true},
	{"too little for local sockets", proxyHeader(0x21, 0x31, strings.Repeat("p", pathsOf-1)), "", true},
	{"no addresses", proxyHeader(0x21, 0x11, ""), "", true},
	{"a family that there is not", proxyHeader(0x21, 0x41, strings.Repeat("p", pathsOf)), "", true},
	{"a protocol that there is not", proxyHeader(0x21, 0x13, four), "", true},
	{"a command that there is not", proxyHeader(0x22, 0x11, four), "", true},
	{"version 1", proxyHeader(0x11, 0x11, four), "", true},
	{"version 3", proxyHeader(0x31, 0x11, four), "", true},
	{"another signature", append([]byte("\r\n\r\n\x00\r\nQUIT\r"), proxyHeader(0x21, 0x11, four)[12:]...), "", true},
	{"version 1 in text", []byte("PROXY TCP4 127.9.8.7 127.0.0.1 12345 53\r\n"), "", true},
	{"plain DNS", txt, "", true},
}

func TestParseProxy(t *testing.T) {
	for _, c := range proxyCases {
		for _, after := range []string{"", "x", string(txt)} {
			data := append(bytes.Clone(c.header), after...)
			client, size, ok := parseProxy(data)
			if ok == c.bad {
				t.Errorf("%s: taken: %v", c.name, ok)
			}
			if c.bad {
				continue
			}
			if size != len(c.header) || client.IsValid() != (c.client != "") || client.IsValid() && client.String() != c.client {
				t.Errorf("%s: %d bytes of %s, want %d of %s", c.name, size, client, len(c.header), c.client)
			}
		}
		for cut := range min(len(c.header), 300) {
			if _, _, ok := parseProxy(c.header[:cut]); ok {
				t.Errorf("%s: the first %d bytes were taken", c.name, cut)
			}
		}
	}
}

// Both readers say the same, and whatever is read lies inside the data.
func FuzzProxy(f *testing.F) {
	for _, c := range proxyCases {
		f.Add(append(bytes.Clone(c.header), txt...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		client, size, ok := parseProxy(data)
		if ok && (size < proxyFixed || size > len(data) || size > maxProxyHeader || client.Is4In6() || client.Zone() != "") {
			t.Fatalf("%d bytes of %d, %s", size, len(data), client)
		}
		from := bytes.NewReader(data)
		read, err := readProxy(from)
		if (err == nil) != ok || ok && (read != client || len(data)-from.Len() != size) {
			t.Fatalf("read whole: %s, %d bytes, %v; from a stream: %s, %d bytes, %v",
				client, size, ok, read, len(data)-from.Len(), err)
		}
		d := datagram{room: make([]byte, roomSize), client: netip.MustParseAddrPort("127.0.0.1:53")}
		d.length = copy(d.room, data)
		if len(data) > roomSize {
			return
		}
		client, taken := d.unwrap()
		if taken != ok || ok && (!client.IsValid() || !bytes.Equal(d.room[:d.length], data[size:])) {
			t.Fatalf("a datagram: %s, %d bytes, %v", client, d.length, taken)
		}
	})
}

func TestParseProxyAllocatesNothing(t *testing.T) {
	d := datagram{room: make([]byte, roomSize), client: netip.MustParseAddrPort("127.0.0.1:53")}
	packet := append(proxied("fd12::9", "\x04\x00\x02ab"), txt...)
	networks := []netip.Prefix{netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.0/8")}
	if n := testing.AllocsPerRun(100, func() {
		d.length = copy(d.room, packet)
		if !isProxy(networks, d.client.Addr()) {
			t.Error("no proxy")
		}
		if _, ok := d.unwrap(); !ok {
			t.Error("not taken")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// tellingTable answers "who.example.test" with the client's address.
func tellingTable() fakeTable {
	table := testTable()
	table["who.example.test."] = func(q zones.Question) zones.Answer {
		return zones.Answer{Authoritative: true, Answer: records(`who.example.test. 0 IN TXT "` + q.Client.String() + `"`)}
	}
	return table
}

var who = query{id: 7, name: "who.example.test.", qtype: typeTXT}.bytes()

// client is whom an answer of tellingTable names.
func client(t *testing.T, answer []byte) string {
	t.Helper()
	m := parse(t, answer)
	if m.Id != 7 || len(m.Answer) != 1 {
		t.Fatalf("got %v", m)
	}
	return m.Answer[0].(*dns.TXT).Txt[0]
}

var loopbackNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// proxyServer is one whose every client is a proxy.
func proxyServer(t *testing.T, portable bool, limits TCPLimits) *secureServer {
	t.Helper()
	table := tellingTable()
	return startSecure(t, Config{
		Table: func() Answerer { return table }, portable: portable,
		Settings: Settings{ProxyFrom: loopbackNetworks, TCP: limits},
	})
}

// afterHeader says a header, and gives the connection on which to go on: whatever
// comes is written together with it.
func (s *secureServer) afterHeader(t *testing.T, network string, header []byte) net.Conn {
	t.Helper()
	address := s.address(false)
	if network != "tcp" {
		address = s.TLSAddresses()[0]
	}
	c := dial(t, "tcp", address)
	switch network {
	case "inside tls":
		return &firstWrite{Conn: tls.Client(c, clientTLS()), before: header}
	case "tls":
		return tls.Client(&firstWrite{Conn: c, before: header}, clientTLS())
	}
	return &firstWrite{Conn: c, before: header}
}

// firstWrite puts something before what is written first.
type firstWrite struct {
	net.Conn
	before []byte
}

func (f *firstWrite) Write(from []byte) (int, error) {
	_, err := f.Conn.Write(append(f.before, from...))
	f.before = nil
	return len(from), err
}

// What a proxy says is believed over every transport, and what says nothing is
// silence.
func TestProxyTellsTheClient(t *testing.T) {
	for way, portable := range streamWays {
		s := proxyServer(t, portable, TCPLimits{})
		for _, network := range []string{"udp", "tcp", "tls", "inside tls"} {
			for _, c := range proxyCases {
				t.Run(way+" "+network+" "+c.name, func(t *testing.T) {
					if network == "tls" && c.bad && c.header[0] != proxySignature[0] {
						return // it begins as what TestTLSHandshakeFailures has
					}
					label := strings.TrimPrefix(network, "inside ")
					before := counted(s.metrics.dropped, dropProxy)
					answered := counted(s.metrics.queries, "", "NOERROR", label)
					var answer []byte
					var err error
					if network == "udp" {
						if len(c.header)+len(who) > roomSize {
							return // see TestProxyHeaderAndLongQuestion
						}
						udp := dial(t, "udp", s.address(false))
						if _, err := udp.Write(append(bytes.Clone(c.header), who...)); err != nil {
							t.Fatal(err)
						}
						if c.bad {
							udp.SetDeadline(time.Now().Add(20 * time.Millisecond))
						}
						answer, err = receive(udp)
					} else {
						stream := s.afterHeader(t, network, c.header)
						if _, err = stream.Write(framed(who)); err == nil {
							answer, err = receive(stream)
						}
					}
					if c.bad {
						if err == nil {
							t.Errorf("an answer: %x", answer)
						}
						eventually(t, "it is counted", func() bool { return counted(s.metrics.dropped, dropProxy) == before+1 })
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					want := c.client
					if want == "" {
						want = "127.0.0.1"
					}
					if got := client(t, answer); got != want {
						t.Errorf("the client is %s, want %s", got, want)
					}
					if counted(s.metrics.dropped, dropProxy) != before || counted(s.metrics.queries, "", "NOERROR", label) != answered+1 {
						t.Error("it is not counted as one answer")
					}
				})
			}
		}
	}
}

// A header may come in pieces, and questions after it may be many.
func TestProxyHeaderInPieces(t *testing.T) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			s := proxyServer(t, portable, TCPLimits{})
			c := dial(t, "tcp", s.address(false))
			for _, b := range append(proxied("fd12::7", "\x04\x00\x02ab"), framed(who)...) {
				if _, err := c.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			all := append(proxied("127.0.7.7"), bytes.Repeat(framed(who), 50)...)
			many := dial(t, "tcp", s.address(true))
			if _, err := many.Write(all); err != nil {
				t.Fatal(err)
			}
			for i, want := range append([]string{"fd12::7"}, strings.Split(strings.Repeat("127.0.7.7,", 50), ",")[:50]...) {
				from := many
				if i == 0 {
					from = c
				}
				answer, err := receive(from)
				if err != nil {
					t.Fatal(err)
				}
				if got := client(t, answer); got != want {
					t.Fatalf("answer %d: the client is %s, want %s", i, got, want)
				}
			}
		})
	}
}

// A header that fits with a question that does not: the answer is that of any
// question which is too long.
func TestProxyHeaderAndLongQuestion(t *testing.T) {
	s := proxyServer(t, false, TCPLimits{})
	long := query{id: 9, name: "who.example.test.", qtype: typeTXT, trailing: strings.Repeat("x", roomSize)}.bytes()
	udp := dial(t, "udp", s.address(false))
	for _, c := range []struct {
		header []byte
		rcode  int // -1: silence
	}{
		{proxied("127.0.7.7"), dns.RcodeFormatError},
		{proxied("127.0.7.7", strings.Repeat("t", roomSize)), -1},
		{proxyHeader(0x21, 0x11, four+strings.Repeat("t", roomSize-proxyFixed-len(four)-5)), -1}, // leaves 5 bytes of the question
	} {
		if _, err := udp.Write(append(c.header, long...)); err != nil {
			t.Fatal(err)
		}
		if c.rcode < 0 {
			udp.SetDeadline(time.Now().Add(20 * time.Millisecond))
		}
		answer, err := receive(udp)
		if c.rcode < 0 {
			if err == nil {
				t.Errorf("an answer: %x", answer)
			}
			udp.SetDeadline(time.Now().Add(patience))
			continue
		}
		if m := parse(t, answer); m.Rcode != c.rcode || m.Id != 9 {
			t.Errorf("got %v", m)
		}
	}
}

// From everybody else a header is no header.
func TestOnlyProxiesAreBelieved(t *testing.T) {
	table := tellingTable()
	s := start(t, Config{
		Table:    func() Answerer { return table },
		Settings: Settings{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.3.0/24")}},
	})
	if got := client(t, ask(t, dial(t, "udp", s.address(false)), who)); got != "127.0.0.1" {
		t.Errorf("without a header: %s", got)
	}
	if got := client(t, ask(t, dial(t, "tcp", s.address(false)), who)); got != "127.0.0.1" {
		t.Errorf("without a header over TCP: %s", got)
	}
	udp := dial(t, "udp", s.address(false))
	send(t, udp, append(proxied("127.0.7.7"), who...))
	answer, err := receive(udp)
	if err != nil || len(answer) < headerSize || answer[3]&15 == dns.RcodeSuccess {
		t.Errorf("a header from somebody else: %x, %v; want the answer to a message that it is not", answer, err)
	}
	tcp := dial(t, "tcp", s.address(false))
	if _, err := tcp.Write(append(proxied("127.0.7.7"), framed(who)...)); err != nil {
		t.Fatal(err)
	}
	// Its first two bytes are the length of a message that goes on: 3338 bytes.
	tcp.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if answer, err := receive(tcp); err == nil {
		t.Errorf("a header from somebody else over TCP: %x", answer)
	}
	proxy := dialFrom(t, "127.0.3.4", s)
	if _, err := proxy.Write(append(proxied("127.0.7.7"), framed(who)...)); err != nil {
		t.Fatal(err)
	}
	if answer, err := receive(proxy); err != nil || client(t, answer) != "127.0.7.7" {
		t.Errorf("from the proxy: %x, %v", answer, err)
	}
	// Who the proxies are can change.
	if err := s.Set(Settings{ProxyFrom: loopbackNetworks}); err != nil {
		t.Fatal(err)
	}
	if got := client(t, ask(t, dial(t, "udp", s.address(false)), append(proxied("127.0.7.7"), who...))); got != "127.0.7.7" {
		t.Errorf("after the change: %s", got)
	}
	if err := s.Set(Settings{}); err != nil {
		t.Fatal(err)
	}
	if got := client(t, ask(t, dial(t, "udp", s.address(false)), who)); got != "127.0.0.1" {
		t.Errorf("after the next: %s", got)
	}
	if got := counted(s.metrics.dropped, dropProxy); got != 0 {
		t.Errorf("%v dropped, want 0", got)
	}
}
