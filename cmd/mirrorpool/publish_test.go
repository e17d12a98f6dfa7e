package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/publish"
	"mirrorpool/testport"
)

const publishKeyFile = "key \"one\" { algorithm hmac-sha256; secret \"YSBzZWNyZXQ=\"; };\n"

// publishText is the configuration of one entry.
func publishText(keys, server, more string) string {
	return fmt.Sprintf("publish: [{pool: dl.elsewhere.test, zone: elsewhere.test, server: %q, tsig_keys: %q, %s}]\n", server, keys, more)
}

func TestMistakesInPublish(t *testing.T) {
	const good = "pool: dl.a.test, zone: a.test, server: \"127.0.0.1:53\", tsig_keys: k"
	for _, test := range []struct{ name, entries, want string }{
		{"no pool", "[{zone: a.test, server: \"127.0.0.1:53\", tsig_keys: k}]", `publish[0].pool: found "", expected the name of a pool`},
		{"no name", "[{pool: a..b, zone: a.test, server: \"127.0.0.1:53\", tsig_keys: k}]", `f.yaml:2:18: publish[0].pool: found "a..b"`},
		{"outside", "[{pool: dl.b.test, zone: a.test, server: \"127.0.0.1:53\", tsig_keys: k}]", `f.yaml:2:35: publish[0].zone: found "a.test", expected a zone that dl.b.test lies in`},
		{"no zone", "[{pool: dl.a.test, server: \"127.0.0.1:53\", tsig_keys: k}]", `publish[0].zone: found "", expected the apex`},
		{"no port", "[{pool: dl.a.test, zone: a.test, server: 127.0.0.1, tsig_keys: k}]", `f.yaml:2:51: publish[0].server: found "127.0.0.1"`},
		{"port 0", "[{pool: dl.a.test, zone: a.test, server: \"127.0.0.1:0\", tsig_keys: k}]", `f.yaml:2:51: publish[0].server: found "127.0.0.1:0"`},
		{"no keys", "[{pool: dl.a.test, zone: a.test, server: \"127.0.0.1:53\"}]", `publish[0].tsig_keys: found "", expected a file with the key`},
		{"TTL", "[{" + good + ", ttl: 0}]", `f.yaml:2:86: publish[0].ttl: found "0", expected seconds from 1 to 604800`},
		{"part of a second", "[{" + good + ", ttl: 1.5s}]", `f.yaml:2:86: publish[0].ttl: found "1.5s"`},
		{"interval", "[{" + good + ", interval: 1ms}]", `f.yaml:2:91: publish[0].interval: found "1ms", expected a duration from 1s`},
		{"rotation", "[{" + good + ", limit: 2, rotate: 1s}]", `f.yaml:2:99: publish[0].rotate: found "1s"`},
		{"limit", "[{" + good + ", limit: 101}]", `f.yaml:2:88: publish[0].limit: found "101"`},
		{"twice", "[{" + good + "}, {" + strings.Replace(good, "dl.a", "DL.a", 1) + "}]", `publish[1].pool: found "DL.a.test", expected each pool once`},
		{"unknown key", "[{" + good + ", shout: true}]", `unknown key "shout"`},
		{"no list", "{" + good + "}", `f.yaml:2:10: publish: found keys with values, expected a list of keys with values`},
	} {
		_, err := parseConfig("f.yaml", []byte("git: {url: /a}\npublish: "+test.entries))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: found %v, want %s", test.name, err, test.want)
		}
	}
}

