package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/dnsserver"
	"mirrorpool/pool/hostnames"
	"mirrorpool/testport"
)

// namesServer is a resolver that knows one name.
type namesServer struct {
	*testing.T
	address string
	stop    func()

	mutex   sync.Mutex
	records []string // of m.example.
}

func newNamesServer(t *testing.T, address string) *namesServer {
	t.Helper()
	s := &namesServer{T: t}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = packets.LocalAddr().String()
	started, done := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(s.answer), NotifyStartedFunc: func() { close(started) }}
	go func() { done <- server.ActivateAndServe() }()
	<-started
	s.stop = sync.OnceFunc(func() {
		if err := server.Shutdown(); err != nil {
			t.Errorf("stopping the resolver: %v", err)
		}
		<-done
	})
	t.Cleanup(s.stop)
	return s
}

func (s *namesServer) set(records ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.records = records
}

func (s *namesServer) answer(w dns.ResponseWriter, query *dns.Msg) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	reply := new(dns.Msg).SetReply(query)
	reply.RecursionAvailable = true
	for _, text := range s.records {
		record, err := dns.NewRR("m.example. 60 IN " + text)
		if err != nil {
			s.Error(err)
			continue
		}
		if record.Header().Rrtype == query.Question[0].Qtype {
			reply.Answer = append(reply.Answer, record)
		}
	}
	if err := w.WriteMsg(reply); err != nil {
		s.Logf("answering: %v", err) // who asked may be gone
	}
}

// startWebServers makes addresses that are well at one port, which they have in common.
func startWebServers(t *testing.T, addresses ...string) (port uint16) {
	t.Helper()
	for _, address := range addresses {
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
		if err != nil {
			t.Fatal(err)
		}
		port = netip.MustParseAddrPort(listener.Addr().String()).Port()
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go func() { _ = server.Serve(listener) }() // it ends when the test closes it
		t.Cleanup(func() { server.Close() })
	}
	return port
}

