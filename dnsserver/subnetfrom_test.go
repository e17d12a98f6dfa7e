package dnsserver

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
)

func TestNetworks(t *testing.T) {
	n := newNetworks([]netip.Prefix{
		netip.MustParsePrefix("127.1.0.0/16"), netip.MustParsePrefix("127.3.4.5/32"), netip.MustParsePrefix("fd00::/16"),
	})
	for address, want := range map[string]bool{
		"127.1.0.0": true, "127.1.255.255": true, "127.0.255.255": false, "127.2.0.0": false,
		"127.3.4.5": true, "127.3.4.4": false, "::ffff:127.1.2.3": true, "::ffff:127.2.2.3": false,
		"fd00:ffff::1": true, "fd00::1%lo": true, "fd01::": false, "::1": false,
	} {
		if got := n.contains(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if n.contains(netip.Addr{}) || newNetworks(nil).contains(netip.MustParseAddr("127.0.0.1")) {
		t.Error("an address is in a network that there is not")
	}
	everything := newNetworks([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
	if !everything.contains(netip.MustParseAddr("::ffff:127.0.0.1")) || everything.contains(netip.MustParseAddr("::1")) {
		t.Error("0.0.0.0/0 is not all of IPv4")
	}
	address := netip.MustParseAddr("fd00::1%lo")
	if allocated := testing.AllocsPerRun(100, func() { n.contains(address) }); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// dialAs dials from an address of this machine.
func dialAs(t testing.TB, network, from string, to netip.AddrPort) net.Conn {
	t.Helper()
	d := net.Dialer{}
	local := netip.AddrPortFrom(netip.MustParseAddr(from), 0)
	if d.LocalAddr = net.Addr(net.UDPAddrFromAddrPort(local)); network == "tcp" {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	c, err := d.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// featured is how many questions had a feature of EDNS so far.
func (r *running) featured(feature string) float64 {
	r.metrics.sum()
	return counted(r.metrics.edns, feature)
}

// The client subnet of a resolver that is not believed is as if it were not
// there, whatever is in it. Who is believed changes while the server runs.
func TestSubnetFrom(t *testing.T) {
	table := &witness{fakeTable: testTable()}
	s := start(t, Config{Table: func() Answerer { return table }})
	const good, bad = "\x00\x01\x18\x00\x7f\x07\x02", "\x00\x01\x18\x18\x7f\x07\x02"
	subnet := func(value string) []byte { return option(optionSubnet, value) }
	for _, c := range []struct {
		name     string
		from     []netip.Prefix
		resolver string
		options  [][]byte
		believed bool
		rcode    int
	}{
		{"everyone's", nil, "127.0.0.2", [][]byte{subnet(good)}, true, 0},
		{"everyone's, malformed", nil, "127.0.0.2", [][]byte{subnet(bad)}, true, 1},
		{"nobody's", []netip.Prefix{}, "127.0.0.2", [][]byte{subnet(good)}, false, 0},
		{"nobody's, malformed", []netip.Prefix{}, "127.0.0.2", [][]byte{subnet(bad)}, false, 0},
		{"in", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, "127.0.0.3", [][]byte{subnet(good)}, true, 0},
		{"in, twice", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, "127.0.0.3", [][]byte{subnet(good), subnet(good)}, true, 1},
		{"out", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, "127.0.0.4", [][]byte{subnet(good)}, false, 0},
		{"out, malformed", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, "127.0.0.4", [][]byte{subnet(bad)}, false, 0},
		{"out, twice", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, "127.0.0.4", [][]byte{subnet(good), subnet(bad)}, false, 0},
		{"out, far too long", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")}, "127.0.0.4", [][]byte{subnet(string(make([]byte, 100)))}, false, 0},
		{"out, empty", []netip.Prefix{netip.MustParsePrefix("fd00::/8")}, "127.0.0.4", [][]byte{subnet("")}, false, 0},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(network+"/"+c.name, func(t *testing.T) {
				if err := s.Set(Settings{SubnetFrom: c.from}); err != nil {
					t.Fatal(err)
				}
				ignored := s.featured("client_subnet_ignored")
				seen := s.featured("client_subnet")
				q := query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, c.options...)}}
				answer := ask(t, dialAs(t, network, c.resolver, s.address(false)), q.bytes())
				m := parse(t, answer)
				if m.Rcode != c.rcode {
					t.Errorf("response code %d, want %d", m.Rcode, c.rcode)
				}
				want, client := "", c.resolver
				if c.believed && c.rcode == 0 {
					want, client = toHex(string(option(8, "\x00\x01\x18\x14\x7f\x07\x02"))), "127.7.2.0"
				}
				if got := rawOptions(answer, m.IsEdns0()); got != want {
					t.Errorf("options %s, want %s", got, want)
				}
				if got := table.client().String(); c.rcode == 0 && got != client {
					t.Errorf("asked for %s, want %s", got, client)
				}
				if resolver := table.resolver().String(); c.rcode == 0 && resolver != c.resolver {
					t.Errorf("asked by %s, want %s", resolver, c.resolver)
				}
				more := 0.0
				if !c.believed {
					more = 1
				}
				if got := s.featured("client_subnet_ignored") - ignored; got != more {
					t.Errorf("edns{client_subnet_ignored} went up by %v, want %v", got, more)
				}
				if got := s.featured("client_subnet") - seen; got != 1 {
					t.Errorf("edns{client_subnet} went up by %v, want 1", got)
				}
			})
		}
	}
}

// Both paths agree on who is believed.
func TestBothPathsBelieveTheSame(t *testing.T) {
	from := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/15"), netip.MustParsePrefix("fd00::/16"), netip.MustParsePrefix("0.0.0.0/2"),
	}
	questions := testdraw.Cases(t, 150)
	for _, a := range fuzzTables() {
		if a == nil {
			continue
		}
		p, random := newPair(a), rand.New(rand.NewPCG(3, 3))
		for _, r := range []*responder{p.alone, p.both} {
			next := r.shared.Load().Settings
			next.SubnetFrom = from
			r.shared.Store(makeSettings(next, r.shared.Load()))
		}
		for range questions {
			q := randomQuestion(a, random)
			if p.askOnEdge(t, q); t.Failed() {
				t.Fatalf("%s: asked was %x of %v over %s, seed %d, size %d, room %d", a.path, q.packet, q.client, q.over, q.seed, q.udpSize, q.room)
			}
		}
	}
}
