//go:build e2e

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestEndToEndSecondariesOfSignedZones is the same with signatures.
func TestEndToEndSecondariesOfSignedZones(t *testing.T) {
	t.Parallel()
	need(t, "ldns-verify-zone", "delv")
	l := newSecondaryLab(t)
	keys := filepath.Join(l.directory, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	l.command(l.program, "keygen", "mirrors.test", "--dir", keys)
	l.startAll("  dnssec_keys: " + keys)
	l.steps(
		step{"they fetch the zones", (*secondaryLab).fetched},
		step{"a push is there by NOTIFY", (*secondaryLab).pushed},
		step{"a change of health is there by NOTIFY", (*secondaryLab).mirrorDies},
		step{"a restart keeps serial and differences", (*secondaryLab).restarted},
		step{"what they serve is secure", (*secondaryLab).secure},
	)
}

// secure: what each secondary gives is judged by others, whole and answer by answer.
func (l *secondaryLab) secure() {
	public, err := filepath.Glob(filepath.Join(l.directory, "keys", "*.key"))
	if err != nil || len(public) != 1 {
		l.Fatalf("keys: %v %v", public, err)
	}
	parsed, err := dns.NewRR(l.read(public[0]))
	if err != nil {
		l.Fatal(err)
	}
	key := parsed.(*dns.DNSKEY)
	anchors := l.write("anchors", fmt.Sprintf("trust-anchors { mirrors.test. static-key %d %d %d %q; };\n", key.Flags, key.Protocol, key.Algorithm, key.PublicKey))
	for _, s := range l.secondaries {
		zone := l.write(s.name+".zone", strings.Join(l.transferred(s.port, labZone, ""), "\n")+"\n")
		l.command("ldns-verify-zone", "-k", public[0], zone)
		for question, want := range map[string]string{
			"dl.mirrors.test A":      "; fully validated",
			"25.dl.mirrors.test A":   "; fully validated",
			"nothing.mirrors.test A": "; negative response, fully validated",
			"dl.mirrors.test TXT":    "; negative response, fully validated",
			"b.c.mirrors.test A":     "; negative response, fully validated",
		} {
			arguments := append([]string{"@127.0.0.1", "-p", fmt.Sprint(s.port), "-a", anchors, "+root=mirrors.test"}, strings.Fields(question)...)
			if said := l.say("delv", arguments...); !strings.Contains(said, want) {
				l.Errorf("%s: delv of %s, want %q:\n%s", s.name, question, want, said)
			}
		}
	}
}

// TestEndToEndSecondariesOverTLS has NSD and BIND fetch zones over TLS.
func TestEndToEndSecondariesOverTLS(t *testing.T) {
	t.Parallel()
	l := newSecondaryLab(t)
	l.tlsPort = unusedPort(t)
	l.certificate = &pairFiles{T: t, directory: l.directory}
	l.certificate.write(newPair(t, soon()))
	l.secondaries = slices.DeleteFunc(l.secondaries, func(s *secondary) bool { return s.name == "knot" })
	l.startAll(fmt.Sprintf("    tls_only: true\n  tls: {listen: [\"127.0.0.1:%d\"], certificate: %q, key: %q}", l.tlsPort, l.certificate.chainFile(), l.certificate.keyFile()))
	l.steps(
		step{"they fetch the zones", (*secondaryLab).fetchedOverTLS},
		step{"a push is there by NOTIFY", (*secondaryLab).pushedOverTLS},
	)
}

// contentAt is the zone's note at a secondary.
func (l *secondaryLab) contentAt(s *secondary) string {
	reply, _, err := (&dns.Client{Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("note.mirrors.test.", dns.TypeTXT), s.address())
	if err != nil || len(reply.Answer) == 0 {
		return ""
	}
	return reply.Answer[0].(*dns.TXT).Txt[0]
}

func (l *secondaryLab) fetchedOverTLS() {
	for _, s := range l.secondaries {
		l.secondaryEventually(s, "it has the zone", 30*time.Second, func() bool { return l.contentAt(s) == "a static record" })
	}
	if got := l.transferred(l.dnsPort, labZone, "transfer"); got != nil {
		l.Errorf("%d records are given without TLS", len(got))
	}
}

func (l *secondaryLab) pushedOverTLS() {
	before := l.transfers()
	l.serves(l.note("pushed"))
	for _, s := range l.secondaries {
		took := l.secondaryEventually(s, "it has what was pushed", byNotify, func() bool { return l.contentAt(s) == "pushed" })
		l.Logf("%s has it after %s", s.name, took.Round(time.Millisecond))
	}
	if after := l.transfers(); after.differences-before.differences != float64(len(l.secondaries)) {
		l.Errorf("incremental transfers: %v before and %v after", before.differences, after.differences)
	}
}
