package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/zones"
)

// fakeTransfers are zones and what has changed in them.
type fakeTransfers struct {
	versions    map[string]*zones.Version
	differences map[string][]*zones.Difference
}

func (f *fakeTransfers) Version(apex string) *zones.Version {
	return f.versions[strings.ToLower(apex)]
}

func (f *fakeTransfers) Since(apex string, serial uint32, most int64) (kept []zones.Packed, ok bool) {
	all := f.differences[strings.ToLower(apex)]
	first := slices.IndexFunc(all, func(d *zones.Difference) bool { return d.Old.Serial == serial })
	if first < 0 {
		return nil, false
	}
	for _, d := range all[first:] {
		packed, err := d.Pack()
		if err != nil {
			panic(err)
		}
		kept, most = append(kept, packed), most-int64(len(packed.Records))
	}
	return kept, most >= 0
}

func soaOfSerial(serial int) *dns.SOA {
	return records(strings.Replace(soa, " 7 ", fmt.Sprintf(" %d ", serial), 1))[0].(*dns.SOA)
}

// hosts are the names and addresses of a zone of so many hosts.
func hosts(n int) []dns.RR {
	all := records("example.test. 60 IN NS ns1.example.test.", "ns1.example.test. 60 IN A 127.0.0.1")
	for i := range n {
		all = append(all, &dns.A{
			Hdr: dns.RR_Header{Name: fmt.Sprintf("host%06d.example.test.", i), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   net.IPv4(127, byte(i>>16), byte(i>>8), byte(i)).To4(),
		})
	}
	return all
}

// testTransfers is a zone at serial 7, which came from 5 by way of 6, and a catalog.
func testTransfers(n int) *fakeTransfers {
	catalog := records("catalog.test. 0 IN SOA invalid. invalid. 3 3600 600 2147483646 0")[0].(*dns.SOA)
	return &fakeTransfers{
		versions: map[string]*zones.Version{
			"example.test.": zones.NewVersion(soaOfSerial(7), hosts(n)),
			"catalog.test.": zones.NewVersion(catalog, records("catalog.test. 0 IN NS invalid.", `version.catalog.test. 0 IN TXT "2"`)),
		},
		differences: map[string][]*zones.Difference{"example.test.": {
			{
				Old: soaOfSerial(5), New: soaOfSerial(6),
				Deleted: records("old.example.test. 60 IN A 127.0.0.5"),
				Added:   records("new.example.test. 60 IN A 127.0.0.6", "passing.example.test. 60 IN A 127.0.0.6"),
			},
			{
				Old: soaOfSerial(6), New: soaOfSerial(7),
				Deleted: records("passing.example.test. 60 IN A 127.0.0.6"),
				Added:   records("newer.example.test. 60 IN A 127.0.0.7"),
			},
		}},
	}
}

// transferServer is one that gives what transfers point to.
type transferServer struct {
	*secureServer
	transfers atomic.Pointer[fakeTransfers]
}

func startTransfers(t testing.TB, given *fakeTransfers, settings Settings) *transferServer {
	t.Helper()
	s := &transferServer{}
	s.transfers.Store(given)
	s.secureServer = startSecure(t, Config{
		Settings: settings, Transfers: func() Transfers { return s.transfers.Load() },
	})
	return s
}

// expectCounted waits until none goes on, and so many are counted: the last message
// may be there before that.
func (s *transferServer) expectCounted(t testing.TB, kind, result string, want float64) {
	t.Helper()
	m := s.metrics.transfers
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got, running := testutil.ToFloat64(m.total.WithLabelValues(kind, result)), m.running.Load()
		if got == want && running == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v of %s %s were counted, want %v; %d go on", got, kind, result, want, running)
		}
	}
}

// everybody may have zones.
func everybody(t testing.TB) Settings {
	return Settings{Transfer: TransferSettings{Allow: []TransferRule{{Network: netip.MustParsePrefix("127.0.0.0/8")}}, Keys: testKeys(t)}}
}

