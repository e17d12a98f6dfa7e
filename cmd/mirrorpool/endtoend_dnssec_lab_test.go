//go:build e2e

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"
)

// signedLab is a lab whose zones are signed: two by the server, the lower of them
// with a delegation from the upper, and others by BIND's tools on a name server
// below.
type signedLab struct {
	*lab
	keys       string // the directory of the server's keys
	anchor     *dns.DS
	memberPort int
	members    map[string]net.Listener
}

// belowSigned are the zones with signatures that another serves below ours.
var belowSigned = []string{"elsewhere.mirrors.test.", "broken.mirrors.test."}

func newSignedLab(t *testing.T, program string) *signedLab {
	l := newEmptyLab(t, program, tapHost)
	for _, member := range []string{"127.0.0.31", "127.0.0.32", "127.0.0.33", "127.0.0.34", "::1"} {
		l.memberUp(member)
	}
	l.generateKey(l.keys, "mirrors.test.")
	l.generateKey(l.keys, "signed.mirrors.test.", "--algorithm", "ed25519")
	for _, zone := range belowSigned {
		l.generateBINDKey(l.directory, zone)
	}
	l.writeZones()
	l.startBelow()
	l.serve()
	return l
}

// newEmptyLab has a root that leads to the server, or to another one of the lab, and
// no zones yet.
func newEmptyLab(t *testing.T, program string, nameServer byte) *signedLab {
	directory, err := os.MkdirTemp("", "signed")
	if err != nil {
		t.Fatal(err)
	}
	l := &signedLab{
		lab:     &lab{world: &world{T: t, directory: directory, program: program, processes: map[string]*exec.Cmd{}}},
		members: map[string]net.Listener{}, keys: filepath.Join(directory, "keys"),
	}
	t.Cleanup(func() {
		for _, member := range l.members {
			member.Close()
		}
		for name := range l.processes {
			l.end(name, syscall.SIGKILL)
		}
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	l.config = filepath.Join(directory, "mirrorpool.yaml")
	l.checkout = filepath.Join(directory, "checkout")
	l.dnsPort, l.adminPort, l.memberPort = unusedPort(t), unusedPort(t), unusedPort(t)
	packets, streams := l.takeNetwork()
	l.startRoot(nameServer, "mirrors.test.")
	l.tap = startTap(t, packets, streams, fmt.Sprintf("127.0.0.1:%d", l.dnsPort))
	return l
}

func (l *signedLab) on(t *testing.T) *signedLab {
	step := *l
	step.lab = l.lab.on(t)
	return &step
}

// memberUp lets a member of the pool accept connections.
func (l *signedLab) memberUp(address string) {
	l.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(l.memberPort)))
	if err != nil {
		l.Fatal(err)
	}
	l.members[address] = listener
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
}

func (l *signedLab) memberDown(address string) {
	l.members[address].Close()
	delete(l.members, address)
}

// generateKey makes a key as an operator does; arguments say of what kind.
func (w *world) generateKey(directory, zone string, arguments ...string) {
	w.Helper()
	w.makeKeys(directory)
	w.command(w.program, append([]string{"keygen", "--dir", directory, zone}, arguments...)...)
}

// generateBINDKey makes a key with BIND's tool, of which operators have many.
func (w *world) generateBINDKey(directory, zone string) {
	w.Helper()
	w.makeKeys(directory)
	w.command("dnssec-keygen", "-q", "-K", directory, "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
}

func (w *world) makeKeys(directory string) {
	w.Helper()
	if err := os.MkdirAll(directory, 0o700); err != nil {
		w.Fatal(err)
	}
}

// keyOf reads the one key of a zone from a directory.
func (w *world) keyOf(directory, zone string) (*dns.DNSKEY, string) {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "K"+zone+"+*.key"))
	if err != nil || len(files) != 1 {
		w.Fatalf("%d keys of %s in %s, want 1: %v", len(files), zone, directory, err)
	}
	record, err := dns.ReadRR(strings.NewReader(w.read(files[0])), files[0])
	if err != nil {
		w.Fatal(err)
	}
	return record.(*dns.DNSKEY), files[0]
}

