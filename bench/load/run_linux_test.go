package load

import (
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"mirrorpool/testport"
)

// serve runs a server on a loopback address until the test ends.
func serve(t *testing.T, network, address string, handler dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	// The generator never lets go of its processor.
	if before := runtime.GOMAXPROCS(0); before < 4 {
		runtime.GOMAXPROCS(4)
		t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
	server := &dns.Server{Handler: handler, MaxTCPQueries: -1}
	var at net.Addr
	switch network {
	case "tcp":
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Skipf("no such loopback address here: %v", err)
		}
		server.Listener, at = listener, listener.Addr()
	default:
		packets, err := net.ListenPacket(network, address)
		if err != nil {
			t.Skipf("no such loopback address here: %v", err)
		}
		server.PacketConn, at = packets, packets.LocalAddr()
	}
	ended := make(chan error, 1)
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		server.Shutdown()
		<-ended
	})
	return netip.MustParseAddrPort(at.String())
}

// reply answers with that many records.
func reply(w dns.ResponseWriter, asked *dns.Msg, code, records int) {
	m := new(dns.Msg).SetRcode(asked, code)
	for range records {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: asked.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
			A:   net.IPv4(127, 0, 0, 1),
		})
	}
	w.WriteMsg(m)
}

func runPlan(t *testing.T, plan Plan) *Result {
	t.Helper()
	result, err := Run(plan, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if waiting := result.Sent - result.Answered - result.Lost; result.WrongAnswers() == 0 && waiting != 0 {
		t.Errorf("%d questions of %d are neither answered nor lost", waiting, result.Sent)
	}
	return result
}

func TestEveryAnswerIsCounted(t *testing.T) {
	for _, c := range []struct {
		name, network, address string
		change                 func(*Plan)
	}{
		{"UDP", "udp", "127.0.0.1:0", func(*Plan) {}},
		{"UDP over IPv6", "udp", "[::1]:0", func(*Plan) {}},
		{"UDP, sizes mixed", "udp", "127.0.0.1:0", func(p *Plan) {
			p.Questions = append(p.Questions, mustQuestion(t, "a.longer.name.test", TypeA, Form{Varying: VaryLabel}),
				mustQuestion(t, "dl.example.test", TypeAAAA, Form{Varying: VarySubnet6}))
		}},
		{"UDP at a rate", "udp", "127.0.0.1:0", func(p *Plan) { p.Rate = 2000 }},
		{"TCP", "tcp", "127.0.0.1:0", func(p *Plan) { p.TCP = true }},
		{"TCP over IPv6", "tcp", "[::1]:0", func(p *Plan) { p.TCP = true }},
		{"TCP, ten a connection", "tcp", "127.0.0.1:0", func(p *Plan) { p.TCP, p.PerConnection = true, 10 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Uint64
			plan := goodPlan(t, "127.0.0.1:53")
			plan.Server = serve(t, c.network, c.address, func(w dns.ResponseWriter, m *dns.Msg) {
				asked.Add(1)
				reply(w, m, dns.RcodeSuccess, 2)
			})
			c.change(&plan)
			for i := range plan.Questions {
				plan.Questions[i].Records = 2
			}
			result := runPlan(t, plan)
			if result.Answered == 0 || result.Lost != 0 || result.WrongAnswers() != 0 || result.Refused != 0 {
				t.Errorf("the result is %+v", result)
			}
			if result.Sent != asked.Load() || result.Records != 2*result.Answered {
				t.Errorf("%d sent, %d came; %d records", result.Sent, asked.Load(), result.Records)
			}
			if result.P50 <= 0 || result.Max < result.P99 || result.P99 < result.P50 {
				t.Errorf("latencies of %s, %s, %s", result.P50, result.P99, result.Max)
			}
		})
	}
}

func TestWhatIsWrongIsCountedAsThat(t *testing.T) {
	t.Parallel() // it waits
	var count atomic.Uint64
	plan := goodPlan(t, "127.0.0.1:53")
	plan.GiveUp = 3 * time.Second
	plan.Late = time.Millisecond
	plan.Duration = 10 * time.Millisecond // of which the first window has all kinds
	plan.Questions[0].Records = 1
	plan.Server = serve(t, "udp", "127.0.0.1:0", func(w dns.ResponseWriter, m *dns.Msg) {
		switch count.Add(1) % 8 {
		case 0: // none
		case 1:
			reply(w, m, dns.RcodeRefused, 0)
		case 2:
			reply(w, m, dns.RcodeSuccess, 0)
		case 3:
			time.Sleep(2 * time.Millisecond)
			reply(w, m, dns.RcodeSuccess, 1)
		case 4:
			m.Id += 1000
			reply(w, m, dns.RcodeSuccess, 1)
		default:
			reply(w, m, dns.RcodeSuccess, 1)
		}
	})
	result := runPlan(t, plan)
	for _, v := range []verdict{wrongCode, wrongRecords, unexpected} {
		if result.Wrong[v.String()] == 0 {
			t.Errorf("none with %s: %+v", v, result)
		}
	}
	if result.Lost == 0 || result.Late == 0 || result.Answered == 0 {
		t.Errorf("the result is %+v", result)
	}
}

func TestAFixedRateIsKept(t *testing.T) {
	plan := goodPlan(t, "127.0.0.1:53")
	plan.Server = serve(t, "udp", "127.0.0.1:0", func(w dns.ResponseWriter, m *dns.Msg) { reply(w, m, dns.RcodeSuccess, 0) })
	plan.Rate, plan.Duration = 1000, 200*time.Millisecond
	result := runPlan(t, plan)
	// What this process is late with is left out, not made up for.
	if all := result.Sent + result.Skipped; all < 198 || all > 202 {
		t.Errorf("%d sent and %d left out, expected 200 in all", result.Sent, result.Skipped)
	}
}

func TestTheWarmUpIsNotCounted(t *testing.T) {
	var asked, before atomic.Uint64
	plan := goodPlan(t, "127.0.0.1:53")
	plan.WarmUp = 20 * time.Millisecond
	plan.Server = serve(t, "udp", "127.0.0.1:0", func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		reply(w, m, dns.RcodeSuccess, 0)
	})
	result, err := Run(plan, func() error {
		before.Store(asked.Load())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if before.Load() == 0 || result.Sent != asked.Load()-before.Load() {
		t.Errorf("%d sent, %d came after %d of the warm-up", result.Sent, asked.Load()-before.Load(), before.Load())
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	plan := goodPlan(t, "127.0.0.1:53")
	plan.Server = netip.AddrPortFrom(plan.Server.Addr(), testport.Unused(t))
	plan.TCP = true
	if result, err := Run(plan, func() error { return nil }); err == nil && result.Refused == 0 {
		t.Errorf("the result is %+v", result)
	}
	plan.TCP, plan.GiveUp = false, 20*time.Millisecond
	if result := runPlan(t, plan); result.Answered != 0 || result.Lost == 0 {
		t.Errorf("the result is %+v", result)
	}
}

// TestAskingAllocatesNothing holds what keeps Go out of the measurement.
func TestAskingAllocatesNothing(t *testing.T) {
	for _, form := range []Form{{}, {Varying: VaryLabel}, {Varying: VarySubnet4}} {
		echo, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(echo)
		if err := unix.Bind(echo, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		plan := goodPlan(t, "127.0.0.1:53")
		plan.Server = netip.AddrPortFrom(plan.Server.Addr(), portOf(t, echo))
		plan.Questions = []Question{mustQuestion(t, "dl.example.test", TypeA, form)}
		plan.Sockets = 1
		made, err := newEngine(&plan)
		if err != nil {
			t.Fatal(err)
		}
		defer made.close()
		engine := made.(*datagrams)
		// Connected to its one client it needs no addresses, which take memory.
		client := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(portOf(t, engine.sockets[0].descriptor))}
		if err := unix.Connect(echo, client); err != nil {
			t.Fatal(err)
		}
		packet := make([]byte, maxPacket)
		allocated := testing.AllocsPerRun(100, func() {
			asked, err := engine.askWindow(engine.clock())
			if err != nil || asked != plan.Window {
				t.Fatalf("asked %d: %v", asked, err)
			}
			for range asked {
				n, err := unix.Read(echo, packet)
				if err != nil {
					t.Fatal(err)
				}
				packet[2] |= 0x80
				if _, err := unix.Write(echo, packet[:n]); err != nil {
					t.Fatal(err)
				}
			}
			for got := 0; got < asked; {
				n, err := engine.receive()
				if err != nil {
					t.Fatal(err)
				}
				got += n
			}
		})
		if allocated != 0 {
			t.Errorf("%q: %g allocations", form.Varying, allocated)
		}
		if want := uint64(101 * plan.Window); engine.tally.answered != want || engine.tally.sent != want {
			t.Errorf("%d sent, %d answered, expected %d", engine.tally.sent, engine.tally.answered, want)
		}
	}
}

func portOf(t *testing.T, descriptor int) uint16 {
	t.Helper()
	name, err := unix.Getsockname(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(name.(*unix.SockaddrInet4).Port)
}

// TestWhatWasDueLongAgoIsLeftOut holds that no burst follows when this process
// had no processor for a while.
func TestWhatWasDueLongAgoIsLeftOut(t *testing.T) {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	plan := goodPlan(t, sink.LocalAddr().String())
	plan.Rate = 1000
	made, err := newEngine(&plan)
	if err != nil {
		t.Fatal(err)
	}
	defer made.close()
	d := made.(*datagrams)
	start := d.clock()
	s := newSchedule(plan.Rate, start)
	for i, step := range []struct {
		after         time.Duration
		asked         int
		skippedBefore uint64
	}{
		{0, 1, 0},
		{500 * time.Microsecond, 0, 0},
		{1100 * time.Microsecond, 1, 0},
		{50_500 * time.Microsecond, 1, 48}, // those due at 2 to 49 ms are left out
		{50_600 * time.Microsecond, 0, 48},
		{51_000 * time.Microsecond, 1, 48},
	} {
		asked, err := d.askOnTime(s, start+int64(step.after))
		if err != nil || asked != step.asked || d.tally.skipped != step.skippedBefore {
			t.Errorf("step %d: %d asked and %d left out, expected %d and %d: %v", i, asked, d.tally.skipped, step.asked, step.skippedBefore, err)
		}
	}
}