func ixfr(serial int) []byte {
	m := new(dns.Msg)
	m.SetIxfr("example.test.", uint32(serial), "ns.", "mbox.")
	m.Id = 0x7777
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

func axfr() []byte {
	return query{id: 0x7777, name: "example.test.", qtype: dns.TypeAXFR}.bytes()
}

// readTransfer reads messages until the SOA that began them has come again: after
// one record where that is all.
func readTransfer(t testing.TB, c net.Conn, verifier *everyMessage, single bool) (all []dns.RR, messages []*dns.Msg) {
	t.Helper()
	for {
		packet, err := receive(c)
		if err != nil {
			t.Fatalf("receiving message %d: %v", len(messages)+1, err)
		}
		m := parse(t, packet)
		if verifier != nil {
			if err := verifier.verify(packet, m); err != nil {
				t.Fatalf("message %d: %v", len(messages)+1, err)
			}
		}
		if m.Rcode != dns.RcodeSuccess || m.Id != 0x7777 || !m.Authoritative || !m.Response || m.Truncated || len(m.Ns) > 0 {
			t.Fatalf("message %d: %v", len(messages)+1, m)
		}
		if want := min(1, max(0, 1-len(messages))); len(m.Question) != want {
			t.Fatalf("message %d has %d questions", len(messages)+1, len(m.Question))
		}
		messages, all = append(messages, m), append(all, m.Answer...)
		last, isSOA := all[len(all)-1].(*dns.SOA)
		if isSOA && last.Serial == all[0].(*dns.SOA).Serial && (single || len(all) > 1) && !unfinished(all) {
			return all, messages
		}
	}
}

// unfinished reports whether the last SOA is one within the differences of an IXFR.
func unfinished(all []dns.RR) bool {
	first := all[0].(*dns.SOA).Serial
	if second, isSOA := at(all, 1).(*dns.SOA); !isSOA || second.Serial == first {
		return false
	}
	n := 0
	for _, rr := range all {
		if soa, isSOA := rr.(*dns.SOA); isSOA && soa.Serial == first {
			n++
		}
	}
	return n < 3
}

func at(all []dns.RR, i int) dns.RR {
	if i < len(all) {
		return all[i]
	}
	return nil
}

func short(all []dns.RR) string {
	var words []string
	for _, rr := range all {
		switch rr := rr.(type) {
		case *dns.SOA:
			words = append(words, fmt.Sprintf("SOA%d", rr.Serial))
		default:
			name, _, _ := strings.Cut(rr.Header().Name, ".")
			words = append(words, name+"/"+dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return strings.Join(words, " ")
}

func TestAXFR(t *testing.T) {
	given := testTransfers(5000)
	want := lines(slices.Collect(given.versions["example.test."].Records()))
	s := startTransfers(t, given, everybody(t))
	keys := append(testKeys(t).Keys(), nil)
	for over, c := range map[string]net.Conn{"tcp": dial(t, "tcp", s.address(false)), "tls": s.dialTLS(t, nil)} {
		for _, key := range keys {
			t.Run(fmt.Sprint(over, " ", key), func(t *testing.T) {
				packet := axfr()
				var verifier *everyMessage
				if key != nil {
					signed, mac := signedQuestion(packet, key, time.Now())
					packet, verifier = signed, signedWith(key, mac)
				}
				send(t, c, packet)
				all, messages := readTransfer(t, c, verifier, false)
				if got := lines(all[1 : len(all)-1]); !slices.Equal(got, want) {
					t.Errorf("%d records, want %d", len(got), len(want))
				}
				if len(messages) < 5 || len(messages) > 20 {
					t.Errorf("%d messages for %d records", len(messages), len(all))
				}
			})
		}
	}
	s.expectCounted(t, kindAXFR, transferWhole, float64(2*len(keys)))
}

func TestIXFR(t *testing.T) {
	given := testTransfers(50)
	s := startTransfers(t, given, everybody(t))
	small := &fakeTransfers{versions: map[string]*zones.Version{"example.test.": zones.NewVersion(soaOfSerial(7), hosts(0))}, differences: given.differences}
	ahead := &fakeTransfers{versions: given.versions, differences: map[string][]*zones.Difference{"example.test.": append(slices.Clone(given.differences["example.test."]),
		&zones.Difference{Old: soaOfSerial(7), New: soaOfSerial(8), Added: records("later.example.test. 60 IN A 127.0.0.8")})}}
	torn := &fakeTransfers{versions: given.versions, differences: map[string][]*zones.Difference{"example.test.": given.differences["example.test."][:1]}}
	whole := "SOA7 example/NS host000000/A"
	for name, test := range map[string]struct {
		given  *fakeTransfers
		serial int
		stream string // how the answer begins over TCP and TLS
		udp    string // the answer over UDP
		result string
	}{
		"up to date":       {given, 7, "SOA7", "SOA7", transferCurrent},
		"seems newer":      {given, 9, "SOA7", "SOA7", transferAhead},
		"newer by half":    {given, 1<<31 + 6, "SOA7", "SOA7", transferAhead},
		"at half":          {given, 1<<31 + 7, "SOA7", "SOA7", transferCurrent},
		"one behind":       {given, 6, "SOA7 SOA6 passing/A SOA7 newer/A SOA7", "", transferDifferences},
		"two behind":       {given, 5, "SOA7 SOA5 old/A SOA7 new/A newer/A SOA7", "", transferDifferences},
		"unknown":          {given, 4, whole, "SOA7", transferWhole},
		"longer than all":  {small, 5, "SOA7 example/NS ns1/A SOA7", "SOA7 SOA5 old/A SOA7 new/A newer/A SOA7", transferWhole},
		"kept is newer":    {ahead, 6, "SOA7 SOA6 passing/A SOA7 newer/A SOA7", "", transferDifferences},
		"kept is not all":  {torn, 5, whole, "SOA7", transferWhole},
		"serials wrap":     {given, 1<<32 - 5, whole, "SOA7", transferWhole},
		"nothing is known": {&fakeTransfers{versions: given.versions}, 6, whole, "SOA7", transferWhole},
	} {
		t.Run(name, func(t *testing.T) {
			s.transfers.Store(test.given)
			before := testutil.ToFloat64(s.metrics.transfers.total.WithLabelValues(kindIXFR, test.result))
			for over, c := range everyWay(t, s.secureServer) {
				key := testKeys(t).Keys()[1]
				packet := ixfr(test.serial)
				packet[11] = 1
				packet, mac := signedQuestion(append(packet, opt(1232, 0)...), key, time.Now())
				send(t, c, packet)
				want, single := test.stream, test.stream == "SOA7"
				if over == overUDP && test.udp != "" {
					want, single = test.udp, test.udp == "SOA7"
				}
				all, _ := readTransfer(t, c, signedWith(key, mac), single)
				if got := short(all); got != want && !(want == whole && strings.HasPrefix(got, "SOA7 ") && len(all) == 54) {
					t.Errorf("%s: got %s, want %s", over, got, want)
				}
			}
			want := 3.0
			if test.result == transferWhole {
				want = 2 // over UDP nothing is given whole
			}
			s.expectCounted(t, kindIXFR, test.result, before+want)
		})
	}
}

// TestIXFROverUDPFits holds that what does not fit sends the client to TCP.
func TestIXFROverUDPFits(t *testing.T) {
	given := testTransfers(5000)
	given.differences["example.test."][1].Added = hosts(20)
	s := startTransfers(t, given, everybody(t))
	c := dial(t, "udp", s.address(false))
	for size, want := range map[uint16]bool{0: false, 512: false, 1232: true} {
		packet := ixfr(6)
		if size > 0 {
			packet[11] = 1
			packet = append(packet, opt(size, 0)...)
		}
		answer := ask(t, c, packet)
		m := parse(t, answer)
		if (len(m.Answer) > 1) != want || len(answer) > max(512, int(size)) || m.Truncated || short(m.Answer[:1]) != "SOA7" || len(m.Answer) == 0 {
			t.Errorf("with %d bytes: %d bytes, %s", size, len(answer), short(m.Answer))
		}
		if (m.IsEdns0() != nil) != (size > 0) {
			t.Errorf("with %d bytes: OPT %v", size, m.IsEdns0())
		}
	}
}

// TestIXFRWithLongNames holds that no answer is longer than the client takes, whatever
// its names.
func TestIXFRWithLongNames(t *testing.T) {
	key, err := tsig.NewKey(longName, "hmac-sha512", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := tsig.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	apex := strings.Replace(longName, "a", "z", 1)
	soa := soaOfSerial(7)
	soa.Hdr.Name = apex
	given := &fakeTransfers{versions: map[string]*zones.Version{apex: zones.NewVersion(soa, nil)}}
	s := startTransfers(t, given, Settings{Transfer: TransferSettings{Keys: ring, Allow: []TransferRule{{Network: netip.MustParsePrefix("127.0.0.0/8")}}}})
	m := new(dns.Msg)
	m.SetIxfr(apex, 7, "ns.", "mbox.")
	m.Compress = true
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, "udp", s.address(false))
	for _, signed := range []bool{false, true} {
		asked := packet
		if signed {
			asked, _ = signedQuestion(packet, key, time.Now())
		}
		answer := ask(t, c, asked)
		if m := parse(t, answer); len(answer) > minUDPSize || m.Rcode != dns.RcodeSuccess || m.Truncated != (len(m.Answer) == 0) {
			t.Errorf("signed %v: %d bytes: %v", signed, len(answer), m)
		}
	}
}

// TestTransferRefusals asks for zones in every way that gets none.
func TestTransferRefusals(t *testing.T) {
	keys := testKeys(t)
	stranger, err := tsig.NewKey("stranger.test", "hmac-sha256", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	imposter, err := tsig.NewKey(keys.Keys()[0].Name(), "hmac-sha256", []byte("something else"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := keys.Keys()[0], keys.Keys()[1]
	here, elsewhere := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("127.9.0.0/16")
	const ok = -1
	all := func(rcode int) map[transport]int {
		return map[transport]int{overUDP: rcode, overTCP: rcode, overTLS: rcode}
	}
	streams := map[transport]int{overUDP: dns.RcodeRefused, overTCP: ok, overTLS: ok}
	s := startTransfers(t, testTransfers(5), Settings{})
	for name, test := range map[string]struct {
		allow   []TransferRule
		tlsOnly bool
		key     *tsig.Key
		late    bool
		zone    string
		qtype   uint16
		packet  []byte
		want    map[transport]int
		code    uint16
	}{
		"nobody":                    {want: all(dns.RcodeRefused)},
		"a zone that is not here":   {allow: []TransferRule{{Network: here}}, zone: "elsewhere.test.", want: all(dns.RcodeNotAuth)},
		"a catalog, to strangers":   {allow: []TransferRule{{Network: elsewhere}}, zone: "catalog.test.", want: all(dns.RcodeNotAuth)},
		"a catalog, the wrong key":  {allow: []TransferRule{{Key: first.Name()}}, key: second, zone: "catalog.test.", want: all(dns.RcodeNotAuth)},
		"a catalog, the wrong way":  {allow: []TransferRule{{Network: here}}, tlsOnly: true, zone: "catalog.test.", want: map[transport]int{overUDP: dns.RcodeRefused, overTCP: dns.RcodeRefused, overTLS: ok}},
		"below a zone":              {allow: []TransferRule{{Network: here}}, zone: "host000001.example.test.", want: all(dns.RcodeNotAuth)},
		"the network":               {allow: []TransferRule{{Network: here}}, want: streams},
		"the network, signed":       {allow: []TransferRule{{Network: here}}, key: second, want: streams},
		"another network":           {allow: []TransferRule{{Network: elsewhere}}, want: all(dns.RcodeRefused)},
		"another network, signed":   {allow: []TransferRule{{Network: elsewhere}}, key: first, want: all(dns.RcodeRefused)},
		"the key":                   {allow: []TransferRule{{Key: first.Name()}}, key: first, want: streams},
		"the key, unsigned":         {allow: []TransferRule{{Key: first.Name()}}, want: all(dns.RcodeRefused)},
		"another key":               {allow: []TransferRule{{Key: first.Name()}}, key: second, want: all(dns.RcodeRefused)},
		"both":                      {allow: []TransferRule{{Network: here, Key: first.Name()}}, key: first, want: streams},
		"both, unsigned":            {allow: []TransferRule{{Network: here, Key: first.Name()}}, want: all(dns.RcodeRefused)},
		"both, another key":         {allow: []TransferRule{{Network: here, Key: first.Name()}}, key: second, want: all(dns.RcodeRefused)},
		"both, another network":     {allow: []TransferRule{{Network: elsewhere, Key: first.Name()}}, key: first, want: all(dns.RcodeRefused)},
		"the second rule":           {allow: []TransferRule{{Network: elsewhere}, {Key: first.Name()}}, key: first, want: streams},
		"TLS alone":                 {allow: []TransferRule{{Network: here}}, tlsOnly: true, want: map[transport]int{overUDP: dns.RcodeRefused, overTCP: dns.RcodeRefused, overTLS: ok}},
		"BADKEY":                    {allow: []TransferRule{{Network: here}}, key: stranger, want: all(dns.RcodeNotAuth), code: dns.RcodeBadKey},
		"BADSIG":                    {allow: []TransferRule{{Network: here}}, key: imposter, want: all(dns.RcodeNotAuth), code: dns.RcodeBadSig},
		"BADTIME":                   {allow: []TransferRule{{Network: here}}, key: first, late: true, want: all(dns.RcodeNotAuth), code: dns.RcodeBadTime},
		"IXFR":                      {allow: []TransferRule{{Network: here}}, packet: ixfr(7), want: all(ok)},
		"IXFR over TLS alone":       {allow: []TransferRule{{Network: here}}, tlsOnly: true, packet: ixfr(7), want: map[transport]int{overUDP: dns.RcodeRefused, overTCP: dns.RcodeRefused, overTLS: ok}},
		"IXFR without a SOA":        {allow: []TransferRule{{Network: here}}, qtype: dns.TypeIXFR, want: all(dns.RcodeFormatError)},
		"IXFR without one, refused": {qtype: dns.TypeIXFR, want: all(dns.RcodeRefused)},
		"IXFR of another's SOA":     {allow: []TransferRule{{Network: here}}, packet: slices.Concat(query{name: "example.test.", qtype: dns.TypeIXFR, authority: 1}.bytes(), []byte("\x01x\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16\x00\x00\x00\x00\x00\x07"), make([]byte, 16)), want: all(dns.RcodeFormatError)},
		"IXFR with a short SOA":     {allow: []TransferRule{{Network: here}}, packet: slices.Concat(query{name: "example.test.", qtype: dns.TypeIXFR, authority: 1}.bytes(), []byte("\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x03\x00\x00\x00")), want: all(dns.RcodeFormatError)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Set(Settings{Transfer: TransferSettings{Allow: test.allow, Keys: keys, TLSOnly: test.tlsOnly}}); err != nil {
				t.Fatal(err)
			}
			q := query{id: 0x7777, name: "example.test.", qtype: dns.TypeAXFR}
			if test.zone != "" {
				q.name = test.zone
			}
			if test.qtype != 0 {
				q.qtype = test.qtype
			}
			for over, c := range everyWay(t, s.secureServer) {
				packet, now, mac := q.bytes(), time.Now(), []byte(nil)
				if test.packet != nil {
					packet = test.packet
				}
				if test.late {
					now = now.Add(-time.Hour)
				}
				if test.key != nil {
					packet, mac = signedQuestion(packet, test.key, now)
				}
				answer := ask(t, c, packet)
				m := parse(t, answer)
				want := test.want[over]
				if want == ok {
					if m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
						t.Errorf("%s: got %v, want a transfer", over, m)
					}
				} else if m.Rcode != want || len(m.Answer) > 0 {
					t.Errorf("%s: got %s, want %s", over, dns.RcodeToString[m.Rcode], dns.RcodeToString[want])
				}
				record := m.IsTsig()
				switch {
				case test.key == nil:
					if record != nil {
						t.Errorf("%s: %v to an unsigned question", over, record)
					}
				case record == nil || record.Error != test.code || (record.MACSize > 0) != (test.code == 0 || test.code == dns.RcodeBadTime):
					t.Errorf("%s: TSIG %v, want error %d", over, record, test.code)
				case record.MACSize > 0:
					_, err := tsig.Verify(answer, keys, mac, now)
					if test.code == 0 && err != nil || test.code != 0 && !strings.Contains(err.Error(), "the other side does not take") {
						t.Errorf("%s: %v", over, err)
					}
				case record.TimeSigned != uint64(now.Unix()) || record.Fudge != 300 || record.OrigId != m.Id || record.Algorithm != "hmac-sha256.":
					t.Errorf("%s: %v", over, record)
				}
				if test.code == dns.RcodeBadTime {
					seconds := binary.BigEndian.Uint64(append([]byte{0, 0}, unhex(t, record.OtherData)...))
					if apart := int64(seconds) - time.Now().Unix(); apart < -60 || apart > 60 {
						t.Errorf("%s: other data %s", over, record.OtherData)
					}
				}
			}
		})
	}
}

// dialAt connects from an address.
func dialAt(t testing.TB, network, from string, to netip.AddrPort) net.Conn {
	t.Helper()
	local := netip.AddrPortFrom(netip.MustParseAddr(from), 0)
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(local)}
	if network == "tcp" {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	c, err := d.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// TestTransferBeforeTheFirstTable: secondaries are told to ask again, and not that they
// get nothing.
func TestTransferBeforeTheFirstTable(t *testing.T) {
	s := startSecure(t, Config{
		Settings: everybody(t), Table: func() Answerer { return nil }, Transfers: func() Transfers { return nil },
	})
	for over, c := range everyWay(t, s) {
		for _, packet := range [][]byte{axfr(), ixfr(7)} {
			if m := parse(t, ask(t, c, packet)); m.Rcode != dns.RcodeServerFailure {
				t.Errorf("%s: got %v", over, m)
			}
		}
	}
}

// TestUnservedSOA holds that a catalog zone's SOA is for those who may transfer it,
// on both paths.
func TestUnservedSOA(t *testing.T) {
	keys := testKeys(t)
	key := keys.Keys()[0]
	for _, table := range []string{"any", "compiled"} {
		t.Run(table, func(t *testing.T) {
			config := Config{Transfers: func() Transfers { return testTransfers(1) }}
			if table == "compiled" {
				compiled := wireTable(t)
				config.Table = func() Answerer { return compiled }
			}
			config.Settings.Transfer = TransferSettings{Keys: keys, Allow: []TransferRule{{Network: netip.MustParsePrefix("127.0.0.1/32")}, {Key: key.Name()}}}
			s := startSecure(t, config)
			soa := query{name: "Catalog.test.", qtype: dns.TypeSOA}.bytes()
			signed, _ := signedQuestion(soa, key, time.Now())
			for name, test := range map[string]struct {
				from, name string
				qtype      uint16
				signed     bool
				want       int
			}{
				"allowed":          {from: "127.0.0.1", name: "Catalog.test.", qtype: dns.TypeSOA},
				"not allowed":      {from: "127.0.0.3", name: "Catalog.test.", qtype: dns.TypeSOA, want: dns.RcodeRefused},
				"by its key":       {from: "127.0.0.3", signed: true},
				"another type":     {from: "127.0.0.1", name: "catalog.test.", qtype: dns.TypeNS, want: dns.RcodeRefused},
				"a name in it":     {from: "127.0.0.1", name: "version.catalog.test.", qtype: dns.TypeTXT, want: dns.RcodeRefused},
				"its SOA below it": {from: "127.0.0.1", name: "version.catalog.test.", qtype: dns.TypeSOA, want: dns.RcodeRefused},
			} {
				for _, network := range []string{"udp", "tcp"} {
					packet := query{name: test.name, qtype: test.qtype}.bytes()
					if test.signed {
						packet = signed
					}
					m := parse(t, ask(t, dialAt(t, network, test.from, s.address(false)), packet))
					if m.Rcode != test.want || m.Authoritative != (test.want == 0) || (len(m.Answer) == 1) != (test.want == 0) {
						t.Errorf("%s over %s: %v", name, network, m)
					}
				}
			}
		})
	}
}
