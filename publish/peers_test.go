package publish

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/testport"
)

// patient is how long a real server may take to do its part.
const patient = time.Minute

// peer is another name server as the primary of example.test.
type peer struct {
	name, program, debian string
	// more are further programs that are needed, each with its package.
	more [][2]string
	// configure writes its configuration and gives the arguments to run it with.
	configure func(*stand) []string
}

const peerZone = `$ORIGIN example.test.
$TTL 300
@ IN SOA ns1 hostmaster 1 7200 900 1209600 60
@ IN NS ns1
ns1 IN A 127.0.0.1
www IN A 127.0.0.99
dl IN TXT "text"
alias IN CNAME www
taken IN A 127.0.0.66
*.wild IN A 127.0.0.67
sub IN NS ns1
`

var peers = []peer{
	{
		name: "BIND", program: "named", debian: "bind9",
		configure: func(s *stand) []string {
			s.write("named.conf", s.keys()+`
options { directory "DIR"; pid-file none; listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; notify no; empty-zones-enable no; session-keyfile none; };
controls {};
zone "example.test" { type primary; file "DIR/example.test.zone";
  update-policy { grant publisher name dl.example.test. A AAAA; grant publisher name alias.example.test. A AAAA;
    grant publisher name taken.example.test. A AAAA; grant publisher name x.wild.example.test. A AAAA;
    grant long subdomain example.test. A AAAA; }; };
`)
			return []string{"-g", "-c", s.path("named.conf"), "-p", s.port(), "-n", "1"}
		},
	},
	{
		name: "Knot", program: "knotd", debian: "knot",
		configure: func(s *stand) []string {
			s.write("knot.conf", `
server:
    rundir: DIR
    listen: 127.0.0.1@PORT
database:
    storage: DIR
log:
  - target: stderr
    any: info
key:
  - id: publisher
    algorithm: hmac-sha256
    secret: YSBzZWNyZXQ=
  - id: long
    algorithm: hmac-sha512
    secret: YSBsb25nIHNlY3JldA==
  - id: stranger
    algorithm: hmac-sha256
    secret: YSBzdHJhbmdlcg==
acl:
  - id: publish
    address: 127.0.0.1
    key: [publisher, long]
    action: update
    update-type: [A, AAAA]
    update-owner: name
    update-owner-name: [dl.example.test., alias.example.test., taken.example.test., x.wild.example.test.]
zone:
  - domain: example.test
    file: DIR/example.test.zone
    acl: publish
`)
			return []string{"-c", s.path("knot.conf")}
		},
	},
	{
		name: "PowerDNS", program: "pdns_server", debian: "pdns-server",
		more: [][2]string{{"pdnsutil", "pdns-server"}, {"sqlite3", "sqlite3"}},
		configure: func(s *stand) []string {
			s.write("pdns.conf", `launch=gsqlite3
gsqlite3-database=DIR/pdns.sqlite3
local-address=127.0.0.1
local-port=PORT
socket-dir=DIR
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
daemon=no
guardian=no
disable-syslog=yes
zone-cache-refresh-interval=0
security-poll-suffix=
`)
			schema, err := os.ReadFile("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
			if err != nil {
				missing(s.T, "pdns-backend-sqlite3", err)
			}
			s.tool(string(schema), "sqlite3", s.path("pdns.sqlite3"))
			pdnsutil := func(arguments ...string) {
				s.tool("", "pdnsutil", append([]string{"--config-dir=" + s.dir}, arguments...)...)
			}
			pdnsutil("load-zone", "example.test", s.path("example.test.zone"))
			for _, key := range [][3]string{{"publisher", "hmac-sha256", "YSBzZWNyZXQ="}, {"long", "hmac-sha512", "YSBsb25nIHNlY3JldA=="}} {
				pdnsutil("import-tsig-key", key[0], key[1], key[2])
				pdnsutil("add-meta", "example.test", "TSIG-ALLOW-DNSUPDATE", key[0])
			}
			pdnsutil("import-tsig-key", "stranger", "hmac-sha256", "YSBzdHJhbmdlcg==")
			return []string{"--config-dir=" + s.dir}
		},
	},
}

// stand is where a peer runs.
type stand struct {
	*testing.T
	dir     string
	at      netip.AddrPort
	command *exec.Cmd
	program string
	with    []string
	output  bytes.Buffer
}

func missing(t *testing.T, debian string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%v: install %s", err, debian)
	}
	t.Skipf("%v: install %s", err, debian)
}

