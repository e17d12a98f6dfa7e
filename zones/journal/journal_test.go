package journal

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// version makes a version of a zone from the text of records.
func version(t testing.TB, apex string, serial uint32, lines ...string) *zones.Version {
	t.Helper()
	under := "." + strings.TrimPrefix(apex, ".")
	soa := &dns.SOA{
		Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
		Ns:  "ns" + under, Mbox: "h" + under, Serial: serial, Refresh: 1, Retry: 2, Expire: 3, Minttl: 4,
	}
	var records []dns.RR
	for _, line := range lines {
		line = strings.ReplaceAll(strings.ReplaceAll(line, ".@", under), "@", apex)
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rr)
	}
	return zones.NewVersion(soa, records)
}

// randomLines are random records, signatures among them.
func randomLines(r *rand.Rand) []string {
	lines := []string{"@ 60 IN NS ns.@"}
	for i := range 40 {
		if r.IntN(2) == 0 {
			lines = append(lines, fmt.Sprintf("n%d.@ 60 IN A 127.0.0.%d", i%7, i))
		}
	}
	if r.IntN(2) == 0 {
		lines = append(lines, fmt.Sprintf(`t.@ %d IN TXT "%d"`, 60+r.IntN(2), r.IntN(3)))
	}
	if r.IntN(2) == 0 {
		lines = append(lines, fmt.Sprintf("n1.@ 60 IN RRSIG A 13 2 60 20300101000000 20260101000000 %d example. AAAA", r.IntN(3)))
	}
	return lines
}

