package health

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// network stands for all machines that a prober can reach: connections are
// pipes, so nothing leaves the test, and it notes what was dialled.
type network struct {
	talk func(address string, connection net.Conn)

	mutex   sync.Mutex
	dialled []string
	all     sync.WaitGroup
}

func (n *network) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.dialled = append(n.dialled, address)
	ours, theirs := net.Pipe()
	n.all.Go(func() {
		defer theirs.Close()
		n.talk(address, theirs)
	})
	return ours, nil
}

// probe asks one URL, and gives what was dialled for it.
func (n *network) probe(t *testing.T, names hosts, target Target) (Result, []string) {
	t.Helper()
	got := NewProber(Config{Dial: n.dial, Resolver: names}).Probe(t.Context(), target)
	n.all.Wait()
	return got, n.dialled
}

// redirecting has one server that leads to a place, and any other that is
// content.
func redirecting(from, to string) *network {
	return &network{talk: func(address string, c net.Conn) {
		if address == from {
			answerWith("HTTP/1.1 302 Found\r\nLocation: http://" + to + "/\r\nContent-Length: 0\r\n\r\n")(c)
			return
		}
		answerWith("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(c)
	}}
}

// TestRedirectInside holds that a public mirror cannot make the prober ask
// addresses of its own network, in any of their forms.
func TestRedirectInside(t *testing.T) {
	names := hosts{
		"public.test": {addr("9.0.0.1")},
		"inside.test": {addr("10.0.0.1")},
		"either.test": {addr("9.0.0.1"), addr("192.168.0.1")},
		"mapped.test": {addr("::ffff:127.0.0.1")},
	}
	const v4, v6 = "8.0.0.1:80", "[2600::1]:80"
	for _, test := range []struct {
		from, to string
		reached  string // what is dialled after the first; empty: nothing is
	}{
		{v4, "9.0.0.1", "9.0.0.1:80"},
		{v4, "100.63.255.255", "100.63.255.255:80"},
		{v4, "100.128.0.1", "100.128.0.1:80"},
		{v4, "172.32.0.1", "172.32.0.1:80"},
		{v4, "192.0.1.1", "192.0.1.1:80"},
		{v4, "223.255.255.1", "223.255.255.1:80"},
		{v4, "[2600::2]", "[2600::2]:80"},
		{v4, "public.test", "9.0.0.1:80"},
		{v6, "9.0.0.1", "9.0.0.1:80"},
		// What begins inside may go on inside.
		{"127.0.0.1:80", "127.0.0.2", "127.0.0.2:80"},
		{"10.0.0.1:80", "[fd00::1]", "[fd00::1]:80"},
		{"[::1]:80", "inside.test", "10.0.0.1:80"},
		{v4, "0.0.0.0", ""},
		{v4, "0.1.2.3", ""},
		{v4, "10.1.1.1", ""},
		{v4, "100.64.0.1", ""},
		{v4, "127.0.0.1", ""},
		{v4, "169.254.169.254", ""},
		{v4, "172.16.0.1", ""},
		{v4, "192.0.0.8", ""},
		{v4, "192.168.1.1", ""},
		{v4, "198.19.0.1", ""},
		{v4, "224.0.0.1", ""},
		{v4, "240.0.0.1", ""},
		{v4, "255.255.255.255", ""},
		{v4, "inside.test", ""},
		{v4, "either.test", ""},
		{v4, "mapped.test", ""},
		{v4, "[::ffff:127.0.0.1]", ""},
		{v6, "[::]", ""},
		{v6, "[::1]", ""},
		{v6, "[::127.0.0.1]", ""},
		{v6, "[64:ff9b::7f00:1]", ""},
		{v6, "[64:ff9b::a00:1]", ""},
		{v6, "[64:ff9b:1::a00:1]", ""},
		{v6, "[2002:7f00:1::]", ""},
		{v6, "[fd00::1]", ""},
		{v6, "[fe80::1]", ""},
		{v6, "[fe80::1%25lo]", ""},
		{v6, "[fec0::1]", ""},
		{v6, "[fec0::1%25lo]", ""},
		{v6, "[ff02::1]", ""},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			want := []string{test.from}
			if test.reached != "" {
				want = append(want, test.reached)
			}
			target := Target{URL: "http://" + test.from + "/", Probe: pool.Probe{FollowRedirects: true}}
			got, dialled := redirecting(test.from, test.to).probe(t, names, target)
			if !slices.Equal(dialled, want) {
				t.Errorf("dialled %q, want %q", dialled, want)
			}
			if test.reached != "" {
				expect(t, got, Success, "status 200")
			} else {
				expect(t, got, Status, "redirect from a public address to *, which is not")
			}
		})
	}
}

