package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

const checkedPools = `{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 5, "answers": 2, "health": { "check": "tcp", "port": 9 },
  "members": [ { "id": "one", "addresses": ["127.0.0.41"], "weight": 10 }, { "id": "two", "addresses": ["127.0.0.42"], "weight": 10 } ] } ] }
`

// serialsLab compiles tables at times that a test gives, with a directory that can be
// written to or not.
type serialsLab struct {
	*testing.T
	node   *node
	commit *commitContent
	at     time.Time
	whole  *stateDir // what can be written to
}

func newSerialsLab(t *testing.T, configuration string) *serialsLab {
	t.Helper()
	r := newRunning(t, configuration)
	r.write("checkout/pools.json", checkedPools)
	r.write("checkout/zones/example.test.zone", largeZone)
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	l := &serialsLab{T: t, at: time.Unix(1_800_000_000, 0)}
	if l.node, err = newNode(r.path("node.yaml"), config, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.node.stopListeners()
		if err := l.whole.close(); err != nil {
			t.Error(err)
		}
	})
	l.whole = l.node.state
	content, problems := readRepository(os.DirFS(r.path("checkout")))
	if content == nil {
		t.Fatal(problems)
	}
	l.commit = &commitContent{content: content, commit: "first"}
	l.restart(0)
	return l
}

// writable makes the directory one that takes what is written, or not. What root may
// write to takes what is not there.
func (l *serialsLab) writable(is bool) {
	l.Helper()
	c, kept, aside := l.node.compiler, l.whole.file(journalDirectory), l.whole.file("aside")
	if is == (c.state == l.whole) {
		return
	}
	var err error
	if is {
		c.state = l.whole
		err = errors.Join(os.Remove(kept), os.Rename(aside, kept))
	} else {
		c.state = &stateDir{path: l.whole.file("missing"), lock: l.whole.lock}
		err = errors.Join(os.Rename(kept, aside), os.WriteFile(kept, nil, 0o600))
	}
	if err != nil {
		l.Fatal(err)
	}
}

// restart is one after a kill, some time later.
func (l *serialsLab) restart(later time.Duration) {
	l.Helper()
	l.writable(true)
	l.node.openJournal()
	var err error
	if l.node.compiler, err = l.node.newCompiler(l.node.config.Load()); err != nil {
		l.Fatal(err)
	}
	l.at = l.at.Add(later)
	l.node.compiler.now = func() time.Time { return l.at }
	l.node.compiler.readSerials() // by that clock
}

// compile serves what a member's health makes of the commit, some time later, and
// gives the serial.
func (l *serialsLab) compile(later time.Duration, verdict string) uint32 {
	l.Helper()
	table, given := l.serve(later, verdict)
	if want := map[string]int{"up": 2, "down": 1}[verdict]; given != want {
		l.Errorf("%d addresses are given, expected %d at once", given, want)
	}
	return table.Version("example.test.").SOA.Serial
}

// serve is compile for the table, and how many addresses it gives.
func (l *serialsLab) serve(later time.Duration, verdict string) (*zones.Table, int) {
	l.Helper()
	l.at = l.at.Add(later)
	c := l.node.compiler
	now := time.Now().Format(time.RFC3339Nano)
	target := func(address, verdict string) string {
		return fmt.Sprintf(`{"probe": 0, "address": %q, "state": {"verdict": %q, "since": %q, "checked": %q, "reason": "told", "failures": 9, "successes": 9, "duration_ns": 1}}`,
			address, verdict, now, now)
	}
	probe, err := json.Marshal(health.Targets(l.commit.definition)[0].Target.Probe)
	if err != nil {
		l.Fatal(err)
	}
	c.prober = health.NewProber(health.Config{})
	if err := c.prober.Restore(fmt.Appendf(nil, `{"version": 2, "saved": %q, "probes": [%s], "targets": [%s, %s]}`, now, probe, target("127.0.0.41", "up"), target("127.0.0.42", verdict))); err != nil {
		l.Fatal(err)
	}
	c.prober.SetTargets(health.Targets(l.commit.definition))
	if err := c.compile(l.commit); err != nil {
		l.Fatal(err)
	}
	c.current = l.commit
	table := c.table.Load()
	answer := table.Answer(zones.Question{Name: "dl.example.test.", Type: dns.TypeA}, constant{})
	return table, len(answer.Answer)
}

type constant struct{}

func (constant) Uint64() uint64 { return 0 }

