package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

func TestPlacesCollide(t *testing.T) {
	for _, c := range []struct {
		one, other        string
		oneUDP, otherUDP  bool
		overTCP, overUDP4 bool
	}{
		{"127.0.0.1:53", "127.0.0.1:53", true, true, true, true},
		{"127.0.0.1:53", "127.0.0.1:53", true, false, true, false},
		{"127.0.0.1:53", "127.0.0.2:53", true, true, false, false},
		{"127.0.0.1:53", "127.0.0.1:54", true, true, false, false},
		{"0.0.0.0:53", "127.0.0.1:53", true, true, true, true},
		{"127.0.0.1:53", "0.0.0.0:53", true, true, true, true},
		{"0.0.0.0:53", "[::]:53", true, true, false, false},
		{"[::ffff:127.0.0.1]:53", "127.0.0.1:53", true, true, true, true},
		{"127.0.0.1:0", "127.0.0.1:0", true, true, false, false},
	} {
		one := place{address: netip.MustParseAddrPort(c.one), udp: c.oneUDP}
		other := place{address: netip.MustParseAddrPort(c.other), udp: c.otherUDP}
		if tcp, udp := one.collides("tcp4", other), one.collides("udp4", other); tcp != c.overTCP || udp != c.overUDP4 {
			t.Errorf("%s with %s: over TCP %v, over UDP %v, want %v and %v", c.one, c.other, tcp, udp, c.overTCP, c.overUDP4)
		}
		if got := collide([]place{one}, []place{other}); got != (c.overTCP || c.overUDP4) {
			t.Errorf("%s with %s: %v", c.one, c.other, got)
		}
	}
	all := place{address: netip.MustParseAddrPort("[::]:53")}
	if !all.collides("tcp6", place{address: netip.MustParseAddrPort("[::1]:53")}) {
		t.Error("[::]:53 and [::1]:53 do not collide")
	}
}

// asked asks a name server over UDP, once before it returns and once more after
// stop is called, which gives the number of answers and why one was lost.
func asked(t *testing.T, address string) (stop func() (answers int, lost error)) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	question, err := new(dns.Msg).SetQuestion("dl.example.test.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var answers int
	var lost error
	begun, done := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		defer close(done)
		defer begin()
		room := make([]byte, 1500)
		for last := false; !last && lost == nil; begin() {
			last = !sleep(ctx, time.Millisecond)
			_, writing := conn.Write(question)
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			_, reading := conn.Read(room)
			if lost = errors.Join(writing, reading); lost == nil {
				answers++
			}
		}
	}()
	<-begun
	return func() (int, error) {
		cancel()
		<-done
		return answers, lost
	}
}

// TestTakenAddressInAReload holds that a reload that wants an address of another
// program changes nothing: no question is without an answer meanwhile, and the
// error names the address and its key.
func TestTakenAddressInAReload(t *testing.T) {
	overTCP, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer overTCP.Close()
	overUDP, err := net.ListenPacket("udp4", "127.0.0.77:0") // where nobody has the same port over TCP
	if err != nil {
		t.Fatal(err)
	}
	defer overUDP.Close()
	f := &pairFiles{t, t.TempDir()}
	f.write(newPair(t, soon()))
	settings := func(plain []string, secure, redirects string) string {
		return fmt.Sprintf("dns: {listen: [%s], tls: {listen: [%s], certificate: %q, key: %q}}\nhttp: {listen: [%s]}\n",
			strings.Join(plain, ", "), secure, f.chainFile(), f.keyFile(), redirects)
	}
	const free = `"127.0.0.1:0"`
	r := newRunning(t, settings([]string{free}, free, free))
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	quoted := func(address fmt.Stringer) string { return fmt.Sprintf("%q", address) }
	own := r.node.dns.places()
	plain, secure, redirects := quoted(own[0].address), quoted(own[1].address), quoted(r.node.redirect.places()[0].address)

	// The same addresses with their ports: the old listeners are in the way of
	// the new ones, and nobody else is.
	r.write("node.yaml", r.config(settings([]string{plain}, secure, redirects)))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.node.dns.places(); !slices.Equal(got, own) {
		t.Fatalf("bound: %v, want %v", got, own)
	}
	for name, c := range map[string]struct{ settings, want string }{
		"TLS":                        {settings([]string{plain}, quoted(overTCP.Addr()), redirects), "dns.tls.listen[0]: binding " + overTCP.Addr().String() + ": tcp: "},
		"DNS over TCP":               {settings([]string{plain, quoted(overTCP.Addr())}, secure, redirects), "dns.listen[1]: binding " + overTCP.Addr().String() + ": tcp: "},
		"DNS over UDP":               {settings([]string{plain, quoted(overUDP.LocalAddr())}, secure, redirects), "dns.listen[1]: binding " + overUDP.LocalAddr().String() + ": udp: "},
		"redirects, other DNS given": {settings([]string{plain, free}, secure, quoted(overTCP.Addr())), "http.listen[0]: binding " + overTCP.Addr().String() + ": tcp: "},
	} {
		t.Run(name, func(t *testing.T) {
			before, redirectBefore, config := r.node.dns.running, r.node.redirect.running, r.node.config.Load()
			r.write("node.yaml", r.config(c.settings))
			stop := asked(t, own[0].address.String())
			err := r.node.requestReload(t.Context())
			answers, lost := stop()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the reload: %v, want %q", err, c.want)
			}
			if lost != nil || answers < 2 {
				t.Errorf("after %d answers: %v", answers, lost)
			}
			if r.node.dns.running != before || r.node.redirect.running != redirectBefore || r.node.config.Load() != config {
				t.Error("a listener or the configuration is another one")
			}
		})
	}
}

