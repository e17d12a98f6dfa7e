package load

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func mustQuestion(t testing.TB, name string, recordType uint16, form Form) Question {
	t.Helper()
	q, err := NewQuestion(name, recordType, form)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.validate(); err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQuestionsAreMessages(t *testing.T) {
	for _, c := range []struct {
		name   string
		form   Form
		edns   bool
		do     bool
		subnet uint8
	}{
		{name: "plain"},
		{name: "edns", form: Form{EDNS: true}, edns: true},
		{name: "do", form: Form{DO: true}, edns: true, do: true},
		{name: "subnet4", form: Form{Varying: VarySubnet4}, edns: true, subnet: 24},
		{name: "subnet6", form: Form{Varying: VarySubnet6, DO: true}, edns: true, do: true, subnet: 56},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m dns.Msg
			if err := m.Unpack(mustQuestion(t, "dl.example.test", TypeAAAA, c.form).Sample(0x1234, 1)); err != nil {
				t.Fatal(err)
			}
			if m.Id != 0x1234 || m.Response || m.RecursionDesired || len(m.Question) != 1 {
				t.Errorf("the header is %v", m.MsgHdr)
			}
			if want := (dns.Question{Name: "dl.example.test.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}); m.Question[0] != want {
				t.Errorf("the question is %v, expected %v", m.Question[0], want)
			}
			opt := m.IsEdns0()
			if (opt != nil) != c.edns {
				t.Fatalf("the OPT record is %v", opt)
			}
			if opt == nil {
				return
			}
			if opt.Do() != c.do || opt.UDPSize() != ednsSize {
				t.Errorf("the OPT record is %v", opt)
			}
			var source uint8
			for _, option := range opt.Option {
				source = option.(*dns.EDNS0_SUBNET).SourceNetmask
			}
			if source != c.subnet {
				t.Errorf("the source prefix is %d, expected %d", source, c.subnet)
			}
		})
	}
}

func TestWhatVariesIsAnotherEachTime(t *testing.T) {
	label := mustQuestion(t, "example.test", TypeA, Form{Varying: VaryLabel})
	names := map[string]bool{}
	for seed := range uint64(1000) {
		var m dns.Msg
		if err := m.Unpack(label.Sample(1, seed)); err != nil {
			t.Fatal(err)
		}
		name := m.Question[0].Name
		if first, rest, _ := strings.Cut(name, "."); len(first) != 8 || rest != "example.test." {
			t.Fatalf("the name is %s", name)
		}
		names[name] = true
	}
	if len(names) != 1000 {
		t.Errorf("%d different names of 1000", len(names))
	}
}

func TestSubnetsAreUnicastAndEverywhere(t *testing.T) {
	none := map[bool]netip.Prefix{true: netip.MustParsePrefix("127.0.0.0/8")}
	firsts := map[byte]bool{}
	r := newRandom(3)
	q := mustQuestion(t, "example.test", TypeA, Form{Varying: VarySubnet4})
	for range 20_000 {
		r.vary(q.Packet, q.Varying, q.At)
		address := netip.AddrFrom4([4]byte{q.Packet[q.At], q.Packet[q.At+1], q.Packet[q.At+2], 0})
		if first := address.As4()[0]; none[true].Contains(address) || first == 0 || first > 223 {
			t.Fatalf("a subnet of %s", address)
		}
		firsts[address.As4()[0]] = true
	}
	if len(firsts) != 222 {
		t.Errorf("subnets of %d networks /8, expected all 222 of unicast", len(firsts))
	}
	q = mustQuestion(t, "example.test", TypeA, Form{Varying: VarySubnet6})
	clear(firsts)
	for range 2000 {
		r.vary(q.Packet, q.Varying, q.At)
		if q.Packet[q.At]>>5 != 1 {
			t.Fatalf("a subnet of %x", q.Packet[q.At:])
		}
		firsts[q.Packet[q.At]] = true
	}
	if len(firsts) != 32 {
		t.Errorf("subnets of %d networks /8, expected all 32 of 2000::/3", len(firsts))
	}
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, name := range []string{"", "a..b", long + ".test", strings.Repeat("abcdefg.", 33)} {
		if _, err := NewQuestion(name, TypeA, Form{}); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func TestASampleLeavesTheQuestionAlone(t *testing.T) {
	q := mustQuestion(t, "example.test", TypeA, Form{Varying: VaryLabel})
	before := bytes.Clone(q.Packet)
	q.Sample(77, 5)
	if !bytes.Equal(before, q.Packet) {
		t.Error("the question has changed")
	}
}
