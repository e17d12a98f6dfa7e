package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/admin"
	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/testport"
)

// threeMembers are all up, as nothing is checked.
const threeMembers = `{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 5, "answers": 3, "health": { "check": "none" },
  "members": [
    { "id": "edge-one", "addresses": ["127.0.0.41"], "weight": 10 },
    { "id": "edge-two", "addresses": ["127.0.0.42"], "weight": 10 },
    { "id": "other", "addresses": ["127.0.0.43"], "weight": 10 },
    { "id": "off", "addresses": ["127.0.0.44"], "weight": 0 }
  ] } ] }
`

// newSaid runs a node with those, which commands find by its configuration.
func newSaid(t *testing.T) *running {
	t.Helper()
	r := newRunning(t, "")
	address := fmt.Sprintf("127.0.0.1:%d", testport.Unused(t))
	r.write("node.yaml", strings.Replace(r.config(""), "127.0.0.1:0", address, 1))
	r.write("checkout/pools.json", threeMembers)
	r.push("Three members")
	return r
}

// said runs a command about members and gives what it prints.
func (r *running) said(code int, arguments ...string) string {
	r.Helper()
	var out, errors bytes.Buffer
	got := run(r.Context(), append(arguments, "--config", r.path("node.yaml")), &out, &errors)
	if got != code {
		r.Fatalf("mirrorpool %s: code %d, want %d: %s%s", strings.Join(arguments, " "), got, code, &out, &errors)
	}
	return out.String() + errors.String()
}

// given are the pool's addresses in an answer, sorted.
func (r *running) given() string {
	r.Helper()
	var addresses []string
	for _, rr := range r.ask("dl.example.test.", dns.TypeA).Answer {
		addresses = append(addresses, rr.(*dns.A).A.String())
	}
	slices.Sort(addresses)
	return strings.Join(addresses, " ")
}

func (r *running) gives(what string, last ...string) {
	r.Helper()
	var want []string
	for _, one := range last {
		want = append(want, "127.0.0."+one)
	}
	if got := r.given(); got != strings.Join(want, " ") {
		r.Errorf("%s: answers hold %q, want %q", what, got, want)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("found %q, expected %q in it", text, part)
		}
	}
}

// TestSaidOfMembers: what is said holds at once, over restarts, until its time is
// over or it is taken back, and is shown wherever the member is.
func TestSaidOfMembers(t *testing.T) {
	r := newSaid(t)
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	r.gives("before", "41", "42", "43")

	out := r.said(0, "disable", "edge-*", "--for", "5d", "--reason", "a new disk", "--pool", "dl.example.test")
	contains(t, out, "edge-one of dl.example.test is disabled on this node until ", "(in 5.0 days): a new disk", "edge-two")
	r.gives("disabled", "43")
	contains(t, r.said(0, "status"), "said on this node", "said     edge-one 127.0.0.41: disabled on this node", "the checks say up",
		"disabled off 127.0.0.44: weight 0 in the repository", "up       other 127.0.0.43")
	explained := r.said(0, "explain", "--client", "127.0.0.1", "--pool", "dl.example.test")
	contains(t, explained, "a new disk", "weight 0")

	contains(t, r.said(1, "disable", "other", "--reason", "x"), "would leave dl.example.test without any member", "--force")
	r.gives("refused", "43")
	contains(t, r.said(2, "disable", "nobody", "--reason", "x"), "there are edge-one, edge-two, other, off")
	contains(t, r.said(2, "disable", "other"), "--reason is missing")
	contains(t, r.said(2, "disable", "other", "--reason", "x", "--for", "soon"), "such as 48h, 7d")
	contains(t, r.said(2, "disable", "[", "--reason", "x"), "expected an id")

	r.stop()
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	r.gives("after a restart", "43")
	contains(t, r.said(0, "enable", "edge-one"), "edge-one of dl.example.test is not disabled any more")
	r.gives("enabled", "41", "43")
	contains(t, r.said(0, "enable", "edge-one"), "nothing was said of edge-one")
	contains(t, r.said(0, "force-up", "off", "--reason", "x"), "has weight 0 in the repository")
	r.gives("forced up without a weight", "41", "43")

	contains(t, r.said(0, "disable", "edge-one", "--for", "2s", "--reason", "x"), "until")
	r.gives("for two seconds", "43")
	r.eventually("the word ends by itself", func() bool { return r.given() == "127.0.0.41 127.0.0.43" })
	contains(t, r.said(0, "disable", "*", "--force", "--reason", "x"), "clients get what the mode")

	code, body := r.get("/api/v1/administrative")
	var listed struct {
		Words []struct{ Member, Reason, By string }
	}
	if err := json.Unmarshal([]byte(body), &listed); err != nil || code != 200 || len(listed.Words) != 4 {
		t.Errorf("%d %s: %v", code, body, err)
	}
	code, body = r.get("/metrics")
	if !strings.Contains(body, `mirrorpool_administrative{action="disable",member="other",pool="dl.example.test"} 1`) || code != 200 {
		t.Error("the metric of what was said is missing")
	}
}

