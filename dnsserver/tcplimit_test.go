package dnsserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestIdleTimeoutShrinksUnderPressure(t *testing.T) {
	for _, c := range []struct {
		full       time.Duration
		used, most int
		want       time.Duration
	}{
		{10 * time.Second, 0, 1000, 10 * time.Second},
		{10 * time.Second, 1, 1000, 10 * time.Second},
		{10 * time.Second, 500, 1000, 10 * time.Second},
		{10500 * time.Millisecond, 750, 1000, 5500 * time.Millisecond},
		{10500 * time.Millisecond, 900, 1000, 2500 * time.Millisecond},
		{10 * time.Second, 1000, 1000, shortestIdle},
		{10 * time.Second, 1001, 1000, shortestIdle}, // more than there may be: the limit fell
		{10 * time.Second, 1, 1, shortestIdle},
		{10 * time.Second, 1, 2, 10 * time.Second},
		{10 * time.Second, 2, 3, 500*time.Millisecond + 4750*time.Millisecond},
		{100 * time.Millisecond, 10, 1000, 100 * time.Millisecond}, // below the floor already
		{100 * time.Millisecond, 1000, 1000, 100 * time.Millisecond},
		{1 << 62, 999_999, 1_000_000, shortestIdle + (1<<62)/500_000}, // no overflow
	} {
		got := idleTimeout(c.full, shortestIdle, c.used, c.most)
		if difference := (got - c.want).Abs(); difference > c.want/1e6 {
			t.Errorf("%v with %d of %d used: %v, want %v", c.full, c.used, c.most, got, c.want)
		}
	}
	last := time.Hour
	for used := range 1100 {
		got := idleTimeout(10*time.Second, shortestIdle, used, 1000)
		if got > last || got < shortestIdle {
			t.Fatalf("with %d used: %v after %v", used, got, last)
		}
		last = got
	}
}

func TestNetworkOf(t *testing.T) {
	for client, want := range map[string]string{
		"127.1.2.3":                "127.1.2.0/24",
		"::1":                      "::/48",
		"fd12:3456:789a:bcde:1::1": "fd12:3456:789a::/48",
		"fd12:3456:789a:1::1":      "fd12:3456:789a::/48",
	} {
		if got := networkOf(netip.MustParseAddr(client)).String(); got != want {
			t.Errorf("%s is of %s, want %s", client, got, want)
		}
	}
	if got := networkOf(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address is of %s", got)
	}
}