// text is what a version holds, sorted.
func text(v *zones.Version) string {
	lines := []string{v.SOA.String()}
	for rr := range v.Records() {
		lines = append(lines, rr.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func open(t testing.TB, path string, limits Limits) *Journal {
	t.Helper()
	j, err := Open(path, limits)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func record(t testing.TB, j *Journal, v *zones.Version) {
	t.Helper()
	if err := errors.Join(j.Record(v), j.Flush()); err != nil {
		t.Fatal(err)
	}
}

// since gives what is kept since a serial, unpacked.
func since(t testing.TB, j *Journal, apex string, serial uint32) (differences []*zones.Difference, ok bool) {
	t.Helper()
	kept, ok := j.Since(apex, serial, math.MaxInt64)
	for _, one := range kept {
		d, err := zones.UnpackDifference([]byte(one.Records))
		if err != nil || d.Old.Serial != one.Old || d.New.Serial != one.New {
			t.Fatal("what is kept from serial", one.Old, "to", one.New, "is", d, err)
		}
		differences = append(differences, d)
	}
	return differences, ok
}

// leads holds that the differences since an older version lead to a newer one. It
// tells whether there are any.
func leads(t testing.TB, j *Journal, from, to *zones.Version) bool {
	t.Helper()
	differences, ok := since(t, j, from.Apex, from.SOA.Serial)
	if !ok {
		return false
	}
	got, err := from.Apply(differences...)
	if err != nil {
		t.Fatal(err)
	}
	if text(got) != text(to) {
		t.Fatalf("the differences since %d lead to\n%s\nexpected\n%s", from.SOA.Serial, text(got), text(to))
	}
	return true
}

// String tells what is kept of each zone.
func (z *zone) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s at %d:", z.apex, z.last.SOA.Serial)
	for _, c := range z.changes {
		fmt.Fprintf(&out, " %d-%d", c.Old, c.New)
	}
	return out.String()
}

// TestSince: the differences since any serial lead to the newest version, over
// restarts, of several zones, with serials that wrap.
func TestSince(t *testing.T) {
	path := t.TempDir()
	r := rand.New(rand.NewPCG(3, 4))
	j := open(t, path, Limits{})
	history := map[string][]*zones.Version{}
	serial := uint32(1<<32 - 40)
	for step := range 120 {
		apex := []string{"example.", "other.example.", `odd/\001.example.`, "."}[r.IntN(4)]
		serial += 1 + uint32(r.IntN(3))
		v := version(t, apex, serial, randomLines(r)...)
		record(t, j, v)
		history[apex] = append(history[apex], v)
		if step%20 == 19 {
			j = open(t, path, Limits{})
		}
		for i, old := range history[apex] {
			if (step+i)%4 == 0 && !leads(t, j, old, v) {
				t.Fatalf("step %d: there is nothing since %d of %s", step, old.SOA.Serial, apex)
			}
		}
	}
	for apex, versions := range history {
		newest := versions[len(versions)-1]
		if got := j.Serials()[apex]; got != newest.SOA.Serial {
			t.Errorf("%s is at serial %d, expected %d", apex, got, newest.SOA.Serial)
		}
		for _, serial := range []uint32{newest.SOA.Serial + 1, versions[0].SOA.Serial - 1} {
			if differences, ok := since(t, j, apex, serial); ok {
				t.Errorf("%s: %d differences since %d, which never was", apex, len(differences), serial)
			}
		}
	}
	if _, ok := since(t, j, "nowhere.", 1); ok {
		t.Error("there are differences of no zone")
	}
	count, bytes := j.Size()
	if count < 110 || bytes < 1000 {
		t.Errorf("the journal has %d differences in %d bytes", count, bytes)
	}
}

// TestRestart: a version that is the same keeps what there is, one that is not is
// compared to that from before.
func TestRestart(t *testing.T) {
	path := t.TempDir()
	first, second := version(t, "example.", 1, "@ 60 IN NS ns.@"), version(t, "example.", 2, "@ 60 IN NS ns2.@")
	j := open(t, path, Limits{})
	record(t, j, first)
	record(t, j, second)
	j = open(t, path, Limits{})
	record(t, j, version(t, "example.", 2, "@ 60 IN NS ns2.@"))
	if !leads(t, j, first, second) {
		t.Error("a restart with the same content has dropped what there was")
	}
	j = open(t, path, Limits{})
	third := version(t, "example.", 7, "@ 60 IN NS ns3.@")
	record(t, j, third)
	if !leads(t, j, first, third) || !leads(t, j, second, third) {
		t.Error("what changed while the server was off has no difference")
	}
	j = open(t, path, Limits{})
	record(t, j, version(t, "example.", 8, "@ 60 IN NS ns3.@"))
	if d, ok := since(t, j, "example.", 7); !ok || len(d) != 1 || len(d[0].Added)+len(d[0].Deleted) != 0 {
		t.Errorf("a new serial of the same content gives %v, %v", d, ok)
	}
}

// TestAnew: where serials do not grow, nobody can be told what changed.
func TestAnew(t *testing.T) {
	for name, next := range map[string]uint32{"the same serial": 10, "an older serial": 9, "a serial half the circle away": 10 + 1<<31} {
		path := t.TempDir()
		j := open(t, path, Limits{})
		first, second := version(t, "example.", 5), version(t, "example.", 10)
		record(t, j, first)
		record(t, j, second)
		other := version(t, "example.", next, "@ 60 IN NS ns.@")
		if err := j.Record(other); err != nil {
			t.Fatal(err)
		}
		// What is on disk would lead secondaries astray: it is replaced at once.
		if got := open(t, path, Limits{}).Serials()["example."]; got != next {
			t.Errorf("%s: serial %d is on disk, expected %d", name, got, next)
		}
		if leads(t, j, first, other) {
			t.Errorf("%s: there are differences since %d", name, 5)
		}
		after := version(t, "example.", next+1)
		record(t, j, after)
		if !leads(t, j, other, after) {
			t.Errorf("%s: the journal does not go on", name)
		}
	}
}

// TestLimits: the oldest differences go first, of each zone and of all together, and
// what is larger than a zone is not kept.
func TestLimits(t *testing.T) {
	path := t.TempDir()
	limits := Limits{Bytes: 4000, Zone: 3000, Differences: 10}
	j := open(t, path, limits)
	r := rand.New(rand.NewPCG(1, 1))
	history := map[string][]*zones.Version{}
	for serial := range uint32(300) {
		apex := []string{"a.", "b.", "c."}[r.IntN(3)]
		v := version(t, apex, serial+1, randomLines(r)...)
		record(t, j, v)
		history[apex] = append(history[apex], v)
		kept := 0
		for _, old := range history[apex] {
			if leads(t, j, old, v) {
				kept++
			} else if kept > 0 {
				t.Fatalf("%s: there is nothing since %d, but since an older serial", apex, old.SOA.Serial)
			}
		}
		if kept == 0 || kept > 11 {
			t.Fatalf("%d serials of %s are kept", kept, apex)
		}
		if _, bytes := j.Size(); bytes > limits.Bytes {
			t.Fatalf("%d bytes are kept", bytes)
		}
		if serial%50 == 49 {
			j = open(t, path, limits)
		}
	}
	j = open(t, t.TempDir(), Limits{Zone: 100})
	small := version(t, "a.", 1)
	large := version(t, "a.", 2, randomLines(r)...)
	record(t, j, small)
	record(t, j, large)
	if leads(t, j, small, large) {
		t.Error("a difference beyond the limit is kept")
	}
}

// TestFileSize: a file does not grow without end.
func TestFileSize(t *testing.T) {
	path := t.TempDir()
	j := open(t, path, Limits{Differences: 3})
	r := rand.New(rand.NewPCG(1, 1))
	largest := int64(0)
	for serial := range uint32(1600) {
		record(t, j, version(t, "example.", serial+1, randomLines(r)...))
		largest = max(largest, fileSize(t, filepath.Join(path, "example.journal")))
	}
	if most := int64(2*smallZone + 64<<10); largest > most || largest < smallZone {
		t.Errorf("the file grew to %d bytes", largest)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestTooLarge: of a zone that is too large there are differences until a restart,
// and no file.
func TestTooLarge(t *testing.T) {
	path := t.TempDir()
	limits := Limits{Snapshot: 300}
	j := open(t, path, limits)
	r := rand.New(rand.NewPCG(1, 1))
	first, second := version(t, "example.", 1, randomLines(r)...), version(t, "example.", 2, randomLines(r)...)
	record(t, j, first)
	record(t, j, second)
	if !leads(t, j, first, second) {
		t.Error("there are no differences")
	}
	if files, _ := os.ReadDir(path); len(files) > 0 {
		t.Errorf("there is a file: %v", files)
	}
	if j = open(t, path, limits); len(j.Serials()) > 0 {
		t.Error("it is there after a restart")
	}
}

func TestRetain(t *testing.T) {
	path := t.TempDir()
	j := open(t, path, Limits{})
	record(t, j, version(t, "a.", 1))
	record(t, j, version(t, "b.", 1))
	if err := j.Retain(func(apex string) bool { return apex == "b." }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s := j.Serials(); len(s) != 1 || s["b."] != 1 {
			t.Errorf("there are %v", s)
		}
		j = open(t, path, Limits{})
	}
}

// TestConcurrent: differences are read while others are recorded.
func TestConcurrent(t *testing.T) {
	j := open(t, t.TempDir(), Limits{Differences: 5})
	r := rand.New(rand.NewPCG(1, 1))
	var history []*zones.Version
	for serial := range uint32(100) {
		history = append(history, version(t, "example.", serial+1, randomLines(r)...))
	}
	record(t, j, history[0])
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for serial := uint32(1); ; serial++ {
				select {
				case <-stop:
					return
				default:
				}
				old := history[serial%100]
				differences, ok := since(t, j, "example.", old.SOA.Serial)
				if !ok || len(differences) == 0 {
					continue
				}
				newest := differences[len(differences)-1].New.Serial
				if got, err := old.Apply(differences...); err != nil || text(got) != text(history[newest-1]) {
					t.Errorf("since %d: %v", old.SOA.Serial, err)
				}
			}
		})
	}
	for _, v := range history {
		record(t, j, v)
	}
	close(stop)
	readers.Wait()
}
