package dnsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/zones"
)

// manyHosts is more than sockets hold, so that transfers of them wait for who reads.
const manyHosts = 60_000

// TestQuestionsDuringTransfer holds that questions on a connection are answered
// between the messages of a transfer, and that transfers take turns.
func TestQuestionsDuringTransfer(t *testing.T) {
	s := startTransfers(t, testTransfers(manyHosts), everybody(t))
	for over, connect := range map[string]func() net.Conn{
		"tcp": func() net.Conn { return dial(t, "tcp", s.address(false)) },
		"tls": func() net.Conn { return s.dialTLS(t, nil) },
	} {
		t.Run(over, func(t *testing.T) {
			c := connect()
			send(t, c, axfr())
			if m := mustReceive(t, c); m.Id != 0x7777 || len(m.Question) != 1 {
				t.Fatalf("began with %v", m)
			}
			second := axfr()
			second[0], second[1] = 0x88, 0x88
			send(t, c, second)
			send(t, c, query{id: 0x9999, name: "txt.example.test.", qtype: dns.TypeTXT}.bytes())
			soas, order := map[uint16]int{0x7777: 1}, []uint16{}
			for len(order) < 3 {
				m := mustReceive(t, c)
				for _, rr := range m.Answer {
					if rr.Header().Rrtype == dns.TypeSOA {
						soas[m.Id]++
					}
				}
				if m.Id == 0x9999 || soas[m.Id] == 2 {
					order = append(order, m.Id)
				}
			}
			if order[0] != 0x9999 {
				t.Errorf("ended in the order %x", order)
			}
		})
	}
	s.expectCounted(t, kindAXFR, transferWhole, 4)
}

func mustReceive(t testing.TB, c net.Conn) *dns.Msg {
	t.Helper()
	packet, err := receive(c)
	if err != nil {
		t.Fatalf("receiving: %v", err)
	}
	return parse(t, packet)
}

// TestTransferKeepsItsVersion changes the zone while it is on its way.
func TestTransferKeepsItsVersion(t *testing.T) {
	given := testTransfers(manyHosts)
	s := startTransfers(t, given, everybody(t))
	c := dial(t, "tcp", s.address(false))
	send(t, c, axfr())
	first := mustReceive(t, c)
	s.transfers.Store(&fakeTransfers{versions: map[string]*zones.Version{"example.test.": zones.NewVersion(soaOfSerial(8), hosts(3))}})
	n := len(first.Answer)
	for {
		m := mustReceive(t, c)
		n += len(m.Answer)
		if last, isSOA := m.Answer[len(m.Answer)-1].(*dns.SOA); isSOA {
			if last.Serial != 7 || n != manyHosts+4 {
				t.Errorf("ended with serial %d after %d records, want 7 after %d", last.Serial, n, manyHosts+4)
			}
			break
		}
	}
	send(t, c, axfr())
	if all, _ := readTransfer(t, c, nil, false); short(all) != "SOA8 example/NS host000000/A host000001/A host000002/A ns1/A SOA8" {
		t.Errorf("then came %s", short(all))
	}
}

// TestTransferAfterHalfClose: who has no more questions still gets its zone.
func TestTransferAfterHalfClose(t *testing.T) {
	overStreams(t, func(t *testing.T, portable bool) {
		given := testTransfers(20_000)
		s := start(t, Config{portable: portable, Settings: everybody(t), Transfers: func() Transfers { return given }})
		c := dial(t, "tcp", s.address(false))
		send(t, c, axfr())
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if all, _ := readTransfer(t, c, nil, false); len(all) != 20_004 {
			t.Errorf("%d records", len(all))
		}
		if _, err := receive(c); !errors.Is(err, io.EOF) {
			t.Errorf("then %v, want the end", err)
		}
	})
}

