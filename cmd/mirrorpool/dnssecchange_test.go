package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorpool/zones/signing"
)

// cutPrivate leaves the first bytes of a key's private file.
func cutPrivate(t *testing.T, directory string, key *signing.Key) {
	t.Helper()
	if err := os.Truncate(filepath.Join(directory, key.ID()+".private"), 20); err != nil {
		t.Fatal(err)
	}
}

// TestNoZoneBeginsWithoutAKey: a zone begins to be served with all of its keys, since
// any may be the one that its parent names, or not at all; those of other zones, and
// those that are deleted, do not matter, and neither does a zone that is served.
func TestNoZoneBeginsWithoutAKey(t *testing.T) {
	directory := t.TempDir()
	bad := writeKey(t, directory, "one.example.")
	cutPrivate(t, directory, bad)
	static, others := signedZones(t, "one.example"), signedZones(t, "two.example")
	refused := func(k *keys) {
		t.Helper()
		_, _, err := k.plansFor(static, nil)
		file := filepath.Join(directory, bad.ID()+".private")
		if err == nil || !strings.HasPrefix(err.Error(), k.settings.place+": "+file+": ") && !strings.HasPrefix(err.Error(), k.settings.place+": "+strings.TrimSuffix(file, ".private")+": ") ||
			!strings.Contains(err.Error(), "move both elsewhere") {
			t.Errorf("a key that cannot be read: %v", err)
		}
		if k.begin(static, nil) == nil {
			t.Error("the commit is taken")
		}
	}
	signedWith := func(k *keys, served map[string]bool, key *signing.Key) {
		t.Helper()
		plans, _, err := k.plansFor(static, served)
		if plan := plans["one.example."]; err != nil || plan == nil || !slices.EqualFunc(plan.Zone, []*signing.Key{key}, (*signing.Key).Same) {
			t.Errorf("not signed with %s: %v", key.ID(), err)
		}
	}
	k := openTestKeys(t, directory)
	refused(k)
	if _, _, err := k.plansFor(others, nil); err != nil {
		t.Errorf("another zone's key: %v", err)
	}
	good := writeKey(t, directory, "one.example.")
	if !k.refresh() {
		t.Error("the other key is not seen")
	}
	refused(k)
	k.refresh()
	refused(k)
	signedWith(k, map[string]bool{"one.example.": true}, good)

	// What the public half says of its end counts, where it is this key's.
	file := filepath.Join(directory, bad.ID()+".key")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	deleted := func(at time.Time) {
		t.Helper()
		comment := "; Delete: " + at.UTC().Format("20060102150405") + " (whenever)\n"
		if err := os.WriteFile(file, append([]byte(comment), text...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deleted(time.Now().Add(time.Hour))
	refused(openTestKeys(t, directory))
	deleted(time.Now().Add(-time.Hour))
	signedWith(openTestKeys(t, directory), nil, good)
	if err := os.WriteFile(file, []byte("; Delete: 20200101000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openTestKeys(t, directory).begin(static, nil); err == nil {
		t.Error("a public half without its key tells the end of it")
	}

	// Files that are gone before the zone begins are no doubt any more.
	for _, suffix := range []string{".key", ".private"} {
		if err := os.Remove(filepath.Join(directory, bad.ID()+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if !k.refresh() {
		t.Error("that the doubt is gone is not seen")
	}
	signedWith(k, nil, good)
}

// TestRefusedReloadKeepsSigning: a reload that is refused for a listener leaves the keys
// that sign, whatever has become of their files since; and one is refused for a key in
// another directory that cannot be read.
func TestRefusedReloadKeepsSigning(t *testing.T) {
	r := newRunning(t, "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	key := writeKey(t, r.path("keys"), "example.test.")
	other := writeKey(t, r.path("bad"), "example.test.")
	cutPrivate(t, r.path("bad"), other)
	if err := os.Mkdir(r.path("empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	configure := func(address, directory string) {
		t.Helper()
		r.write("node.yaml", r.config("dns: {listen: [\""+address+"\"], dnssec_keys: \""+r.path(directory)+"\"}\n"))
	}
	configure("127.0.0.1:0", "keys")
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	signed := func() {
		t.Helper()
		// What is compiled now is signed with what there is now.
		if err := r.node.compiler.serve(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if _, signed := r.node.compiler.table.Load().Signed("example.test."); !signed || len(r.node.keys.of("example.test.")) != 1 {
			t.Error("the zone is not signed any more")
		}
	}
	cutPrivate(t, r.path("keys"), key)
	for _, directory := range []string{"empty", "bad"} {
		configure(taken.Addr().String(), directory)
		if err := r.node.requestReload(t.Context()); err == nil {
			t.Error("a listener that cannot be bound is taken")
		}
		signed()
	}
	configure("127.0.0.1:0", "bad")
	if err := r.node.requestReload(t.Context()); err == nil || !strings.Contains(err.Error(), other.ID()) {
		t.Errorf("a directory with a key that cannot be read: %v", err)
	}
	signed()
	configure("127.0.0.1:0", "keys")
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Errorf("the configuration of before: %v", err)
	}
	signed()
}

// TestNodeWithDamagedKeys: a node ends when what it would serve first is a zone with a
// key that cannot be read, and does not mind those of zones that it does not serve. A
// commit that brings one waits until its key is mended.
func TestNodeWithDamagedKeys(t *testing.T) {
	r := newRunning(t, "")
	key, later := writeKey(t, r.path("keys"), "example.test."), writeKey(t, r.path("keys"), "later.test.")
	read := func(key *signing.Key) (string, string) {
		t.Helper()
		name := filepath.Join("keys", key.ID()+".private")
		text, err := os.ReadFile(r.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return name, string(text)
	}
	name, text := read(key)
	laterName, laterText := read(later)
	cutPrivate(t, r.path("keys"), key)
	cutPrivate(t, r.path("keys"), later)
	r.write("node.yaml", r.config("dns: {listen: [\"127.0.0.1:0\"], dnssec_keys: \""+r.path("keys")+"\"}\n"))

	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := newNode(r.path("node.yaml"), config, r.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := n.run(ctx, nil); err == nil || !strings.Contains(err.Error(), key.ID()) || strings.Contains(err.Error(), later.ID()) {
		t.Errorf("the node ends with: %v", err)
	}
	if n.compiler.table.Load() != nil {
		t.Error("something was served")
	}

	r.write(name, text)
	r.start()
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.serving(first)
	r.write("checkout/zones/later.test.zone", testZone)
	next := r.push("A zone more")
	r.eventually("the commit is refused", func() bool {
		return strings.Contains(r.stage(stageCommit).Error, later.ID())
	})
	if table := r.node.compiler.table.Load(); table.Commit != first {
		t.Errorf("commit %s is served", table.Commit)
	}
	r.write(laterName, laterText)
	r.node.refreshKeys()
	r.serving(next)
	if _, signed := r.node.compiler.table.Load().Signed("later.test."); !signed {
		t.Error("the zone is not signed")
	}
}
