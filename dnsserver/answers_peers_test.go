package dnsserver

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testport"
)

// peer is another authoritative server, which serves the same zone files.
type peer struct {
	name, program, debian string
	// configure writes the configuration into dir and gives the arguments to
	// start the server with, in the foreground.
	configure func(t *testing.T, dir string, port uint16, zones map[string]string) []string
	// lacks are the types and classes that it cannot read from a zone file.
	lacks []string
}

var peers = []peer{
	{"BIND", "named", "bind9", configureBIND, nil},
	{"Knot", "knotd", "knot", configureKnot, []string{"X25", "ISDN", "PX", "GPOS", "HIP", "CLASS1"}},
	{"NSD", "nsd", "nsd", configureNSD, []string{"GPOS", "HIP"}},
}

// reads reports whether the peer can read a line of a zone file.
func (p *peer) reads(line string) bool {
	return !slices.ContainsFunc(strings.Fields(line), func(word string) bool { return slices.Contains(p.lacks, word) })
}

// leftOut gives the names of records that the peer does not have.
func (p *peer) leftOut(a *archived) map[string]bool {
	names := make(map[string]bool)
	for _, file := range a.input.Definition.Zones {
		for line := range strings.Lines(string(file.Data)) {
			if !p.reads(line) {
				owner := strings.Fields(line)[0] + "." + strings.TrimSuffix(filepath.Base(file.Path), ".zone") + "."
				for _, below := range []string{"", "x.", "y.x.", `\000\200\..`} {
					names[below+owner] = true
				}
			}
		}
	}
	return names
}

func configureBIND(t *testing.T, dir string, port uint16, zones map[string]string) []string {
	var c strings.Builder
	fmt.Fprintf(&c, `options {
	directory %q; pid-file none; session-keyfile none; lock-file none;
	listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
	recursion no; dnssec-validation no; notify no; empty-zones-enable no;
	minimal-responses no-auth; minimal-any no; zero-no-soa-ttl no; rrset-order { order none; };
	check-names primary ignore; check-integrity no; check-mx ignore; check-mx-cname ignore; check-srv-cname ignore;
	rate-limit { responses-per-second 0; };
};
controls { };
`, dir, port)
	if _, served := zones["."]; !served {
		c.WriteString("zone \".\" { type hint; file \"hints\"; };\n")
	}
	writeFile(t, filepath.Join(dir, "hints"), ". 3600 IN NS a.hint.\na.hint. 3600 IN A 127.0.0.254\n")
	for apex, file := range zones {
		fmt.Fprintf(&c, "zone %q { type primary; file %q; };\n", apex, file)
	}
	path := filepath.Join(dir, "named.conf")
	writeFile(t, path, c.String())
	return []string{"-g", "-n", "1", "-c", path}
}

func configureKnot(t *testing.T, dir string, port uint16, zones map[string]string) []string {
	var c strings.Builder
	fmt.Fprintf(&c, `server:
    rundir: %q
    listen: 127.0.0.1@%d
database:
    storage: %q
template:
  - id: default
    storage: %q
    zonefile-sync: -1
    journal-content: none
zone:
`, dir, port, dir, dir)
	for apex, file := range zones {
		fmt.Fprintf(&c, "  - domain: %q\n    file: %q\n", apex, file)
	}
	path := filepath.Join(dir, "knot.conf")
	writeFile(t, path, c.String())
	return []string{"-c", path}
}

func configureNSD(t *testing.T, dir string, port uint16, zones map[string]string) []string {
	var c strings.Builder
	fmt.Fprintf(&c, `server:
	ip-address: 127.0.0.1@%d
	server-count: 1
	username: ""
	chroot: ""
	zonesdir: %q
	database: ""
	pidfile: %q
	xfrdfile: %q
	xfrdir: %q
	zonelistfile: %q
	rrl-ratelimit: 0
	round-robin: no
	minimal-responses: no
remote-control:
	control-enable: no
`, port, dir, dir+"/nsd.pid", dir+"/xfrd.state", dir, dir+"/zone.list")
	for apex, file := range zones {
		fmt.Fprintf(&c, "zone:\n\tname: %q\n\tzonefile: %q\n", apex, file)
	}
	path := filepath.Join(dir, "nsd.conf")
	writeFile(t, path, c.String())
	return []string{"-d", "-c", path}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// find gives the peer's program. Without it the test is skipped.
func (p *peer) find(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath(p.program)
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/" + p.program)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: install %s", p.program, p.debian)
		}
		t.Skipf("%s is missing: install %s", p.program, p.debian)
	}
	return program
}

// startPeer serves an archive's zones from another server, and connects to it.
func startPeer(t *testing.T, p peer, program string, a *archived) net.Conn {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer") // short: Knot's control socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port := testport.Unused(t)
	arguments := p.configure(t, dir, port, zoneFiles(t, dir, p, a))
	command := exec.Command(program, arguments...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(patience):
			_ = command.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, &out)
		}
	})
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	for end := time.Now().Add(patience); ; {
		if c := connectTo(a, address); c != nil {
			c.SetDeadline(time.Now().Add(time.Minute))
			t.Cleanup(func() { c.Close() })
			return c
		}
		select {
		case <-exited:
			t.Fatalf("%s ended: %v", p.name, command.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s answers for not all of its zones within %v", p.name, patience)
		}
	}
}

// connectTo gives a connection to a server that answers for all zones, or nil.
func connectTo(a *archived, address netip.AddrPort) net.Conn {
	c, err := net.DialTimeout("tcp", address.String(), time.Second)
	if err != nil {
		return nil
	}
	c.SetDeadline(time.Now().Add(time.Second))
	connection := &dns.Conn{Conn: c}
	for apex := range a.table.Serials() {
		q := new(dns.Msg).SetQuestion(apex, dns.TypeSOA)
		if connection.WriteMsg(q) != nil {
			c.Close()
			return nil
		}
		if m, err := connection.ReadMsg(); err != nil || !m.Authoritative || len(m.Answer) == 0 {
			c.Close()
			return nil
		}
	}
	return c
}

// zoneFiles writes the zone files for a peer: those of the archive, with the
// addresses of pools as if they were static.
func zoneFiles(t *testing.T, dir string, p peer, a *archived) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, file := range a.input.Definition.Zones {
		apex := strings.TrimSuffix(filepath.Base(file.Path), ".zone") + "."
		if apex == "root." {
			apex = "."
		}
		var text strings.Builder
		for line := range strings.Lines(string(file.Data)) {
			if p.reads(line) {
				text.WriteString(line)
			}
		}
		for _, one := range a.input.Definition.Pools {
			if z, _ := deepestOf(a, one.Name+"."); z != apex {
				continue
			}
			for _, member := range one.Members {
				for _, address := range member.Addresses {
					kind := "A"
					if address.Is6() {
						kind = "AAAA"
					}
					fmt.Fprintf(&text, "%s. %d IN %s %s\n", one.Name, one.TTL, kind, address)
				}
			}
		}
		path := filepath.Join(dir, filepath.Base(file.Path))
		writeFile(t, path, text.String())
		files[apex] = path
	}
	return files
}

// deepestOf gives the apex of the zone that a name lies in.
func deepestOf(a *archived, name string) (apex string, found bool) {
	serials := a.table.Serials()
	for {
		if _, found = serials[name]; found || name == "." {
			return name, found
		}
		next, end := dns.NextLabel(name, 0)
		if end {
			name = "."
		} else {
			name = name[next:]
		}
	}
}