// dialFrom connects to the first address of the server from another one of
// loopback.
func dialFrom(t *testing.T, from string, s *running) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
	c, err := d.Dial("tcp4", s.address(false).String())
	if err != nil && runtime.GOOS != "linux" {
		t.Skipf("this system has but one address of loopback: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

var txt = query{name: "txt.example.test.", qtype: typeTXT}.bytes()

func isOpen(t *testing.T, c net.Conn) bool {
	t.Helper()
	if _, err := c.Write(framed(txt)); err != nil {
		return false
	}
	_, err := receive(c)
	if err != nil && !errors.Is(err, io.EOF) && !isReset(err) {
		t.Fatal(err)
	}
	return err == nil
}

// A network that has all its places loses the connection that was quiet the
// longest, and no other network does.
func TestNetworksAreHeldToTheirPlaces(t *testing.T) {
	s := start(t, Config{shortest: patience, Settings: Settings{TCP: TCPLimits{Connections: 100, PerNetwork: 2, Idle: patience}}})
	other := dialFrom(t, "127.0.2.1", s)
	ask(t, other, txt)
	first, second := dialFrom(t, "127.0.1.1", s), dialFrom(t, "127.0.1.2", s)
	ask(t, first, txt)
	ask(t, second, txt)
	ask(t, first, txt) // now the second is the one that was quiet the longest
	third := dialFrom(t, "127.0.1.255", s)
	ask(t, third, txt)
	if isOpen(t, second) {
		t.Error("the network has a place too many")
	}
	for name, c := range map[string]net.Conn{"other": other, "first": first, "third": third} {
		if !isOpen(t, c) {
			t.Errorf("the %s connection was closed", name)
		}
	}
	if got := counted(s.metrics.connections.evicted, "network"); got != 1 {
		t.Errorf("evicted for their networks: %v, want 1", got)
	}
	if got := counted(s.metrics.connections.evicted, "total"); got != 0 {
		t.Errorf("evicted for the total: %v, want 0", got)
	}
	// Nothing is kept of a network without connections.
	for _, c := range []net.Conn{other, first, second, third} {
		c.Close()
	}
	eventually(t, "networks are forgotten", func() bool {
		s.open.mu.Lock()
		defer s.open.mu.Unlock()
		return len(s.open.networks) == 0 && s.open.all.length == 0 && s.open.all.front == nil && s.open.all.back == nil
	})
}

// Where all places are taken, the connection that was quiet the longest goes,
// whosoever it is.
func TestTheTotalIsHeldOverNetworks(t *testing.T) {
	s := start(t, Config{shortest: patience, Settings: Settings{TCP: TCPLimits{Connections: 3, PerNetwork: 2, Idle: patience}}})
	var all []net.Conn
	for _, from := range []string{"127.0.1.1", "127.0.2.1", "127.0.2.2", "127.0.3.1"} {
		c := dialFrom(t, from, s)
		ask(t, c, txt)
		all = append(all, c)
	}
	if isOpen(t, all[0]) {
		t.Error("there is a connection too many")
	}
	for _, c := range all[1:] {
		if !isOpen(t, c) {
			t.Error("a connection was closed that was not the quietest")
		}
	}
}

// A connection that begins a question and does not end it is as quiet as one
// that says nothing, however often it sends a byte.
func TestDrippingIsQuiet(t *testing.T) {
	s := start(t, Config{shortest: patience, Settings: Settings{TCP: TCPLimits{Connections: 2, PerNetwork: 2, Idle: patience}}})
	dripping, asking := dial(t, "tcp", s.address(false)), dial(t, "tcp", s.address(false))
	ask(t, dripping, txt)
	send := func(b string) {
		t.Helper()
		if _, err := io.WriteString(dripping, b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // comes by itself, mostly
	}
	send("\x00")
	ask(t, asking, txt)
	send("\x40")
	send("a")
	ask(t, dial(t, "tcp", s.address(false)), txt)
	if !isOpen(t, asking) {
		t.Error("the connection that asked last was closed")
	}
	if _, err := receive(dripping); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one that drips: %v, want the end", err)
	}
}

// With all places taken, quiet connections end soon; once there are places
// again, the others have their time.
func TestQuietConnectionsEndSoonUnderPressure(t *testing.T) {
	s := start(t, Config{Settings: Settings{TCP: TCPLimits{Connections: 4, PerNetwork: 4, Idle: time.Minute}}})
	began := time.Now()
	var all []net.Conn
	for range 4 {
		c := dial(t, "tcp", s.address(false))
		ask(t, c, txt)
		all = append(all, c)
	}
	if _, err := all[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Fatalf("the connection that was quiet the longest: %v, want the end", err)
	}
	if took := time.Since(began); took < shortestIdle || took > patience/2 {
		t.Errorf("it ended after %v, want %v", took, shortestIdle)
	}
	time.Sleep(50 * time.Millisecond)
	for _, c := range all[1:] {
		if !isOpen(t, c) {
			t.Error("a connection was closed though there are places")
		}
	}
	if got := testutil.ToFloat64(s.metrics.connections.expired); got != 1 {
		t.Errorf("expired = %v, want 1", got)
	}
}

// What edns-tcp-keepalive says follows the pressure: nothing is promised where
// the next connection takes a place away.
func TestKeepaliveTellsTheTimeoutInForce(t *testing.T) {
	s := start(t, Config{Settings: Settings{TCP: TCPLimits{Connections: 4, PerNetwork: 3, Idle: 10 * time.Second}}})
	question := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionKeepalive, ""))}}.bytes()
	for i, c := range []struct {
		from string
		want int
	}{{"127.0.1.1", 100}, {"127.0.2.1", 100}, {"127.0.3.1", 52}, {"127.0.3.2", 0}} {
		answer := ask(t, dialFrom(t, c.from, s), question)
		if got := int(binary.BigEndian.Uint16(answer[len(answer)-2:])); got != c.want {
			t.Errorf("connection %d is told %d, want %d", i+1, got, c.want)
		}
	}
	limits := TCPLimits{Connections: 100, PerNetwork: 1, Idle: 100 * time.Hour}
	if err := s.Set(Settings{TCP: limits}); err != nil {
		t.Fatal(err)
	}
	answer := ask(t, dialFrom(t, "127.0.1.1", s), question)
	if !bytes.HasSuffix(answer, []byte{0, 0}) {
		t.Errorf("where the network has no more place: %x", answer[len(answer)-6:])
	}
	limits.PerNetwork = 100
	if err := s.Set(Settings{TCP: limits}); err != nil {
		t.Fatal(err)
	}
	// No more than fits: 6553.5 s.
	if answer = ask(t, dialFrom(t, "127.0.1.1", s), question); !bytes.HasSuffix(answer, []byte{0xFF, 0xFF}) {
		t.Errorf("with a time-out of 100 hours: %x", answer[len(answer)-6:])
	}
}

