package health

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorpool/pool"
)

// variety is one target of each sort.
func variety() []Assignment {
	return []Assignment{
		{nth(1), everyHalfMinute},
		{Target{Probe: pool.Probe{
			Kind: pool.CheckHTTPS, Port: 443, Host: "dl.test", Path: "/trace", Statuses: "200", Body: `^"\d+`,
			FollowRedirects: true, MaxAge: 26 * time.Hour, TraceFormat: pool.TraceDate, Timeout: 5 * time.Second,
			Purpose: pool.PurposeContents, Bytes: 1, MinRate: 2, Origin: "http://o.test/", Samples: 3, SHA256: "00", Index: "http://i.test/",
			Required: pool.NewRequirements([]pool.Requirement{{Path: "/ü <&>", Size: -1}}), Module: "m", Command: "c",
		}, Address: addr("::1")}, everyHalfMinute},
		{Target{Probe: pool.Probe{Kind: pool.CheckHTTP, Timeout: time.Second}, URL: "http://m.test/"}, everyHalfMinute},
	}
}

// savedBy gives what a prober knows after some minutes.
func savedBy(t *testing.T, f *farm, assignments []Assignment) (*Prober, []byte) {
	t.Helper()
	p, end := begin(t, Config{}, f, assignments)
	time.Sleep(5*time.Minute + time.Millisecond)
	end()
	data, err := p.Save()
	if err != nil {
		t.Fatal(err)
	}
	return p, data
}

func states(p *Prober) map[string]State {
	all := map[string]State{}
	for target, s := range p.Report().All() {
		all[target.String()] = s
	}
	return all
}

func TestSaveRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		mirror := variety()[2].Target
		f.address[mirror] = addr("127.0.0.5")
		f.turn(true, nth(1))
		old, data := savedBy(t, f, variety())
		want := states(old)
		if s := want[mirror.String()]; s.Verdict != Up || s.Address != addr("127.0.0.5") {
			t.Errorf("%+v", s)
		}

		before := NewProber(Config{Probe: f.probe})
		if err := before.Restore(data); err != nil {
			t.Fatal(err)
		}
		before.SetTargets(variety())
		if d := cmp.Diff(want, states(before), compareAddresses); d != "" {
			t.Errorf("restored before the targets were set: %s", d)
		}
		if err := before.WaitKnown(t.Context()); err != nil {
			t.Errorf("restored targets are not known: %v", err)
		}

		after := NewProber(Config{Probe: f.probe, Random: rand.NewPCG(7, 8)})
		after.SetTargets(variety())
		if err := after.Restore(data); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, states(after), compareAddresses); d != "" || !changed(after) {
			t.Errorf("restored after the targets were set: %s", d)
		}

		// The rhythm goes on: nothing is probed at once, all within one interval.
		starts := f.count()
		end := run(t, after)
		defer end()
		time.Sleep(time.Millisecond)
		if n := f.count() - starts; n != 0 {
			t.Errorf("%d probes at once", n)
		}
		time.Sleep(32 * time.Second)
		if n := f.count() - starts; n < 3 || n > 4 {
			t.Errorf("%d probes in the first interval", n)
		}
	})
}

func TestRestoreAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		old, data := savedBy(t, f, assign(1, everyHalfMinute))
		checked := old.Report().State(nth(0)).Checked
		for _, test := range []struct {
			age, interval time.Duration
			known         bool
		}{
			{59 * time.Second, 30 * time.Second, true},
			{60 * time.Second, 30 * time.Second, false},
			{60 * time.Second, 31 * time.Second, true},
			{-29 * time.Second, 30 * time.Second, true},
			{-31 * time.Second, 30 * time.Second, false},
			{240 * time.Hour, 30 * time.Second, false},
		} {
			p := NewProber(Config{Now: func() time.Time { return checked.Add(test.age) }})
			if err := p.Restore(data); err != nil {
				t.Fatal(err)
			}
			p.SetTargets(assign(2, pool.Schedule{Interval: test.interval, DownAfter: 3, UpAfter: 5}))
			if s := p.Report().State(nth(0)); (s.Verdict == Up) != test.known {
				t.Errorf("%s old, interval %s: %+v", test.age, test.interval, s)
			}
			if s := p.Report().State(nth(1)); s.Verdict != Unknown {
				t.Errorf("not saved: %+v", s)
			}
		}
	})
}

