package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

func TestAnswersThatAreTaken(t *testing.T) {
	key := testKey(t, "transfer", "a secret of thirty-two bytes ....")
	otherSecret, otherName := testKey(t, "transfer", "another"), testKey(t, "other", "a secret of thirty-two bytes ....")
	type change = func(*dns.Msg)
	plain := func(message []byte, _ *request) []byte { return message }
	signedWith := func(key *tsig.Key, at time.Duration) func([]byte, *request) []byte {
		return func(message []byte, r *request) []byte {
			signed, _ := tsig.Sign(message, key, r.mac, time.Now().Add(at))
			return signed
		}
	}
	// refusing is what a server says that judges the request with its keys.
	refusing := func(theirs *tsig.Key, at time.Duration) func([]byte, *request) []byte {
		return func(message []byte, r *request) []byte {
			judged, _ := tsig.Verify(r.packet, keyring(theirs), nil, time.Now().Add(at))
			return judged.SignAnswer(message, time.Now().Add(at))
		}
	}
	notAuth := func(m *dns.Msg) { m.Rcode = dns.RcodeNotAuth }
	for _, one := range []struct {
		name    string
		key     *tsig.Key
		change  change
		sign    func([]byte, *request) []byte
		kind    Result // empty: it is not taken
		problem string
	}{
		{"NOERROR", nil, nil, plain, Acknowledged, ""},
		{"the name in capitals", nil, func(m *dns.Msg) { m.Question[0].Name = "EXAMPLE.test." }, plain, Acknowledged, ""},
		{"with a signature of their own", nil, nil, signedWith(key, 0), Acknowledged, ""},
		{"another ID", nil, func(m *dns.Msg) { m.Id++ }, plain, "", "another ID"},
		{"a request", nil, func(m *dns.Msg) { m.Response = false }, plain, "", "a request"},
		{"another opcode", nil, func(m *dns.Msg) { m.Opcode = dns.OpcodeQuery }, plain, "", "another opcode"},
		{"another name", nil, func(m *dns.Msg) { m.Question[0].Name = "other.test." }, plain, "", "another question"},
		{"another type", nil, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, plain, "", "another question"},
		{"another class", nil, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, plain, "", "another question"},
		{"NOERROR without a question", nil, func(m *dns.Msg) { m.Question = nil }, plain, "", "another question"},
		{"NOTIMP without a question", nil, func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeNotImplemented }, plain, Refused, "NOTIMP"},
		{"two questions", nil, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, plain, "", "another question"},
		{"no message", nil, nil, func([]byte, *request) []byte { return []byte("ten bytes.") }, "", "no DNS message"},
		{"SERVFAIL", nil, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, plain, Failed, "SERVFAIL"},
		{"a code without a name", nil, func(m *dns.Msg) { m.Rcode = 14 }, plain, Refused, "14"},
		{"NXDOMAIN", nil, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, plain, Refused, "NXDOMAIN: it is no secondary"},
		{"signed", key, nil, signedWith(key, 0), Acknowledged, ""},
		{"not signed", key, nil, plain, "", "not signed"},
		{"signed with another secret", key, nil, signedWith(otherSecret, 0), "", "BADSIG"},
		{"signed with another key", key, nil, signedWith(otherName, 0), "", "BADKEY"},
		{"signed at another time", key, nil, signedWith(key, -time.Hour), "", "BADTIME"},
		{"signed for another request", key, nil, func(m []byte, _ *request) []byte {
			signed, _ := tsig.Sign(m, key, []byte("another MAC"), time.Now())
			return signed
		}, "", "BADSIG"},
		{"REFUSED, signed", key, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, signedWith(key, 0), Refused, "signed with the key transfer."},
		{"REFUSED, not signed", key, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, plain, Refused, "REFUSED"},
		{"they have another secret", key, notAuth, refusing(otherSecret, 0), Refused, "BADSIG: the secrets"},
		{"they do not have the key", key, notAuth, refusing(otherName, 0), Refused, "BADKEY: no key"},
		{"their clock is wrong", key, notAuth, refusing(key, time.Hour), Refused, "BADTIME: the clocks"},
		{"NOERROR with BADKEY", key, nil, refusing(otherName, 0), "", "BADKEY"},
	} {
		t.Run(one.name, func(t *testing.T) {
			r, err := newRequest("example.test.", soa("example.test.", 1), one.key, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var request dns.Msg
			if err := request.Unpack(r.packet); err != nil {
				t.Fatal(err)
			}
			reply := new(dns.Msg).SetReply(&request)
			if one.change != nil {
				one.change(reply)
			}
			packet, err := reply.Pack()
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.read(one.sign(packet, r), time.Now())
			if one.kind == "" {
				if err == nil || !strings.Contains(err.Error(), one.problem) {
					t.Fatalf("taken: %v, error %v, want one with %q", got, err, one.problem)
				}
				return
			}
			if err != nil || got.kind != one.kind || !strings.Contains(got.problem, one.problem) || (got.problem == "") != (one.problem == "") {
				t.Errorf("got %v %v, want %s with %q", got, err, one.kind, one.problem)
			}
		})
	}
}

func TestRequestsDiffer(t *testing.T) {
	seen := map[uint16]bool{}
	for range 100 {
		r, err := newRequest("example.test.", soa("example.test.", 1), nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		seen[r.id] = true
	}
	if len(seen) < 90 {
		t.Errorf("%d IDs in 100 requests", len(seen))
	}
}

// FuzzAnswer holds that nothing but an answer with a good signature acknowledges,
// and that nothing breaks the reader.
func FuzzAnswer(f *testing.F) {
	key := testKey(f, "transfer", "a secret of thirty-two bytes ....")
	now := time.Unix(1_800_000_000, 0)
	plain, err := newRequest("example.test.", soa("example.test.", 1), nil, now)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := newRequest("example.test.", soa("example.test.", 1), key, now)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range []*request{plain, signed} {
		f.Add(r.packet)
		answer := append([]byte(nil), r.packet[:12+14+4]...)
		answer[2] |= 0x80
		copy(answer[6:], make([]byte, 6))
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) >= 2 { // or no ID is ever right
			packet = append([]byte{byte(signed.id >> 8), byte(signed.id)}, packet[2:]...)
		}
		if got, err := signed.read(packet, now); err == nil && got.kind == Acknowledged {
			t.Errorf("acknowledged without the secret: %x", packet)
		}
		if got, err := plain.read(packet, now); err == nil && got.kind == "" {
			t.Errorf("taken as nothing: %x", packet)
		}
	})
}
