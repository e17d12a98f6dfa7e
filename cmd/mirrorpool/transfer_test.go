package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// transferYAML is a configuration with what dns.transfer has.
func transferYAML(transfer string) []byte {
	return []byte("git: {url: /a}\ndns:\n  transfer: " + transfer + "\n")
}

func TestTransferMistakesAreLocated(t *testing.T) {
	for name, test := range map[string]struct{ transfer, want string }{
		"host bits":        {`{allow: ["127.0.0.1/8"]}`, `f.yaml:3:22: dns.transfer.allow[0]: found "127.0.0.1/8", expected an address or a network without host bits, "key NAME", or both`},
		"no address":       {`{allow: ["127.0.0"]}`, `f.yaml:3:22: dns.transfer.allow[0]: found "127.0.0"`},
		"an interface's":   {`{allow: ["fe80::1%lo"]}`, `f.yaml:3:22: dns.transfer.allow[0]: found "fe80::1%lo"`},
		"mapped address":   {`{allow: ["::ffff:127.0.0.1"]}`, `f.yaml:3:22: dns.transfer.allow[0]: found`},
		"mapped":           {`{allow: ["::ffff:127.0.0.0/104"]}`, `dns.transfer.allow[0]: found`},
		"nothing":          {`{allow: [""]}`, `f.yaml:3:22: dns.transfer.allow[0]: found ""`},
		"key alone":        {`{allow: ["key"]}`, `dns.transfer.allow[0]: found "key"`},
		"no key's name":    {`{allow: ["127.0.0.0/8 key"]}`, `dns.transfer.allow[0]: found`},
		"another word":     {`{allow: ["127.0.0.0/8 keys a"]}`, `dns.transfer.allow[0]: found`},
		"two keys":         {`{tsig_keys: f, allow: ["key a key b"]}`, `dns.transfer.allow[0]: found`},
		"a bad name":       {`{tsig_keys: f, allow: ["key a..b"]}`, `dns.transfer.allow[0]: found "key a..b"`},
		"key without file": {`{allow: ["127.0.0.0/8", "key a"]}`, `f.yaml:3:37: dns.transfer.allow[1]: found "key a", expected dns.transfer.tsig_keys as well`},
		"no port":          {`{notify: ["127.0.0.1"]}`, `f.yaml:3:23: dns.transfer.notify[0]: found "127.0.0.1", expected an IP address and a port`},
		"port 0":           {`{notify: ["127.0.0.1:0"]}`, `dns.transfer.notify[0]: found`},
		"a name":           {`{notify: ["ns.example:53"]}`, `dns.transfer.notify[0]: found`},
		"twice":            {`{notify: ["127.0.0.1:53", "127.0.0.1:53"]}`, `f.yaml:3:39: dns.transfer.notify[1]: found "127.0.0.1:53", expected each address once`},
		"notify's key":     {`{notify: ["127.0.0.1:53 key a"]}`, `dns.transfer.notify[0]: found "127.0.0.1:53 key a", expected dns.transfer.tsig_keys as well`},
		"no transfers":     {`{concurrent: 0}`, `f.yaml:3:26: dns.transfer.concurrent: found "0", expected a whole number from 1`},
		"the root":         {`{catalog: .}`, `f.yaml:3:23: dns.transfer.catalog: found "."`},
		"no share":         {`{serials: 3/2}`, `f.yaml:3:23: dns.transfer.serials: found "3/2", expected this node's place and how many there are, such as "1/2", of 2, 4 or 8`},
		"TLS without TLS":  {`{tls_only: true}`, `f.yaml:3:24: dns.transfer.tls_only: found "true", expected dns.tls as well`},
		"unknown":          {`{allows: []}`, `f.yaml:3:14`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig("f.yaml", transferYAML(test.transfer))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

const keyText = "key \"%s\" {\n\talgorithm hmac-sha256;\n\tsecret \"aHVudGVyMmh1bnRlcjI=\";\n};\n"

func writeKeys(t testing.TB, path string, names ...string) {
	t.Helper()
	text := ""
	for _, name := range names {
		text += fmt.Sprintf(keyText, name)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestAllowedKeys holds that each key is allowed where none is named.
func TestAllowedKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, "One.example", "two")
	for name, test := range map[string]struct{ transfer, want string }{
		"nothing":         {`{}`, `[]`},
		"keys alone":      {`{tsig_keys: FILE}`, `[{invalid Prefix one.example.} {invalid Prefix two.}]`},
		"a network":       {`{allow: ["127.0.0.0/8"]}`, `[{127.0.0.0/8 }]`},
		"addresses":       {`{tsig_keys: FILE, allow: ["127.0.0.1", "::1 key two"]}`, `[{127.0.0.1/32 } {::1/128 two.}]`},
		"both, not named": {`{tsig_keys: FILE, allow: ["127.0.0.0/8"]}`, `[{127.0.0.0/8 } {invalid Prefix one.example.} {invalid Prefix two.}]`},
		"a key":           {`{tsig_keys: FILE, allow: ["127.0.0.0/8", "key ONE.example."]}`, `[{127.0.0.0/8 } {invalid Prefix one.example.}]`},
		"both in one":     {`{tsig_keys: FILE, allow: ["127.0.0.0/8   key two"]}`, `[{127.0.0.0/8 two.}]`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseConfig("f.yaml", transferYAML(strings.ReplaceAll(test.transfer, "FILE", path)))
			if err != nil {
				t.Fatal(err)
			}
			if c.transferKeys, err = c.openTransferKeys(nil); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.transferSettings().Allow); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	c, err := parseConfig("f.yaml", transferYAML(`{tsig_keys: `+path+`, allow: ["key three"], notify: ["127.0.0.1:53 key four"]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.openTransferKeys(nil)
	for _, want := range []string{
		"dns.transfer.allow[0]: found the key three., expected one that is in " + path + ": one.example., two.",
		"dns.transfer.notify[0]: found the key four., expected", "f.yaml:3:",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestTransferKeysAreReadAgain holds that a change is noticed without a reload, that
// the stage tells of a mistake, which changes nothing, and that the log shows no
// secret, and warns of a file that all may read.
func TestTransferKeysAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys")
		writeKeys(t, path, "one")
		var log lockedBuffer
		n := &node{stages: newStages(time.Now), logger: zerolog.New(&log), transferKeysChanged: make(chan struct{}, 1)}
		c, err := parseConfig("f.yaml", transferYAML(`{tsig_keys: `+path+`, allow: ["key one"]}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := n.openTransferKeys(c); err != nil {
			t.Fatal(err)
		}
		n.config.Store(c)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go n.transferKeysFollow(ctx)
		look := func(what string, changed, fails bool, keys string) {
			t.Helper()
			time.Sleep(rereadInterval)
			synctest.Wait()
			told := false
			select {
			case <-n.transferKeysChanged:
				told = true
			default:
			}
			if told != changed {
				t.Errorf("%s: the name server is told: %v", what, told)
			}
			if failing := n.stages.list(); (len(failing) == 1) != fails || fails && failing[0].stage != stageTSIG {
				t.Errorf("%s: failing: %v", what, failing)
			}
			if got := fmt.Sprint(c.transferKeys.current().Keys()); got != keys {
				t.Errorf("%s: keys %s, want %s", what, got, keys)
			}
		}
		const first, both = "[one. (hmac-sha256)]", "[one. (hmac-sha256) two. (hmac-sha256)]"
		look("as it was", false, false, first)
		writeKeys(t, path, "one", "two")
		look("another one", true, false, both)
		writeKeys(t, path, "two")
		look("without the one that is named", false, true, both)
		if err := os.WriteFile(path, []byte("key one { secret \"aHVudGVyMmh1bnRlcjI=\" aHVudGVyMg==; };"), 0o640); err != nil {
			t.Fatal(err)
		}
		look("broken", false, true, both)
		if again, err := c.openTransferKeys(c.transferKeys); err != nil || fmt.Sprint(again.current().Keys()) != both {
			t.Errorf("a reload meanwhile: %v, %v", again.current().Keys(), err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		look("gone", false, true, both)
		writeKeys(t, path, "one", "two")
		look("mended", false, false, both)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		look("for all to read", false, false, both)
		look("still", false, false, both)
		if got := strings.Count(log.String(), "chmod 640"); got != 1 {
			t.Errorf("%d warnings of a file that all may read, want 1:\n%s", got, &log)
		}
		writeKeys(t, path, "one")
		look("other keys, for all to read as before", true, false, first)
		if got := strings.Count(log.String(), "chmod 640"); got != 2 {
			t.Errorf("%d warnings of two contents that all may read, want 2:\n%s", got, &log)
		}
		if strings.Contains(log.String(), "aHVudGVy") || strings.Contains(log.String(), "hunter2") {
			t.Errorf("the log shows the secret:\n%s", &log)
		}
	})
}
