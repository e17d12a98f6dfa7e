package parent

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testport"
	"mirrorpool/zones/signing"
)

const zone = "example.test."

func newKey(t *testing.T, others ...*signing.Key) *signing.Key {
	t.Helper()
	key, err := signing.GenerateDistinct(zone, dns.ECDSAP256SHA256, true, signing.Times{}, others)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func record(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func ds(key *signing.Key, digest uint8, ttl uint32) *dns.DS {
	made := key.DS(digest)
	made.Hdr = dns.RR_Header{Name: zone, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: ttl}
	return made
}

// serving is a server over TCP that answers as a function says.
func serving(t *testing.T, answer func(*dns.Msg)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(question)
		answer(reply)
		_ = w.WriteMsg(reply)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ActivateAndServe()
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

func TestAnswers(t *testing.T) {
	old := newKey(t)
	fresh := newKey(t, old)
	parentSOA := record(t, "test. 300 IN SOA ns.test. a.test. 1 2 3 4 5")
	tests := map[string]struct {
		answer  func(*dns.Msg)
		records int
		ttl     time.Duration
		mistake string
	}{
		"the DS": {func(m *dns.Msg) {
			m.Authoritative = true
			m.Answer = []dns.RR{ds(old, dns.SHA256, 60), record(t, "example.test. 60 IN TXT a"), ds(fresh, dns.SHA384, 60)}
		}, 2, time.Minute, ""},
		"from a cache": {func(m *dns.Msg) { m.Answer = []dns.RR{ds(old, dns.SHA256, 3)} }, 1, 24 * time.Hour, ""},
		"of another name": {func(m *dns.Msg) {
			m.Answer, m.Ns = []dns.RR{record(t, "other.test. 60 IN DS 1 13 2 00")}, []dns.RR{parentSOA}
		}, 0, 0, ""},
		"none":            {func(m *dns.Msg) { m.Ns = []dns.RR{parentSOA} }, 0, 0, ""},
		"the child's":     {func(m *dns.Msg) { m.Ns = []dns.RR{record(t, "example.test. 300 IN SOA ns a 1 2 3 4 5")} }, 0, 0, "not its parent"},
		"of elsewhere":    {func(m *dns.Msg) { m.Ns = []dns.RR{record(t, "elsewhere. 300 IN SOA ns a 1 2 3 4 5")} }, 0, 0, "not its parent"},
		"a referral":      {func(m *dns.Msg) { m.Ns = []dns.RR{record(t, "test. 300 IN NS ns.test.")} }, 0, 0, "does not speak for the parent"},
		"REFUSED":         {func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, 0, 0, "REFUSED"},
		"NXDOMAIN":        {func(m *dns.Msg) { m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{parentSOA} }, 0, 0, "NXDOMAIN"},
		"truncated":       {func(m *dns.Msg) { m.Truncated = true }, 0, 0, "cut off"},
		"not a response":  {func(m *dns.Msg) { m.Response = false }, 0, 0, "not to this question"},
		"another type":    {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, 0, 0, "not to this question"},
		"another name":    {func(m *dns.Msg) { m.Question[0].Name = "other.test." }, 0, 0, "not to this question"},
		"of another case": {func(m *dns.Msg) { m.Question[0].Name, m.Ns = "EXAMPLE.test.", []dns.RR{parentSOA} }, 0, 0, ""},
		"no question":     {func(m *dns.Msg) { m.Question = nil }, 0, 0, "not to this question"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := serving(t, test.answer)
			summary := Summary{Answers: Look(t.Context(), []netip.AddrPort{server}, zone)}
			answer := summary.Answers[0]
			if test.mistake == "" != (answer.Err == nil) || answer.Err != nil && !strings.Contains(answer.Err.Error(), test.mistake) {
				t.Fatalf("%v, expected %q", answer.Err, test.mistake)
			}
			if len(answer.Records) != test.records || summary.TTL() != test.ttl || answer.Server != server {
				t.Errorf("%+v, TTL %s", answer, summary.TTL())
			}
			if answer.Err != nil && !strings.Contains(answer.Err.Error(), server.String()) {
				t.Errorf("the server is not named: %v", answer.Err)
			}
		})
	}
}

func TestNobodyIsThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	silent := listener.Addr().(*net.TCPAddr).AddrPort()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer := Look(ctx, []netip.AddrPort{silent}, zone)[0]; answer.Err == nil {
		t.Error("silence is an answer")
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if answer := Look(t.Context(), []netip.AddrPort{silent}, zone)[0]; answer.Err == nil {
		t.Error("a closed port is an answer")
	}
}

func TestSummary(t *testing.T) {
	old := newKey(t)
	fresh := newKey(t, old)
	says := func(keys ...*signing.Key) Answer {
		answer := Answer{}
		for _, key := range keys {
			answer.Records = append(answer.Records, ds(key, dns.SHA256, 60))
		}
		return answer
	}
	broken := Answer{Err: context.DeadlineExceeded}
	forged := says(fresh)
	forged.Records[0].Digest = old.DS(dns.SHA256).Digest
	unknownDigest := says(fresh)
	unknownDigest.Records[0].DigestType = 200
	tests := map[string]struct {
		answers        []Answer
		changed, whole bool
		none, strange  bool
	}{
		"changed":          {[]Answer{says(fresh), says(fresh)}, true, true, false, false},
		"not everywhere":   {[]Answer{says(fresh), says(old)}, false, true, false, false},
		"both":             {[]Answer{says(fresh, old)}, false, true, false, false},
		"one is silent":    {[]Answer{says(fresh), broken}, true, false, false, false},
		"gone":             {[]Answer{says(), says()}, false, true, true, false},
		"gone somewhere":   {[]Answer{says(), broken}, false, false, false, false},
		"the digest wrong": {[]Answer{forged}, false, true, false, true},
		"unknown digest":   {[]Answer{unknownDigest}, false, true, false, true},
		"nobody asked":     {nil, true, false, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := Summary{Answers: test.answers}
			if changed := s.Have([]*signing.Key{fresh}, []*signing.Key{old}); changed != test.changed {
				t.Errorf("changed: %v", changed)
			}
			if s.Complete() != test.whole || s.None() != test.none || s.Strange([]*signing.Key{old, fresh}) != test.strange {
				t.Errorf("complete %v, none %v, strange %v", s.Complete(), s.None(), s.Strange([]*signing.Key{old, fresh}))
			}
		})
	}
}

// Servers that are silent do not keep the others from having no DS, and a TTL from a
// cache is known for what it is.
func TestEmptyAndGiven(t *testing.T) {
	old := newKey(t)
	broken := Answer{Err: context.DeadlineExceeded}
	cached := Answer{Records: []*dns.DS{ds(old, dns.SHA256, 7)}, TTL: 7 * time.Second}
	tests := map[string]struct {
		answers []Answer
		empty   bool
		given   time.Duration
	}{
		"gone":           {[]Answer{{}, {}}, true, 0},
		"gone somewhere": {[]Answer{{}, broken}, true, 0},
		"all are silent": {[]Answer{broken}, false, 0},
		"nobody asked":   {nil, false, 0},
		"there":          {[]Answer{{}, cached}, false, 7 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := Summary{Answers: test.answers}
			if s.Empty() != test.empty || s.GivenTTL() != test.given {
				t.Errorf("empty %v, given %s", s.Empty(), s.GivenTTL())
			}
		})
	}
}