// TestTransfersToNobody: who does not read, or goes, holds a place for no longer than
// a connection may be quiet.
func TestTransfersToNobody(t *testing.T) {
	overStreams(t, func(t *testing.T, portable bool) {
		given := testTransfers(manyHosts)
		s := start(t, Config{portable: portable, Settings: everybody(t), Transfers: func() Transfers { return given }})
		server := &transferServer{secureServer: &secureServer{running: s}}
		server.setIdle(t, patience)
		quiet := dial(t, "tcp", s.address(false))
		send(t, quiet, axfr())
		eventually(t, "it is under way", func() bool { return s.metrics.transfers.running.Load() == 1 })
		server.setIdle(t, 100*time.Millisecond)
		server.expectCounted(t, kindAXFR, transferBroken, 1)
		server.setIdle(t, patience)
		gone := dial(t, "tcp", s.address(false))
		send(t, gone, axfr())
		mustReceive(t, gone)
		gone.Close()
		server.expectCounted(t, kindAXFR, transferBroken, 2)
	})
}

// TestSlowReader: who takes long, and goes on reading, gets all of it.
func TestSlowReader(t *testing.T) {
	given := testTransfers(manyHosts)
	settings := everybody(t)
	settings.TCP.Idle = time.Second
	s := start(t, Config{Settings: settings, Transfers: func() Transfers { return given }})
	for try := 1; ; try++ {
		took, quiet, err := readSlowly(t, s)
		if err == nil && took > settings.TCP.Idle {
			return
		}
		// A machine that is busy may make the reader one that does not read.
		if err == nil || quiet < settings.TCP.Idle/2 || try == 20 {
			t.Fatalf("%v, after %v, of which it was quiet for %v", err, took, quiet)
		}
	}
}

// readSlowly takes a zone a few messages at a time, and tells how long that took, and for
// how long at most nothing was read.
func readSlowly(t *testing.T, s *running) (took, quiet time.Duration, err error) {
	t.Helper()
	c := dial(t, "tcp", s.address(false))
	defer c.Close()
	send(t, c, axfr())
	began := time.Now()
	last := began
	for records := 0; records < manyHosts+4; {
		for range 4 {
			if records < manyHosts+4 {
				packet, err := receive(c)
				if err != nil {
					return time.Since(began), max(quiet, time.Since(last)), err
				}
				records += len(parse(t, packet).Answer)
			}
		}
		time.Sleep(50 * time.Millisecond)
		quiet, last = max(quiet, time.Since(last)), time.Now()
	}
	return time.Since(began), quiet, nil
}

// TestTransfersAtOnce holds transfers to their number.
func TestTransfersAtOnce(t *testing.T) {
	settings := everybody(t)
	settings.Transfer.Concurrent = 2
	s := startTransfers(t, testTransfers(manyHosts), settings)
	var held []net.Conn
	for range 2 {
		c := dial(t, "tcp", s.address(false))
		send(t, c, axfr())
		mustReceive(t, c)
		held = append(held, c)
	}
	c := dial(t, "tcp", s.address(false))
	key := testKeys(t).Keys()[0]
	packet, mac := signedQuestion(axfr(), key, time.Now())
	answer := ask(t, c, packet)
	if m := parse(t, answer); m.Rcode != dns.RcodeServerFailure || len(m.Answer) > 0 {
		t.Errorf("got %v", m)
	}
	if _, err := tsig.Verify(answer, testKeys(t), mac, time.Now()); err != nil {
		t.Error(err)
	}
	if m := parse(t, ask(t, c, ixfr(7))); short(m.Answer) != "SOA7" {
		t.Errorf("who has nothing to get got %v", m)
	}
	if got := testutil.ToFloat64(s.metrics.transfers.total.WithLabelValues(kindAXFR, transferBusy)); got != 1 {
		t.Errorf("counted %v", got)
	}
	if got := testutil.ToFloat64(s.metrics.transfers.now); got != 2 {
		t.Errorf("%v go on", got)
	}
	held[0].Close()
	eventually(t, "there is a place", func() bool { return s.metrics.transfers.running.Load() < 2 })
	send(t, c, axfr())
	if m := mustReceive(t, c); m.Rcode != dns.RcodeSuccess {
		t.Errorf("got %v", m)
	}
}