func (w *world) digestOf(directory, zone string) *dns.DS {
	w.Helper()
	key, _ := w.keyOf(directory, zone)
	return key.ToDS(dns.SHA256)
}

// writeZones writes the repository, and the zones that others serve below it.
func (l *signedLab) writeZones() {
	texts := []string{
		"SERVER", host(l.home, tapHost).String(), "BELOW", host(l.home, belowHost).String(), "MEMBER_PORT", fmt.Sprint(l.memberPort),
		"TEXT", strings.Repeat("t", 180),
	}
	for placeholder, digest := range map[string]*dns.DS{
		"DS_OF_SIGNED":    l.digestOf(l.keys, "signed.mirrors.test."),
		"DS_OF_ELSEWHERE": l.digestOf(l.directory, "elsewhere.mirrors.test."),
	} {
		texts = append(texts, placeholder, digestText(digest, ""))
	}
	replace := strings.NewReplacer(texts...)
	for _, file := range txtar.Parse([]byte(l.read("../../testdata/end-to-end/signed.txtar"))).Files {
		name := file.Name
		if !strings.HasPrefix(name, "below/") {
			name = filepath.Join("checkout", name)
		}
		l.write(name, replace.Replace(string(file.Data)))
	}
}

// startBelow signs the zones below with BIND's tools and serves them with Knot.
func (l *signedLab) startBelow() {
	below := filepath.Join(l.directory, "below")
	for _, zone := range belowSigned {
		file := filepath.Join(below, zone+"zone")
		l.command("dnssec-signzone", "-S", "-z", "-K", l.directory, "-d", l.directory, "-o", zone, "-f", file+".signed", file)
		l.command("mv", file+".signed", file)
	}
	l.startKnot("below", below, fmt.Sprintf("%s@53", host(l.home, belowHost)), append(belowSigned, "unsigned.mirrors.test.")...)
	l.eventually("the name server below answers", 10*time.Second, func() bool { return accepts(host(l.home, belowHost).String(), 53) })
}

// startKnot serves the zones of a directory on some addresses.
func (w *world) startKnot(name, directory, addresses string, zones ...string) {
	w.Helper()
	var list strings.Builder
	for _, zone := range zones {
		fmt.Fprintf(&list, "  - domain: %s\n    file: %szone\n", zone, zone)
	}
	config := w.write(name+"-knot/knot.conf", fmt.Sprintf(`
server:
  listen: [%[1]s]
  rundir: %[2]s/%[4]s-knot
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: %[2]s/%[4]s-knot
template:
  - id: default
    storage: %[3]s
    zonefile-sync: -1
    journal-content: none
zone:
%[5]s`, addresses, w.directory, directory, name, list.String()))
	w.start(name, "/usr/sbin/knotd", "-c", config)
}

// serve commits the zones and starts the server.
func (l *signedLab) serve() {
	l.commit()
	l.anchor = l.digestOf(l.keys, "mirrors.test.")
	l.configureServer("")
	l.runServer()
}

func (l *signedLab) commit() {
	l.command("git", "init", "--quiet", "--initial-branch=main", l.checkout)
	l.commandIn(l.checkout, "git", "add", ".")
	l.commandIn(l.checkout, "git", "commit", "--quiet", "-m", "The mirrors")
}

// configureServer writes the configuration, with more lines for the section dns.
func (l *signedLab) configureServer(more string) {
	l.write("nets.json", fmt.Sprintf(`{ "%s": { "country": "JP" }, "%s": { "country": "DE" } }`, l.home, l.abroad))
	l.write("mirrorpool.yaml", fmt.Sprintf(`
git:
  url: %[1]s
  branch: main
  poll: 1h
state_dir: %[2]s/state
dns:
  listen: ["127.0.0.1:%[3]d"]
  dnssec_keys: %[5]s
  transfer:
    allow: ["127.0.0.0/8"]%[6]s
http:
  listen: []
admin:
  listen: 127.0.0.1:%[4]d
geo:
  overrides: %[2]s/nets.json
`, l.checkout, l.directory, l.dnsPort, l.adminPort, l.keys, more))
}
