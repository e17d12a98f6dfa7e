package hostnames

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testport"
)

// startServer answers questions over UDP and TCP at one port of the loopback.
func startServer(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	for range 20 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := packets.LocalAddr().String()
		listener, err := net.Listen("tcp", address)
		if err != nil {
			packets.Close()
			continue // somebody else has the port for TCP
		}
		for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
			started := make(chan struct{})
			server.NotifyStartedFunc = func() { close(started) }
			done := make(chan error, 1)
			go func() { done <- server.ActivateAndServe() }()
			<-started
			t.Cleanup(func() {
				if err := server.Shutdown(); err != nil {
					t.Errorf("stopping the server: %v", err)
				}
				<-done
			})
		}
		return address
	}
	t.Fatal("no port is free for UDP and TCP")
	return ""
}

func records(t *testing.T, lines ...string) []dns.RR {
	t.Helper()
	var list []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rr)
	}
	return list
}

func asking(servers ...string) wire {
	return wire{
		servers: func() ([]string, error) { return servers, nil },
		dial:    (&net.Dialer{}).DialContext,
	}
}

func (f finding) String() string {
	switch {
	case f.err != nil:
		return "error: " + f.err.Error()
	case f.missing:
		return fmt.Sprintf("missing for %v", f.ttl)
	case f.empty:
		return fmt.Sprintf("empty for %v", f.ttl)
	}
	return fmt.Sprintf("%s for %v", words(f.addresses), f.ttl)
}

func TestLookUp(t *testing.T) {
	chain := func(length int) []string {
		var lines []string
		for i := range length {
			lines = append(lines, fmt.Sprintf("c%d.example. 300 IN CNAME c%d.example.", i, i+1))
		}
		lines[0] = "M.Example. 300 IN CNAME c1.example."
		return append(lines, fmt.Sprintf("c%d.example. 300 IN A 8.8.8.1", length))
	}
	soa := "example. 900 IN SOA ns.example. h.example. 1 2 3 4 60"
	for name, test := range map[string]struct {
		kind   uint16
		rcode  int
		answer []string
		ns     []string
		change func(*dns.Msg)
		want   string
	}{
		"A":                    {answer: []string{"m.example. 300 IN A 8.8.8.1", "m.example. 60 IN A 8.8.8.2"}, want: "8.8.8.1 8.8.8.2 for 1m0s"},
		"AAAA":                 {kind: dns.TypeAAAA, answer: []string{"m.example. 30 IN AAAA 2606:4700::1", "m.example. 30 IN A 8.8.8.1"}, want: "2606:4700::1 for 30s"},
		"another case":         {answer: []string{"M.EXAMPLE. 300 IN A 8.8.8.1"}, want: "8.8.8.1 for 5m0s"},
		"aliases in any order": {answer: []string{"c2.example. 50 IN A 8.8.8.1", "c1.example. 20 IN CNAME C2.example.", "m.example. 40 IN CNAME c1.Example."}, want: "8.8.8.1 for 20s"},
		"what is not asked":    {answer: []string{"m.example. 1 IN RRSIG A 13 2 300 20300101000000 20200101000000 1 example. AAAA", "x.example. 1 IN A 8.8.8.9", "m.example. 300 IN A 8.8.8.1"}, want: "8.8.8.1 for 5m0s"},
		"TTL 0":                {answer: []string{"m.example. 0 IN A 8.8.8.1"}, want: "8.8.8.1 for 0s"},
		"TTL of the first bit": {answer: []string{"m.example. 2147483648 IN A 8.8.8.1"}, want: "8.8.8.1 for 0s"},
		"TTL of days":          {answer: []string{"m.example. 864000 IN A 8.8.8.1"}, want: "8.8.8.1 for 1h0m0s"},
		"nothing":              {ns: []string{soa}, want: "empty for 1m0s"},
		"nothing, untold":      {want: "empty for 5m0s"},
		"other family":         {answer: []string{"m.example. 300 IN AAAA 2606:4700::1"}, ns: []string{soa}, want: "empty for 1m0s"},
		"an alias to nothing":  {answer: []string{"m.example. 300 IN CNAME c1.example."}, ns: []string{soa}, want: "empty for 1m0s"},
		"not there":            {rcode: dns.RcodeNameError, ns: []string{soa}, want: "missing for 1m0s"},
		"an alias to nowhere":  {rcode: dns.RcodeNameError, answer: []string{"m.example. 300 IN CNAME c1.example."}, ns: []string{soa}, want: "missing for 1m0s"},
		"long chain":           {answer: chain(15), want: "8.8.8.1 for 5m0s"},
		"endless chain":        {answer: []string{"m.example. 300 IN CNAME c1.example.", "c1.example. 300 IN CNAME m.example."}, want: "error: more than 16 aliases in a row"},
		"SERVFAIL":             {rcode: dns.RcodeServerFailure, want: "error: asking SERVER: the answer is SERVFAIL"},
		"bogus": {rcode: dns.RcodeServerFailure, change: func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "at 12:00:00"})
		}, want: "error: asking SERVER: the answer is SERVFAIL (DNSSEC Bogus)"},
		"REFUSED":       {rcode: dns.RcodeRefused, want: "error: asking SERVER: the answer is REFUSED"},
		"unknown RCODE": {rcode: 15, want: "error: asking SERVER: the answer is RCODE 15"},
		"no resolver": {
			ns: []string{"example. 900 IN NS ns.example."}, change: func(m *dns.Msg) { m.RecursionAvailable = false },
			want: "error: asking SERVER: it does not look names up for others (RA is clear)",
		},
		"authoritative": {ns: []string{soa}, change: func(m *dns.Msg) { m.RecursionAvailable, m.Authoritative = false, true }, want: "empty for 1m0s"},
		"authoritative for the alias alone": {
			answer: []string{"m.example. 300 IN CNAME c.other."}, change: func(m *dns.Msg) { m.RecursionAvailable, m.Authoritative = false, true },
			want: "error: asking SERVER: it does not look names up for others (RA is clear)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.kind == 0 {
				test.kind = dns.TypeA
			}
			answer, ns := records(t, test.answer...), records(t, test.ns...)
			var asked atomic.Pointer[dns.Msg]
			server := startServer(t, func(w dns.ResponseWriter, query *dns.Msg) {
				asked.Store(query)
				reply := new(dns.Msg).SetRcode(query, test.rcode)
				reply.RecursionAvailable = true
				reply.Answer, reply.Ns = answer, ns
				if test.change != nil {
					test.change(reply)
				}
				_ = w.WriteMsg(reply) // what cannot be sent is not answered
			})
			got := asking(server).lookUp(t.Context(), "m.example", test.kind)
			if text := strings.ReplaceAll(got.String(), server, "SERVER"); text != test.want {
				t.Errorf("%s, want %s", text, test.want)
			}
			query := asked.Load()
			if q := query.Question[0]; q.Name != "m.example." || q.Qtype != test.kind || !query.RecursionDesired || query.IsEdns0().UDPSize() != udpSize {
				t.Errorf("asked %v", query)
			}
		})
	}
}

