//go:build e2e

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A change of content is at secondaries two seconds after the server has it, and later on a
// busy machine. Their own timers end after hours.
const (
	byNotify      = shortly         // each time
	soonestNotify = 5 * time.Second // once in a few times
)

// TestEndToEndSecondaries has NSD, Knot and BIND as secondaries of the built program,
// with the configurations of the operator's page. Its steps build on each other.
func TestEndToEndSecondaries(t *testing.T) {
	t.Parallel()
	l := newSecondaryLab(t)
	l.startAll("")
	l.steps(
		step{"they fetch the zones", (*secondaryLab).fetched},
		step{"a push is there by NOTIFY", (*secondaryLab).pushed},
		step{"a change of health is there by NOTIFY", (*secondaryLab).mirrorDies},
		step{"they serve a plain round robin", (*secondaryLab).roundRobin},
		step{"those that were off catch up", (*secondaryLab).offForLong},
		step{"one that missed too much fetches the whole zone", (*secondaryLab).offForTooLong},
		step{"a restart keeps serial and differences", (*secondaryLab).restarted},
		step{"without a journal too", (*secondaryLab).journalLost},
		step{"killed amid pushes", (*secondaryLab).killed},
		step{"a new zone is there by the catalog", (*secondaryLab).newZone},
		step{"a wrong key is said", (*secondaryLab).wrongKey},
	)
}

type step struct {
	name string
	run  func(*secondaryLab)
}

func (l *secondaryLab) steps(steps ...step) {
	for _, step := range steps {
		l.T.Run(step.name, func(t *testing.T) { step.run(l.on(t)) })
	}
}

func (l *secondaryLab) fetched() {
	l.converged(30*time.Second, labZone)
	for _, s := range l.secondaries {
		refused := 0
		if s.name == "nsd" { // which does not have the catalog zone
			refused = 1
		}
		// It refuses what it has not found in the catalog yet, and is told again.
		l.secondaryEventually(s, "it has acknowledged", 30*time.Second, func() bool {
			status := l.status(s)
			return status.Current == 2-refused && status.Refused == refused && status.Behind == 0
		})
	}
}

func (l *secondaryLab) status(s *secondary) secondaryStatus {
	for _, one := range l.states() {
		if one.Address == s.address() {
			return one
		}
	}
	return secondaryStatus{Behind: -1}
}

// countedTransfers are those that the server gave, without those that the test took.
type countedTransfers struct{ whole, differences float64 }

func (l *secondaryLab) transfers() countedTransfers {
	return countedTransfers{
		whole:       l.metric("mirrorpool_dns_transfers_total", `result="whole"`) - float64(*l.taken),
		differences: l.metric("mirrorpool_dns_transfers_total", `result="differences"`),
	}
}

// incremental holds that each secondary has fetched differences since, and none a
// whole zone.
func (l *secondaryLab) incremental(before countedTransfers, least int) {
	l.Helper()
	after := l.transfers()
	if got := after.differences - before.differences; got < float64(least) {
		l.Errorf("%v incremental transfers, want one for each of %d", got, least)
	}
	if got := after.whole - before.whole; got != 0 {
		l.Errorf("%v whole zones were fetched, want differences alone", got)
	}
}

// serves waits until the server serves a commit.
func (l *secondaryLab) serves(commit string) {
	l.Helper()
	l.eventually("commit "+commit+" is served", 10*time.Second, func() bool { return l.served() == commit })
}

func (l *secondaryLab) pushed() {
	before := l.transfers()
	l.serves(l.note("pushed"))
	l.converged(byNotify, labZone)
	l.incremental(before, len(l.secondaries))
	for _, s := range l.secondaries {
		if !strings.Contains(strings.Join(l.transferred(s.port, labZone, ""), "\n"), `"pushed"`) {
			l.Errorf("%s does not serve what was pushed", s.name)
		}
	}
}

func (l *secondaryLab) mirrorDies() {
	before := l.transfers()
	dead := mirrorAddresses[1]
	l.mirrors[dead].Close()
	l.poolIs(mirrorAddresses[0], mirrorAddresses[2])
	l.startTinyMirror(dead)
	l.poolIs(mirrorAddresses...)
	l.incremental(before, 2*len(l.secondaries))
	for _, s := range l.secondaries {
		if s.soonest == 0 || s.soonest > soonestNotify {
			l.Errorf("%s had a change of health after %s at the soonest, want %s", s.name, s.soonest, soonestNotify)
		}
	}
}

