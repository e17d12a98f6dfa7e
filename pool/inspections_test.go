package pool

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseInspections(t *testing.T) {
	files, _, _ := readArchive(t, "testdata/inspections.txtar", "")
	got, problems := Parse(files)
	if got == nil {
		t.Fatalf("problems:\n%s", format(problems))
	}
	hourly := Schedule{Interval: time.Hour, DownAfter: 2, UpAfter: 1}
	checked := Schedule{Interval: DefaultInterval, DownAfter: DefaultDownAfter, UpAfter: DefaultUpAfter}
	https := Probe{Kind: CheckHTTPS, Port: 443, Host: "dl.example.org", FollowRedirects: true, Timeout: 30 * time.Second}
	http := Probe{Kind: CheckHTTP, Timeout: 30 * time.Second}
	with := func(p Probe, change func(*Probe)) Probe {
		change(&p)
		return p
	}
	want := []Check{
		{
			Probe: with(https, func(p *Probe) {
				p.Path, p.Statuses, p.MaxAge, p.TraceFormat, p.Timeout = "/project/trace", "200-206,304", 26*time.Hour, TraceRFC3339, 5*time.Second
			}),
			Schedule: checked, Ramp: 10 * time.Minute, CertificateWarning: 720 * time.Hour,
			Inspections: []Inspection{
				{with(https, func(p *Probe) {
					p.Purpose, p.Path, p.Bytes, p.MinRate = PurposeThroughput, "/stable/a.img", 1<<20, 200_000
				}), hourly},
				{with(https, func(p *Probe) {
					p.Purpose, p.Path, p.Origin, p.Samples, p.Bytes = PurposeIntegrity, "/stable/a.img", "https://origin.example/a.img?b", 3, 65536
				}), Schedule{Interval: 6 * time.Hour, DownAfter: 2, UpAfter: 1}},
				{with(https, func(p *Probe) {
					p.Purpose, p.Required, p.Index = PurposeContents, "- /stable/a.img\n833 /stable/a.img.sig\n", "https://origin.example/index"
				}), hourly},
				{
					Probe{Kind: CheckRsync, Port: 873, Module: "tails", Path: "project/trace", Timeout: 7 * time.Second},
					Schedule{Interval: 5 * time.Minute, DownAfter: 4, UpAfter: 3},
				},
				{Probe{Kind: CheckExec, Host: "dl.example.org", Command: "smoke", Timeout: 30 * time.Second}, hourly},
			},
		},
		{Probe: Probe{Kind: CheckRsync, Port: 873, Module: "tails", Path: "a", Timeout: 5 * time.Second}, Schedule: checked},
		{Probe: Probe{Kind: CheckExec, Host: "exec.example.org", Command: "smoke", Timeout: 5 * time.Second}, Schedule: checked},
		{
			Probe:    with(http, func(p *Probe) { p.Statuses, p.Timeout = "200,204", 5*time.Second }),
			Schedule: checked,
			Inspections: []Inspection{
				// At the floor the bytes take 100 s: the time is twice that.
				{with(http, func(p *Probe) {
					p.Purpose, p.Path, p.Bytes, p.MinRate, p.Timeout = PurposeThroughput, "a.img", 1_000_000, 10_000, 200*time.Second
				}), hourly},
				{with(http, func(p *Probe) {
					p.Purpose, p.Path, p.SHA256 = PurposeIntegrity, "a.sha", "abcdef0000000000000000000000000000000000000000000000000000000000"
				}), hourly},
				{with(http, func(p *Probe) { p.Purpose, p.Required = PurposeContents, "- a.img\n" }), hourly},
				{Probe{Kind: CheckRsync, Path: "trace", Timeout: 30 * time.Second}, hourly},
			},
		},
	}
	checks := []Check{got.Pools[0].Health, got.Pools[1].Health, got.Pools[2].Health, got.Redirects[0].Health}
	if diff := cmp.Diff(want, checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	member := got.Pools[0].Members[1]
	if got.Pools[0].MinMembers != 1 || member.HostName != "b.mirror.example" || member.Email != "noc@mirror.example" || member.Addresses != nil {
		t.Errorf("pool %+v, member %+v", got.Pools[0], member)
	}
	if err := schemaVerdict(compileSchema(t, "pools"), string(files[PoolsPath].Data)); err != nil {
		t.Errorf("schema: %v", err)
	}
}

func TestStatuses(t *testing.T) {
	for _, test := range []struct {
		text string
		want StatusSet
		has  []int
		not  []int
	}{
		{"200", "200", []int{200}, []int{199, 201}},
		{"304, 200-299 ,300", "200-300,304", []int{200, 250, 300, 304}, []int{199, 301, 303, 305}},
		{"206,200,206", "200,206", []int{200, 206}, []int{201}},
		{"400-499,404,450-510", "400-510", []int{400, 510}, []int{399, 511}},
	} {
		got, err := ParseStatuses(test.text)
		if err != nil || got != test.want {
			t.Errorf("%q: %q, %v, want %q", test.text, got, err, test.want)
		}
		for _, status := range slices.Concat(test.has, test.not) {
			if want := slices.Contains(test.has, status); got.Has(status) != want {
				t.Errorf("%q has %d: %v, want %v", test.text, status, !want, want)
			}
		}
	}
	for _, text := range []string{"", ",", "200,", "20", "0200", "+200", "200-", "-200", "300-200", "200 - 299", "600", "99", "2xx", "200\n", "\u00a0200"} {
		if got, err := ParseStatuses(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
	if none := StatusSet(""); !none.Has(200) || none.Has(204) || none.String() != "200" {
		t.Error("no set is not the default alone")
	}
}