// TestSecondRedirectInside holds that the first server counts, and not the
// last one.
func TestSecondRedirectInside(t *testing.T) {
	n := &network{talk: func(address string, c net.Conn) {
		to := map[string]string{"8.0.0.1:80": "9.0.0.1", "9.0.0.1:80": "127.0.0.1"}[address]
		answerWith("HTTP/1.1 302 Found\r\nLocation: http://" + to + "/\r\nContent-Length: 0\r\n\r\n")(c)
	}}
	got, dialled := n.probe(t, nil, Target{URL: "http://8.0.0.1/", Probe: pool.Probe{FollowRedirects: true}})
	expect(t, got, Status, "redirect from a public address to 127.0.0.1, which is not")
	if want := []string{"8.0.0.1:80", "9.0.0.1:80"}; !slices.Equal(dialled, want) {
		t.Errorf("dialled %q, want %q", dialled, want)
	}
}

// TestNamesThatLeadInside holds that a mirror's name may be an intranet's, and
// cannot mean an address that no mirror has. An address in the URL is asked
// as it stands.
func TestNamesThatLeadInside(t *testing.T) {
	const refused = `resolving "m.test": * is no address of a server; write it in the URL if it is`
	for _, test := range []struct {
		host    string
		found   []string
		dialled []string
	}{
		{"m.test", []string{"127.0.0.1"}, []string{"127.0.0.1:80"}},
		{"m.test", []string{"::1"}, []string{"[::1]:80"}},
		{"m.test", []string{"192.168.1.1"}, []string{"192.168.1.1:80"}},
		{"m.test", []string{"fd00::1"}, []string{"[fd00::1]:80"}},
		{"m.test", []string{"169.254.169.254", "0.0.0.0", "9.0.0.1"}, []string{"9.0.0.1:80"}},
		{"m.test", []string{"169.254.169.254"}, nil},
		{"m.test", []string{"::ffff:169.254.169.254"}, nil},
		{"m.test", []string{"fe80::1"}, nil},
		{"m.test", []string{"fe80::1%lo"}, nil},
		{"m.test", []string{"0.0.0.0", "::"}, nil},
		{"m.test", []string{"224.0.0.1", "ff02::1"}, nil},
		{"m.test", []string{"255.255.255.255"}, nil},
		{"169.254.169.254", nil, []string{"169.254.169.254:80"}},
		{"[fe80::1]", nil, []string{"[fe80::1]:80"}},
	} {
		t.Run(fmt.Sprint(test.host, test.found), func(t *testing.T) {
			names := hosts{}
			for _, text := range test.found {
				names[test.host] = append(names[test.host], netip.MustParseAddr(text))
			}
			got, dialled := redirecting("", "").probe(t, names, Target{URL: "http://" + test.host + "/"})
			if !slices.Equal(dialled, test.dialled) {
				t.Errorf("dialled %q, want %q", dialled, test.dialled)
			}
			if test.dialled != nil {
				expect(t, got, Success, "status 200")
			} else {
				expect(t, got, Resolution, refused)
			}
		})
	}
}

// TestChunksOfAByte holds that the marks around a body are bounded like the
// body: what the server says in them is nowhere to be seen.
func TestChunksOfAByte(t *testing.T) {
	var sent atomic.Int64
	n := &network{talk: func(_ string, c net.Conn) {
		answerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")(c)
		chunks := bytes.Repeat([]byte("1;"+strings.Repeat("a", 12)+"\r\nx\r\n"), 100)
		for range 1000 { // 100,000 bytes of a body, in 1.9 MB
			written, err := c.Write(chunks)
			if sent.Add(int64(written)); err != nil {
				return
			}
		}
		io.WriteString(c, "0\r\n\r\n")
	}}
	target := Target{URL: "http://127.0.0.1/", Probe: pool.Probe{Body: "^x+$", Statuses: "200", Timeout: 30 * time.Second}}
	got, _ := n.probe(t, nil, target)
	expect(t, got, Protocol, "body's chunks take more than 512 KiB")
	if taken := sent.Load(); taken > maxChunked+maxHeader {
		t.Errorf("%d bytes were taken, expected at most %d", taken, maxChunked+maxHeader)
	}
}

// heldConnection is one whose deadline is set when the test lets it be.
type heldConnection struct {
	net.Conn
	release chan struct{}
}

func (c heldConnection) SetDeadline(time.Time) error { <-c.release; return nil }

// TestEndWithWaits holds that what the end of a context has begun is over when
// the probe is: nobody touches a connection that was given back.
func TestEndWithWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		connection := heldConnection{release: make(chan struct{})}
		release := endWith(ctx, connection)
		cancel()
		synctest.Wait() // the deadline is being set
		var over atomic.Bool
		go func() {
			release()
			over.Store(true)
		}()
		synctest.Wait()
		if over.Load() {
			t.Error("released while the deadline is being set")
		}
		close(connection.release)
		synctest.Wait()
		if !over.Load() {
			t.Error("not released after the deadline was set")
		}
	})
}
