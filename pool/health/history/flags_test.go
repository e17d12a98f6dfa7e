package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// dataOf makes the data of a member with incidents that begin so many hours before now and
// last so many hours.
func dataOf(now time.Time, outages ...[2]float64) *memberData {
	d := &memberData{memberRow: memberRow{Member: Member{Pool: testPool, ID: "wiki"}, since: now.AddDate(-1, 0, 0), seen: now}, targets: map[int64]*targetData{}}
	hours := func(h float64) time.Duration { return time.Duration(h * float64(time.Hour)) }
	for _, one := range outages {
		i := Incident{Started: now.Add(-hours(one[0])), Target: "wiki: http", Check: "http", Outcome: health.Connection, Reason: "connection refused"}
		if one[1] > 0 {
			i.Ended = i.Started.Add(hours(one[1]))
		}
		d.incidents = append(d.incidents, i)
	}
	slices.SortFunc(d.incidents, func(a, b Incident) int { return b.Started.Compare(a.Started) })
	return d
}

// withDays gives the data a target with figures for each of the days before now.
func (d *memberData) withDays(now time.Time, days int, of func(age int, f *figures)) *memberData {
	t := &targetData{kind: pool.CheckHTTPS, purpose: pool.PurposeThroughput, floor: 200_000, warning: 14 * dayLength, seen: now}
	for age := days - 1; age >= 0; age-- {
		one := dated[figures]{day: dayOf(now) - dayNumber(age)}
		one.value.Probes = 1000
		of(age, &one.value)
		t.days = append(t.days, one)
	}
	d.targets[int64(len(d.targets)+1)] = t
	return d
}

func (d *memberData) withCertificate(end time.Time) *memberData {
	for _, t := range d.targets {
		t.certificate = end
	}
	return d
}

func delivers(rate int64) func(int, *figures) {
	return func(_ int, f *figures) { f.Delivery.put(rate) }
}

