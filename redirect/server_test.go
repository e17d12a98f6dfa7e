package redirect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorpool/zones"
)

// startServer runs a server on loopback until the test ends.
func startServer(t *testing.T, config Config) (server *Server, stop func() error) {
	t.Helper()
	if config.Listen == nil {
		config.Listen = []string{"127.0.0.1:0"}
	}
	server, err := Listen(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return server, stop
}

func fixed(table *zones.Table) func() *zones.Table {
	return func() *zones.Table { return table }
}

// raw sends bytes and gives the answer's status and header.
func raw(t *testing.T, address netip.AddrPort, request string) *http.Response {
	t.Helper()
	connection, err := net.Dial("tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// What net/http does before and after the handler.
func TestWire(t *testing.T) {
	// As much as net/http reads at most, with its own slack: a byte that it does not read
	// could have the system cut the connection off before the answer is there.
	tooLong := "GET /tails/a HTTP/1.1\r\nHost: download.test\r\nX: "
	tooLong += strings.Repeat("x", maxHeaderBytes+4096-len(tooLong))
	server, _ := startServer(t, Config{Table: fixed(testTable(t))})
	tests := []struct {
		name, request string
		status        int
		location      string // its end
	}{
		{"plain", "GET /tails/a%2Bb HTTP/1.1\r\nHost: download.test\r\n\r\n", 302, "/a%2Bb"},
		{"HTTP/1.0", "GET /tails/a HTTP/1.0\r\nHost: download.test\r\n\r\n", 302, "/a"},
		{"as the Tails Upgrader does", "GET /tails/stable/a?x HTTP/1.1\r\nTE: deflate,gzip;q=0.3\r\nConnection: TE, close\r\nHost: download.test:80\r\nUser-Agent: libwww-perl\r\n\r\n", 302, "/stable/a?x"},
		{"double slash at the start", "GET //tails/a HTTP/1.1\r\nHost: download.test\r\n\r\n", 302, "/a"},
		{"absolute-form", "GET http://download.test/tails/a HTTP/1.1\r\nHost: other.test\r\n\r\n", 302, "/a"},
		{"absolute-form, unknown host", "GET http://other.test/tails/a HTTP/1.1\r\nHost: download.test\r\n\r\n", 421, ""},
		{"raw bytes", "GET /tails/\"<\xc3\xa9>\" HTTP/1.1\r\nHost: download.test\r\n\r\n", 302, "/%22%3C%C3%A9%3E%22"},
		{"no host", "GET /tails/a HTTP/1.0\r\n\r\n", 421, ""},
		{"no host in HTTP/1.1", "GET /tails/a HTTP/1.1\r\n\r\n", 400, ""},
		{"two hosts", "GET /tails/a HTTP/1.1\r\nHost: download.test\r\nHost: root.test\r\n\r\n", 400, ""},
		{"options on all", "OPTIONS * HTTP/1.1\r\nHost: download.test\r\n\r\n", 405, ""},
		{"post", "POST /tails/a HTTP/1.1\r\nHost: download.test\r\nContent-Length: 3\r\n\r\nabc", 405, ""},
		{"connect", "CONNECT download.test:80 HTTP/1.1\r\nHost: download.test\r\n\r\n", 405, ""},
		{"parent", "GET /tails/../a HTTP/1.1\r\nHost: download.test\r\n\r\n", 400, ""},
		{"escaped line end", "GET /tails/a%0d%0aX:y HTTP/1.1\r\nHost: download.test\r\n\r\n", 400, ""},
		{"number sign", "GET /tails/a#b HTTP/1.1\r\nHost: download.test\r\n\r\n", 400, ""},
		{"header too long", tooLong, 431, ""},
		{"headers of an untrusted peer", "GET /a HTTP/1.1\r\nHost: root.test\r\nX-Forwarded-Proto: https\r\n\r\n", 302, "e.mirror.test:8080/x/a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := raw(t, server.Addresses()[0], test.request)
			if response.StatusCode != test.status {
				t.Fatalf("status %d, expected %d", response.StatusCode, test.status)
			}
			if location := response.Header.Get("Location"); !strings.HasSuffix(location, test.location) {
				t.Errorf("Location %q, expected it to end in %q", location, test.location)
			}
		})
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("curl is not installed")
	}
	config := Config{
		Listen:         []string{"127.0.0.1:0"},
		Table:          fixed(testTable(t, "https://a.mirror.test/pub/tails/", "http://c.mirror.test/")),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Random:         newSeeded(3),
	}
	if ipv6() {
		config.Listen = append(config.Listen, "[::1]:0")
	}
	server, _ := startServer(t, config)
	for _, address := range server.Addresses() {
		run := func(arguments ...string) string {
			arguments = append([]string{"-sS", "--noproxy", "*", "--max-time", "10", "--path-as-is", "-H", "Host: download.test"}, arguments...)
			command := exec.CommandContext(t.Context(), curl, arguments...)
			command.Env = append(os.Environ(), "HOME="+t.TempDir())
			output, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("curl: %v\n%s", err, output)
			}
			return string(output)
		}
		base := "http://" + address.String()
		head := run("-I", base+"/tails/stable/a%7eb.img")
		for _, expected := range []string{
			"HTTP/1.1 302 Found\r\n", "Location: https://", "/tails/stable/a%7eb.img\r\n",
			"Link: <https://", "; rel=duplicate; pri=1", "Cache-Control: private, no-cache\r\n",
		} {
			if !strings.Contains(head, expected) {
				t.Errorf("%q is not in\n%s", expected, head)
			}
		}
		if strings.Contains(head, "Set-Cookie") {
			t.Errorf("a cookie in\n%s", head)
		}
		if got := run(base + "/mirrors.json"); got != testMirrors {
			t.Errorf("mirrors.json is not byte for byte: %q", got)
		}
		if got := run("-o", os.DevNull, "-w", "%{http_code}", base+"/tails/../x"); got != "400" {
			t.Errorf("parent: %s", got)
		}
		if got := run("-o", os.DevNull, "-w", "%{redirect_url}", "-H", "X-Forwarded-Proto: https", base+"/tails/x"); !strings.HasPrefix(got, "https://") {
			t.Errorf("https client sent to %s", got)
		}
	}
}

func ipv6() bool {
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}

// A request in flight is answered when the server is told to stop.
func TestStop(t *testing.T) {
	table := testTable(t)
	asked, release := make(chan struct{}), make(chan struct{})
	server, stop := startServer(t, Config{Table: func() *zones.Table {
		close(asked)
		<-release
		return table
	}})
	answered := make(chan string, 1)
	go func() {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		request, err := http.NewRequest(http.MethodGet, "http://"+server.Addresses()[0].String()+"/tails/a", nil)
		if err != nil {
			answered <- err.Error()
			return
		}
		request.Host = "download.test"
		response, err := client.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		_ = response.Body.Close()
		answered <- response.Status
	}()
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	// The listener closes first, and only then may the request end.
	for {
		connection, err := net.Dial("tcp", server.Addresses()[0].String())
		if err != nil {
			break
		}
		_ = connection.Close()
	}
	close(release)
	if got := <-answered; got != "302 Found" {
		t.Errorf("in flight: %s", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// A listener that breaks ends the server with an error.
func TestListenerFails(t *testing.T) {
	server, err := Listen(Config{Listen: []string{"127.0.0.1:0", "127.0.0.2:0"}, Table: fixed(nil)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(context.Background()) }()
	_ = server.listeners[1].Close()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	if _, err := net.Dial("tcp", server.Addresses()[0].String()); err == nil {
		t.Error("the other listener goes on")
	}
}

func TestListenWholeOrNot(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := free.Addr().String()
	_ = free.Close()

	_, err = Listen(Config{Listen: []string{first, taken.Addr().String()}, Table: fixed(nil)})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v", err)
	}
	again, err := net.Listen("tcp4", first)
	if err != nil {
		t.Fatalf("the first address was not given back: %v", err)
	}
	_ = again.Close()
}

// "0.0.0.0" and "[::]" with the same port get along, as in the example
// configuration; here with loopback's own.
func TestFamiliesShareAPort(t *testing.T) {
	if !ipv6() {
		t.Skip("no IPv6")
	}
	for range 20 { // the port may be taken for IPv4
		six, err := Listen(Config{Listen: []string{"[::1]:0"}, Table: fixed(nil)})
		if err != nil {
			t.Fatal(err)
		}
		port := six.Addresses()[0].Port()
		four, err := Listen(Config{Listen: []string{fmt.Sprintf("127.0.0.1:%d", port)}, Table: fixed(nil)})
		_ = six.Close()
		if err == nil {
			_ = four.Close()
			return
		}
	}
	t.Error("never both")
}

func TestAcceptErrorsAreReported(t *testing.T) {
	var reported []string
	l := &boundedListener{Listener: &brokenListener{errs: []error{syscall.EMFILE, net.ErrClosed}}, report: func(err error) {
		reported = append(reported, err.Error())
	}}
	for range 2 {
		if _, err := l.Accept(); err == nil {
			t.Error("no error")
		}
	}
	if len(reported) != 1 || !strings.Contains(reported[0], "too many open files") {
		t.Errorf("reported %q", reported)
	}
}

type brokenListener struct {
	net.Listener
	errs []error
}

func (b *brokenListener) Accept() (net.Conn, error) {
	err := b.errs[0]
	b.errs = b.errs[1:]
	return nil, err
}

// At the bound a new client takes the place of the one that has been quiet the
// longest; who sends a request slowly is quiet.
func TestConnectionsAreBounded(t *testing.T) {
	const request = "GET /tails/a HTTP/1.1\r\nHost: download.test\r\n\r\n"
	server, _ := startServer(t, Config{Table: fixed(testTable(t)), MaxConnections: 3})
	connect := func(send string) net.Conn {
		t.Helper()
		connection, err := net.Dial("tcp", server.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		_ = connection.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(connection, send)
		return connection
	}
	answered := func(connection net.Conn) {
		t.Helper()
		if _, err := http.ReadResponse(bufio.NewReader(connection), nil); err != nil {
			t.Fatalf("not answered: %v", err)
		}
	}
	cut := func(connection net.Conn) {
		t.Helper()
		if _, err := io.Copy(io.Discard, connection); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("not cut")
		}
	}
	// settled waits until the server knows what its connections do.
	settled := func(quiet, busy int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			server.open.mutex.Lock()
			q, b := server.open.quiet.Len(), server.open.busy.Len()
			server.open.mutex.Unlock()
			if q == quiet && b == busy {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d quiet and %d busy connections, want %d and %d", q, b, quiet, busy)
			}
		}
	}
	slow := connect("GET /tails/a HTTP/1.1\r\nHo")
	settled(1, 0)
	first := connect(request)
	answered(first)
	settled(2, 0)
	second := connect(request)
	answered(second)
	settled(3, 0)
	third := connect(request)
	answered(third)
	cut(slow)
	settled(3, 0)
	// The first asks again, and is no longer the one that was quiet the longest.
	_, _ = io.WriteString(first, request)
	answered(first)
	settled(3, 0)
	answered(connect(request))
	cut(second)
	_, _ = io.WriteString(first, request)
	answered(first)
}

// While all are being answered, the one that takes the longest makes room.
func TestBusyConnectionsMakeRoom(t *testing.T) {
	c := newConnections(2)
	one, oneEnd := net.Pipe()
	two, _ := net.Pipe()
	three, _ := net.Pipe()
	for _, busy := range []net.Conn{one, two} {
		c.admit(busy)
		c.changed(busy, http.StateActive)
	}
	c.admit(three)
	if _, err := oneEnd.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the first is still open: %v", err)
	}
	c.changed(one, http.StateClosed) // as net/http tells afterwards
	c.changed(two, http.StateClosed)
	c.changed(three, http.StateClosed)
	if len(c.at)+c.quiet.Len()+c.busy.Len() != 0 {
		t.Errorf("left: %+v", c)
	}
}

func TestValidate(t *testing.T) {
	good := Config{Listen: []string{"127.0.0.1:0", "[::1]:80", ":8080"}, Table: fixed(nil)}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	change := func(f func(*Config)) Config {
		c := good
		f(&c)
		return c
	}
	tests := []struct {
		config Config
		words  string
	}{
		{change(func(c *Config) { c.Listen = nil }), "no address"},
		{change(func(c *Config) { c.Listen = []string{"127.0.0.1"} }), `"127.0.0.1"`},
		{change(func(c *Config) { c.Listen = []string{"127.0.0.1:"} }), "port"},
		{change(func(c *Config) { c.Listen = []string{"127.0.0.1:65536"} }), "65536"},
		{change(func(c *Config) { c.Listen = []string{"localhost:80"} }), "not an IP address"},
		{change(func(c *Config) { c.Listen = []string{"::1:80"} }), `"::1:80"`},
		{change(func(c *Config) { c.TrustedProxies = []netip.Prefix{{}} }), "not a network"},
		{change(func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")} }), "IPv4"},
		{change(func(c *Config) { c.Table = nil }), "tables"},
		{change(func(c *Config) { c.MaxConnections = -1 }), "-1"},
	}
	for _, test := range tests {
		err := test.config.Validate()
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("error %v does not say %q", err, test.words)
		}
		if _, listenErr := Listen(test.config); listenErr == nil {
			t.Errorf("Listen took what Validate refuses: %v", err)
		}
	}
}