// A server that ends promises nothing.
func TestKeepaliveWhileTheServerEnds(t *testing.T) {
	_, there := tcpPair(t)
	s := unbound(Config{}.withDefaults())
	s.open = newOpenConnections(s.config.Settings.TCP, s.metrics.connections)
	server := newTCPServer(s)
	defer server.finish()
	c := newConnection(server, there, overTCP)
	s.open.join(c)
	if got, goesOn := s.open.active(c, true); got != 100 || !goesOn {
		t.Errorf("told %d, %v, want 100, true", got, goesOn)
	}
	s.open.end()
	if got, goesOn := s.open.active(c, true); got != 0 || !goesOn {
		t.Errorf("told %d, %v at the end, want 0, true", got, goesOn)
	}
	s.open.leave(c)
	if got, goesOn := s.open.active(c, true); got != 0 || goesOn {
		t.Errorf("told %d, %v without a place, want 0, false", got, goesOn)
	}
}

func TestLimitsChangeWhileTheServerRuns(t *testing.T) {
	s := start(t, Config{shortest: patience})
	var all []net.Conn
	for range 4 {
		c := dial(t, "tcp", s.address(false))
		ask(t, c, txt)
		all = append(all, c)
	}
	if err := s.Set(Settings{TCP: TCPLimits{Connections: -1}}); err == nil {
		t.Error("wrong limits were taken")
	}
	if err := s.Set(Settings{TCP: TCPLimits{Connections: 2, PerNetwork: 2, Idle: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true, true} {
		if got := isOpen(t, all[i]); got != want {
			t.Errorf("connection %d is open: %v, want %v", i, got, want)
		}
	}
	if err := s.Set(Settings{TCP: TCPLimits{Idle: 10 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range all[2:] {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
			t.Errorf("%v, want the end after the new time-out", err)
		}
	}
}

// Connections whose time is over together end a few at a time, so that their ends
// hold up nobody else, and all of them do.
func TestExpiryLeavesOthersTheirTurn(t *testing.T) {
	const all = 3*expireAtOnce + 1
	o := newOpenConnections(TCPLimits{Connections: 10 * all, PerNetwork: 10 * all, Idle: time.Hour}, newTCPMetrics())
	defer o.end()
	server := &tcpServer{server: unbound(Config{}), open: o}
	_, there := tcpPair(t)
	for range all {
		o.join(newConnection(server, there, overTCP))
	}
	o.mu.Lock()
	o.limits.Idle = time.Nanosecond
	o.mu.Unlock()
	before := time.Now()
	for last, ended := 0, 0; ended < all; last = ended {
		o.expire() // as its timer does
		ended = int(testutil.ToFloat64(o.metrics.expired))
		if ended-last > expireAtOnce && time.Since(before) < expireRests {
			t.Fatalf("%d ended at once, want at most %d", ended-last, expireAtOnce)
		}
		o.mu.Lock()
		if ended < all && (o.fires == never || o.fires < o.rests) {
			t.Errorf("the rest is not waited for: the timer fires at %v, not before %v", o.fires, o.rests)
		}
		o.mu.Unlock()
		before = time.Now()
	}
}
