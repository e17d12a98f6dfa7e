package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorpool/admin/alert"
	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
	"mirrorpool/pool/health/history"
	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

// room takes what a node's webhook is sent.
type room struct {
	*httptest.Server
	mutex  sync.Mutex
	events []alert.DocumentEvent
}

func newRoom(t *testing.T) *room {
	r := &room{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var d alert.Document
		body, err := io.ReadAll(request.Body)
		if err == nil {
			err = json.Unmarshal(body, &d)
		}
		if err != nil || !strings.HasPrefix(request.Header.Get("X-Mirrorpool-Signature"), "sha256=") {
			t.Errorf("%v: %q with %v", err, body, request.Header)
		}
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.events = append(r.events, d.Events...)
	}))
	t.Cleanup(r.Close)
	return r
}

// take finds the events of a status and kind, and takes them out.
func (r *room) take(status string, kind alert.Kind) []alert.DocumentEvent {
	return r.takeWhere(func(e alert.DocumentEvent) bool { return e.Status == status && e.Kind == kind })
}

func (r *room) takeWhere(wanted func(alert.DocumentEvent) bool) []alert.DocumentEvent {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var found []alert.DocumentEvent
	r.events = slices.DeleteFunc(r.events, func(e alert.DocumentEvent) bool {
		is := wanted(e)
		if is {
			found = append(found, e)
		}
		return is
	})
	return found
}

// comesOf waits for an event of a key.
func (r *room) comesOf(to *running, status, key string) alert.DocumentEvent {
	to.Helper()
	var found []alert.DocumentEvent
	to.eventually(status+" of "+key+" is told", func() bool {
		found = r.takeWhere(func(e alert.DocumentEvent) bool { return e.Status == status && e.Key == key })
		return len(found) > 0
	})
	return found[0]
}

// comes waits for one such event.
func (r *room) comes(to *running, status string, kind alert.Kind) alert.DocumentEvent {
	to.Helper()
	var found []alert.DocumentEvent
	to.eventually(status+" of "+string(kind)+" is told", func() bool {
		found = r.take(status, kind)
		return len(found) > 0
	})
	if len(found) > 1 {
		to.Errorf("%d events where one was expected: %+v", len(found), found)
	}
	return found[0]
}

// startAlerting starts a node that looks sooner for what is wrong than one of an operator.
func (r *running) startAlerting() {
	r.Helper()
	r.startWith(func(n *node) { n.alerts.interval = 200 * time.Millisecond })
}

// alertedPools is a pool with one member that is checked, and an operator.
const alertedPools = `{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 30, "answers": 1,
  "health": { "check": "http", "port": %s, "path": "/trace", "interval": "1s", "timeout": "900ms", "down_after": 1, "up_after": 1 },
  "members": [ { "id": "one", "mirror": "one.example", "addresses": ["127.0.0.1"], "weight": 10, "email": "op@localhost" } ] } ] }
`

