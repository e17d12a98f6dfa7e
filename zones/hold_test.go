package zones

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
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

// TestHoldUntil: where serials cannot be kept, a change of health raises none until a
// time, however long ago the last one was, and a commit does.
func TestHoldUntil(t *testing.T) {
	zone := strings.Replace(serialRepository, "SERIAL", "1", 1)
	in := serialInput(t, zone, nil)
	first := mustCompile(t, in)
	start := in.Now
	in.HoldUntil, in.Health = start.Add(time.Hour), verdicts(in.Definition, "a")
	in.Previous, in.Serials, in.Now = first, first.Serials(), start.Add(time.Hour-1)
	held := mustCompile(t, in)
	if held.Version("example.org.") != first.Version("example.org.") || !held.Due().Equal(in.HoldUntil) {
		t.Errorf("nothing is kept back until %v, but until %v", in.HoldUntil, held.Due())
	}
	if got := lastBytes(held.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA}, &fixedSource{}).Answer); got != "11" {
		t.Errorf("answered %s", got)
	}
	commit := serialInput(t, zone+"x IN TXT \"1\"\n", nil)
	commit.HoldUntil, commit.Previous, commit.Serials, commit.Now = in.HoldUntil, held, held.Serials(), in.Now
	if table := mustCompile(t, commit); table.Version("example.org.").SOA.Serial != uint32(commit.Now.Unix()) || !table.Due().IsZero() {
		t.Errorf("the commit has serial %d, due %v", table.Version("example.org.").SOA.Serial, table.Due())
	}
	in.Previous, in.Now = held, start.Add(time.Hour)
	if table := mustCompile(t, in); table.Version("example.org.").SOA.Serial != uint32(in.Now.Unix()) || !table.Due().IsZero() {
		t.Errorf("serial %d afterwards, due %v", table.Version("example.org.").SOA.Serial, table.Due())
	}
}

// TestSerialShare: nodes that share serials never give the same, whatever was given
// before and wherever serials wrap, and what is not of the share does not stay.
func TestSerialShare(t *testing.T) {
	for _, text := range []string{"", "1", "0/2", "3/2", "1/3", "1/16", "1/0", "-1/2", "1/2/2", "a/2", "1/1", " 1/2"} {
		if share, err := ParseSerialShare(text); err == nil {
			t.Errorf("%q is read as %v", text, share)
		}
	}
	given := map[uint32]string{}
	for _, text := range []string{"1/4", "2/4", "3/4", "4/4"} {
		share, err := ParseSerialShare(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range []uint32{0, 1000, 1<<32 - 20} {
			last := Serial{Number: start, Digest: "old"}
			for i := range int64(10) {
				now := time.Unix(int64(start)+i*3, 0)
				next := share.next(last, true, "new", now)
				if by, twice := given[next.Number]; twice && by != text || !serialAfter(next.Number, last.Number) || next.Number-last.Number > 8 {
					t.Errorf("%s gives %d after %d, which %s gives", text, next.Number, last.Number, by)
				}
				given[next.Number] = text
				if same := share.next(next, true, "new", now); same != next {
					t.Errorf("%s gives %v the serial %d", text, next, same.Number)
				}
				last = Serial{Number: next.Number, Digest: "old"}
			}
		}
	}
	in := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1), nil)
	in.Catalog = "catalog.example."
	before := mustCompile(t, in)
	in.SerialShare, in.Previous, in.Serials = SerialShare{Place: 1, Of: 2}, before, before.Serials()
	for range 2 {
		in.SerialShare.Place ^= 1
		table := mustCompile(t, in)
		for apex, serial := range table.Serials() {
			if serial.Number%2 != in.SerialShare.Place || table.Version(apex).SOA.Serial != serial.Number {
				t.Errorf("%s has serial %d in the place %d", apex, serial.Number, in.SerialShare.Place)
			}
		}
		in.Previous, in.Serials = table, table.Serials()
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

// TestHoldOfSigned: other keys raise the serial at once, and what is kept back is
// signed nevertheless.
func TestHoldOfSigned(t *testing.T) {
	in := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1), nil)
	in.Now = signingTime
	signInput(t, &in, dns.ED25519)
	first := mustCompile(t, in)
	in.Previous, in.Serials, in.Now = first, first.Serials(), in.Now.Add(time.Second)
	in.Health = verdicts(in.Definition, "a")
	held := mustCompile(t, in)
	if held.Version("example.org.") != first.Version("example.org.") || !held.Due().Equal(signingTime.Add(2*time.Second)) {
		t.Errorf("nothing is kept back, due %v", held.Due())
	}
	answer := held.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA, DNSSEC: true}, &fixedSource{})
	if got := lastBytes(answer.Answer); got != "11" || len(answer.Signatures) != 1 {
		t.Errorf("answered %s with signatures %v", got, answer.Signatures)
	}
	in.Previous = held
	signInput(t, &in, dns.ED25519)
	keys := mustCompile(t, in).Version("example.org.")
	if keys.SOA.Serial == first.Version("example.org.").SOA.Serial {
		t.Error("other keys have not raised the serial")
	}
	checkSignedVersion(t, keys, in.Now)
}

// TestRenewal: whatever signature is renewed, the serial is raised; also where it is
// that of the SOA alone.
func TestRenewal(t *testing.T) {
	in := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1), nil)
	in.Now = signingTime
	signInput(t, &in, dns.ED25519)
	table := mustCompile(t, in)
	alone := 0
	for in.Now.Before(signingTime.Add(20 * 24 * time.Hour)) {
		before := table.Version("example.org.")
		in.Previous, in.Serials, in.Now = table, table.Serials(), table.SigningDue()
		plan := *in.Signing["example.org."]
		plan.Now = in.Now
		in.Signing = map[string]*signing.Plan{"example.org.": &plan}
		table = mustCompile(t, in)
		version := table.Version("example.org.")
		d := Compare(before, version)
		if len(d.Added) == 0 || len(d.Added) != len(d.Deleted) || d.Old.Serial == d.New.Serial {
			t.Fatalf("at %v the serial goes from %d to %d with\n%s", in.Now, d.Old.Serial, d.New.Serial, differenceText(d))
		}
		checkSignedVersion(t, version, in.Now)
		if signature := d.Added[0].(*dns.RRSIG); signature.TypeCovered == dns.TypeSOA && len(d.Added) == 1 {
			alone++
		}
	}
	if alone == 0 {
		t.Error("the SOA's signature was never renewed alone")
	}
}