// follow brings a version up to date by differences, as a secondary does.
func (l *serialsLab) follow(has *zones.Version) *zones.Version {
	l.Helper()
	var from dnsserver.Transfers = l.node.compiler.transfers()
	is := from.Version(has.Apex)
	if has.SOA.Serial == is.SOA.Serial || int32(is.SOA.Serial-has.SOA.Serial) < 0 {
		is = has // there is nothing newer for it
	} else if kept, ok := from.Since(has.Apex, has.SOA.Serial, math.MaxInt64); !ok {
		l.Errorf("no differences from %d to %d", has.SOA.Serial, is.SOA.Serial)
	} else {
		is = has
		for _, packed := range kept {
			d, err := zones.UnpackDifference([]byte(packed.Records))
			if err == nil {
				is, err = is.Apply(d)
			}
			if err != nil {
				l.Fatal(err)
			}
		}
	}
	if served := from.Version(has.Apex); versionLines(is) != versionLines(served) {
		l.Errorf("a secondary has\n%s\nwhat is served is\n%s", versionLines(is), versionLines(served))
	}
	return is
}

// TestSerialsAfterKill: what is on disk stays over a kill, so that secondaries get
// differences, and over a stop for longer.
func TestSerialsAfterKill(t *testing.T) {
	l := newSerialsLab(t, transferKeys)
	l.compile(0, "up")
	first := l.compile(time.Minute, "down")
	secondary := l.node.compiler.transfers().Version("example.test.")
	l.restart(promiseRunning - time.Second)
	if serial := l.compile(0, "down"); serial != first {
		t.Errorf("serial %d after a kill, %d before", serial, first)
	}
	secondary = l.follow(secondary)
	l.node.compiler.close()
	l.restart(promiseStopped - time.Second)
	if serial := l.compile(0, "down"); serial != first {
		t.Errorf("serial %d after a stop, %d before", serial, first)
	}
	secondary = l.follow(secondary)
	// For longer than anything was promised: nothing but the serial is another one.
	l.restart(24 * time.Hour)
	if serial := l.compile(0, "down"); serial != uint32(l.at.Unix()) {
		t.Errorf("serial %d after a day, expected the time of day, %d", serial, l.at.Unix())
	}
	l.follow(secondary)
}

// TestSerialsThatAreNotKept: where serials cannot be written, no restart leads back to
// one that secondaries have left behind.
func TestSerialsThatAreNotKept(t *testing.T) {
	for _, test := range []struct {
		name              string
		down, gone, again time.Duration // from writing to the change, to the kill, and to the start
		held              bool          // nothing else was given
	}{
		{name: "at once", down: time.Minute, gone: time.Second, again: time.Second, held: true},
		{name: "while it is promised", down: time.Minute, gone: promiseRunning - time.Minute - 2*time.Second, again: time.Second, held: true},
		{name: "after the promise", down: promiseRunning, gone: time.Minute, again: time.Minute},
		{name: "for long", down: time.Minute, gone: 24 * time.Hour, again: time.Second},
		{name: "with a clock that is behind after it", down: 12 * time.Hour, gone: time.Second, again: -72 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newSerialsLab(t, transferKeys)
			first := l.compile(0, "up")
			l.at = l.at.Add(48 * time.Hour)
			l.node.compiler.promiseSerials() // for the last time
			l.writable(false)
			second := l.compile(test.down, "down")
			second = max(second, l.compile(test.gone, "down"))
			if (second == first) != test.held {
				t.Errorf("serial %d is given after %d", second, first)
			}
			given := l.node.compiler.transfers().Version("example.test.")
			if serial := l.node.compiler.serials["example.test."].Number; serial != second {
				t.Errorf("serial %d is remembered, %d was given", serial, second)
			}
			l.restart(test.again)
			third := l.compile(0, "up")
			if test.held != (third == first) || !test.held && int32(third-second) <= 0 {
				t.Errorf("serial %d with the old content, after %d and %d", third, first, second)
			}
			if test.held {
				l.follow(given)
			}
		})
	}
}

