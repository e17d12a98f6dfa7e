package dnsserver

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// edns-tcp-keepalive comes back over TCP alone, with the time-out that is in
// force, and a request may not carry one.
func TestKeepaliveOption(t *testing.T) {
	s := start(t, Config{}) // DefaultTCPIdle: 100 units of 100 ms
	told := option(optionKeepalive, "\x00\x64")
	bare := opt(1232, 0, option(optionKeepalive, ""))
	valued := opt(1232, 0, option(optionKeepalive, "\x00\x00"))
	for _, c := range []struct {
		name, network string
		query         query
		rcode         int
		want          []byte // the options of the answer
	}{
		{"asked for", "tcp", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{bare}}, dns.RcodeSuccess, told},
		{"of a pool", "tcp", query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{bare}}, dns.RcodeSuccess, told},
		{"in a refusal", "tcp", query{name: "txt.other.test.", qtype: typeTXT, opts: [][]byte{bare}}, dns.RcodeRefused, told},
		{"another class", "tcp", query{name: "txt.example.test.", qtype: typeTXT, class: 3, opts: [][]byte{bare}}, dns.RcodeRefused, told},
		{"not asked for", "tcp", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0)}}, dns.RcodeSuccess, nil},
		{"without OPT", "tcp", query{name: "txt.example.test.", qtype: typeTXT}, dns.RcodeSuccess, nil},
		{"with a value", "tcp", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{valued}}, dns.RcodeFormatError, nil},
		{"twice, one with a value", "tcp", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{
			opt(1232, 0, option(optionKeepalive, "\x01"), option(optionKeepalive, "")),
		}}, dns.RcodeFormatError, nil},
		{"over UDP", "udp", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{bare}}, dns.RcodeSuccess, nil},
		{"over UDP with a value", "udp", query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{valued}}, dns.RcodeSuccess, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := ask(t, dial(t, c.network, s.address(false)), c.query.bytes())
			m := parse(t, answer)
			if m.Rcode != c.rcode {
				t.Errorf("rcode %d, want %d", m.Rcode, c.rcode)
			}
			var options []byte
			if m.IsEdns0() != nil {
				fixed := []byte{0, 0, 41, 1232 >> 8, 1232 & 255}
				at := bytes.LastIndex(answer, fixed)
				options = answer[at+optFixed:]
			}
			if !bytes.Equal(options, c.want) {
				t.Errorf("options %x, want %x", options, c.want)
			}
		})
	}
	if got := counted(s.metrics.malformed, string(faultKeepalive)); got != 2 {
		t.Errorf("%v counted as malformed, want 2", got)
	}
}
