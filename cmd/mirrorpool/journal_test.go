package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/zones"
)

// transferred asks for a zone over TCP and gives all records of the answer.
func transferred(question *dns.Msg, address string) ([]dns.RR, error) {
	envelopes, err := new(dns.Transfer).In(question, address)
	if err != nil {
		return nil, err
	}
	var records []dns.RR
	for one := range envelopes {
		if err == nil && one.Error != nil {
			err = fmt.Errorf("transferring %s: %w", question.Question[0].Name, one.Error)
		}
		records = append(records, one.RR...)
	}
	return records, err
}

// wholeZone transfers a zone whole.
func wholeZone(apex, address string) (*zones.Version, error) {
	question := new(dns.Msg)
	question.SetAxfr(apex)
	records, err := transferred(question, address)
	if err != nil {
		return nil, err
	}
	return zones.NewVersion(records[0].(*dns.SOA), records[1:len(records)-1]), nil
}

// errWhole tells that a zone came whole where differences were expected.
var errWhole = errors.New("the zone comes whole")

// nextVersion brings an older version of a zone up to date with an incremental
// transfer.
func nextVersion(old *zones.Version, address string) (*zones.Version, error) {
	question := new(dns.Msg)
	question.SetIxfr(old.Apex, old.SOA.Serial, old.SOA.Ns, old.SOA.Mbox)
	records, err := transferred(question, address)
	if err != nil || len(records) == 1 {
		return old, err
	}
	var d *zones.Difference
	var differences []*zones.Difference
	for _, rr := range records[1 : len(records)-1] {
		soa, isSOA := rr.(*dns.SOA)
		switch {
		case isSOA && (d == nil || d.New != nil):
			d = &zones.Difference{Old: soa}
			differences = append(differences, d)
		case isSOA:
			d.New = soa
		case d == nil:
			return nil, errWhole
		case d.New == nil:
			d.Deleted = append(d.Deleted, rr)
		default:
			d.Added = append(d.Added, rr)
		}
	}
	return old.Apply(differences...)
}

func (r *running) whole(apex string) *zones.Version {
	r.Helper()
	v, err := wholeZone(apex, r.dnsAddress())
	if err != nil {
		r.Fatal(err)
	}
	return v
}

// caughtUp brings a version up to date, and holds it against the whole zone.
func (r *running) caughtUp(old *zones.Version) *zones.Version {
	r.Helper()
	v, err := nextVersion(old, r.dnsAddress())
	if err != nil {
		r.Fatalf("%s since %d: %v", old.Apex, old.SOA.Serial, err)
	}
	if whole := r.whole(old.Apex); versionLines(v) != versionLines(whole) {
		r.Errorf("differences of %s lead to\n%s\nthe whole zone is\n%s", old.Apex, versionLines(v), versionLines(whole))
	}
	return v
}