// An answer that does not fit a packet is fetched over TCP.
func TestLookUpTruncated(t *testing.T) {
	var tcp atomic.Int32
	server := startServer(t, func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		reply.RecursionAvailable = true
		if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
			reply.Truncated = true
		} else {
			tcp.Add(1)
			for i := range 200 {
				reply.Answer = append(reply.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: "m.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(8, 8, 8, byte(i)),
				})
			}
		}
		_ = w.WriteMsg(reply)
	})
	if got := asking(server).lookUp(t.Context(), "m.example", dns.TypeA); len(got.addresses) != 200 || tcp.Load() != 1 {
		t.Errorf("%v, over TCP %d", got, tcp.Load())
	}
}

// What anybody may send does not count, and does not keep the answer away.
func TestLookUpForged(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	good := records(t, "m.example. 60 IN A 8.8.8.1")
	forged := records(t, "m.example. 60 IN A 8.8.8.66", "x.example. 60 IN A 8.8.8.66")
	go func() {
		buffer := make([]byte, 4096)
		for {
			length, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dns.Msg
			if query.Unpack(buffer[:length]) != nil {
				continue
			}
			forge := func(change func(*dns.Msg)) []byte {
				reply := new(dns.Msg).SetReply(&query)
				reply.RecursionAvailable, reply.Answer = true, forged
				change(reply)
				packed, err := reply.Pack()
				if err != nil {
					return nil
				}
				return packed
			}
			for _, packet := range [][]byte{
				{},
				{1},
				buffer[:length:length],
				forge(func(m *dns.Msg) { m.Id++ }),
				forge(func(m *dns.Msg) { m.Response = false }),
				forge(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
				forge(func(m *dns.Msg) { m.Question[0].Name = "x.example." }),
				forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }),
				forge(func(m *dns.Msg) { m.Question = nil }),
				forge(func(m *dns.Msg) { m.Answer = nil; m.Rcode = 3 })[:11],
				forge(func(m *dns.Msg) { m.Answer = good }),
			} {
				if _, err := packets.WriteTo(packet, from); err != nil {
					return
				}
			}
		}
	}()
	if got := asking(packets.LocalAddr().String()).lookUp(t.Context(), "m.example", dns.TypeA); got.String() != "8.8.8.1 for 1m0s" {
		t.Errorf("%v", got)
	}
}

