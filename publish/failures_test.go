package publish

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// TestPrimaryGone: who is gone is looked for later and later, and has what is wanted
// soon after it is back; a reload does not wait.
func TestPrimaryGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		at.with(func(p *fakePrimary) { p.gone = true })
		n.up("127.0.0.1")
		pass(2 * pause)
		n.expectCondition(t, "gone", Failing, "connection refused")
		pass(time.Hour)
		if s := n.States()[0]; s.Failures < 10 || s.Failures > 30 {
			t.Errorf("%d tries in an hour", s.Failures)
		}
		if told := n.told(Failed); len(told) != 1 {
			t.Errorf("told %q", told)
		}
		at.with(func(p *fakePrimary) { p.gone = false })
		n.Look()
		pass(time.Millisecond)
		expect(t, at, "back", "dl 60 A 127.0.0.1")
		n.expectCondition(t, "back", Published)
		if len(n.told(Recovered)) != 1 {
			t.Error("it is not told that it is back")
		}

		at.with(func(p *fakePrimary) { p.gone = true })
		n.up("127.0.0.2")
		pass(10 * time.Second)
		at.with(func(p *fakePrimary) { p.gone = false })
		pass(20 * time.Second)
		expect(t, at, "gone for ten seconds", "dl 60 A 127.0.0.2")
	})
}

// TestSilentPrimary: who does not answer costs no more than the patience for one
// answer, and the end of the publisher does not wait for it.
func TestSilentPrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		at.with(func(p *fakePrimary) { p.silent = true })
		n := runNode(t, newPool("127.0.0.1"), at, nil, testEntry(t))
		pass(patience + time.Millisecond)
		n.expectCondition(t, "silent", Failing, "none within 10s")
		pass(3 * time.Second)
		start := time.Now()
		n.stop()
		if took := time.Since(start); took > time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

// TestRefusals: each is said in words with the way out, and nothing is changed.
func TestRefusals(t *testing.T) {
	onUpdate := func(code int) func(*fakePrimary) {
		return func(p *fakePrimary) {
			p.refuse = func(m *dns.Msg) int {
				if m.Opcode == dns.OpcodeUpdate {
					return code
				}
				return 0
			}
		}
	}
	for name, test := range map[string]struct {
		fault func(*fakePrimary)
		key   *tsig.Key
		zone  string
		words []string
	}{
		"REFUSED":          {fault: onUpdate(dns.RcodeRefused), words: []string{"REFUSED", "allow-update", "acl", "TSIG-ALLOW-DNSUPDATE"}},
		"NOTAUTH":          {fault: onUpdate(dns.RcodeNotAuth), words: []string{"NOTAUTH", "not the primary"}},
		"another zone":     {zone: "test", words: []string{"NOTAUTH", "apex"}},
		"NOTZONE":          {fault: onUpdate(dns.RcodeNotZone), words: []string{"NOTZONE", "not in this zone"}},
		"NOTIMP":           {fault: onUpdate(dns.RcodeNotImplemented), words: []string{"NOTIMP", "dnsupdate=yes"}},
		"FORMERR":          {fault: onUpdate(dns.RcodeFormatError), words: []string{"FORMERR", "no dynamic updates"}},
		"SERVFAIL":         {fault: onUpdate(dns.RcodeServerFailure), words: []string{"SERVFAIL", "journal"}},
		"no name":          {fault: onUpdate(13), words: []string{"response code 13"}},
		"question refused": {fault: func(p *fakePrimary) { p.refuse = func(*dns.Msg) int { return dns.RcodeRefused } }, words: []string{"REFUSED", "allow-query"}},
		"question fails":   {fault: func(p *fakePrimary) { p.refuse = func(*dns.Msg) int { return dns.RcodeServerFailure } }, words: []string{"SERVFAIL"}},
		"BADKEY":           {key: testKey(t, "nobody", "a secret"), words: []string{"BADKEY", "nobody."}},
		"BADSIG":           {key: testKey(t, "publisher", "another secret"), words: []string{"BADSIG", "secrets of the two sides differ"}},
		"BADTIME":          {fault: func(p *fakePrimary) { p.now = func() time.Time { return time.Now().Add(time.Hour) } }, words: []string{"BADTIME", "its clock says", "NTP"}},
		"unsigned": {
			fault: func(p *fakePrimary) {
				p.unsigned = func(m *dns.Msg) bool { return m.Opcode == dns.OpcodeUpdate }
				p.deaf = true
			},
			words: []string{"not signed", "not believed"},
		},
		"unsigned NOTAUTH": {
			fault: func(p *fakePrimary) {
				p.unsigned = func(*dns.Msg) bool { return true }
				p.refuse = func(*dns.Msg) int { return dns.RcodeNotAuth }
			},
			words: []string{"does not take the signature", "clocks"},
		},
		"deaf":        {fault: func(p *fakePrimary) { p.deaf = true }, words: []string{"took the update, and has none now"}},
		"forged":      {fault: func(p *fakePrimary) { p.mangle = func(b []byte) []byte { b[13] ^= 0x20; return b } }, words: []string{"BADSIG"}},
		"another ID":  {fault: func(p *fakePrimary) { p.mangle = func(b []byte) []byte { b[0] ^= 1; return b } }, words: []string{"another ID"}},
		"an echo":     {fault: func(p *fakePrimary) { p.mangle = func(b []byte) []byte { b[2] &= 0x7F; return b } }, words: []string{"no answer"}},
		"cut":         {fault: func(p *fakePrimary) { p.mangle = func(b []byte) []byte { return b[:30] } }, words: []string{"malformed"}},
		"next to nil": {fault: func(p *fakePrimary) { p.mangle = func(b []byte) []byte { return b[:5] } }, words: []string{"5 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := newFake(t, testKeys(t), others)
				if test.fault != nil {
					at.with(test.fault)
				}
				e := testEntry(t)
				if test.key != nil {
					e.Key = test.key
				}
				if test.zone != "" {
					e.Zone = test.zone
				}
				n := runNode(t, newPool("127.0.0.1"), at, nil, e)
				defer n.stop()
				pass(time.Minute)
				n.expectCondition(t, name, Failing, append(test.words, "127.0.0.1:53", "dl.example.test.")[:len(test.words)]...)
				expect(t, at, name, `dl 300 TXT "text", www 300 A 127.0.0.99`)
				if s := n.States()[0]; s.FailingSince.IsZero() || s.Updates > 0 && name != "deaf" {
					t.Errorf("state %+v", s)
				}
			})
		})
	}
}

