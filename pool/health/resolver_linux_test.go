package health

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// TestSearchDomains has a process in a mount namespace of its own, whose /etc/resolv.conf has
// a search domain, look names up.
func TestSearchDomains(t *testing.T) {
	const inside = "MIRRORPOOL_TEST_SEARCHES"
	if os.Getenv(inside) != "" {
		searchDomains(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, "-test.run=^TestSearchDomains$", "-test.timeout=1m")
	command.Env = append(os.Environ(), inside+"=yes", "GORACE=atexit_sleep_ms=0")
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := command.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		if os.Getenv("CI") == "true" {
			t.Fatal("no right to make a mount namespace")
		}
		t.Skip("no right to make a mount namespace")
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
}

func searchDomains(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(settings, []byte("nameserver 127.0.0.1\nsearch search.test\noptions ndots:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(settings, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	server := newRecorder(t)
	for _, test := range []struct {
		host, want string
		asked      []string
	}{
		{"mirror.test", "127.0.0.42", []string{"mirror.test."}},
		{"mirror.test.", "127.0.0.42", []string{"mirror.test."}},
		{"gone.test", "lookup gone.test on " + server.address + ": no such host", []string{"gone.test."}},
		{"machine", "127.0.0.43", []string{"machine.search.test."}}, // so that there is a search domain
		{"localhost", "127.0.0.1", nil},                             // in /etc/hosts
	} {
		got := "none"
		found, err := NewResolver(server.address).LookupNetIP(t.Context(), "ip4", test.host)
		if err != nil {
			got = err.Error()
		} else if len(found) > 0 {
			got = found[0].Unmap().String()
		}
		if asked := server.taken(); got != test.want || !slices.Equal(asked, test.asked) {
			t.Errorf("%s: %s, want %s; asked for %q, want %q", test.host, got, test.want, asked, test.asked)
		}
	}
	p := NewProber(Config{Resolver: NewResolver(server.address)})
	result := p.Probe(t.Context(), Target{URL: "http://gone.test/", Probe: pool.Probe{Kind: pool.CheckHTTP, Timeout: 10 * time.Second}})
	if asked := server.taken(); result.Reason != `resolving "gone.test": no such host` || !slices.Equal(asked, []string{"gone.test."}) {
		t.Errorf("a probe of a name that is gone: %s, asked for %q", result.Reason, asked)
	}
}

// recorder is a resolver that knows some names, also one within a search domain, and
// keeps what it is asked for.
type recorder struct {
	address string
	mutex   sync.Mutex
	names   []string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{address: packets.LocalAddr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 512)
		for {
			length, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply := r.reply(buffer[:length]); reply != nil {
				_, _ = packets.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() { packets.Close(); <-done })
	return r
}

func (r *recorder) reply(query []byte) []byte {
	message := new(dns.Msg)
	if message.Unpack(query) != nil || len(message.Question) != 1 {
		return nil
	}
	question := message.Question[0]
	r.mutex.Lock()
	if !slices.Contains(r.names, question.Name) {
		r.names = append(r.names, question.Name)
	}
	r.mutex.Unlock()
	message.SetReply(message)
	name, within := strings.CutSuffix(question.Name, ".search.test.")
	address := map[string]string{"mirror.test.": "127.0.0.42", "machine": "127.0.0.43", "gone.test": "127.0.0.44"}[name]
	switch {
	case address == "" || within != !strings.HasSuffix(name, "."):
		message.Rcode = dns.RcodeNameError
	case question.Qtype == dns.TypeA:
		message.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   netip.MustParseAddr(address).AsSlice(),
		}}
	}
	reply, err := message.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// taken gives the names that were asked for since the last time, each once.
func (r *recorder) taken() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	names := r.names
	r.names = nil
	return names
}