// One server that fails, or is gone, does not matter while another one answers.
func TestLookUpServers(t *testing.T) {
	var asked atomic.Int32
	failing := startServer(t, func(w dns.ResponseWriter, query *dns.Msg) {
		asked.Add(1)
		_ = w.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeServerFailure))
	})
	answer := records(t, "m.example. 60 IN A 8.8.8.1")
	well := startServer(t, func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		reply.RecursionAvailable, reply.Answer = true, answer
		_ = w.WriteMsg(reply)
	})
	gone := fmt.Sprintf("127.0.0.1:%d", testport.Unused(t))
	if got := asking(gone, failing, well).lookUp(t.Context(), "m.example", dns.TypeA); got.String() != "8.8.8.1 for 1m0s" || asked.Load() != 1 {
		t.Errorf("%v, asked the failing one %d times", got, asked.Load())
	}
	if got, want := asking(gone).lookUp(t.Context(), "m.example", dns.TypeA).String(), "error: asking "+gone+": connection refused"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := asking(failing, gone).lookUp(t.Context(), "m.example", dns.TypeA); got.err == nil || !strings.Contains(got.String(), "SERVFAIL") || asked.Load() != 3 {
		t.Errorf("%v, asked the failing one %d times", got, asked.Load())
	}
	broken := wire{servers: func() ([]string, error) { return nil, os.ErrNotExist }}
	if got := broken.lookUp(t.Context(), "m.example", dns.TypeA); got.err != os.ErrNotExist {
		t.Errorf("%v", got)
	}
}

// A look-up ends soon after its context, though nobody answers.
func TestLookUpCancelled(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int32
	go func() {
		buffer := make([]byte, 512)
		for {
			if _, _, err := silent.ReadFrom(buffer); err != nil {
				return
			}
			asked.Add(1)
			cancel()
		}
	}()
	defer cancel()
	if got := asking(silent.LocalAddr().String()).lookUp(ctx, "m.example", dns.TypeA); got.err == nil {
		t.Errorf("%v", got)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times, the first of which ended it", asked.Load())
	}
}

func TestMachineServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for content, want := range map[string][]string{
		"": {"127.0.0.1:53"},
		"search example\n# nameserver 127.0.0.9\nnameserver 127.0.0.2\nnameserver ::1\nnameserver fe80::1%eth0\n": {"127.0.0.2:53", "[::1]:53", "[fe80::1%eth0]:53"},
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := machineServers(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", content, got, err, want)
		}
	}
	if got, err := machineServers(path + ".not"); err == nil {
		t.Errorf("without the file: %v", got)
	}
}

// FuzzRead holds that no answer makes trouble, and none gives what was not asked.
func FuzzRead(f *testing.F) {
	query := new(dns.Msg).SetQuestion("m.example.", dns.TypeA)
	reply := new(dns.Msg).SetReply(query)
	for _, line := range []string{"m.example. 60 IN CNAME c.example.", "c.example. 60 IN A 8.8.8.1", "c.example. 60 IN AAAA ::1"} {
		rr, err := dns.NewRR(line)
		if err != nil {
			f.Fatal(err)
		}
		reply.Answer = append(reply.Answer, rr)
	}
	packed, err := reply.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var message dns.Msg
		if message.Unpack(data) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			asked := new(dns.Msg).SetQuestion("m.example.", kind)
			message.Id = asked.Id
			if !isReply(&message, asked) {
				continue
			}
			found := read(&message, "SERVER", kind)
			if found.err == nil && !found.empty && !found.missing && len(found.addresses) == 0 {
				t.Fatalf("nothing was found: %v", found)
			}
			if found.ttl < 0 || found.err == nil && found.ttl > 1<<31*time.Second {
				t.Fatalf("TTL %v", found.ttl)
			}
			for _, address := range found.addresses {
				if address.Is4() != (kind == dns.TypeA) {
					t.Fatalf("%v for %d", address, kind)
				}
			}
		}
	})
}