// TestForcedUp: a member whose check is wrong is given while somebody says so.
func TestForcedUp(t *testing.T) {
	r := newSaid(t)
	pools := strings.Replace(threeMembers, `{ "check": "none" }`,
		`{ "check": "tcp", "port": 1, "interval": "1s", "timeout": "1s", "down_after": 1, "up_after": 1 }, "when_all_down": "empty"`, 1)
	r.write("checkout/pools.json", pools)
	r.push("Nobody answers")
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	r.gives("all are down")
	r.said(0, "force-up", "edge-two", "--reason", "the check is wrong")
	r.gives("one is forced up", "42")
	contains(t, r.said(0, "status"), "taken for up on this node", "the checks say down")
	r.said(0, "enable", "*")
	r.gives("taken back")
}

// TestDamagedWords: what of a file cannot be read is told of, the rest holds, the file
// is put aside, and none of it is a reason not to serve.
func TestDamagedWords(t *testing.T) {
	good := `{"action": "disable", "pool": "dl.example.test", "member": "other", "reason": "x", "since": "2026-05-01T12:00:00Z"}`
	for name, c := range map[string]struct {
		content string
		gives   []string
	}{
		"cut off":      {`{"version": 1, "words": [{"action": "disable"`, []string{"41", "42", "43"}},
		"one is wrong": {`{"version": 1, "words": [{"action": "remove", "pool": "p", "member": "m"}, ` + good + `]}`, []string{"41", "42"}},
		"newer":        {`{"version": 9, "words": [` + good + `]}`, []string{"41", "42"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSaid(t)
			r.write("state/"+administrativeFile, c.content)
			r.start()
			r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
			if text := r.stage(stageAdministrative).Error; !strings.Contains(text, "say it again") {
				t.Errorf("the stage says %q", text)
			}
			r.gives("what can be read holds", c.gives...)
			r.said(0, "disable", "edge-one", "--reason", "x")
			if text := r.stage(stageAdministrative).Error; text != "" {
				t.Errorf("once words are kept again the stage says %q", text)
			}
			r.gives("disabled", c.gives[1:]...)
			aside, err := os.ReadFile(r.path("state/" + unreadableFile))
			if err != nil || string(aside) != c.content {
				t.Errorf("put aside: %q %v", aside, err)
			}
		})
	}
}

// TestPatternsDisableOnly: a pattern gives nobody sooner who was disabled by a word of
// its own, unless somebody insists.
func TestPatternsDisableOnly(t *testing.T) {
	r := newSaid(t)
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	r.said(0, "disable", "edge-one", "--reason", "tampered")
	contains(t, r.said(0, "force-up", "*", "--for", "1h", "--reason", "our checks are wrong"), "edge-one of dl.example.test stays disabled", "--force")
	r.gives("a pattern that forces up", "42", "43")
	contains(t, r.said(0, "disable", "edge-*", "--for", "1h", "--reason", "x"), "edge-one of dl.example.test stays disabled on this node until it is enabled", "takes the place of: taken for up")
	r.gives("a pattern that disables for a while", "43")
	contains(t, r.said(0, "disable", "edge-on[e]", "--force", "--for", "1h", "--reason", "x"), "takes the place of: disabled")
	contains(t, r.said(0, "force-up", "edge-one", "--reason", "mended"), "takes the place of: disabled", "edge-one of dl.example.test is taken for up")
	r.gives("named by itself", "41", "43")
}