// TestUnsignedLooks: a server that signs no answers to questions is published at
// nevertheless: the prerequisites and the signed answers to updates hold.
func TestUnsignedLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), others)
		at.with(func(p *fakePrimary) { p.unsigned = func(m *dns.Msg) bool { return m.Opcode == dns.OpcodeQuery } })
		n := runNode(t, newPool("127.0.0.1"), at, nil, testEntry(t))
		defer n.stop()
		pass(time.Minute)
		expect(t, at, "published", beside("dl 60 A 127.0.0.1"))
		n.expectCondition(t, "published", Published)
	})
}

// TestChangeBetween: what changes between the look and the update is not written over
// unseen.
func TestChangeBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2"), at, nil, testEntry(t))
		defer n.stop()
		synctest.Wait()
		at.with(func(p *fakePrimary) {
			p.beforeward = func(p *fakePrimary) {
				rr, _ := dns.NewRR("dl.example.test. 60 A 127.0.0.66")
				p.records = append(p.records, rr)
			}
		})
		n.up("127.0.0.1")
		pass(2 * pause)
		expect(t, at, "seen, and put right", "dl 60 A 127.0.0.1")
		if told := n.told(Foreign); len(told) != 1 || !strings.Contains(told[0], "127.0.0.66") {
			t.Errorf("told %q", told)
		}
		if told := n.told(Failed); told != nil {
			t.Errorf("a change between is a failure: %q", told)
		}

		// It never ceases to change.
		at.with(func(p *fakePrimary) {
			p.refuse = func(m *dns.Msg) int { return map[int]int{dns.OpcodeUpdate: dns.RcodeNXRrset}[m.Opcode] }
		})
		n.up("127.0.0.2")
		pass(2 * pause)
		expect(t, at, "not written over", "dl 60 A 127.0.0.1")
		n.expectCondition(t, "not written over", Failing, "changed between")
	})
}