// versionLines are a version's records, sorted.
func versionLines(v *zones.Version) string {
	lines := []string{v.SOA.String()}
	for rr := range v.Records() {
		lines = append(lines, rr.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

const transferKeys = "dns: {listen: [\"127.0.0.1:0\"], transfer: {allow: [\"127.0.0.0/8\"], catalog: catalog.example}}\n"

// largeZone is one of which a difference is shorter than the whole.
const largeZone = testZone + "$GENERATE 1-50 host$ 300 A 127.0.0.$\n"

// TestJournal: secondaries get differences over commits and restarts, also to what
// has changed while the server was off, and a catalog that follows the zones.
func TestJournal(t *testing.T) {
	r := newRunning(t, transferKeys)
	r.write("checkout/zones/example.test.zone", largeZone)
	commit := r.push("A large zone")
	r.start()
	r.serving(commit)
	first := r.whole("example.test.")
	if text := versionLines(first); !strings.Contains(text, "dl.example.test.\t5\tIN\tA\t127.0.0.41") || strings.Count(text, "dl.example.test.") != 1 {
		t.Errorf("the zone is\n%s", text)
	}
	catalog := r.whole("catalog.example.")
	if text := versionLines(catalog); !strings.Contains(text, "PTR\texample.test.") || strings.Contains(text, "other.test") {
		t.Errorf("the catalog is\n%s", text)
	}

	r.write("checkout/zones/example.test.zone", largeZone+"more 300 IN TXT \"more\"\n")
	r.serving(r.push("One record more"))
	second := r.caughtUp(first)
	if text := versionLines(second); !strings.Contains(text, `"more"`) {
		t.Errorf("the zone is\n%s", text)
	}

	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, "\nmirrorpool_journal_differences 1\n") || strings.Contains(metrics, "\nmirrorpool_journal_bytes 0\n") {
		t.Error("the metrics do not count the difference")
	}
	r.stop()
	r.write("checkout/zones/example.test.zone", largeZone+"other 300 IN TXT \"other\"\n")
	r.write("checkout/zones/other.test.zone", testZone)
	commit = r.push("Another record, and another zone")
	r.start()
	r.serving(commit)
	for _, old := range []*zones.Version{first, second} {
		if text := versionLines(r.caughtUp(old)); !strings.Contains(text, `"other"`) || strings.Contains(text, `"more"`) {
			t.Errorf("the zone is\n%s", text)
		}
	}
	if text := versionLines(r.caughtUp(catalog)); !strings.Contains(text, "PTR\tother.test.") {
		t.Errorf("the catalog is\n%s", text)
	}
	if reply := r.ask("catalog.example.", dns.TypeTXT); reply.Rcode != dns.RcodeRefused {
		t.Errorf("the catalog answers questions: %v", reply)
	}
}

// TestJournalInTheWay: where nothing can be written, zones are served and differences
// given nevertheless, and the stage says so.
func TestJournalInTheWay(t *testing.T) {
	r := newRunning(t, transferKeys)
	r.write("state/journal", "")
	r.write("checkout/zones/example.test.zone", largeZone)
	commit := r.push("A large zone")
	r.start()
	r.serving(commit)
	first := r.whole("example.test.")
	r.write("checkout/zones/example.test.zone", largeZone+"more 300 IN TXT \"more\"\n")
	r.serving(r.push("One record more"))
	r.caughtUp(first)
	if stage := r.stage(stageJournal); !strings.Contains(stage.Error, r.path("state/journal")) || stage.StaleSince.IsZero() {
		t.Errorf("the stage says %+v", stage)
	}
	if !strings.Contains(r.log.String(), "get whole zones after a restart") {
		t.Errorf("the log does not say so:\n%s", r.log)
	}
	r.stop()

	// The next start finds the way clear.
	if err := os.Remove(r.path("state/journal")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.eventually("the journal is kept", func() bool {
		return r.node.compiler.table.Load() != nil && r.stage(stageJournal).Error == ""
	})
}

// TestCatalogInTheWay: a zone with the catalog's name is served, and the stage tells
// why there is no catalog.
func TestCatalogInTheWay(t *testing.T) {
	r := newRunning(t, transferKeys)
	r.write("checkout/zones/catalog.example.zone", testZone)
	commit := r.push("A zone of the catalog's name")
	r.start()
	r.serving(commit)
	if reply := r.ask("ns1.catalog.example.", dns.TypeA); len(reply.Answer) != 1 {
		t.Errorf("answered: %v", reply)
	}
	if stage := r.stage(stageCatalog); !strings.Contains(stage.Error, "zones/catalog.example.zone") {
		t.Errorf("the stage says %+v", stage)
	}
	r.write("node.yaml", r.config(strings.Replace(transferKeys, "catalog.example", "catalog.test", 1)))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("there is a catalog", func() bool {
		return r.stage(stageCatalog).Error == "" && r.node.compiler.table.Load().Version("catalog.test.") != nil
	})
	if text := versionLines(r.whole("catalog.test.")); !strings.Contains(text, "PTR\tcatalog.example.") {
		t.Errorf("the catalog is\n%s", text)
	}
}

// TestJournalOfNobody: what could not be written for secondaries is no failure once
// there are none.
func TestJournalOfNobody(t *testing.T) {
	c := &compiler{stages: newStages(time.Now), logger: zerolog.Nop()}
	c.transfer.Store(&transferWish{record: true})
	full := func() error { return errors.New("no space left") }
	c.flushJournal(full)
	if len(c.stages.list()) != 1 {
		t.Fatal("a journal that cannot be written is not told of")
	}
	c.transfer.Store(&transferWish{})
	c.flushJournal(full)
	if failing := c.stages.list(); len(failing) != 0 || c.recorded != nil {
		t.Errorf("%v fails, %v is to be tried again", failing, c.recorded)
	}
}