// TestEmptiedByWords: a pool is not left without members by a slip, a redirect host of
// the same name does not hide that, and a push that does it together with words is
// told of loudly.
func TestEmptiedByWords(t *testing.T) {
	r := newSaid(t)
	pools := strings.Replace(threeMembers, "\n  ] } ] }", `
  ] } ], "redirects": [ { "host": "dl.example.test", "strip_prefix": "/", "health": { "check": "none" } } ] }`, 1)
	r.write("checkout/pools.json", pools)
	r.write("checkout/mirrors.json", `{ "mirrors": [ { "url_prefix": "https://mirror.example.test/", "rsync_url": "rsync://mirror.example.test/m/", "weight": 1 },
  { "url_prefix": "http://plain.example.test/", "rsync_url": "rsync://plain.example.test/m/", "weight": 1 } ] }`)
	r.push("A redirect host of the same name")
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	contains(t, r.said(1, "disable", "*[eor]", "--reason", "x", "--pool", "dl.example.test"), "would leave dl.example.test without any member")
	contains(t, r.said(1, "disable", "*e*", "--reason", "x"), "without any member")
	r.gives("refused", "41", "42", "43")
	contains(t, r.said(0, "disable", "mirror.example.test", "--reason", "x"), "for clients by https: they get what the mode")

	r.said(0, "disable", "edge-*", "--reason", "x")
	if text := r.stage(stageDisabled).Error; text != "" {
		t.Errorf("the stage says %q while one is left", text)
	}
	r.write("checkout/pools.json", strings.Replace(pools, `"127.0.0.43"], "weight": 10`, `"127.0.0.43"], "weight": 0`, 1))
	r.serving(r.push("Without the last"))
	if text := r.stage(stageDisabled).Error; !strings.Contains(text, "all members of dl.example.test that have a weight are disabled") {
		t.Errorf("the stage says %q", text)
	}
	r.said(0, "enable", "edge-one")
	if text := r.stage(stageDisabled).Error; text != "" {
		t.Errorf("once one is enabled the stage says %q", text)
	}
}

// TestMembersByTheirHost: a member is found by the host name that it is given by, and
// by its mirror's.
func TestMembersByTheirHost(t *testing.T) {
	definition := &pool.Definition{Pools: []*pool.Pool{{Name: "p.test", Members: []*pool.Member{
		{ID: "a", HostName: "a.mirror.test", Weight: 1, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}}, {ID: "b", Mirror: "b.mirror.test", Weight: 1}, {ID: "c", Weight: 1},
	}}}}
	for text, want := range map[string]string{"a.mirror.test": "a of p.test", "A.mirror.test.": "a of p.test", "127.0.0.1": "a of p.test", "[0::1]": "a of p.test", "b.*": "b of p.test", "*.mirror.test": "a of p.test, b of p.test", "c": "c of p.test"} {
		pattern, err := administrative.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		found, err := find(definition, admin.WordsWish{Member: pattern})
		if err != nil || list(found) != want {
			t.Errorf("%s: %s %v, want %s", text, list(found), err, want)
		}
	}
}

func TestTimeSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"48h": 48 * time.Hour, "90m": 90 * time.Minute, "7d": 168 * time.Hour, "2w": 336 * time.Hour,
		"6mo": 4383 * time.Hour, "1y": 8766 * time.Hour,
	} {
		if got, err := parseTimeSpan(text); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "6", "0d", "-1h", "1ms", "6 mo", "99999y", "6months"} {
		if got, err := parseTimeSpan(bad); err == nil {
			t.Errorf("%q is taken for %s", bad, got)
		}
	}
}