func TestFlags(t *testing.T) {
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	quiet := func(int, *figures) {}
	altered := dataOf(now, [2]float64{5000, 1})
	altered.incidents[0].Outcome = health.Altered
	certified := dataOf(now, [2]float64{500, 1})
	certified.incidents[0].Outcome, certified.incidents[0].Reason = health.Certificate, "certificate expired 2026-05-25"
	voided := dataOf(now, [2]float64{600, 1}, [2]float64{400, 1}, [2]float64{200, 1})
	for i := range voided.incidents {
		voided.incidents[i].Voided = true
	}
	again := slices.Repeat([][2]float64{{0, 0.5}}, 91) // down for 30 minutes of every 80, for five days
	for i := range again {
		again[i][0] = 124 - float64(i)*80/60
	}
	for name, one := range map[string]struct {
		data *memberData
		want string // kinds
		word string // in one of the flags
	}{
		"nothing":                   {dataOf(now).withDays(now, 90, quiet), "", ""},
		"one outage":                {dataOf(now, [2]float64{100, 2}), "", ""},
		"two in a month":            {dataOf(now, [2]float64{600, 1}, [2]float64{101, 2}), "", ""},
		"three in a month":          {dataOf(now, [2]float64{600, 1}, [2]float64{300, 1}, [2]float64{101, 2}), "repeated", "3 outages in 30 days"},
		"taken back":                {voided, "", ""},
		"three within hours":        {dataOf(now, [2]float64{6, 0.5}, [2]float64{5, 0.5}, [2]float64{4, 0.5}), "", ""},
		"again and again":           {dataOf(now, again...), "flapping repeated", "91 outages in 30 days"},
		"four, two of one event":    {dataOf(now, [2]float64{60, 0.5}, [2]float64{58.7, 0.5}, [2]float64{30, 0.5}, [2]float64{4, 0.5}), "repeated", "4 outages in 30 days"},
		"one of 25 hours":           {dataOf(now, [2]float64{2000, 25}), "long", "an outage of 1 d 1 h from 2026-03-24 04:00 UTC"},
		"one that goes on":          {dataOf(now, [2]float64{30, 0}), "long", "since 2026-06-14 06:00 UTC, which goes on"},
		"a long one a year ago":     {dataOf(now, [2]float64{8000, 48}), "", ""},
		"flapping":                  {dataOf(now, [2]float64{50, 0.1}, [2]float64{49, 0.1}, [2]float64{48, 0.1}, [2]float64{47, 0.1}), "flapping", "down 4 times between 2026-06-13 10:00 and 2026-06-13 13:00 UTC (http)"},
		"the same hour":             {dataOf(now, [2]float64{24 * 40, 0.5}, [2]float64{24 * 60, 0.5}, [2]float64{24*80 + 0.4, 0.5}, [2]float64{2001, 1}), "maintenance", "on 3 days of six months, the last one 2026-05-06, an outage began within the hour after 11:36 UTC"},
		"the same hour by chance":   {dataOf(now, [2]float64{24 * 40, 0.5}, [2]float64{24 * 60, 0.5}, [2]float64{2001, 1}, [2]float64{2203, 1}), "", ""},
		"slow now":                  {dataOf(now).withDays(now, 60, func(age int, f *figures) { f.Delivery.put(map[bool]int64{true: 300_000, false: 1_000_000}[age < 7]) }), "slow", "300 kB/s in the last 7 days, less than half of the 1.0 MB/s"},
		"slow for long":             {dataOf(now).withDays(now, 60, delivers(100_000)), "slow", "under its floor of 200 kB/s"},
		"fast":                      {dataOf(now).withDays(now, 60, delivers(1_000_000)), "", ""},
		"slow once":                 {dataOf(now).withDays(now, 3, func(age int, f *figures) { f.Slow = int64(age / 2) }), "slow", "1 measurements of the last 7 days"},
		"slow long ago":             {dataOf(now).withDays(now, 60, func(age int, f *figures) { f.Slow = int64(age / 50) }), "", ""},
		"certificate near its end":  {dataOf(now).withDays(now, 3, quiet).withCertificate(now.Add(13 * dayLength)), "certificate", "ends on 2026-06-28"},
		"certificate far from it":   {dataOf(now).withDays(now, 3, quiet).withCertificate(now.Add(15 * dayLength)), "", ""},
		"certificate ended":         {dataOf(now).withDays(now, 3, quiet).withCertificate(now.Add(-time.Hour)), "certificate", "ended on 2026-06-15"},
		"certificate had ended":     {certified, "certificate", "it was down for its certificate on 2026-05-25: certificate expired"},
		"altered once":              {altered, "altered", "the first on 2025-11-19"},
		"altered by a single probe": {dataOf(now).withDays(now, 300, func(age int, f *figures) { f.Altered = int64(age / 299) }), "altered", "1 probes found"},
		"single errors":             {dataOf(now).withDays(now, 30, func(_ int, f *figures) { f.Singles = 21 }), "errors", "2.1 % of its probes"},
		"few single errors":         {dataOf(now).withDays(now, 30, func(_ int, f *figures) { f.Singles = 19 }), "", ""},
		"late on three days":        {dataOf(now).withDays(now, 30, func(age int, f *figures) { f.Late = int64(1 - min(age%10, 1)) }), "late", "on 3 of the last 30 days"},
		"late on two days":          {dataOf(now).withDays(now, 30, func(age int, f *figures) { f.Late = int64(age / 28) }), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			flags := one.data.flags(now)
			var kinds []string
			for _, flag := range flags {
				kinds = append(kinds, string(flag.Kind))
				if flag.Since.IsZero() || flag.Since.After(now.AddDate(0, 1, 0)) {
					t.Errorf("since %s", flag.Since)
				}
			}
			if got := strings.Join(kinds, " "); got != one.want {
				t.Fatalf("flags %q, expected %q: %+v", got, one.want, flags)
			}
			if one.want != "" && !slices.ContainsFunc(flags, func(f Flag) bool { return strings.Contains(f.Words, one.word) }) {
				t.Errorf("flags %+v, expected %q in their words", flags, one.word)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	unseen, near := dataOf(now, [2]float64{100, 0.5}, [2]float64{99, 1}), dataOf(now, [2]float64{100, 0.5}, [2]float64{99, 1})
	unseen.incidents[1].Ending = endedAbsent
	near.incidents[0].Failing = near.incidents[1].Ended
	second := dataOf(now, [2]float64{100, 0.5}, [2]float64{98.2, 1}, [2]float64{98.1, 1})
	second.incidents[0].Failing = now.Add(-99 * time.Hour)
	old, fresh := now.AddDate(-1, 0, 0), now.AddDate(0, -3, -14)
	for name, one := range map[string]struct {
		data    *memberData
		known   time.Time
		altered int64
		want    string
	}{
		"never":             {dataOf(now), fresh, 0, "no failure since it is known: 2026-03-01"},
		"long ago":          {dataOf(now, [2]float64{6000, 2}), old, 0, "no failure in six months; the last one was on 2025-10-08"},
		"once":              {dataOf(now, [2]float64{600, 2}), old, 0, "first failure in six months: disable it for a while, write to its operator"},
		"once, and new":     {dataOf(now, [2]float64{600, 2}), fresh, 0, "first failure in six months: disable it for a while, write to its operator (known only since 2026-03-01)"},
		"twice":             {dataOf(now, [2]float64{600, 2}, [2]float64{100, 1}), old, 0, "second failure in six months: consider removing it"},
		"twice in an hour":  {dataOf(now, [2]float64{100, 0.5}, [2]float64{99, 1}), old, 0, "second failure in six months: consider removing it (within an hour of each other: it may have been one event)"},
		"thrice in an hour": {dataOf(now, [2]float64{100, 0.5}, [2]float64{99.2, 0.1}, [2]float64{98.5, 1}), old, 0, "third failure in six months: consider removing it (within an hour of each other: it may have been one event)"},
		"every 80 minutes":  {dataOf(now, [2]float64{100, 0.5}, [2]float64{98.67, 0.5}, [2]float64{97.33, 0.5}), old, 0, "third failure in six months: consider removing it"},
		"nobody looked":     {unseen, old, 0, "first failure in six months: disable it for a while, write to its operator"},
		"about to fail":     {near, old, 0, "first failure in six months: disable it for a while, write to its operator"},
		"soon at one":       {second, old, 0, "second failure in six months: consider removing it (within an hour of each other: it may have been one event)"},
		"at two addresses":  {dataOf(now, [2]float64{100, 10}, [2]float64{98, 1}), old, 0, "first failure in six months: disable it for a while, write to its operator"},
		"goes on":           {dataOf(now, [2]float64{5000, 0}), old, 0, "first failure in six months: disable it for a while, write to its operator"},
		"altered":           {dataOf(now), old, 3, "it has delivered altered files: remove it, and tell its operator"},
		"twelve times": {
			dataOf(now, [][2]float64{{900, 1}, {800, 1}, {700, 1}, {600, 1}, {500, 1}, {400, 1}, {300, 1}, {200, 1}, {100, 1}, {50, 1}, {40, 1}, {30, 1}}...), old, 0,
			"12th failure in six months: consider removing it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			one.data.since = one.known
			if got := one.data.withDays(now, 1, func(_ int, f *figures) { f.Altered = one.altered }).verdict(failuresOf(one.data.incidents, now), now); got != one.want {
				t.Errorf("%q, expected %q", got, one.want)
			}
		})
	}
	for n, want := range map[int]string{1: "first", 10: "tenth", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 22: "22nd", 23: "23rd", 111: "111th", 101: "101st"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d: %q, expected %q", n, got, want)
		}
	}
}

// TestFlagsAreToldOnce: a flag is told soon after what raised it, not again while it
// stands, not after a restart, and again when it has gone and come back.
func TestFlagsAreToldOnce(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.probes(0, time.Minute, good())
	w.probes(0, 2*time.Minute, bad(health.Altered, "bytes 0 to 65535 are not what the origin has"))
	w.turn()
	if len(w.flagged) != 1 || w.flagged[0].Kind != FlagAltered || w.flagged[0].ID != "wiki" {
		t.Fatalf("told of %+v", w.flagged)
	}
	w.probes(0, 2*time.Minute, bad(health.Altered, "bytes 0 to 65535 are not what the origin has"))
	w.turn()
	w.restart(time.Hour)
	if got := w.h.Flags(); len(got) != 1 || got[0].Kind != FlagAltered {
		t.Errorf("after a restart %+v stand", got)
	}
	w.probes(0, 2*time.Minute, bad(health.Altered, "bytes 0 to 65535 are not what the origin has"))
	w.turn()
	if len(w.flagged) != 1 {
		t.Errorf("told of %+v", w.flagged)
	}
	if got := w.look("wiki"); got.Verdict != "it has delivered altered files: remove it, and tell its operator" || len(got.Flags) != 1 {
		t.Errorf("%q, %+v", got.Verdict, got.Flags)
	}
	w.h.SetTargets(definitionOf("edge"))
	if got := w.h.Flags(); len(got) != 0 {
		t.Errorf("of a member that is gone %+v stand", got)
	}
}

func TestACertificateNearItsEndIsAFlagUntilItIsRenewed(t *testing.T) {
	definition := definitionOf("wiki")
	definition.Pools[0].Health.Kind = pool.CheckHTTPS
	definition.Pools[0].Health.CertificateWarning = 14 * dayLength
	w := newWorld(t, definition)
	old := good()
	old.CertificateExpiry = begin.Add(13 * dayLength)
	w.probes(0, time.Minute, old)
	w.turn()
	if len(w.flagged) != 1 || w.flagged[0].Kind != FlagCertificate {
		t.Fatalf("told of %+v", w.flagged)
	}
	renewed := good()
	renewed.CertificateExpiry = begin.Add(90 * dayLength)
	w.probes(0, time.Minute, renewed)
	w.turn()
	if got := w.h.Flags(); len(got) != 0 || len(w.flagged) != 1 {
		t.Errorf("%+v stand, told of %+v", got, w.flagged)
	}
	w.now = begin.Add(80 * dayLength)
	w.turn()
	w.h.mu.Lock()
	for _, s := range w.h.subjects {
		s.look = true // its turn would come within hours
	}
	w.h.mu.Unlock()
	w.turn()
	if len(w.flagged) != 2 {
		t.Errorf("told of %+v", w.flagged)
	}
}