// poolIs waits until the server gives all of these, and then the secondaries.
func (l *secondaryLab) poolIs(want ...string) {
	l.Helper()
	l.eventually(fmt.Sprintf("the server's pool is %v", want), 20*time.Second, func() bool { return slices.Equal(l.given(dns.TypeA), want) })
	began := time.Now()
	for _, s := range l.secondaries {
		l.secondaryEventually(s, fmt.Sprintf("it serves %v", want), byNotify, func() bool { return slices.Equal(l.addressesAt(s.port, dns.TypeA), want) })
		took := time.Since(began)
		if s.soonest == 0 || took < s.soonest {
			s.soonest = took
		}
		l.Logf("%s has the change of health after %s", s.name, took.Round(time.Millisecond))
	}
	l.converged(byNotify, labZone)
}

// roundRobin: each answer of a secondary has all members that are up, and not
// always in one order.
func (l *secondaryLab) roundRobin() {
	for _, s := range l.secondaries {
		first := map[string]bool{}
		for range 60 {
			got := addresses(l.ask(s.port, "dl.mirrors.test.", dns.TypeA))
			if !slices.Equal(slices.Sorted(slices.Values(got)), mirrorAddresses) {
				l.Fatalf("%s gives %v, want all of %v", s.name, got, mirrorAddresses)
			}
			first[got[0]] = true
		}
		if len(first) != len(mirrorAddresses) {
			l.Errorf("%s: first are only %v", s.name, first)
		}
		if got := addresses(l.ask(s.port, "25.dl.mirrors.test.", dns.TypeAAAA)); !slices.Equal(got, []string{"::1"}) {
			l.Errorf("%s: AAAA through a wildcard alias: %v", s.name, got)
		}
	}
}

// offForLong: much changes while they are off. What they missed is fetched as
// differences.
func (l *secondaryLab) offForLong() {
	for _, s := range l.secondaries {
		l.endGroup(s.name)
	}
	for i := range 8 {
		l.serves(l.note(fmt.Sprintf("while they are off %d", i)))
	}
	before := l.transfers()
	for _, s := range l.secondaries {
		l.eventually("the state says that "+s.name+" is silent", 10*time.Second, func() bool { return l.status(s).Silent })
	}
	for _, s := range l.secondaries {
		l.startSecondary(s)
	}
	// One of them waits for NOTIFY when it starts: it is told again, after pauses.
	l.converged(30*time.Second, labZone)
	l.incremental(before, len(l.secondaries))
}

// offForTooLong: more changes while one is off than there are differences kept of a
// zone of this size.
func (l *secondaryLab) offForTooLong() {
	off := l.secondaries[0]
	l.endGroup(off.name)
	file := filepath.Join("checkout", "zones/mirrors.test.zone")
	small := l.read(filepath.Join(l.directory, file))
	for i := range 3 {
		var large strings.Builder
		for j := range 1500 {
			fmt.Fprintf(&large, "many%04d IN TXT \"%s %d\"\n", j, strings.Repeat("x", 100), i)
		}
		l.write(file, small+large.String())
		l.serves(l.commit("Many texts"))
	}
	l.write(file, small)
	l.serves(l.commit("None of them"))
	l.converged(byNotify, labZone) // the others
	before := l.transfers()
	l.startSecondary(off)
	l.converged(30*time.Second, labZone)
	if got := l.transfers().whole - before.whole; got != 1 {
		l.Errorf("%v whole zones were fetched, want one", got)
	}
}

func (l *secondaryLab) restarted() {
	serial := l.serialAt(l.dnsPort, labZone)
	off := l.secondaries[0]
	l.endGroup(off.name)
	l.serves(l.note("before the restart"))
	l.converged(byNotify, labZone) // the others
	missed := l.serialAt(l.dnsPort, labZone)
	if code := l.end("server", syscall.SIGTERM); code != 0 {
		l.Errorf("the server ended with code %d", code)
	}
	l.runServer()
	*l.taken = 0
	if got := l.serialAt(l.dnsPort, labZone); got != missed || got == serial {
		l.Errorf("serial %d after the restart, want %d", got, missed)
	}
	before := l.transfers()
	l.serves(l.note("after the restart"))
	l.startSecondary(off)
	l.converged(30*time.Second, labZone)
	l.incremental(before, len(l.secondaries))
}