func programOf(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		missing(t, debian, err)
	}
	return path
}

func newStand(t *testing.T, of peer) *stand {
	t.Helper()
	s := &stand{T: t, dir: t.TempDir(), program: programOf(t, of.program, of.debian)}
	for _, one := range append(of.more, [2]string{"nsupdate", "bind9-dnsutils"}) {
		programOf(t, one[0], one[1])
	}
	s.at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), testport.Unused(t))
	s.write("example.test.zone", peerZone)
	s.with = of.configure(s)
	s.start()
	t.Cleanup(func() {
		s.end()
		if t.Failed() {
			t.Logf("%s said:\n%s", of.program, &s.output)
		}
	})
	return s
}

func (s *stand) port() string            { return fmt.Sprint(s.at.Port()) }
func (s *stand) path(name string) string { return filepath.Join(s.dir, name) }

// keys are those of the tests, as BIND has them.
func (s *stand) keys() string {
	return `key "publisher" { algorithm hmac-sha256; secret "YSBzZWNyZXQ="; };
key "long" { algorithm hmac-sha512; secret "YSBsb25nIHNlY3JldA=="; };
key "stranger" { algorithm hmac-sha256; secret "YSBzdHJhbmdlcg=="; };
`
}

// write writes a file, in which DIR and PORT stand for its own.
func (s *stand) write(name, text string) {
	s.Helper()
	text = strings.NewReplacer("DIR", s.dir, "PORT", s.port()).Replace(text)
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
}

// tool runs a program to its end.
func (s *stand) tool(input, name string, arguments ...string) {
	s.Helper()
	command := exec.Command(programOf(s.T, name, name), arguments...)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		s.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
}

func (s *stand) start() {
	s.Helper()
	s.command = exec.Command(s.program, s.with...)
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	if err := s.command.Start(); err != nil {
		s.Fatal(err)
	}
	s.eventually("answers", func() bool {
		m, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA), s.at.String())
		return err == nil && len(m.Answer) == 1
	})
}

func (s *stand) end() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
	s.command = nil
}

func (s *stand) eventually(what string, condition func() bool) {
	s.Helper()
	for end := time.Now().Add(patient); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %s: %s", patient, what)
		}
	}
}