// poolAddresses are all addresses that the pool's members have in answers of now, sorted.
func (r *running) poolAddresses() string {
	r.Helper()
	reply := r.ask("dl.example.test.", dns.TypeA)
	var list []string
	for _, record := range reply.Answer {
		list = append(list, record.(*dns.A).A.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func hostPools(port uint16) string {
	return fmt.Sprintf(`{ "pools": [ {
  "name": "dl.example.test", "ttl": 5, "answers": 4,
  "health": { "check": "http", "port": %d, "interval": "1s", "down_after": 1, "up_after": 1 },
  "members": [
    { "id": "fixed", "addresses": ["127.0.0.41"], "weight": 1 },
    { "id": "named", "host": "M.example.", "weight": 10 }
  ] } ] }
`, port)
}

func TestHostNames(t *testing.T) {
	resolver := newNamesServer(t, "127.0.0.1:0")
	port := startWebServers(t, "127.0.0.41", "127.0.0.42", "127.0.0.43")
	r := newRunning(t, fmt.Sprintf("health: {resolver: %q}\n", resolver.address))
	resolver.set("A 127.0.0.42")
	r.write("checkout/pools.json", hostPools(port))
	commit := r.push("Hosts")
	r.start()
	r.serving(commit)
	// The first table has it, and what is there has been probed.
	if got := r.poolAddresses(); got != "127.0.0.41 127.0.0.42" {
		t.Fatalf("given: %q\n%s", got, r.log)
	}

	// It moves, and there is no moment without it.
	resolver.set("A 127.0.0.43", "A 169.254.1.1")
	var seen []string
	r.node.hosts.resolver.Refresh()
	r.eventually("the new address is given", func() bool {
		got := r.poolAddresses()
		if !slices.Contains(seen, got) {
			seen = append(seen, got)
		}
		return got == "127.0.0.41 127.0.0.43"
	})
	if before := "127.0.0.41 127.0.0.42"; len(seen) > 2 || seen[0] != before && len(seen) > 1 {
		t.Errorf("given meanwhile: %q", seen)
	}
	r.eventually("the log says what is left out", func() bool { return strings.Contains(r.log.String(), "169.254.1.1 (a link-local address) is left out") })
	if stage := r.stage(stageHostnames); stage.Error != "" {
		t.Errorf("the stage fails: %+v", stage)
	}
	if code, body := r.get("/metrics"); code != http.StatusOK || !strings.Contains(body, `mirrorpool_hostname_addresses{family="ipv4",host="m.example"} 1`) ||
		!strings.Contains(body, `mirrorpool_hostname_failing{host="m.example"} 0`) {
		t.Errorf("metrics lack the host name: %d", code)
	}

	// One that nobody answers at is there, and not given.
	resolver.set("A 127.0.0.44")
	r.node.hosts.resolver.Refresh()
	r.eventually("an address that is down takes the member out", func() bool { return r.poolAddresses() == "127.0.0.41" })
	resolver.set("A 127.0.0.43", "A 127.0.0.42")
	r.node.hosts.resolver.Refresh()
	r.eventually("both addresses are given", func() bool { return r.poolAddresses() == "127.0.0.41 127.0.0.42 127.0.0.43" })

	// The resolver goes away: what it said last stays, loudly, and over a restart.
	resolver.stop()
	r.node.hosts.resolver.Refresh()
	r.eventually("the stage fails", func() bool { return strings.Contains(r.stage(stageHostnames).Error, "connection refused") })
	if reason := r.stage(stageHostnames).Error; !strings.Contains(reason, "resolving m.example: A: ") || !strings.Contains(reason, "the last good answer is kept (127.0.0.42, 127.0.0.43)") {
		t.Errorf("the stage says %q", reason)
	}
	if code, body := r.get("/metrics"); code != http.StatusOK || !strings.Contains(body, `mirrorpool_hostname_failing{host="m.example"} 1`) {
		t.Errorf("metrics do not say so: %d", code)
	}
	if got := r.poolAddresses(); got != "127.0.0.41 127.0.0.42 127.0.0.43" {
		t.Errorf("given: %q", got)
	}
	r.stop()
	r.start()
	r.serving(commit)
	if got := r.poolAddresses(); got != "127.0.0.41 127.0.0.42 127.0.0.43" {
		t.Errorf("given after a restart: %q\n%s", got, r.log)
	}
	again := newNamesServer(t, resolver.address)
	again.set("A 127.0.0.42")
	r.node.hosts.resolver.Refresh()
	r.eventually("it is followed again", func() bool {
		return r.poolAddresses() == "127.0.0.41 127.0.0.42" && r.stage(stageHostnames).Error == ""
	})

	// A commit without the name forgets it.
	r.write("checkout/pools.json", strings.Replace(hostPools(port), `"host": "M.example."`, `"addresses": ["127.0.0.43"]`, 1))
	r.serving(r.push("No hosts"))
	if got := r.poolAddresses(); got != "127.0.0.41 127.0.0.43" || len(r.node.hosts.resolver.States()) != 0 {
		t.Errorf("given: %q, names %v", got, r.node.hosts.resolver.States())
	}
}

// A name that has no address yet does not keep the rest from being served, and another
// resolver can be named while the server runs.
func TestHostNamesUnresolved(t *testing.T) {
	resolver := newNamesServer(t, "127.0.0.1:0")
	port := startWebServers(t, "127.0.0.41", "127.0.0.42")
	gone := fmt.Sprintf("127.0.0.1:%d", testport.Unused(t))
	r := newRunning(t, fmt.Sprintf("health: {resolver: %q}\n", gone))
	r.write("checkout/pools.json", hostPools(port))
	commit := r.push("Hosts")
	r.start()
	r.serving(commit)
	if got := r.poolAddresses(); got != "127.0.0.41" {
		t.Errorf("given: %q", got)
	}
	if code, body := r.get("/api/v1/explain?client=127.0.0.1"); code != http.StatusOK || !strings.Contains(body, "m.example has no A address that is known") {
		t.Errorf("explain does not say why: %d %s", code, body)
	}
	resolver.set("A 127.0.0.42")
	dnsAddress := r.node.dns.listener().(*dnsserver.Server).Addresses()[0]
	r.write("node.yaml", r.config(fmt.Sprintf("health: {resolver: %q}\ndns: {listen: [%q]}\n", resolver.address, dnsAddress)))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("the named member is given", func() bool { return r.poolAddresses() == "127.0.0.41 127.0.0.42" })
}

func TestResolverSetting(t *testing.T) {
	const itself = ", expected a resolver: at this address"
	for _, test := range []struct{ listen, value, mistake string }{
		{"127.0.0.2:53", "127.0.0.2:54", ""},
		{"0.0.0.0:53", "127.0.0.1:54", ""},
		{"0.0.0.0:53", "[::1]:53", ""},
		{"0.0.0.0:53", "127.0.0.1:53", itself},
		{"0.0.0.0:53", "127.0.0.53:53", itself},
		{"0.0.0.0:53", "[::ffff:127.0.0.1]:53", itself},
		{"[::]:53", "[::1]:53", itself},
		{"[::]:53", "127.0.0.1:53", ""},
		{"127.0.0.1:53", "0.0.0.0:53", itself},
		{"[::1]:53", "[::]:53", itself},
	} {
		_, err := parseConfig("node.yaml", fmt.Appendf(nil, "git: {url: /x}\ndns: {listen: [%q]}\nhealth: {resolver: %q}\n", test.listen, test.value))
		if (err == nil) != (test.mistake == "") || err != nil && !strings.Contains(err.Error(), test.mistake) {
			t.Errorf("%s beside %s: %v, want %q", test.value, test.listen, err, test.mistake)
		}
	}
	for value, mistake := range map[string]string{
		"127.0.0.1:53": "", "[::1]:5353": "",
		"127.0.0.2:53":        `health.resolver: found "127.0.0.2:53", expected a resolver: at this address`,
		"127.0.0.1":           `health.resolver: found "127.0.0.1", expected an IP address and a port`,
		"resolver.example:53": `health.resolver: found "resolver.example:53", expected an IP address and a port`,
	} {
		_, err := parseConfig("node.yaml", fmt.Appendf(nil, "git: {url: /x}\ndns: {listen: [\"127.0.0.2:53\"]}\nhealth: {resolver: %q}\n", value))
		if (err == nil) != (mistake == "") || err != nil && !strings.Contains(err.Error(), mistake) {
			t.Errorf("%s: %v, want %q", value, err, mistake)
		}
	}
}

// An address of this machine's own is this server where it listens at all of them.
func TestResolverOfThisMachine(t *testing.T) {
	machine := func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fe80::1")}
	}
	for _, test := range []struct {
		to, listen string
		want       bool
	}{
		{"192.0.2.1:53", "0.0.0.0:53", true},
		{"[::ffff:192.0.2.1]:53", "0.0.0.0:53", true},
		{"192.0.2.1:54", "0.0.0.0:53", false},
		{"192.0.2.2:53", "0.0.0.0:53", false},
		{"192.0.2.1:53", "[::]:53", false},
		{"192.0.2.1:53", "127.0.0.1:53", false},
		{"[2001:db8::1]:53", "[::]:53", true},
		{"[2001:db8::2]:53", "[::]:53", false},
		{"[2001:db8::1]:53", "0.0.0.0:53", false},
		{"[fe80::1%eth1]:53", "[::]:53", false},
	} {
		if got := reaches(netip.MustParseAddrPort(test.to), netip.MustParseAddrPort(test.listen), machine); got != test.want {
			t.Errorf("%s reaches %s: %t", test.to, test.listen, got)
		}
	}
	addresses := machineAddresses()
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			continue // the machine has none
		}
		listener.Close()
		if !slices.Contains(addresses, netip.MustParseAddr(loopback)) {
			t.Errorf("%s is not among this machine's addresses %v", loopback, addresses)
		}
	}
	for _, address := range addresses {
		if address.IsLoopback() || address.IsLinkLocalUnicast() {
			continue
		}
		listen := "0.0.0.0:53"
		if address.Is6() {
			listen = "[::]:53"
		}
		own := netip.AddrPortFrom(address, 53).String()
		_, err := parseConfig("node.yaml", fmt.Appendf(nil, "git: {url: /x}\ndns: {listen: [%q]}\nhealth: {resolver: %q}\n", listen, own))
		if err == nil || !strings.Contains(err.Error(), "expected a resolver") {
			t.Errorf("%s beside %s: %v", own, listen, err)
		}
	}
}

