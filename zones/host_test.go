package zones

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// given gives the prefixes of the mirrors that have a share, sorted.
func given(h *Host, client netip.Addr, secure bool) (selection.Mode, []string) {
	choice := h.Choose(client, secure)
	var out []string
	for _, share := range choice.Shares {
		out = append(out, h.Mirrors[share.Index].Mirror.URLPrefix)
	}
	slices.Sort(out)
	return choice.Mode, out
}

func TestHosts(t *testing.T) {
	table := testTable(t, "hosts.txtar")
	unlocated, german := netip.Addr{}, netip.MustParseAddr("198.51.100.1")
	for _, c := range []struct {
		name   string
		host   string
		client netip.Addr
		secure bool
		mode   selection.Mode
		want   string // suffixes cut
		falls  string
	}{
		{"http clients get every scheme", "plain.example", unlocated, false, selection.Normal, "http://127.0.0.1/ http://[::1]:8080/ https://a.example/", ""},
		{"https clients never get http", "plain.example", unlocated, true, selection.Normal, "https://a.example/", ""},
		{"any case, final dot", "PLAIN.example.", unlocated, true, selection.Normal, "https://a.example/", ""},
		{"near by the address in the URL", "plain.example", german, false, selection.Normal, "http://127.0.0.1/", ""},
		{"all down, without fallbacks", "alldown.example", unlocated, false, selection.All, "http://down.example/ https://down.example/", ""},
		{"all down, https", "alldown.example", unlocated, true, selection.All, "https://down.example/", ""},
		{"all down, empty", "empty.example", unlocated, false, selection.Empty, "", ""},
		{"fallbacks come before all", "fallback.example", unlocated, false, selection.Empty, "", "http://f1.example/ https://f2.example/"},
		{"fallbacks, https", "fallback.example", unlocated, true, selection.Empty, "", "https://f2.example/"},
		{"a fallback that does not fit is none", "badfallback.example", unlocated, true, selection.All, "https://down.example/", ""},
		{"a fallback while mirrors are up", "unused.example", unlocated, false, selection.Normal, "http://127.0.0.1/ http://[::1]:8080/ https://a.example/", "http://f1.example/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := table.Host(c.host)
			if host == nil {
				t.Fatal("there is no such host")
			}
			mode, prefixes := given(host, c.client, c.secure)
			if mode != c.mode || strings.Join(prefixes, " ") != c.want {
				t.Errorf("mode %v, %v; expected %v, %s", mode, prefixes, c.mode, c.want)
			}
			if falls := strings.Join(host.Fallbacks(c.secure), " "); falls != c.falls {
				t.Errorf("fallbacks %s, expected %s", falls, c.falls)
			}
			if host.List != host.Redirect.List || host.List == nil {
				t.Error("the mirrors file is missing")
			}
		})
	}
	for _, name := range []string{"", ".", "unknown.example", "plain.example:80"} {
		if table.Host(name) != nil {
			t.Errorf("there is a host %q", name)
		}
	}
}

func TestHostCountries(t *testing.T) {
	host := testTable(t, "hosts.txtar").Host("plain.example")
	countries := map[string]string{}
	for _, m := range host.Mirrors {
		countries[m.Mirror.URLPrefix] = m.Country
	}
	want := map[string]string{
		"http://127.0.0.1/":     "DE", // by its URL
		"http://[::1]:8080/":    "FR",
		"https://a.example/":    "US", // by where its last probe went
		"https://off.example/":  "",
		"https://down.example/": "",
	}
	if diff := cmp.Diff(want, countries); diff != "" {
		t.Error(diff)
	}
	drawn := host.Choose(netip.Addr{}, false).Draw(rand.NewPCG(1, 1), 9, nil)
	if len(drawn) != 3 {
		t.Errorf("drew %v", drawn)
	}
}

func TestDescribeHosts(t *testing.T) {
	table := testTable(t, "hosts.txtar")
	hosts := table.Hosts(nil)
	var names []string
	for _, h := range hosts {
		names = append(names, h.Host)
	}
	want := []string{"alldown.example", "badfallback.example", "empty.example", "fallback.example", "plain.example", "unused.example"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatal(diff)
	}
	plain := hosts[4]
	if plain.MirrorsFile != "mirrors.json" || plain.Plain != selection.Normal.String() || len(plain.Mirrors) != 5 {
		t.Errorf("host: %+v", plain)
	}
	if m := plain.Mirrors[0]; !m.Up || m.Place.Country != "DE" || m.Target.URL != "http://127.0.0.1/trace" {
		t.Errorf("mirror: %+v", m)
	}
	if m := plain.Mirrors[4]; m.Up || m.State.Reason != "status 503, expected 200" {
		t.Errorf("mirror: %+v", m)
	}
	e := table.ExplainHost("plain.example", netip.Addr{}, true, nil)
	if e == nil || len(e.Candidates) != 1 || !slices.ContainsFunc(e.LeftOut, func(l selection.LeftOut) bool {
		return strings.Contains(l.Reason, "http, the client came by https")
	}) {
		t.Errorf("explained: %+v", e)
	}
}

// What is shown follows the newest report; what is chosen follows the table.
func TestDescriptionsFollowTheLiveReport(t *testing.T) {
	table := testTable(t, "hosts.txtar")
	host := table.Host("plain.example")
	target := health.MirrorTarget(host.Redirect, host.Mirrors[0].Mirror)
	live := health.NewReport(map[health.Target]health.State{target: {Verdict: health.Up, Reason: "seen just now", Failures: 2}})
	shown := table.Hosts(live)[4].Mirrors[0]
	if shown.State.Reason != "seen just now" || shown.State.Failures != 2 || !shown.Up {
		t.Errorf("shown: %+v", shown)
	}
	e := table.ExplainHost("plain.example", netip.Addr{}, false, live)
	if !strings.Contains(e.String(), "up, 2 failures so far: seen just now") {
		t.Errorf("explained:\n%s", e)
	}
	if again := table.ExplainHost("plain.example", netip.Addr{}, false, nil); strings.Contains(again.String(), "seen just now") {
		t.Errorf("the table has kept the live words:\n%s", again)
	}
}

func TestFallbacksAreExplained(t *testing.T) {
	table := testTable(t, "hosts.txtar")
	for _, h := range table.Hosts(nil) {
		if h.Host == "fallback.example" && h.Plain != ModeFallbacks {
			t.Errorf("mode %q, want %q", h.Plain, ModeFallbacks)
		}
	}
	e := table.ExplainHost("fallback.example", netip.Addr{}, false, nil)
	fallbacks := table.Host("fallback.example").Fallbacks(false)
	if e.Policy.WhenAllDown != table.Host("fallback.example").Redirect.WhenAllDown || !slices.Equal(e.Fallbacks, fallbacks) || len(fallbacks) == 0 {
		t.Errorf("explained: %+v", e)
	}
	if !strings.Contains(e.String(), "sent to "+fallbacks[0]) {
		t.Errorf("not said:\n%s", e)
	}
}