// has gives the records of a name and type, sorted, with the TTL.
func (s *stand) has(name string, kind uint16) string {
	s.Helper()
	m, _, err := (&dns.Client{Net: "tcp", Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(name+".example.test.", kind), s.at.String())
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, rr := range m.Answer {
		list = append(list, fmt.Sprintf("%d %s", rr.Header().Ttl, strings.TrimPrefix(rr.String(), rr.Header().String())))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (s *stand) expect(what, name string, kind uint16, records string) {
	s.Helper()
	got := ""
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = s.has(name, kind); got == records {
			return
		}
	}
	s.Errorf("%s: %s has %q, expected %q", what, name, got, records)
}

// edit changes the zone behind the publisher's back, as somebody else who may.
func (s *stand) edit(commands string) {
	s.Helper()
	s.tool(fmt.Sprintf("server 127.0.0.1 %s\nzone example.test\n%s\nsend\n", s.port(), commands),
		"nsupdate", "-y", "hmac-sha512:long:YSBsb25nIHNlY3JldA==")
}

// publish runs a publisher against the peer.
func (s *stand) publish(of *testPool, kept []byte, now func() time.Time, entries ...Entry) *node {
	s.Helper()
	n := &node{pool: of, kept: kept}
	var err error
	n.Publisher, err = New(Config{Given: of.gives, Kept: kept, Keep: n.keep, Tell: n.tell, Now: now})
	if err != nil {
		s.Fatal(err)
	}
	for i := range entries {
		entries[i].Server, entries[i].Interval = s.at, MinInterval
	}
	if err := n.Set(entries); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()
	n.stop = func() { cancel(); <-ended }
	return n
}

func (s *stand) entry(pool string) Entry {
	e := testEntry(s.T)
	e.Pool = pool + ".example.test"
	return e
}

// failsWith waits for an error of the first entry.
func (s *stand) failsWith(n *node, words ...string) {
	s.Helper()
	said := func() string { return n.state().Error }
	s.eventually("an error", func() bool { return said() != "" })
	for _, word := range words {
		if !strings.Contains(said(), word) {
			s.Errorf("the error is %q, expected %q in it", said(), word)
		}
	}
	s.Log(said())
}

// TestPeers publishes at the primaries that people run.
func TestPeers(t *testing.T) {
	for _, of := range peers {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, of)
			// The steps build on each other.
			for _, step := range []struct {
				name string
				run  func(*stand)
			}{
				{"life", (*stand).life},
				{"long key", (*stand).longKey},
				{"in the way", (*stand).inTheWay},
				{"wrong", (*stand).wrong},
				{"dry run", (*stand).dryRun},
			} {
				t.Run(step.name, func(t *testing.T) {
					s.T = t
					step.run(s)
				})
			}
			s.T = t
		})
	}
}