// A commit waits for its names no longer than the bound, and a stop ends that.
func TestStopWhileResolving(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := newRunning(t, fmt.Sprintf("health: {resolver: %q}\n", silent.LocalAddr().String()))
	r.write("checkout/pools.json", hostPools(1))
	r.push("Hosts")
	r.start()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if r.stop(); time.Since(start) > 5*time.Second {
		t.Errorf("stopping took %v", time.Since(start))
	}
}

// The names in mirrors' URLs are asked of the same resolver, also of one that a reload names.
func TestMirrorNamesAskTheResolver(t *testing.T) {
	first, second := newNamesServer(t, "127.0.0.1:0"), newNamesServer(t, "127.0.0.1:0")
	first.set("A 127.0.0.42")
	second.set("A 127.0.0.43")
	urls := newURLResolver(first.address)
	for _, want := range []string{"127.0.0.42", "127.0.0.43"} {
		got, err := urls.LookupNetIP(t.Context(), "ip", "m.example.")
		if err != nil || len(got) != 1 || got[0].Unmap().String() != want {
			t.Errorf("%v, %v, want %s", got, err, want)
		}
		urls.set(second.address)
	}

	// Where nobody answers, names lead where they led last, and the stage says so.
	var log lockedBuffer
	h := &hosts{logger: zerolog.New(&log), stages: newStages(time.Now), resolver: hostnames.New(hostnames.Config{}), urls: urls}
	for _, resolver := range []string{fmt.Sprintf("127.0.0.1:%d", testport.Unused(t)), second.address} {
		urls.set(resolver)
		got, err := urls.LookupNetIP(t.Context(), "ip", "m.example.")
		if err != nil || len(got) != 1 || got[0].Unmap().String() != "127.0.0.43" {
			t.Errorf("%s: %v, %v", resolver, got, err)
		}
		for range 2 {
			h.judge()
		}
		if fails := h.stages.isFailing(stageHostnames); fails == (resolver == second.address) {
			t.Errorf("%s: the stage fails: %t", resolver, fails)
		}
		answers := strings.Count(log.String(), "the resolver answers again")
		if silent := strings.Count(log.String(), "connection refused"); silent != 1 || (answers == 1) != (resolver == second.address) {
			t.Errorf("%s: logged %d times that it is silent, %d times that it answers:\n%s", resolver, silent, answers, &log)
		}
	}
}
