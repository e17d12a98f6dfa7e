package zones

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestHold: a change of health raises the serial at most every two seconds, the
// first one at once; a commit raises it in any case. Answers change at once.
func TestHold(t *testing.T) {
	zone := strings.Replace(serialRepository, "SERIAL", "1", 1)
	in := serialInput(t, zone, nil)
	other := serialInput(t, zone+"x IN TXT \"1\"\n", nil)
	start := in.Now
	var table *Table
	for _, step := range []struct {
		at     time.Duration
		commit bool
		down   string
		serial uint32 // after the first
		due    time.Duration
		given  string // of the version
		answer string
	}{
		{at: 0, serial: 0, given: "10 11", answer: "10 11"},
		{at: time.Second, down: "a", serial: 0, due: 2 * time.Second, given: "10 11", answer: "11"},
		{at: 1500 * time.Millisecond, down: "b", serial: 0, due: 2 * time.Second, given: "10 11", answer: "10"},
		{at: 1600 * time.Millisecond, down: "", serial: 0, given: "10 11", answer: "10 11"},
		{at: 1999 * time.Millisecond, down: "a", serial: 0, due: 2 * time.Second, given: "10 11", answer: "11"},
		{at: 2 * time.Second, down: "a", serial: 2, given: "11", answer: "11"},
		{at: 2100 * time.Millisecond, down: "b", serial: 2, due: 4 * time.Second, given: "11", answer: "10"},
		{at: 9 * time.Second, down: "b", serial: 9, given: "10", answer: "10"},
		{at: 20 * time.Second, down: "a", serial: 20, given: "11", answer: "11"},
		{at: 20500 * time.Millisecond, down: "b", commit: true, serial: 21, given: "10", answer: "10"},
		{at: 20600 * time.Millisecond, down: "a", commit: true, serial: 21, due: 22500 * time.Millisecond, given: "10", answer: "11"},
		{at: -time.Hour, down: "a", commit: true, serial: 22, given: "11", answer: "11"}, // the clock went back
	} {
		now := in
		if step.commit {
			now = other
		}
		now.Health = verdicts(now.Definition, strings.Fields(step.down)...)
		now.Now, now.Previous = start.Add(step.at), table
		if table != nil {
			now.Serials = table.Serials()
		}
		table = mustCompile(t, now)
		var due time.Time
		if step.due > 0 {
			due = start.Add(step.due)
		}
		version := table.Version("example.org.")
		if !table.Due().Equal(due) {
			t.Errorf("at %v: due at %v, expected %v", step.at, table.Due(), due)
		}
		want := uint32(start.Unix()) + step.serial
		answer := table.Answer(Question{Name: "example.org.", Type: dns.TypeSOA}, nil)
		if soa := answer.Answer[0].(*dns.SOA); version.SOA.Serial != want || soa.Serial != want || table.Serials()["example.org."].Number != want {
			t.Errorf("at %v: serial %d in the version, %d in answers, expected %d", step.at, version.SOA.Serial, soa.Serial, want)
		}
		if got := lastBytes(collect(version)); got != step.given {
			t.Errorf("at %v: the version has %s, expected %s", step.at, got, step.given)
		}
		if got := lastBytes(table.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA}, &fixedSource{}).Answer); got != step.answer {
			t.Errorf("at %v: answered %s, expected %s", step.at, got, step.answer)
		}
	}
}

func collect(v *Version) (records []dns.RR) {
	for rr := range v.Records() {
		if rr.Header().Name == "dl.example.org." {
			records = append(records, rr)
		}
	}
	return records
}

// fixedSource draws the same always.
type fixedSource struct{}

func (*fixedSource) Uint64() uint64 { return 0 }

// lastBytes are those of the records' addresses.
func lastBytes(records []dns.RR) string {
	var out []string
	for _, rr := range records {
		address := addressOf(rr).String()
		out = append(out, address[strings.LastIndexByte(address, '.')+1:])
	}
	return strings.Join(out, " ")
}
