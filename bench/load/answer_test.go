package load

import (
	"net"
	"testing"

	"github.com/miekg/dns"
)

// answerTo is a right answer, in bytes.
func answerTo(t testing.TB, packet []byte, change func(*dns.Msg)) []byte {
	t.Helper()
	var asked, answer dns.Msg
	if err := asked.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	answer.SetReply(&asked)
	answer.Compress = true
	for i := range 4 {
		answer.Answer = append(answer.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: asked.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   net.IPv4(127, 0, 0, byte(i)),
		})
	}
	if change != nil {
		change(&answer)
	}
	text, err := answer.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAnswersAreChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*dns.Msg)
		bytes  func([]byte) []byte
		want   verdict
	}{
		{name: "right", want: right},
		{name: "more records than needed", change: func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) }, want: right},
		{name: "too few records", change: func(m *dns.Msg) { m.Answer = m.Answer[:3] }, want: wrongRecords},
		{name: "no records", change: func(m *dns.Msg) { m.Answer = nil }, want: wrongRecords},
		{name: "SERVFAIL", change: func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, want: wrongCode},
		{name: "a question", change: func(m *dns.Msg) { m.Response = false }, want: wrongHeader},
		{name: "another type", change: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }, want: wrongQuestion},
		{name: "another name", change: func(m *dns.Msg) { m.Question[0].Name = "dm.example.test." }, want: wrongQuestion},
		{name: "another case", change: func(m *dns.Msg) { m.Question[0].Name = "dL.example.test." }, want: wrongQuestion},
		{name: "no question", change: func(m *dns.Msg) { m.Question = nil }, want: wrongQuestion},
		{name: "cut in the header", bytes: func(b []byte) []byte { return b[:11] }, want: wrongHeader},
		{name: "cut in the question", bytes: func(b []byte) []byte { return b[:20] }, want: wrongQuestion},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := mustQuestion(t, "dl.example.test", TypeA, Form{})
			q.Records = 4
			answer := answerTo(t, q.Sample(9, 0), c.change)
			if c.bytes != nil {
				answer = c.bytes(answer)
			}
			if got := prepare(t, q).check(answer, 0); got != c.want {
				t.Errorf("the verdict is %q, expected %q", got, c.want)
			}
		})
	}
}

func prepare(t *testing.T, q Question) *prepared {
	t.Helper()
	end, err := questionEnd(q.Packet)
	if err != nil {
		t.Fatal(err)
	}
	return &prepared{Question: q, end: end}
}

func TestAnswersToRandomNamesAreChecked(t *testing.T) {
	q := mustQuestion(t, "example.test", TypeA, Form{Varying: VaryLabel})
	q.Code = dns.RcodeNameError
	p := prepare(t, q)
	packet := append([]byte(nil), q.Packet...)
	r := newRandom(1)
	written := r.vary(packet, q.Varying, q.At)
	missing := func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeNameError, nil }
	answer := answerTo(t, packet, missing)
	if got := p.check(answer, written); got != right {
		t.Errorf("the verdict is %q", got)
	}
	if got := p.check(answer, written+1); got != wrongQuestion {
		t.Errorf("the verdict on another label is %q", got)
	}
	answer[q.end()-6] ^= 1
	if got := p.check(answer, written); got != wrongQuestion {
		t.Errorf("the verdict on another parent is %q", got)
	}
}

func (q Question) end() int {
	end, _ := questionEnd(q.Packet)
	return end
}

// FuzzCheck holds that no bytes make the check fail, and that none but those of
// the question are taken for it.
func FuzzCheck(f *testing.F) {
	q := mustQuestion(f, "dl.example.test", TypeA, Form{})
	label := mustQuestion(f, "example.test", TypeA, Form{Varying: VaryLabel})
	f.Add(answerTo(f, q.Sample(1, 1), nil), uint64(0))
	f.Add(answerTo(f, label.Sample(1, 1), nil), uint64(1))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, answer []byte, written uint64) {
		for _, one := range []Question{q, label} {
			if prepare(t, one).check(answer, written) != right {
				continue
			}
			if len(answer) < one.end() || answer[2]&0x80 == 0 {
				t.Errorf("%x is taken for an answer", answer)
			}
		}
	})
}