// TestPublishIsRead: what an entry says gets to package publish, and what it leaves
// out has its default.
func TestPublishIsRead(t *testing.T) {
	r := &running{T: t, directory: t.TempDir()}
	r.write("keys", publishKeyFile+strings.Replace(publishKeyFile, "one", "two", 1))
	text := "git: {url: /a}\ndns: {transfer: {tsig_keys: " + r.path("keys") + "}}\npublish:\n" +
		"  - {pool: dl.a.test, zone: a.test., server: \"127.0.0.1:53\", key: Two.}\n" +
		"  - {pool: dl.b.test, zone: b.test, server: \"[::1]:5353\", key: one, ttl: 5m, interval: 10s, limit: 3, rotate: 2h, adopt: true, dry_run: true}\n"
	c, err := parseConfig("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.openPublishKeys(nil); err != nil {
		t.Fatal(err)
	}
	got := c.publications()
	want := []publish.Entry{
		{Pool: "dl.a.test", Zone: "a.test.", Server: netip.MustParseAddrPort("127.0.0.1:53"), Interval: time.Minute, Rotation: time.Hour},
		{
			Pool: "dl.b.test", Zone: "b.test", Server: netip.MustParseAddrPort("[::1]:5353"), TTL: 300, Interval: 10 * time.Second,
			Limit: 3, Rotation: 2 * time.Hour, Adopt: true, DryRun: true,
		},
	}
	for i, key := range []string{"two.", "one."} {
		if got[i].Key == nil || got[i].Key.Name() != key {
			t.Errorf("entry %d signs with %v, want %s", i, got[i].Key, key)
		}
		if err := got[i].Validate(); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		got[i].Key = nil
		if got[i] != want[i] {
			t.Errorf("entry %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	for key, words := range map[string]string{"three": "f.yaml:4:5: publish[0]: found the key three", `""`: "several"} {
		other, err := parseConfig("f.yaml", []byte(strings.Replace(text, "Two.", key, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.openPublishKeys(nil); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "one., two.") {
			t.Errorf("key %s: %v, want %q and the names", key, err, words)
		}
	}
}

const elsewherePools = `{ "version": 1, "pools": [ {
  "name": "dl.elsewhere.test", "ttl": 5, "health": { "check": "none" },
  "members": [ { "id": "one", "addresses": ["127.0.0.41"], "weight": 10 } ] } ] }
`

// Of a file of keys that all come to be able to read people are told, once, also if nothing
// else of it is another.
func TestPublishKeysForAllToRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(publishKeyFile), 0o640); err != nil {
		t.Fatal(err)
	}
	keys, err := openKeyFile("publish[0].tsig_keys", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	n := &node{stages: newStages(time.Now), logger: zerolog.New(&log)}
	n.config.Store(&config{publishKeys: []*keyFile{keys}})
	p := &publishing{node: n}
	for i, want := range []int{0, 1, 1} {
		if i == 1 {
			chmod(t, path, 0o644)
		}
		if p.refreshKeys(); strings.Count(log.String(), "chmod 640") != want {
			t.Errorf("%d: not %d warnings:\n%s", i, want, &log)
		}
	}
}

// TestPublishedPoolNeedsNoZone: a pool in no zone is taken where it is published, and
// what is the matter with its primary is told.
func TestPublishedPoolNeedsNoZone(t *testing.T) {
	r := newRunning(t, "")
	r.write("publish.keys", publishKeyFile)
	nobody := fmt.Sprintf("127.0.0.1:%d", testport.Unused(t))
	r.write("node.yaml", r.config(publishText(r.path("publish.keys"), nobody, "")))
	r.write("checkout/pools.json", elsewherePools)
	commit := r.push("A pool in no zone")
	r.start()
	r.serving(commit)
	if reply := r.ask("dl.elsewhere.test.", dns.TypeA); reply.Rcode != dns.RcodeRefused {
		t.Errorf("answered: %v", reply)
	}
	if code, body := r.get("/api/v1/explain?client=127.0.0.1&pool=dl.elsewhere.test"); code != http.StatusOK {
		t.Errorf("/api/v1/explain: %d %s", code, body)
	}
	r.eventually("the stage says that nobody is there", func() bool {
		return strings.Contains(r.stage(stagePublish).Error, "pool dl.elsewhere.test at "+nobody)
	})
	if _, body := r.get("/api/v1/state"); !strings.Contains(body, `"condition": "failing"`) || !strings.Contains(body, "connection refused") {
		t.Errorf("/api/v1/state: %s", body)
	}
	if _, body := r.get("/metrics"); !strings.Contains(body, `mirrorpool_publish_good{pool="dl.elsewhere.test",server="`+nobody+`",zone="elsewhere.test."} 0`) {
		t.Error("the metrics do not show it")
	}

	// The key's file becomes bad, and good again.
	r.write("publish.keys", "key")
	r.node.publishing.refreshKeys()
	if r.stage(stagePublishKeys).Error == "" || len(r.node.publishing.States()) != 1 {
		t.Error("a bad file of keys is not told, or ends the publishing")
	}
	r.write("publish.keys", strings.Replace(publishKeyFile, "one", "other", 1))
	r.node.publishing.refreshKeys()
	r.eventually("the other key signs", func() bool {
		states := r.node.publishing.States()
		return len(states) == 1 && states[0].Key == "other." && r.stage(stagePublishKeys).Error == ""
	})

	// A configuration with a mistake changes nothing; one without the entry keeps what
	// is served, and refuses what comes.
	r.write("node.yaml", r.config(publishText(r.path("publish.keys"), nobody, "key: nobody")))
	if err := r.node.requestReload(t.Context()); err == nil || !strings.Contains(err.Error(), "found the key nobody") {
		t.Errorf("reload: %v", err)
	}
	if len(r.node.publishing.States()) != 1 {
		t.Error("a bad configuration ends the publishing")
	}
	r.write("node.yaml", r.config(""))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("nothing is published, and nothing fails", func() bool {
		return len(r.node.publishing.States()) == 0 && r.stage(stagePublish).Error == ""
	})
	if !strings.Contains(r.log.String(), "is not published any more") {
		t.Error("the log does not tell of the pool that nobody is given any more")
	}
	r.write("checkout/pools.json", strings.Replace(elsewherePools, "10", "11", 1))
	next := r.push("Another weight")
	r.eventually("the next commit is refused", func() bool {
		refused := r.node.status().Source.Refused
		return refused != nil && refused.Commit == next
	})
	r.stop()
	r.start()
	r.serving(commit)

	// Once it is published again, the commit is taken by a reload.
	r.write("node.yaml", r.config(publishText(r.path("publish.keys"), nobody, "")))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.serving(next)
}

// TestReloadWithBadFiles: a reload that is refused leaves the keys that zones are
// signed with, and one with nothing new in it is not refused because a file, or the
// directory of keys, has become bad.
func TestReloadWithBadFiles(t *testing.T) {
	r := newRunning(t, "")
	r.write("publish.keys", publishKeyFile)
	writeKey(t, r.path("keys"), "example.test.")
	nobody := fmt.Sprintf("127.0.0.1:%d", testport.Unused(t))
	configure := func(comment, directory, more string) {
		t.Helper()
		dns := "dns: {listen: [\"127.0.0.1:0\"], dnssec_keys: \"" + directory + "\"}\n"
		r.write("node.yaml", r.config(comment+dns+publishText(r.path("publish.keys"), nobody, more)))
	}
	configure("", r.path("keys"), "")
	r.write("checkout/pools.json", elsewherePools)
	commit := r.push("A pool in no zone")
	r.start()
	r.serving(commit)

	if err := os.Mkdir(r.path("empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	configure("", r.path("empty"), "key: nobody")
	if err := r.node.requestReload(t.Context()); err == nil || !strings.Contains(err.Error(), "found the key nobody") {
		t.Errorf("reload: %v", err)
	}
	if len(r.node.keys.of("example.test.")) != 1 {
		t.Error("a configuration that is refused takes the zone's key away")
	}

	r.write("publish.keys", "key")
	if err := os.Rename(r.path("keys"), r.path("gone")); err != nil {
		t.Fatal(err)
	}
	configure("# a line more\n", r.path("keys"), "ttl: 77")
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Errorf("reload: %v", err)
	}
	if r.stage(stagePublishKeys).Error == "" || !strings.Contains(r.stage(stageKeys).Error, r.path("node.yaml")+":5:") {
		t.Errorf("what is bad is not told, or not where: %q, %q", r.stage(stagePublishKeys).Error, r.stage(stageKeys).Error)
	}
	states := r.node.publishing.States()
	if len(states) != 1 || states[0].Key != "one." || len(r.node.keys.of("example.test.")) != 1 {
		t.Errorf("the keys of before are not used: %+v", states)
	}
	configure("", r.path("keys"), "key: other")
	if err := r.node.requestReload(t.Context()); err == nil {
		t.Error("a key is taken that cannot be read and was not there before")
	}
}