// TestServerEndsDuringTransfer: it does not wait for a client that does not read.
func TestServerEndsDuringTransfer(t *testing.T) {
	given := testTransfers(manyHosts)
	server, err := Listen(Config{
		Listen: loopback(), Settings: everybody(t), Table: func() Answerer { return testTable() },
		Transfers: func() Transfers { return given },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	c := dial(t, "tcp", server.Addresses()[0])
	send(t, c, axfr())
	mustReceive(t, c)
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the server goes on")
	}
	if n := server.metrics.transfers.running.Load(); n != 0 {
		t.Errorf("%d transfers go on", n)
	}
}

// TestOddRecordsInTransfers has names and records that are not like others.
func TestOddRecordsInTransfers(t *testing.T) {
	long := func(n int) dns.RR {
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: fmt.Sprintf("long%d.example.test.", n), Rrtype: dns.TypeTXT, Class: 1, Ttl: 60}}
		for range n {
			rr.Txt = append(rr.Txt, strings.Repeat("x", 255))
		}
		return rr
	}
	all := append(hosts(500), long(62), long(63), long(64), long(65), long(200), long(254))
	all = append(all, records(
		"UPPER.example.test. 60 IN A 127.0.0.1", `we\.ird\007.example.test. 60 IN A 127.0.0.9`, `*.example.test. 60 IN AAAA ::1`,
		"a.b.c.d.example.test. 60 IN MX 10 host000001.example.test.", "d.example.test. 60 IN CNAME UPPER.example.test.",
		strings.TrimRight(longName, ".")+". 60 IN A 127.0.0.3", "c.d.example.test. 60 IN TYPE65280 \\# 3 010203",
		"dname.example.test. 60 IN DNAME other.test.", `svc.example.test. 60 IN SVCB 1 . alpn="h2"`,
	)...)
	given := &fakeTransfers{versions: map[string]*zones.Version{"example.test.": zones.NewVersion(soaOfSerial(7), all)}}
	want := lines(slices.Collect(given.versions["example.test."].Records()))
	s := startTransfers(t, given, everybody(t))
	for _, key := range append(testKeys(t).Keys(), nil) {
		c := dial(t, "tcp", s.address(false))
		packet, verifier := slices.Concat(axfr(), opt(1232, do)), (*everyMessage)(nil)
		packet[11] = 1
		if key != nil {
			signed, mac := signedQuestion(packet, key, time.Now())
			packet, verifier = signed, signedWith(key, mac)
		}
		send(t, c, packet)
		got, messages := readTransfer(t, c, verifier, false)
		if !slices.Equal(lines(got[1:len(got)-1]), want) {
			t.Errorf("%d records, want %d", len(got)-2, len(want))
		}
		for i, m := range messages {
			if (m.IsEdns0() != nil) != (i == 0) {
				t.Errorf("message %d: OPT %v", i+1, m.IsEdns0())
			}
		}
	}
	// What no message has room for ends the connection, and nothing else.
	tooLong := long(255)
	tooLong.(*dns.TXT).Txt = append(tooLong.(*dns.TXT).Txt, strings.Repeat("x", 150))
	s.transfers.Store(&fakeTransfers{versions: map[string]*zones.Version{
		"example.test.": zones.NewVersion(soaOfSerial(7), append(hosts(3), tooLong)),
	}})
	c := dial(t, "tcp", s.address(false))
	packet, _ := signedQuestion(axfr(), testKeys(t).Keys()[0], time.Now())
	send(t, c, packet)
	for n := 0; ; n++ {
		if _, err := receive(c); err != nil {
			break
		}
		if n == 10 {
			t.Fatal("it goes on")
		}
	}
	s.expectCounted(t, kindAXFR, transferFailed, 1)
}