// TestSerialsAreGivenLate: what was kept back is given when serials can be written
// again, or at the end of the promise.
func TestSerialsAreGivenLate(t *testing.T) {
	l := newSerialsLab(t, transferKeys)
	first := l.compile(0, "up")
	l.writable(false)
	if serial := l.compile(time.Minute, "down"); serial != first {
		t.Fatalf("serial %d is given, and not kept", serial)
	}
	if due := l.node.compiler.due; !due.Equal(l.node.compiler.onDisk.Until) {
		t.Errorf("due at %v, expected the end of the promise, %v", due, l.node.compiler.onDisk.Until)
	}
	if failing := l.node.stages.list(); len(failing) == 0 || failing[len(failing)-1].stage != stageSerials {
		t.Errorf("the stages say %v", failing)
	}
	l.at = l.at.Add(time.Second)
	l.writable(true)
	l.node.compiler.promiseSerials()
	second := l.node.compiler.transfers().Version("example.test.").SOA.Serial
	if second != uint32(l.at.Unix()) {
		t.Errorf("serial %d once it can be written, expected %d", second, l.at.Unix())
	}
	// What is promised stays promised.
	for range 5 {
		l.at = l.at.Add(keepInterval)
		l.node.compiler.promiseSerials()
	}
	l.restart(keepInterval)
	if serial := l.compile(0, "down"); serial != second {
		t.Errorf("serial %d after a kill, %d before", serial, second)
	}
}

// TestSerialsOfTwoNodes: where two nodes see the same members go in another order, none
// knows a serial of the other, so that no secondary gets differences that do not join.
func TestSerialsOfTwoNodes(t *testing.T) {
	share := func(which string) string {
		return strings.Replace(transferKeys, "allow:", "serials: "+which+", allow:", 1)
	}
	first, second := newSerialsLab(t, share("1/2")), newSerialsLab(t, share("2/2"))
	given := map[uint32]bool{}
	for i, verdicts := range [][2]string{{"up", "up"}, {"down", "up"}, {"up", "down"}, {"up", "up"}} {
		for j, l := range []*serialsLab{first, second} {
			serial := l.compile(5*time.Second, verdicts[j])
			if serial%2 != uint32(j) {
				t.Errorf("step %d: node %d gives serial %d", i, j+1, serial)
			}
			given[serial] = true
		}
	}
	for serial := range given {
		_, one := first.node.journal.Since("example.test.", serial, math.MaxInt64)
		_, other := second.node.journal.Since("example.test.", serial, math.MaxInt64)
		if one == other {
			t.Errorf("serial %d is known to both nodes or to none", serial)
		}
	}
}

// TestNoSerials: without a file, or with one that is none, serials go on from the
// time of day and from what the journal has.
func TestNoSerials(t *testing.T) {
	for name, content := range map[string]string{"none": "", "broken": "{", "another form": `{"example.test.": {"number": 7}}`} {
		t.Run(name, func(t *testing.T) {
			l := newSerialsLab(t, transferKeys)
			l.at = l.at.Add(24 * time.Hour)
			first := l.compile(0, "up")
			if err := os.Remove(l.whole.file(serialsFile)); err != nil {
				t.Fatal(err)
			}
			if content != "" {
				if err := l.whole.write(serialsFile, []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			l.restart(-24 * time.Hour)
			if serial := l.compile(0, "up"); serial != first+1 {
				t.Errorf("serial %d after %d", serial, first)
			}
		})
	}
}

// TestKeptSerials: the file says what was given, and until when that is all.
func TestKeptSerials(t *testing.T) {
	l := newSerialsLab(t, transferKeys)
	serial := l.compile(0, "up")
	data, err := os.ReadFile(l.whole.file(serialsFile))
	if err != nil {
		t.Fatal(err)
	}
	var kept keptSerials
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	if !kept.Written.Equal(l.at) || !kept.Until.Equal(l.at.Add(promiseRunning)) || kept.Zones["example.test."].Number != serial || len(kept.Zones) != 2 {
		t.Errorf("kept: %s", data)
	}
}

// TestNeverGivenTwice: the serials of the journal count where they are newer.
func TestNeverGivenTwice(t *testing.T) {
	known := map[string]zones.Serial{"a.": {Number: 10, Digest: "x"}, "b.": {Number: 10, Digest: "x"}, "c.": {Number: 1<<32 - 1, Digest: "x"}}
	before := fmt.Sprint(known)
	got := neverGivenTwice(known, map[string]uint32{"a.": 10, "b.": 11, "c.": 3, "d.": 4})
	want := map[string]zones.Serial{"a.": {Number: 10, Digest: "x"}, "b.": {Number: 11}, "c.": {Number: 3}, "d.": {Number: 4}}
	if !maps.Equal(got, want) || fmt.Sprint(known) != before {
		t.Errorf("got %v, expected %v", got, want)
	}
	if got := neverGivenTwice(nil, map[string]uint32{"d.": 4}); got["d."].Number != 4 {
		t.Errorf("got %v", got)
	}
}
