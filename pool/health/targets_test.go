package health

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mirrorpool/pool"
)

var compareAddresses = cmpopts.EquateComparable(netip.Addr{})

func TestTargets(t *testing.T) {
	probe := pool.Probe{Kind: pool.CheckHTTP, Port: 80, Host: "dl.test", Path: "/trace", Statuses: "200", Timeout: time.Second}
	relative := pool.Probe{Kind: pool.CheckHTTP, Path: "trace", Statuses: "200", Timeout: time.Second}
	schedule := func(interval time.Duration, down, up int) pool.Schedule {
		return pool.Schedule{Interval: interval, DownAfter: down, UpAfter: up}
	}
	list := &pool.MirrorList{Mirrors: []*pool.Mirror{
		{URLPrefix: "http://m1.test/tails/", Weight: 1},
		{URLPrefix: "https://m2.test/tails/", Weight: 1},
		{URLPrefix: "https://m3.test/tails/", Weight: 0},
	}}
	def := &pool.Definition{
		Pools: []*pool.Pool{
			{
				Name: "one.test", Health: pool.Check{Probe: probe, Schedule: schedule(30*time.Second, 3, 5)},
				Members: []*pool.Member{
					{Weight: 1, Addresses: []netip.Addr{addr("127.0.0.1"), addr("::1")}},
					{Weight: 0, Addresses: []netip.Addr{addr("127.0.0.2")}},
					{Weight: 5, Reserve: true, Addresses: []netip.Addr{addr("127.0.0.3")}},
				},
			},
			{
				Name: "two.test", Health: pool.Check{Probe: probe, Schedule: schedule(60*time.Second, 2, 7)},
				Members: []*pool.Member{{Weight: 1, Addresses: []netip.Addr{addr("127.0.0.1")}}},
			},
			{
				Name: "three.test", Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckNone}},
				Members: []*pool.Member{{Weight: 1, Addresses: []netip.Addr{addr("127.0.0.9")}}},
			},
		},
		Redirects: []*pool.Redirect{
			{Host: "r1.test", List: list, Health: pool.Check{Probe: relative, Schedule: schedule(time.Minute, 3, 5)}},
			{Host: "r2.test", List: list, Health: pool.Check{
				Probe:    pool.Probe{Kind: pool.CheckHTTPS, Path: "/trace", Statuses: "200", Timeout: time.Second},
				Schedule: schedule(10*time.Second, 4, 4),
			}},
			{Host: "r3.test", List: list, Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckNone}}},
		},
	}
	url := func(kind pool.CheckKind, url string) Target {
		return Target{Probe: pool.Probe{Kind: kind, Statuses: "200", Timeout: time.Second}, URL: url}
	}
	want := []Assignment{
		{Target{Probe: probe, Address: addr("127.0.0.1")}, schedule(30*time.Second, 2, 7)},
		{Target{Probe: probe, Address: addr("::1")}, schedule(30*time.Second, 3, 5)},
		{Target{Probe: probe, Address: addr("127.0.0.3")}, schedule(30*time.Second, 3, 5)},
		{url(pool.CheckHTTP, "http://m1.test/tails/trace"), schedule(10*time.Second, 3, 5)},
		{url(pool.CheckHTTPS, "https://m2.test/tails/trace"), schedule(10*time.Second, 3, 5)},
	}
	if d := cmp.Diff(want, Targets(def), compareAddresses); d != "" {
		t.Error(d)
	}
	if got := Targets(nil); got != nil {
		t.Errorf("of no definition: %v", got)
	}
	if got := MirrorTarget(def.Redirects[2], list.Mirrors[0]); got.Probe.Kind != pool.CheckNone {
		t.Errorf("without a check: %+v", got)
	}
}

func TestTargetString(t *testing.T) {
	for _, test := range []struct {
		target Target
		want   string
	}{
		{Target{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}, Address: addr("127.0.0.1")}, "tcp://127.0.0.1:80"},
		{Target{Probe: pool.Probe{Kind: pool.CheckHTTPS, Port: 443, Path: "/x"}, Address: addr("::1")}, "https://[::1]:443/x"},
		{Target{Probe: pool.Probe{Kind: pool.CheckNone}, Address: addr("::1")}, "::1"},
		{Target{Probe: pool.Probe{Kind: pool.CheckHTTP}, URL: "https://m.test/x"}, "https://m.test/x"},
	} {
		if got := test.target.String(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestReport(t *testing.T) {
	a := Target{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 1}, Address: addr("127.0.0.1")}
	b := Target{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 1}, Address: addr("127.0.0.2")}
	none := Target{Probe: pool.Probe{Kind: pool.CheckNone}, Address: addr("127.0.0.3")}
	states := map[Target]State{b: {Verdict: Down}, a: {Verdict: Up}}
	r := NewReport(states)
	delete(states, a)
	var all []string
	for target, s := range r.All() {
		all = append(all, target.String()+" "+s.Verdict.String())
	}
	if d := cmp.Diff([]string{"tcp://127.0.0.1:1 up", "tcp://127.0.0.2:1 down"}, all); d != "" || r.Len() != 2 {
		t.Error(d)
	}
	for _, r := range []*Report{r, nil, {}} {
		if s := r.State(none); s.Verdict != Up || s.Address != none.Address {
			t.Errorf("unchecked target: %+v", s)
		}
		if s := r.State(Target{Probe: pool.Probe{Kind: pool.CheckHTTP}, URL: "http://x.test/"}); s != (State{}) || s.Verdict.String() != "unknown" {
			t.Errorf("unknown target: %+v", s)
		}
	}
	held := NewReport(map[Target]State{none: {Verdict: Down}})
	if s := held.State(none); s.Verdict != Up {
		t.Errorf("unchecked target that the report holds: %+v", s)
	}
	var nobody *Report
	for range nobody.All() {
		t.Error("a nil report has targets")
	}
	for range r.All() {
		break
	}
	if nobody.Len() != 0 {
		t.Error("a nil report has targets")
	}
}