// TestTransferPadding: each message of a transfer over TLS is padded where the client
// wants that.
func TestTransferPadding(t *testing.T) {
	s := startTransfers(t, testTransfers(3000), everybody(t))
	for _, key := range append(testKeys(t).Keys(), nil) {
		packet := slices.Concat(axfr(), opt(1232, 0, option(optionPadding, "")))
		packet[11] = 1
		var mac []byte
		if key != nil {
			packet, mac = signedQuestion(packet, key, time.Now())
		}
		c := s.dialTLS(t, nil)
		send(t, c, packet)
		var verifier *everyMessage
		if key != nil {
			verifier = signedWith(key, mac)
		}
		for n, soas := 1, 0; soas < 2; n++ {
			answer, err := receive(c)
			if err != nil {
				t.Fatal(err)
			}
			if len(answer)%paddingBlock != 0 {
				t.Errorf("%v: message %d has %d bytes", key, n, len(answer))
			}
			if verifier != nil {
				if err := verifier.verify(answer, parse(t, answer)); err != nil {
					t.Error(err)
				}
			}
			for _, rr := range parse(t, answer).Answer {
				if rr.Header().Rrtype == dns.TypeSOA {
					soas++
				}
			}
		}
	}
}

// TestTransfersNeedWholePrivacy: over TLS zones are given only as RFC 9103 wants it,
// and all else as ever.
func TestTransfersNeedWholePrivacy(t *testing.T) {
	s := startTransfers(t, testTransfers(3), everybody(t))
	for name, test := range map[string]struct {
		change func(*tls.Config)
		given  bool
	}{
		"TLS 1.3 and dot":     {func(*tls.Config) {}, true},
		"TLS 1.2 and dot":     {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, false},
		"TLS 1.3 without dot": {func(c *tls.Config) { c.NextProtos = nil }, false},
	} {
		config := clientTLS()
		test.change(config)
		c := s.dialTLS(t, config)
		if m := parse(t, ask(t, c, query{name: "txt.example.test.", qtype: dns.TypeTXT}.bytes())); len(m.Answer) != 2 {
			t.Errorf("%s: a question got %v", name, m)
		}
		for _, packet := range [][]byte{axfr(), ixfr(7), ixfr(5)} {
			m := parse(t, ask(t, c, packet))
			if test.given != (m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0) || !test.given && m.Rcode != dns.RcodeRefused {
				t.Errorf("%s: a transfer got %v", name, m)
			}
		}
	}
}

// TestLargeTransfer tells what a zone of 100,000 names takes.
func TestLargeTransfer(t *testing.T) {
	given := testTransfers(100_000)
	s := startTransfers(t, given, everybody(t))
	c := dial(t, "tcp", s.address(false))
	key := testKeys(t).Keys()[0]
	packet, mac := signedQuestion(axfr(), key, time.Now())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	send(t, c, packet)
	verifier := signedWith(key, mac)
	size, messages, last := 0, 0, byte(0)
	for last != 2 {
		answer, err := receive(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.verify(answer, parse(t, answer)); err != nil {
			t.Fatal(err)
		}
		size, messages = size+len(answer), messages+1
		if len(answer) < 8<<10 { // only the last one is short
			last = 2
			if m := parse(t, answer); m.Answer[len(m.Answer)-1].Header().Rrtype != dns.TypeSOA {
				t.Error("ended without a SOA")
			}
		}
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	t.Logf("%d messages, %d bytes, %v, %d kB allocated for both sides, heap %+d kB",
		messages, size, took, (after.TotalAlloc-before.TotalAlloc)>>10, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10)
	if messages > 250 || size > 4<<20 {
		t.Errorf("%d messages of %d bytes together", messages, size)
	}
}
