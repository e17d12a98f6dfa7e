package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// deaf is a secondary that answers each NOTIFY that is not signed, and says what it
// was told.
type deaf struct {
	address string
	told    chan *dns.Msg
}

func startDeaf(t *testing.T) *deaf {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{address: packets.LocalAddr().String(), told: make(chan *dns.Msg, 100)}
	server := &dns.Server{
		PacketConn: packets,
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
			reply := new(dns.Msg).SetReply(request)
			if request.IsTsig() != nil {
				reply.Rcode = dns.RcodeNotAuth
			}
			d.told <- request
			_ = w.WriteMsg(reply)
		}),
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ActivateAndServe()
	}()
	t.Cleanup(func() {
		packets.Close()
		<-ended
	})
	return d
}

const twoTransferKeys = `key "transfer" { algorithm hmac-sha256; secret "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiBOT1RJRlk="; };
key "other" { algorithm hmac-sha512; secret "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3Rz"; };
`

func TestSecondariesAreTold(t *testing.T) {
	plain, named := startDeaf(t), startDeaf(t)
	r := newRunning(t, "")
	more := func(notify string) string {
		return fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], transfer: {tsig_keys: %q, notify: [%s]}}\n", r.path("transfer.keys"), notify)
	}
	r.write("transfer.keys", twoTransferKeys)
	r.write("node.yaml", r.config(more(fmt.Sprintf("%q, %q", plain.address, named.address+" key other"))))
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.start()
	r.serving(first)
	serial := r.ask("example.test.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial

	// Signed with the first key, refused, and told without.
	for _, signed := range []bool{true, false} {
		told := <-plain.told
		if (told.IsTsig() != nil) != signed || told.Question[0].Name != "example.test." || told.Answer[0].(*dns.SOA).Serial != serial {
			t.Errorf("told %v, want it signed: %t, serial %d", told, signed, serial)
		}
	}
	if told := <-named.told; told.IsTsig() == nil || told.IsTsig().Hdr.Name != "other." || told.IsTsig().Algorithm != dns.HmacSHA512 {
		t.Errorf("told %v, want it signed with the key other", told)
	}

	var state struct {
		Secondaries []struct {
			Address          string
			Key              string
			Silent           bool
			Current, Refused int
			Zones            []struct {
				Apex                 string
				Serial, Acknowledged uint32
				Problem              string
			}
		}
	}
	r.eventually("the state shows what became of it", func() bool {
		_, body := r.get("/api/v1/state")
		if err := json.Unmarshal([]byte(body), &state); err != nil {
			t.Fatal(err)
		}
		s := state.Secondaries
		return len(s) == 2 && s[0].Current == 1 && s[1].Refused == 1 && s[1].Zones[0].Problem != ""
	})
	one, two := state.Secondaries[0], state.Secondaries[1]
	if one.Address != plain.address || one.Key != "transfer." || one.Zones[0].Acknowledged != serial || one.Zones[0].Apex != "example.test." {
		t.Errorf("state: %+v", one)
	}
	if two.Key != "other." || two.Silent || !strings.Contains(two.Zones[0].Problem, "NOTAUTH") {
		t.Errorf("state: %+v", two)
	}
	_, metrics := r.get("/metrics")
	for _, line := range []string{
		`mirrorpool_dns_notify_total{result="acknowledged"} 1`,
		`mirrorpool_dns_notify_total{result="refused"} 2`,
		`mirrorpool_dns_notify_total{result="silent"} 0`,
		fmt.Sprintf(`mirrorpool_dns_secondary_zones{secondary=%q,standing="current"} 1`, plain.address),
		fmt.Sprintf(`mirrorpool_dns_secondary_zones{secondary=%q,standing="behind"} 0`, plain.address),
		fmt.Sprintf(`mirrorpool_dns_secondary_zones{secondary=%q,standing="refused"} 1`, named.address),
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no line %q in the metrics", line)
		}
	}
	if !strings.Contains(r.log.String(), "NOTAUTH") {
		t.Errorf("the log does not say that it is refused:\n%s", r.log)
	}

	// Another list by a reload, and other content.
	r.write("node.yaml", r.config(more(fmt.Sprintf("%q", plain.address))))
	r.reload()
	if got := len(r.node.notifier.States()); got != 1 {
		t.Errorf("%d secondaries after the reload", got)
	}
	r.write("checkout/zones/example.test.zone", testZone+"new 300 IN A 127.0.0.9\n")
	r.serving(r.push("Second"))
	if told := <-plain.told; told.IsTsig() != nil || told.Answer[0].(*dns.SOA).Serial == serial {
		t.Errorf("told %v, want another serial, without the signature that it refused", told)
	}
	if len(named.told) != 0 {
		t.Error("who is not in the list any more is told")
	}
}

// reload asks the running node to read its configuration again.
func (r *running) reload() {
	r.Helper()
	if err := r.node.requestReload(r.Context()); err != nil {
		r.Fatal(err)
	}
}

func TestOwnAddresses(t *testing.T) {
	for _, test := range []struct {
		listen []string
		want   string
	}{
		{[]string{"0.0.0.0:53", "[::]:53"}, "[]"},
		{[]string{"127.0.0.2:53", "[::1]:53", "127.0.0.1:5300"}, "[127.0.0.2 ::1 127.0.0.1]"},
		{[]string{"127.0.0.2:53", "0.0.0.0:5300", "[::1]:53"}, "[::1]"},
	} {
		if got := fmt.Sprint((&dnsConfig{Listen: test.listen}).ownAddresses()); got != test.want {
			t.Errorf("%v: got %s, want %s", test.listen, got, test.want)
		}
	}
}