// need skips a test whose program is missing; CI has them all.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err == nil {
			return path
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	return path
}

// NSD is a parent as there are many: it says what its zone file does.
func TestNSD(t *testing.T) {
	program := need(t, "nsd")
	old := newKey(t)
	fresh := newKey(t, old)
	foreign := newKey(t, old, fresh)
	directory := t.TempDir()
	port := testport.Unused(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("test.zone", fmt.Sprintf(`$TTL 300
@ IN SOA ns a 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
example IN NS ns.example
ns.example IN A 127.0.0.1
%s
%s
unsigned IN NS ns.example
`, ds(fresh, dns.SHA256, 120), ds(fresh, dns.SHA384, 120)))
	write("nsd.conf", fmt.Sprintf(`server:
  ip-address: 127.0.0.1@%d
  username: ""
  chroot: ""
  zonesdir: %q
  pidfile: "nsd.pid"
  xfrdfile: "xfrd.state"
  zonelistfile: "zone.list"
  xfrdir: %q
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: test
  zonefile: test.zone
`, port, directory, directory))
	var log bytes.Buffer
	server := exec.Command(program, "-d", "-c", filepath.Join(directory, "nsd.conf"))
	server.Dir, server.Stdout, server.Stderr = directory, &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	}()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	var answer Answer
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if answer = Look(t.Context(), []netip.AddrPort{at}, "EXAMPLE.test")[0]; answer.Err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", answer.Err, log.String())
		}
	}
	summary := Summary{Answers: []Answer{answer}}
	if len(answer.Records) != 2 || !answer.Authoritative || summary.TTL() != 2*time.Minute {
		t.Errorf("%+v", answer)
	}
	if !summary.Have([]*signing.Key{fresh}, []*signing.Key{old}) || summary.Have([]*signing.Key{old}, nil) || summary.Strange([]*signing.Key{fresh}) || !summary.Strange([]*signing.Key{foreign}) {
		t.Error("the keys are not told apart")
	}
	none := Summary{Answers: Look(t.Context(), []netip.AddrPort{at}, "unsigned.test.")}
	if !none.None() {
		t.Errorf("%+v", none)
	}
	if other := Look(t.Context(), []netip.AddrPort{at}, "example.elsewhere.")[0]; other.Err == nil {
		t.Error("a zone of another parent has an answer")
	}
}