// TestRestoreIsPast holds that what is known by a probe stays, and that
// restored states serve only the targets that are set next.
func TestRestoreIsPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		_, data := savedBy(t, f, assign(2, everyHalfMinute))
		f.turn(true, nth(0))
		p, end := begin(t, Config{}, f, assign(1, everyHalfMinute))
		defer end()
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Restore(data); err != nil {
			t.Fatal(err)
		}
		if s := p.Report().State(nth(0)); s.Verdict != Down {
			t.Errorf("%+v", s)
		}
		p.SetTargets(assign(2, everyHalfMinute))
		if s := p.Report().State(nth(1)); s.Verdict != Unknown {
			t.Errorf("%+v", s)
		}
		q := NewProber(Config{Probe: f.probe})
		if err := q.Restore(data); err != nil {
			t.Fatal(err)
		}
		q.SetTargets(assign(1, everyHalfMinute))
		q.SetTargets(assign(2, everyHalfMinute))
		if first, second := q.Report().State(nth(0)), q.Report().State(nth(1)); first.Verdict != Up || second.Verdict != Unknown {
			t.Errorf("%+v, %+v", first, second)
		}
	})
}

func TestRestoreCorrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		_, data := savedBy(t, f, variety())
		whole := string(data)
		for name, corrupt := range map[string]string{
			"nothing":        "",
			"cut":            whole[:len(whole)/2],
			"more":           whole + "{}",
			"other version":  strings.Replace(whole, `"version": 2`, `"version": 1`, 1),
			"unknown field":  strings.Replace(whole, `"version": 2`, `"version": 2, "x": 1`, 1),
			"verdict":        strings.Replace(whole, `"up"`, `"maybe"`, 1),
			"address":        strings.Replace(whole, `"127.1.0.1"`, `"127.1.0"`, 1),
			"time":           strings.Replace(whole, `"checked": "2`, `"checked": "x`, 1),
			"no time":        strings.Replace(whole, `"checked"`, `"since"`, 1),
			"negative count": strings.Replace(whole, `"failures": 0`, `"failures": -1`, 1),
			"no probe":       strings.Replace(whole, `"probe": 0`, `"probe": 99`, 1),
			"negative probe": strings.Replace(whole, `"probe": 0`, `"probe": -1`, 1),
			"throughput":     strings.Replace(whole, `"failures": 0`, `"failures": 0, "throughput": -1`, 1),
			"twice":          strings.Replace(whole, `"targets": [`, `"targets": [`+firstTarget(whole)+",", 1),
		} {
			p := NewProber(Config{Probe: f.probe})
			p.SetTargets(variety())
			if corrupt == whole {
				t.Fatalf("%s: the data does not hold what is replaced:\n%s", name, whole)
			}
			if err := p.Restore([]byte(corrupt)); err == nil || !strings.HasPrefix(err.Error(), "restoring the health state: ") {
				t.Errorf("%s: %v", name, err)
			}
			for target, s := range p.Report().All() {
				if s.Verdict != Unknown {
					t.Errorf("%s: %s is %+v", name, target, s)
				}
			}
		}
	})
}

// firstTarget cuts the first element out of the list of targets.
func firstTarget(whole string) string {
	_, rest, _ := strings.Cut(whole, `"targets": [`)
	first, _, _ := strings.Cut(rest, "\n\t\t},")
	return first + "\n\t\t}"
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"version":2,"saved":"2026-01-02T03:04:05Z","targets":[]}`))
	f.Add([]byte(`{"version":2,"freezes":[{"family":"ipv4","since":"2026-01-02T03:04:05Z"}],
		"probes":[{"Kind":"tcp","Port":80,"Timeout":5000000000}],"targets":[{"probe":0,"address":"127.1.0.0",
		"state":{"frozen":true,"returned":"2027-01-02T03:04:05Z","verdict":"up","since":"2026-01-02T03:04:05Z","checked":"2026-01-02T03:04:05Z","reason":"connected",
		"failures":2,"successes":9223372036854775807,"duration_ns":1,"address":"::1"}}]}`))
	f.Add([]byte(`{"version":2,"probes":[{"Kind":"http"}],"targets":[{"probe":0,"url":"http://m.test/","state":{"verdict":"down"}}]}`))
	f.Add([]byte(`{"version":2,"probes":[],"targets":[{"probe":0}]}`))
	f.Add([]byte(`[]`))
	now := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		p := NewProber(Config{Now: func() time.Time { return now }})
		p.SetTargets(assign(3, everyHalfMinute))
		if p.Restore(data) != nil {
			for target, s := range p.Report().All() {
				if s.Verdict != Unknown {
					t.Errorf("refused data made %s %+v", target, s)
				}
			}
			return
		}
		for target, s := range p.Report().All() {
			if s.Address != target.Address || s.Failures > 3 || s.Successes > 5 || s.Successes < 0 {
				t.Errorf("%s: %+v", target, s)
			}
		}
		again, err := p.Save()
		if err != nil {
			t.Fatalf("what was restored cannot be saved: %v", err)
		}
		q := NewProber(Config{Now: p.now})
		q.SetTargets(assign(3, everyHalfMinute))
		if err := q.Restore(again); err != nil {
			t.Fatalf("what was saved cannot be restored: %v", err)
		}
		if d := cmp.Diff(states(p), states(q), compareAddresses); d != "" {
			t.Error(d)
		}
	})
}