// life is what becomes of a pool from its first publication on.
func (s *stand) life() {
	of := newPool("127.0.0.1", "127.0.0.2", "::1")
	n := s.publish(of, nil, nil, s.entry("dl"))
	s.expect("first", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.2")
	s.expect("first", "dl", dns.TypeAAAA, "60 ::1")
	s.eventually("published", func() bool { return n.state().Condition == Published })

	n.up("127.0.0.2", "::1")
	s.expect("a member is down", "dl", dns.TypeA, "60 127.0.0.2")
	n.up("127.0.0.1", "127.0.0.2", "::1")
	s.expect("it is up again", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.2")
	if told := n.told(Foreign); told != nil {
		s.Errorf("foreign changes: %q", told)
	}

	s.edit("update delete dl.example.test A\nupdate add dl.example.test 60 A 127.0.0.66")
	s.expect("others changed it", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.2")
	s.edit("update delete dl.example.test A\nupdate delete dl.example.test AAAA")
	s.expect("others removed it", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.2")
	s.expect("others removed it", "dl", dns.TypeAAAA, "60 ::1")
	if told := n.told(Foreign); len(told) != 2 {
		s.Errorf("foreign changes: %q", told)
	}
	s.expect("another type", "dl", dns.TypeTXT, `300 "text"`)
	s.expect("another name", "www", dns.TypeA, "300 127.0.0.99")

	n.stop()
	of.up("127.0.0.1")
	n = s.publish(of, n.kept, nil, s.entry("dl"))
	s.expect("after a restart of ours", "dl", dns.TypeA, "60 127.0.0.1")
	s.expect("after a restart of ours", "dl", dns.TypeAAAA, "60 ::1")
	s.end()
	n.up("127.0.0.1", "127.0.0.2", "::1")
	s.failsWith(n, s.at.String()) // refused, or cut off in the middle
	s.start()
	s.expect("the primary is back", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.2")
	s.eventually("nothing fails", func() bool { return n.state().Error == "" })
	e := s.entry("dl")
	e.TTL, e.Server, e.Interval = 30, s.at, MinInterval
	if err := n.Set([]Entry{e}); err != nil {
		s.Fatal(err)
	}
	s.expect("another TTL", "dl", dns.TypeA, "30 127.0.0.1, 30 127.0.0.2")
	if told := n.told(Foreign); told != nil {
		s.Errorf("foreign changes: %q", told)
	}
	n.stop()
}

// longKey signs by hmac-sha512.
func (s *stand) longKey() {
	e := s.entry("dl")
	var err error
	if e.Key, err = tsig.NewKey("long", "hmac-sha512", []byte("a long secret")); err != nil {
		s.Fatal(err)
	}
	n := s.publish(newPool("127.0.0.1", "127.0.0.3"), nil, nil, e)
	s.failsWith(n, "adopt: true") // 127.0.0.2 is no member's any more, and nothing was kept
	n.stop()
	e.Adopt = true
	n = s.publish(newPool("127.0.0.1", "127.0.0.3"), nil, nil, e)
	s.expect("adopted", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.3")
	n.stop()
}

// inTheWay tries names that others have records of.
func (s *stand) inTheWay() {
	n := s.publish(newPool("127.0.0.1"), nil, nil, s.entry("alias"))
	s.failsWith(n, "CNAME for www.example.test.")
	n.stop()
	s.expect("an alias", "alias", dns.TypeCNAME, "300 www.example.test.")

	n = s.publish(newPool("127.0.0.1"), nil, nil, s.entry("taken"))
	s.failsWith(n, "127.0.0.66", "adopt: true")
	n.stop()
	s.expect("foreign records", "taken", dns.TypeA, "300 127.0.0.66")
	e := s.entry("taken")
	e.Adopt = true
	n = s.publish(newPool("127.0.0.1"), nil, nil, e)
	s.expect("adopted", "taken", dns.TypeA, "60 127.0.0.1")
	n.stop()

	n = s.publish(newPool("127.0.0.1"), nil, nil, s.entry("x.wild"))
	s.expect("what a wildcard makes up", "x.wild", dns.TypeA, "60 127.0.0.1")
	s.expect("the wildcard", "y.wild", dns.TypeA, "300 127.0.0.67")
	s.edit("update delete x.wild.example.test A")
	s.expect("removed, and the wildcard shows", "x.wild", dns.TypeA, "60 127.0.0.1")
	n.stop()
}

// wrong is what operators get wrong.
func (s *stand) wrong() {
	of := newPool("127.0.0.1")
	e := s.entry("dl")
	e.Key = testKey(s.T, "publisher", "another secret")
	n := s.publish(of, nil, nil, e)
	s.failsWith(n, "key")
	n.stop()
	e.Key = testKey(s.T, "nobody", "a secret")
	n = s.publish(of, nil, nil, e)
	s.failsWith(n, "key")
	n.stop()
	e.Key = testKey(s.T, "stranger", "a stranger")
	n = s.publish(of, nil, nil, e)
	s.failsWith(n, "key")
	n.stop()

	n = s.publish(of, nil, func() time.Time { return time.Now().Add(-time.Hour) }, s.entry("dl"))
	s.failsWith(n, "clock")
	n.stop()

	e = s.entry("dl")
	e.Zone = "test"
	n = s.publish(of, nil, nil, e)
	s.failsWith(n)
	n.stop()
	e = s.entry("www.sub")
	n = s.publish(of, nil, nil, e)
	s.failsWith(n, "delegation")
	n.stop()
	s.expect("after all that went wrong", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.3")
}

// dryRun changes nothing.
func (s *stand) dryRun() {
	e := s.entry("dl")
	e.DryRun = true
	n := s.publish(newPool("127.0.0.1", "127.0.0.3", "127.0.0.4"), nil, nil, e)
	s.eventually("a difference", func() bool { return n.state().Condition == Differs })
	if said := n.state().WouldSend; !strings.Contains(said, "update add dl.example.test. 60 A 127.0.0.4") {
		s.Errorf("would send %q", said)
	}
	n.stop()
	s.expect("a dry run", "dl", dns.TypeA, "60 127.0.0.1, 60 127.0.0.3")
	if len(n.kept) != 0 {
		s.Errorf("a dry run keeps %s", n.kept)
	}
}