func (l *secondaryLab) journalLost() {
	off := l.secondaries[0]
	l.endGroup(off.name)
	l.serves(l.note("before the journal is lost"))
	l.converged(byNotify, labZone) // the others
	l.end("server", syscall.SIGTERM)
	if _, err := os.Stat(filepath.Join(l.directory, "state", "journal")); err != nil {
		l.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(l.directory, "state", "journal")); err != nil {
		l.Fatal(err)
	}
	l.runServer()
	*l.taken = 0
	l.serves(l.note("without a journal"))
	l.startSecondary(off)
	l.converged(30*time.Second, labZone)
	if got := l.transfers().whole; got != 1 {
		l.Errorf("%v whole zones were fetched, want one, by the one that was off", got)
	}
}

// killed: the server is killed while changes come, again and again.
func (l *secondaryLab) killed() {
	for round := range 3 {
		server := l.processes["server"].Process
		kill := time.AfterFunc(time.Duration(200+700*round)*time.Millisecond, func() { _ = server.Kill() })
		for i := range 3 {
			l.note(fmt.Sprintf("round %d, %d", round, i))
			time.Sleep(300 * time.Millisecond)
		}
		kill.Stop()
		l.end("server", syscall.SIGKILL)
		before := l.serialAt(l.secondaries[2].port, labZone)
		l.runServer()
		*l.taken = 0
		l.serves(l.note(fmt.Sprintf("after round %d", round)))
		if serial := l.serialAt(l.dnsPort, labZone); int32(serial-before) <= 0 {
			l.Errorf("serial %d after it was killed, where a secondary had %d before", serial, before)
		}
		l.converged(30*time.Second, labZone)
	}
}

func (l *secondaryLab) newZone() {
	const added = "added.test."
	l.write("checkout/zones/added.test.zone", "@ 300 IN SOA ns1.mirrors.test. hostmaster 1 7200 3600 1209600 60\n@ 300 IN NS ns1.mirrors.test.\nhost 300 IN A 127.0.0.9\n")
	l.serves(l.commit("Another zone"))
	for _, s := range l.secondaries[1:] {
		took := l.secondaryEventually(s, "it serves the new zone", 15*time.Second, func() bool { return l.serialAt(s.port, added) != 0 })
		l.Logf("%s has the new zone after %s", s.name, took.Round(time.Millisecond))
	}
	l.write("checkout/zones/added.test.zone", "@ 300 IN SOA ns1.mirrors.test. hostmaster 1 7200 3600 1209600 60\n@ 300 IN NS ns1.mirrors.test.\nhost 300 IN A 127.0.0.10\n")
	l.serves(l.commit("Its content changes"))
	for _, s := range l.secondaries[1:] {
		l.secondaryEventually(s, "it serves the new content", byNotify, func() bool { return l.serialAt(s.port, added) == l.serialAt(l.dnsPort, added) })
	}
	if err := os.Remove(filepath.Join(l.checkout, "zones/added.test.zone")); err != nil {
		l.Fatal(err)
	}
	l.serves(l.commit("Without it"))
	for _, s := range l.secondaries[1:] {
		l.secondaryEventually(s, "it does not serve the zone any more", 15*time.Second, func() bool {
			return l.ask(s.port, added, dns.TypeSOA).Rcode == dns.RcodeRefused
		})
	}
}

// wrongKey: the server's secret is another one than the secondaries'.
func (l *secondaryLab) wrongKey() {
	file := filepath.Join(l.directory, "transfer.keys")
	good := l.read(file)
	l.write("transfer.keys", strings.ReplaceAll(good, l.keys["other"], "YW5vdGhlciBzZWNyZXQgdGhhbiB0aGVpcnM="))
	l.command(l.program, "reload", "--config", l.config)
	commit := l.note("with another secret")
	l.serves(commit)
	knot := l.secondaries[1]
	l.secondaryEventually(knot, "the state says that the signature is not taken", 10*time.Second, func() bool {
		return slices.ContainsFunc(l.status(knot).Zones, func(z toldZone) bool {
			return z.Apex == labZone && strings.Contains(z.Problem, "BADSIG")
		})
	})
	if log := l.read(l.log("server")); !strings.Contains(log, "BADSIG") {
		l.Errorf("the log does not say it:\n%s", lastLines(log, 10))
	}
	l.write("transfer.keys", good)
	l.command(l.program, "reload", "--config", l.config)
	l.converged(byNotify, labZone)
}
