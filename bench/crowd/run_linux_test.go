package crowd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serve answers every question over TCP and TLS with a response code, and tells who asked.
func serve(t *testing.T, code int, from func(netip.Addr)) (plain, secure netip.AddrPort) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		NextProtos:   []string{"dot"},
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, asked *dns.Msg) {
		from(w.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		_ = w.WriteMsg(new(dns.Msg).SetRcode(asked, code)) // the client may have gone
	})
	listen := func(wrap func(net.Listener) net.Listener) netip.AddrPort {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &dns.Server{Listener: wrap(listener), Handler: handler}
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		done := make(chan error, 1)
		go func() { done <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
		return listener.Addr().(*net.TCPAddr).AddrPort()
	}
	return listen(func(l net.Listener) net.Listener { return l }),
		listen(func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
}

func question(t *testing.T) []byte {
	t.Helper()
	packet, err := new(dns.Msg).SetQuestion("example.test.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// afterSome calls end once two new ones have asked.
func afterSome(end func()) (from func(netip.Addr)) {
	var came atomic.Int32
	newcomers := netip.MustParsePrefix("127.10.0.0/16")
	return func(client netip.Addr) {
		if newcomers.Contains(client) && came.Add(1) == 2 {
			end()
		}
	}
}

// Every kind comes, the honest are answered, and new ones are.
func TestCrowdComes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	plain, secure := serve(t, dns.RcodeSuccess, afterSome(cancel))
	plan := Plan{Server: plain, TLS: secure, Question: question(t), Clients: map[Kind]int{}}
	for _, kind := range Kinds {
		plan.Clients[kind] = 3
	}
	result, err := Run(ctx, plan, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds {
		c := result.Kinds[kind]
		answered := kind == Vanishing || kind == Resetting || kind == Secure || kind == Honest
		if c.Opened < 3 || (c.Answered >= 3) != answered {
			t.Errorf("%s: %+v", kind, c)
		}
	}
	if n := result.Newcomers; n.Came == 0 || n.Answered != n.Came || n.Slowest <= 0 {
		t.Errorf("new ones: %+v", n)
	}
}

// Wrong answers are none.
func TestCrowdLooksAtAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	plain, secure := serve(t, dns.RcodeServerFailure, afterSome(cancel))
	plan := Plan{Server: plain, TLS: secure, Question: question(t), Clients: map[Kind]int{Silent: 1}}
	result, err := Run(ctx, plan, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := result.Newcomers; n.Came == 0 || n.Answered != 0 || n.Why["a wrong answer"] != n.Came {
		t.Errorf("new ones: %+v", n)
	}
}

func TestPlansAreChecked(t *testing.T) {
	good := Plan{
		Server: netip.MustParseAddrPort("127.0.0.1:53"), TLS: netip.MustParseAddrPort("127.0.0.1:853"),
		Question: make([]byte, 12), Clients: map[Kind]int{Silent: 1},
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*Plan){
		"not on this machine": func(p *Plan) { p.TLS = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10}), 853) },
		"a question of":       func(p *Plan) { p.Question = nil },
		`that are "rude"`:     func(p *Plan) { p.Clients = map[Kind]int{"rude": 1} },
		"no clients":          func(p *Plan) { p.Clients = nil },
	} {
		p := good
		spoil(&p)
		if _, err := Run(t.Context(), p, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
