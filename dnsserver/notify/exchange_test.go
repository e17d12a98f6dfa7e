package notify

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// socket is a UDP socket on loopback.
func socket(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	connection, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection, connection.LocalAddr().(*net.UDPAddr).AddrPort()
}

// tell makes one attempt at an address.
func tell(t *testing.T, address netip.AddrPort, key *tsig.Key, wait time.Duration) outcome {
	t.Helper()
	one := &attempt{ctx: t.Context(), begun: time.Now(), address: address, apex: "a.test.", soa: soa("a.test.", 1), key: key, wait: wait}
	return one.run(exchangeOverUDP)
}

func TestAnswersFromElsewhereAreNotTaken(t *testing.T) {
	listening, address := socket(t)
	forger, _ := socket(t)
	ports := make(chan uint16, 2)
	go func() {
		buffer := make([]byte, 1500)
		for {
			length, from, err := listening.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			ports <- from.Port()
			answer := append([]byte(nil), buffer[:length]...)
			answer[2] |= 0x80
			_, _ = forger.WriteToUDPAddrPort(answer, from)
			wrong := append([]byte(nil), answer...)
			wrong[0] ^= 1
			_, _ = listening.WriteToUDPAddrPort(wrong, from)
			_, _ = listening.WriteToUDPAddrPort([]byte{1}, from)
			_, _ = listening.WriteToUDPAddrPort(nil, from)
			answer[3] |= dns.RcodeServerFailure // by which it is known
			_, _ = listening.WriteToUDPAddrPort(answer, from)
		}
	}()
	got := tell(t, address, nil, time.Minute)
	if got.kind != Failed || got.ignored != 3 {
		t.Errorf("got %+v, want the last answer after three that are ignored", got)
	}
	tell(t, address, nil, time.Minute)
	if one, two := <-ports, <-ports; one == two {
		t.Errorf("both NOTIFYs came from port %d", one)
	}
}

func TestOverIPv6(t *testing.T) {
	connection, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("there is no IPv6 here: %v", err)
	}
	defer connection.Close()
	go func() {
		buffer := make([]byte, 1500)
		length, from, err := connection.ReadFromUDPAddrPort(buffer)
		if err == nil {
			buffer[2] |= 0x80
			_, _ = connection.WriteToUDPAddrPort(buffer[:length], from)
		}
	}()
	if got := tell(t, connection.LocalAddr().(*net.UDPAddr).AddrPort(), nil, time.Minute); got.kind != Acknowledged {
		t.Errorf("got %+v", got)
	}
}

func TestComesFromAnAddressOfTheNode(t *testing.T) {
	listening, address := socket(t)
	came := make(chan netip.Addr, 1)
	go func() {
		buffer := make([]byte, 1500)
		for {
			length, from, err := listening.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			came <- from.Addr()
			buffer[2] |= 0x80
			_, _ = listening.WriteToUDPAddrPort(buffer[:length], from)
		}
	}()
	for _, test := range []struct {
		name string
		from []string
		want string
	}{
		{"no address is named", nil, "127.0.0.1"},
		{"the system's choice is one of the node's", []string{"127.0.0.2", "127.0.0.1"}, "127.0.0.1"},
		{"it is none of them", []string{"::1", "127.0.0.2", "127.0.0.3"}, "127.0.0.2"},
		{"none fits", []string{"::1", "169.254.0.1"}, "127.0.0.1"},
	} {
		one := &attempt{ctx: t.Context(), begun: time.Now(), address: address, apex: "a.test.", soa: soa("a.test.", 1), wait: time.Minute}
		for _, source := range test.from {
			one.from = append(one.from, netip.MustParseAddr(source))
		}
		if got := one.run(exchangeOverUDP); got.kind != Acknowledged {
			t.Fatalf("%s: got %+v", test.name, got)
		}
		if got := <-came; got.String() != test.want {
			t.Errorf("%s: it came from %s, want %s", test.name, got, test.want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	connection, address := socket(t)
	connection.Close()
	got := tell(t, address, nil, time.Minute)
	if got.kind != Unreachable || got.problem != "cannot be reached: connection refused" {
		t.Errorf("got %+v", got)
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, address := socket(t)
	start := time.Now()
	got := tell(t, address, nil, 30*time.Millisecond)
	if got.kind != Silent || !strings.Contains(got.problem, "no answer within 30ms") || time.Since(start) < 30*time.Millisecond {
		t.Errorf("got %+v after %s", got, time.Since(start))
	}
}

// A Notifier with real sockets and a signed answer.
func TestOverLoopback(t *testing.T) {
	listening, address := socket(t)
	key := testKey(t, "transfer", "a secret of thirty-two bytes ....")
	go func() {
		buffer := make([]byte, 1500)
		for {
			length, from, err := listening.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			judged, err := tsig.Verify(buffer[:length], keyring(key), nil, time.Now())
			var request dns.Msg
			if err != nil || request.Unpack(buffer[:length]) != nil {
				continue
			}
			answer, err := new(dns.Msg).SetReply(&request).Pack()
			if err != nil {
				continue
			}
			answer, _ = tsig.Sign(answer, judged.Key(), judged.MAC(), time.Now())
			_, _ = listening.WriteToUDPAddrPort(answer, from)
		}
	}()
	n := New(nil)
	n.Set([]Secondary{{Address: address, Key: key}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	n.Serve(manyZones(300, 1))
	for deadline := time.Now().Add(time.Minute); !current(n.States()[0]); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not told within 30 s: %+v", n.Counts())
		}
	}
	cancel()
	<-ended
	if state := n.States()[0]; state.Key != "transfer." || state.Silent || state.Answered.IsZero() {
		t.Errorf("state: %+v", state)
	}
}

// current reports whether all of three hundred zones are acknowledged.
func current(state State) bool { return state.Count(StandsCurrent) == 300 }