// lingering is a listener that gives its address up when it is to end, and ends
// when it is let go.
type lingering struct {
	net.Listener
	letGo <-chan struct{}
}

func (l *lingering) Addresses() []netip.AddrPort {
	return []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}
}

func (l *lingering) Run(ctx context.Context) error {
	<-ctx.Done()
	l.Close()
	<-l.letGo
	return nil
}

// TestOldListenerComesBackAtOnce holds that a listener that has given way to
// one that cannot be bound is bound again as soon as that is known, and not only
// when it has ended what it had begun.
func TestOldListenerComesBackAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	letGo, again := make(chan struct{}), make(chan struct{})
	address, returned := "127.0.0.1:0", false
	old := func() (listener, error) {
		bound, err := net.Listen("tcp4", address)
		if err != nil {
			return nil, err
		}
		if address == bound.Addr().String() {
			returned = true
			close(again)
		}
		address = bound.Addr().String()
		return &lingering{bound, letGo}, nil
	}
	s := &service{name: "test", registry: prometheus.NewRegistry(), failed: make(chan error, 1)}
	if err := s.start(old); err != nil {
		t.Fatal(err)
	}
	wanted := []place{s.places()[0], {address: netip.MustParseAddrPort(taken.Addr().String())}}
	bind := func() (listener, error) {
		for _, one := range wanted {
			bound, err := net.Listen("tcp4", one.address.String())
			if err != nil {
				return nil, err
			}
			defer bound.Close()
		}
		return nil, errors.New("bound what is taken")
	}
	replaced := make(chan error, 1)
	go func() { replaced <- s.replace(bind, old, wanted) }()
	select {
	case <-again:
	case <-time.After(time.Minute):
		t.Error("the old listener waits for what it had begun")
	}
	close(letGo)
	if err := <-replaced; !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("the error: %v", err)
	}
	if s.stop(); !returned || len(s.failed) != 0 {
		t.Errorf("came back: %v, failures: %d", returned, len(s.failed))
	}
}

// TestReloadWarnsOfOtherFiles holds that what is legal and not good is told of
// when a reload names it, once, and when a key becomes readable for all.
func TestReloadWarnsOfOtherFiles(t *testing.T) {
	directory := t.TempDir()
	good, bad := &pairFiles{t, filepath.Join(directory, "good")}, &pairFiles{t, filepath.Join(directory, "bad")}
	r := newRunning(t, "")
	for _, f := range []*pairFiles{good, bad} {
		mkdir(t, f.directory)
		writeSecrets(t, filepath.Join(f.directory, "secrets"), firstSecret)
	}
	good.write(newPair(t, soon()))
	bad.write(newPair(t, time.Now().Add(-time.Hour)))
	for _, path := range []string{bad.keyFile(), filepath.Join(bad.directory, "secrets")} {
		chmod(t, path, 0o644)
	}
	settings := func(f *pairFiles) string {
		return fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], cookie_secret_file: %q, tls: {listen: [\"127.0.0.1:0\"], certificate: %q, key: %q}}\n",
			filepath.Join(f.directory, "secrets"), f.chainFile(), f.keyFile())
	}
	r.write("node.yaml", r.config(settings(good)))
	r.start()
	const ofKey, ofSecret, ofTime = "may read the key", "change the cookie secret", "it is not valid now"
	warned := func(what string, key, secret, expired int) {
		t.Helper()
		if err := r.node.requestReload(t.Context()); err != nil {
			t.Fatal(err)
		}
		log := r.log.String()
		if a, b, c := strings.Count(log, ofKey), strings.Count(log, ofSecret), strings.Count(log, ofTime); a != key || b != secret || c != expired {
			t.Errorf("%s: warned of the key %d times, of the secret %d, of the time %d, want %d, %d and %d:\n%s", what, a, b, c, key, secret, expired, log)
		}
	}
	warned("good files", 0, 0, 0)
	r.write("node.yaml", r.config(settings(bad)))
	warned("bad files", 1, 1, 1)
	warned("the same bad files", 1, 1, 1)
	r.write("node.yaml", r.config(settings(good)))
	warned("good files again", 1, 1, 1)
	chmod(t, good.keyFile(), 0o644)
	warned("the key for all to read", 2, 1, 1)
	warned("still for all to read", 2, 1, 1)

	// Other TSIG keys that all may read, as those before.
	keys := filepath.Join(directory, "keys")
	r.write("node.yaml", r.config(strings.Replace(settings(good), "dns: {", fmt.Sprintf("dns: {transfer: {tsig_keys: %q}, ", keys), 1)))
	for i, name := range []string{"one", "two"} {
		writeKeys(t, keys, name)
		chmod(t, keys, 0o644)
		warned("TSIG keys", 2, 1, 1)
		if strings.Count(r.log.String(), "change the TSIG keys") <= i {
			t.Errorf("no warning of the key %s:\n%s", name, r.log)
		}
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