func TestPeopleAreTold(t *testing.T) {
	var broken atomic.Bool
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(mirror.Close)
	_, port, err := net.SplitHostPort(mirror.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	room := newRoom(t)
	r := newRunning(t, "")
	r.write("secret", "open sesame\n")
	r.write("checkout/pools.json", fmt.Sprintf(alertedPools, port))
	alerts := fmt.Sprintf(`alerts:
  - webhook: {url: %q, secret_file: %q}
    wait: 0s
    at_most: 100/m
    stale_after: 0s
  - exec: [/bin/sh, -c, "cat >>%s"]
    wait: 0s
    events: [state]
    pools: [dl.example.test]
  - exec: [/bin/false]
    name: fails
    events: [state]
    wait: 0s
`, room.URL+"/T0PSECRET", r.path("secret"), r.path("program"))
	r.write("node.yaml", r.config(alerts))
	good := r.push("Good")
	r.startAlerting()
	r.serving(good)

	broken.Store(true)
	down := room.comesOf(r, "trouble", "state dl.example.test one 127.0.0.1")
	if all := room.comesOf(r, "trouble", "pool dl.example.test IPv4"); all.Severity != alert.Error || !strings.Contains(all.Words, "clients get all of them") {
		t.Errorf("the pool: %+v", all)
	}
	if down.Key != "state dl.example.test one 127.0.0.1" || down.Words != "is down: status 503, expected 200" || !slices.Equal(down.Pools, []string{"dl.example.test"}) ||
		down.Subject != "member one of dl.example.test at 127.0.0.1" || down.Details["reason"] != "status 503, expected 200" || time.Since(down.Begin) > time.Minute {
		t.Errorf("down: %+v", down)
	}
	evidence := strings.Join(down.Evidence, "\n")
	for _, want := range []string{"asked: GET http://127.0.0.1:" + port + "/trace, Host: dl.example.test", "what came back: status 503", "status: 503", "step connect: "} {
		if !strings.Contains(evidence, want) {
			t.Errorf("no %q in the evidence\n%s", want, evidence)
		}
	}
	r.eventually("the program is told", func() bool {
		data, _ := os.ReadFile(r.path("program"))
		return strings.Contains(string(data), `"key":"state dl.example.test one 127.0.0.1"`)
	})

	// A restart repeats nothing, and the end is told of all the same.
	r.stop()
	r.startAlerting()
	r.serving(good)
	time.Sleep(2 * r.node.alerts.interval)
	if again := room.take("trouble", alert.State); len(again) > 0 {
		t.Errorf("told again after a restart: %+v", again)
	}
	broken.Store(false)
	up := room.comesOf(r, "over", "state dl.example.test one 127.0.0.1")
	room.comesOf(r, "over", "pool dl.example.test IPv4")
	if up.Key != down.Key || up.End == nil || up.Over != "is up again: status 200" || !up.Begin.Equal(down.Begin) {
		t.Errorf("up: %+v", up)
	}

	// A commit with a mistake, and its mending.
	r.write("checkout/pools.json", strings.Replace(fmt.Sprintf(alertedPools, port), `"answers": 1`, `"answers": 0`, 1))
	bad := r.push("Bad")
	r.node.source.Load().Poke()
	refused := room.comes(r, "trouble", alert.Commit)
	if evidence := strings.Join(refused.Evidence, "\n"); refused.Details["commit"] != bad || !strings.Contains(evidence, "author: Test <test@localhost>") || !strings.Contains(evidence, "pools.json:2:") {
		t.Errorf("refused: %+v", refused)
	}
	r.write("checkout/pools.json", fmt.Sprintf(alertedPools, port))
	// A restart while the remote cannot be asked knows nothing of the commit.
	r.stop()
	if err := os.Rename(r.path("mirrors.git"), r.path("gone.git")); err != nil {
		t.Fatal(err)
	}
	r.startAlerting()
	if stale := room.comes(r, "trouble", alert.Stale); !strings.Contains(stale.Words, "the last good commit goes on being served") {
		t.Errorf("stale: %+v", stale)
	}
	if over := room.take("over", alert.Commit); len(over) > 0 {
		t.Errorf("a commit that nobody has looked at again is over: %+v", over)
	}
	if err := os.Rename(r.path("gone.git"), r.path("mirrors.git")); err != nil {
		t.Fatal(err)
	}
	r.node.source.Load().Poke()
	room.comes(r, "over", alert.Stale)
	r.push("Mended")
	r.node.source.Load().Poke()
	if mended := room.comes(r, "over", alert.Commit); mended.Key != refused.Key {
		t.Errorf("mended: %+v", mended)
	}

	// What fails here is said, and holds up nobody.
	r.stop()
	if log := r.log.String(); strings.Contains(log, "T0PSECRET") || strings.Contains(log, "open sesame") {
		t.Error("a secret is in the log")
	}
}

func TestAlertsAreReloaded(t *testing.T) {
	room := newRoom(t)
	r := newRunning(t, "")
	r.write("secret", "open sesame\n")
	r.startAlerting()
	r.node.stages.fail("one", io.ErrUnexpectedEOF)
	entry := fmt.Sprintf("alerts:\n  - webhook: {url: %q, secret_file: %q}\n    wait: 0s\n", room.URL, r.path("secret"))
	r.write("node.yaml", r.config(entry))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := room.comes(r, "trouble", alert.Stage)
	if told.Key != "stage one" || told.Words != "fails: unexpected EOF" {
		t.Errorf("told %+v", told)
	}

	// A secret that is gone changes nothing.
	r.write("node.yaml", r.config(strings.Replace(entry, "/secret", "/no-secret", 1)))
	if err := r.node.requestReload(t.Context()); err == nil || !strings.Contains(err.Error(), "no-secret") {
		t.Errorf("a secret that is not there: %v", err)
	}
	// A dry run prints, and leaves secrets out.
	r.write("node.yaml", r.config(strings.Replace(entry, "alerts:\n", "alerts:\n  - {name: dry, exec: [/bin/false], wait: 0s, dry_run: true}\n", 1)))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.node.stages.fail("two", io.ErrShortWrite)
	r.eventually("the dry run prints", func() bool {
		return strings.Contains(r.log.String(), "dry run: this message would be sent") && strings.Contains(r.log.String(), `"way":"dry"`)
	})
}

// TestNothingIsOverBeforeItIsKnown holds that what an earlier run has told of is not over
// because this one has not looked yet.
func TestNothingIsOverBeforeItIsKnown(t *testing.T) {
	room := newRoom(t)
	r := newRunning(t, "")
	r.write("secret", "open sesame\n")
	r.write("node.yaml", r.config(fmt.Sprintf("alerts:\n  - webhook: {url: %q, secret_file: %q}\n    wait: 0s\n    at_most: 100/m\n", room.URL, r.path("secret"))))
	r.startAlerting()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	r.node.alerts.Report(alert.Event{Key: "stage earlier", Kind: alert.Stage, Subject: "stage earlier", Words: "fails"})
	r.node.stages.fail("now", io.ErrUnexpectedEOF)
	room.comesOf(r, "trouble", "stage earlier")
	room.comesOf(r, "trouble", "stage now")
	r.node.stages.succeed("now")
	room.comesOf(r, "over", "stage now")
	if over := room.take("over", alert.Stage); len(over) > 0 {
		t.Errorf("over: %+v", over)
	}
	r.node.stages.fail("earlier", io.ErrUnexpectedEOF)
	r.node.stages.succeed("earlier") // mostly before anybody looks
	room.comesOf(r, "over", "stage earlier")

	began := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	target := func(address string) health.Target { return health.Target{Address: netip.MustParseAddr(address)} }
	before, after := health.State{Checked: began.Add(-time.Second)}, health.State{Checked: began.Add(time.Second)}
	for name, c := range map[string]struct {
		states map[health.Target]health.State
		want   bool
	}{
		"nothing is there":                {},
		"from an earlier run":             {map[health.Target]health.State{target("127.0.0.1"): before}, false},
		"asked":                           {map[health.Target]health.State{target("127.0.0.1"): after}, true},
		"only the other family was asked": {map[health.Target]health.State{target("127.0.0.1"): before, target("::1"): after}, false},
		"there is only the other family":  {map[health.Target]health.State{target("::1"): after}, true},
	} {
		if got := judgedSince(health.NewReport(c.states), "ipv4", began); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func TestWayThatFailsIsAStage(t *testing.T) {
	r := newRunning(t, "alerts:\n  - {name: gone, exec: [/bin/true], wait: 0s}\n")
	r.start()
	r.node.alerts.told(alert.Told{Way: "", Err: io.ErrShortWrite})
	if got := r.stage(stageAlerts).Error; got != io.ErrShortWrite.Error() {
		t.Errorf("stage %q", got)
	}
	r.node.alerts.told(alert.Told{})
	if got := r.stage(stageAlerts).Error; got != "" {
		t.Errorf("stage %q", got)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	e := newEvidence()
	target := func(i int) health.Target { return health.Target{URL: fmt.Sprintf("http://127.0.0.1/%d", i)} }
	for i := range maxEvidence + 10 {
		e.observe(health.Observation{Target: target(i), Result: health.Result{Outcome: health.Slow}})
	}
	if len(e.failed) != maxEvidence {
		t.Errorf("%d targets", len(e.failed))
	}
	e.observe(health.Observation{Target: target(0), Result: health.Result{Outcome: health.Success}})
	if _, there := e.failed[target(0)]; there {
		t.Error("a success has left the failure")
	}
	e.keepOnly(health.NewReport(map[health.Target]health.State{target(1): {Verdict: health.Down}}))
	if len(e.failed) != 1 {
		t.Errorf("%d targets after the others have left", len(e.failed))
	}
}

func TestCertificatesNearTheirEnd(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	check := &pool.Check{CertificateWarning: 14 * 24 * time.Hour}
	for _, c := range []struct {
		left    time.Duration
		verdict health.Verdict
		want    string // empty: no flag
	}{
		{left: 15 * 24 * time.Hour, verdict: health.Up},
		{left: 13 * 24 * time.Hour, verdict: health.Up, want: "has a certificate that ends on 2026-12-06 12:00 UTC"},
		{left: 13 * 24 * time.Hour, verdict: health.Down},
		{left: -time.Hour, verdict: health.Up, want: "has a certificate that ended on 2026-11-23 11:00 UTC"},
		{left: -1 << 63, verdict: health.Up},
	} {
		s := &standings{now: now, evidence: newEvidence(), verdicts: map[string]health.Verdict{}, words: map[string]string{}, members: map[string]watchedMember{}}
		state := health.State{Verdict: c.verdict, CertificateExpiry: now.Add(c.left)}
		if c.left == -1<<63 {
			state.CertificateExpiry = time.Time{}
		}
		s.add(watchedMember{
			key: "state p m 127.0.0.1", subject: "member m", operator: "op@example", mirror: "m", pool: "p", check: check, state: state,
			targets: []health.Target{{URL: "https://127.0.0.1/", Probe: pool.Probe{Kind: pool.CheckHTTPS}}}, details: map[string]string{},
		})
		got := ""
		if len(s.flags) > 0 {
			got = s.flags[0].Words
			if s.flags[0].Key != "certificate p m 127.0.0.1" || s.flags[0].Operator != "op@example" {
				t.Errorf("flag %+v", s.flags[0])
			}
		}
		if got != c.want {
			t.Errorf("%s left, %s: got %q, want %q", c.left, c.verdict, got, c.want)
		}
	}
	off := &standings{now: now, verdicts: map[string]health.Verdict{}, words: map[string]string{}, members: map[string]watchedMember{}}
	off.add(watchedMember{check: &pool.Check{}, state: health.State{Verdict: health.Up, CertificateExpiry: now}, details: map[string]string{}})
	if len(off.flags) > 0 {
		t.Error("a flag though nobody wants one")
	}
}

// TestRedFlagsOfTheHistory holds that flags of those that clients may be given are told,
// with the mirror's operator and what was seen, and that they end.
func TestRedFlagsOfTheHistory(t *testing.T) {
	s := &standings{verdicts: map[string]health.Verdict{}, words: map[string]string{}, members: map[string]watchedMember{}}
	s.add(watchedMember{key: "state p given 127.0.0.1", pool: "p", id: "given", operator: "op@example", mirror: "m", check: &pool.Check{}, details: map[string]string{}})
	flag := func(id string, kind history.FlagKind) history.Flag {
		return history.Flag{Member: history.Member{Pool: "p", ID: id}, Kind: kind, Words: "a file was changed", Worst: &history.Evidence{Reason: "bytes differ", Status: 200}}
	}
	s.addFlags([]history.Flag{flag("disabled", history.FlagAltered), flag("given", history.FlagAltered), flag("given", history.FlagCertificate)})
	if len(s.flags) != 1 {
		t.Fatalf("told of %+v", s.flags)
	}
	e := s.flags[0]
	if e.Key != "flag altered p given" || e.Severity != alert.Error || e.Operator != "op@example" || e.Mirror != "m" || e.Words != "has a red flag: a file was changed" {
		t.Errorf("told %+v", e)
	}
	if evidence := strings.Join(e.Evidence, "\n"); !strings.Contains(evidence, ": bytes differ\n") || !strings.Contains(evidence, "status: 200") {
		t.Errorf("evidence:\n%s", evidence)
	}
	for of, want := range map[string]string{"altered p given": "has this red flag no more", "altered p disabled": "is not asked any more"} {
		if words, over := s.flagOver(of); !over || !strings.HasPrefix(words, want) {
			t.Errorf("%s: %q, %t", of, words, over)
		}
	}
}

func TestWhatClientsGetInstead(t *testing.T) {
	s := &standings{verdicts: map[string]health.Verdict{}, words: map[string]string{}, members: map[string]watchedMember{}}
	s.addFallenPool(zones.PoolDescription{Name: "p", IPv4: zones.FamilyDescription{Served: true, Mode: selection.Reserve}, IPv6: zones.FamilyDescription{Mode: selection.Empty}})
	disabled := &administrative.Word{Action: administrative.Disable}
	s.addFallenPool(zones.PoolDescription{
		Name: "off", IPv4: zones.FamilyDescription{Served: true, Mode: selection.Empty}, IPv6: zones.FamilyDescription{Served: true, Mode: selection.Empty},
		Members: []zones.MemberDescription{
			{Weight: 1, Word: disabled, Addresses: []zones.AddressDescription{{Address: netip.MustParseAddr("127.0.0.1")}}},
			{Weight: 1, Addresses: []zones.AddressDescription{{Address: netip.MustParseAddr("::1")}}},
		},
	})
	s.addFallenHost(zones.HostDescription{Host: "h", Plain: zones.ModeFallbacks, Mirrors: []zones.MirrorDescription{{Weight: 1}}})
	s.addFallenHost(zones.HostDescription{Host: "s", Plain: "normal", Secure: "empty", Mirrors: []zones.MirrorDescription{
		{URLPrefix: "http://m.test/", Weight: 1}, {URLPrefix: "https://m.test/", Weight: 1, Word: disabled},
	}})
	s.addFallenHost(zones.HostDescription{Host: "none", Plain: "empty", Mirrors: []zones.MirrorDescription{{}}})
	s.addFallenHost(zones.HostDescription{Host: "well", Plain: "normal", Mirrors: []zones.MirrorDescription{{Weight: 1}}})
	var got []string
	for _, e := range s.states {
		got = append(got, e.Key+": "+e.Subject+" "+e.Words)
	}
	want := []string{
		"pool p IPv4: p over IPv4 has no member that is up: clients get the reserve",
		"pool off IPv4: off over IPv4 has no member that is not disabled on this node: clients get nothing of it",
		"pool off IPv6: off over IPv6 has no member that is up: clients get nothing",
		"host h: h has no mirror that is up: clients get the fallbacks",
		"host s https: s by https has no member that is not disabled on this node: clients get nothing of it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