// TestManyPools: one server is not sent many messages at a time, and one that is
// silent holds up no other.
func TestManyPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		var mutex sync.Mutex
		open, most := 0, 0
		silent := netip.MustParseAddrPort("127.0.0.2:53")
		of := newPool("127.0.0.1")
		p, err := New(Config{Given: of.gives, Keep: func([]byte) error { return nil }, Dial: func(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
			if server == silent {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			mutex.Lock()
			open++
			most = max(most, open)
			mutex.Unlock()
			time.Sleep(time.Millisecond)
			mutex.Lock()
			open--
			mutex.Unlock()
			return at.dial(ctx, server)
		}})
		if err != nil {
			t.Fatal(err)
		}
		var entries []Entry
		for i := range 200 {
			e := testEntry(t)
			e.Pool = fmt.Sprintf("dl%d.example.test", i)
			if i%2 == 1 {
				e.Server = silent
			}
			entries = append(entries, e)
		}
		if err := p.Set(entries); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		pass(5 * time.Second)
		if at.taken() != 100 || most != underWay {
			t.Errorf("%d pools are there, by %d messages at a time", at.taken(), most)
		}
		cancel()
		<-ended
	})
}

// TestDryRun: it says what would be sent, and sends and keeps nothing.
func TestDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), others)
		e := testEntry(t)
		e.DryRun = true
		n := runNode(t, newPool("127.0.0.1", "127.0.0.2", "::1"), at, nil, e)
		defer n.stop()
		pass(10 * time.Minute)
		want := strings.Join([]string{
			"zone example.test.", "prereq nxrrset dl.example.test. CNAME", "prereq nxrrset dl.example.test. A", "prereq nxrrset dl.example.test. AAAA",
			"update add dl.example.test. 60 A 127.0.0.1", "update add dl.example.test. 60 A 127.0.0.2", "update add dl.example.test. 60 AAAA ::1",
		}, "\n")
		if told := n.told(WouldSend); len(told) != 1 || told[0] != want || n.States()[0].WouldSend != want {
			t.Errorf("told %q", told)
		}
		n.expectCondition(t, "first", Differs)
		at.add("dl 60 A 127.0.0.1")
		at.add("dl 60 AAAA ::1")
		pass(2 * time.Minute)
		want = strings.Join([]string{
			"zone example.test.", "prereq nxrrset dl.example.test. CNAME", "prereq yxrrset dl.example.test. A 127.0.0.1",
			"update delete dl.example.test. A", "update add dl.example.test. 60 A 127.0.0.1", "update add dl.example.test. 60 A 127.0.0.2",
		}, "\n")
		if got := n.States()[0].WouldSend; got != want {
			t.Errorf("would send %q", got)
		}
		at.add("dl 60 A 127.0.0.2")
		pass(2 * time.Minute)
		n.expectCondition(t, "as it should be", Published)
		at.add("dl 60 A 127.0.0.66")
		pass(2 * time.Minute)
		n.expectCondition(t, "foreign", Blocked, "adopt: true")
		if at.taken() > 0 || n.kept != nil {
			t.Errorf("%d updates, kept %s", at.taken(), n.kept)
		}
	})
}

// TestNotKept: a full disk is said, and keeps nothing from being published.
func TestNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		of := newPool("127.0.0.1", "127.0.0.2")
		of.change(func(p *testPool) { p.none = true })
		n := runNode(t, of, at, nil, testEntry(t))
		defer n.stop()
		n.mutex.Lock()
		n.noKeep = errFull
		n.mutex.Unlock()
		of.change(func(p *testPool) { p.none = false })
		n.Changed()
		pass(2 * pause)
		n.expectCondition(t, "first", Failing, errFull.Error())
		n.up("127.0.0.1")
		pass(2 * pause)
		expect(t, at, "a change of health", "dl 60 A 127.0.0.1")
		n.mutex.Lock()
		n.noKeep = nil
		n.mutex.Unlock()
		pass(2 * time.Minute)
		n.expectCondition(t, "room again", Published)
		if !strings.Contains(string(n.kept), "127.0.0.1") {
			t.Errorf("kept %s", n.kept)
		}
	})
}

// TestKeptDamaged: what cannot be read is said, and the publisher goes on without.
func TestKeptDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "dl 60 A 127.0.0.2")
		of := newPool("127.0.0.1", "127.0.0.2")
		p, err := New(Config{Given: of.gives, Kept: []byte("[{"), Keep: func([]byte) error { return nil }, Dial: at.dial})
		if err == nil || p == nil {
			t.Fatalf("gave %v and error %v", p, err)
		}
	})
}

