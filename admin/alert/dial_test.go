package alert

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

// Servers are looked up by all of their names, and greeted by what the settings call them.
func TestServersByName(t *testing.T) {
	a := newAuthority(t)
	hosts := make(chan string, 1)
	web := hook(t, a, func(_ http.ResponseWriter, r *http.Request) { hosts <- r.TLS.ServerName + " " + r.Host })
	var asked []string
	leading := func(to string) dialer {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			asked = append(asked, address)
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}
	}
	w := &Webhook{URL: "https://server.test/", Form: FormText, RootCAs: a.pool, dialer: leading(web.Listener.Addr().String())}
	if err := attemptOnce(context.Background(), w, nastyMessage(), 10*time.Second); err != nil {
		t.Error(err)
	} else if names := <-hosts; names != "server.test server.test" {
		t.Errorf("asked a web server for %q", names)
	}
	post, names := refusing(t, a)
	somebody := []*mail.Address{{Address: "a@server.test"}}
	m := &Mail{Server: "server.test:465", TLS: ImplicitTLS, RootCAs: a.pool, From: somebody[0], To: somebody, dialer: leading(post)}
	if err := attemptOnce(context.Background(), m, nastyMessage(), 10*time.Second); err == nil || !strings.Contains(err.Error(), "554") {
		t.Errorf("the mail server is not heard: %v", err)
	} else if name := <-names; name != "server.test" {
		t.Errorf("asked a mail server for %q", name)
	}
	failing := errors.New("nobody there")
	m.dialer = func(_ context.Context, _, address string) (net.Conn, error) {
		asked = append(asked, address)
		return nil, failing
	}
	for _, m.Server = range []string{"server.test.:25", "localhost:25", "[::1]:25", "127.0.0.1:25"} {
		if err := attemptOnce(context.Background(), m, nastyMessage(), 10*time.Second); !errors.Is(err, failing) {
			t.Error(err)
		}
	}
	want := []string{"server.test.:443", "server.test.:465", "server.test.:25", "localhost:25", "[::1]:25", "127.0.0.1:25"}
	if !slices.Equal(asked, want) {
		t.Errorf("connected to %q, want %q", asked, want)
	}
}

// refusing is a mail server over TLS that has no time, and tells by what name it was asked.
func refusing(t *testing.T, a *authority) (address string, names <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	asked := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{a.pair}})
		_, _ = io.WriteString(secured, "554 no time\r\n") // fails where the certificate is refused, which the client tells
		asked <- secured.ConnectionState().ServerName
		_, _ = secured.Read(make([]byte, 1))
	}()
	return listener.Addr().String(), asked
}

// What is not said otherwise connects as Go does: by /etc/hosts, too.
func TestServersInHosts(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	conn, err := dialer(nil).dial(context.Background(), "tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	taken, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	taken.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