// TestSet: entries that say something else begin anew, the others go on.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		first := testEntry(t)
		n := runNode(t, newPool("127.0.0.1"), at, nil, first)
		defer n.stop()
		synctest.Wait()
		if err := n.Set([]Entry{testEntry(t)}); err != nil { // the same with another *Key
			t.Fatal(err)
		}
		synctest.Wait()
		if s := n.States()[0]; s.Updates != 1 {
			t.Errorf("the same entry began anew: %+v", s)
		}
		second := first
		second.TTL = 30
		if err := n.Set([]Entry{second}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		expect(t, at, "another TTL", "dl 30 A 127.0.0.1")
		if n.told(Foreign) != nil {
			t.Errorf("told %q", n.told(Foreign))
		}
		for what, bad := range map[string]func(*Entry){
			"pool":     func(e *Entry) { e.Pool = "a..b" },
			"outside":  func(e *Entry) { e.Zone = "other.test" },
			"server":   func(e *Entry) { e.Server = netip.AddrPort{} },
			"key":      func(e *Entry) { e.Key = nil },
			"TTL":      func(e *Entry) { e.TTL = MaxTTL + 1 },
			"interval": func(e *Entry) { e.Interval = 0 },
			"limit":    func(e *Entry) { e.Limit = -1 },
			"rotation": func(e *Entry) { e.Limit, e.Rotation = 2, time.Second },
		} {
			e := first
			bad(&e)
			if err := n.Set([]Entry{e}); err == nil {
				t.Errorf("%s: taken", what)
			}
		}
		if err := n.Set([]Entry{first, second}); err == nil {
			t.Error("the same place twice is taken")
		}
	})
}

// FuzzAnswers: whatever a primary sends to a question or to an update, nothing is
// taken for signed that is not, and what is taken can be sent.
func FuzzAnswers(f *testing.F) {
	key := testKey(f, "publisher", "a secret")
	keys, err := tsig.NewKeyring(key)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	asked := []*dns.Msg{
		{MsgHdr: dns.MsgHdr{Id: 7}, Question: []dns.Question{{Name: "dl.example.test.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}},
		{MsgHdr: dns.MsgHdr{Id: 7, Opcode: dns.OpcodeUpdate}, Question: []dns.Question{{Name: "example.test.", Qtype: dns.TypeSOA, Qclass: dns.ClassINET}}},
	}
	mac := make([]byte, 32)
	for _, question := range asked {
		for _, records := range []string{"", "dl.example.test. 60 A 127.0.0.1", "dl.example.test. 60 CNAME www.example.test.", "DL.example.test. 60 AAAA ::1"} {
			reply := new(dns.Msg)
			reply.SetReply(question)
			reply.Opcode, reply.Authoritative = question.Opcode, true
			if rr, err := dns.NewRR(records); err == nil && rr != nil {
				reply.Answer = append(reply.Answer, rr)
			}
			packed, err := reply.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packed)
			signed, _ := tsig.Sign(packed, key, mac, now)
			f.Add(signed)
		}
	}
	p := &primary{entry: testEntry(f), keys: keys, now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 2 {
			binary.BigEndian.PutUint16(data, 7)
		}
		for _, question := range asked {
			answer, err := p.accept(data, question, mac)
			if err != nil {
				continue
			}
			if _, wrong := tsig.Verify(data, keys, mac, now); answer.signed != (wrong == nil) {
				t.Fatalf("signed %t, and verified with %v", answer.signed, wrong)
			}
			found := &seen{}
			for family := range kinds {
				if found.take(answer, question, family) != nil {
					continue
				}
				for _, address := range found.sets[family] {
					if !address.IsValid() || (family == 0) != address.Is4() {
						t.Fatalf("%s among the %s records", address, dns.Type(kinds[family]))
					}
				}
			}
			of := newPool("127.0.0.1", "::1")
			given, _ := of.gives("")
			plan := judge(p.entry, p.entry.want(*given, now), found, memory{})
			for _, v := range plan.variants() {
				if u := plan.update(v, memory{}); u != nil {
					if _, err := u.message().Pack(); err != nil {
						t.Fatalf("%s: %v", u, err)
					}
				}
			}
		}
	})
}
