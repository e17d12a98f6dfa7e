package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

func TestHealthPrograms(t *testing.T) {
	for _, test := range []struct{ text, mistake string }{
		{"health: {rsync: /opt/rsync}", ""},
		{`health: {rsync: ""}`, ""},
		{"health: {commands: {look: [/bin/true, a, b], look-2.x: [/bin/false]}}", ""},
		{"health: {rsync: rsync}", `node.yaml:2:17: health.rsync: found "rsync", expected the absolute path of a program, or "" for none`},
		{"health: {rsync: /usr/../bin/rsync}", `health.rsync: found "/usr/../bin/rsync"`},
		{"health: {commands: {look: []}}", `node.yaml:2:27: health.commands.look: found "[]", expected the absolute path of a program, and its arguments`},
		{"health: {commands: {look: [true]}}", `health.commands.look[0]: found "true", expected the absolute path of a program: commands are started without a shell`},
		{"health: {commands: {look: [/bin/sh, \"a\\0b\"]}}", `health.commands.look[1]: found "a\x00b", expected an argument without NUL`},
		{"health: {commands: {\"a b\": [/bin/true]}}", `health.commands: found "a b", expected a name`},
		{"health: {commands: {look: /bin/true}}", "node.yaml:2:"},
		{"health: {comands: {}}", "comands"},
	} {
		_, err := parseConfig("node.yaml", []byte("git: {url: /srv/mirrors.git}\n"+test.text+"\n"))
		switch {
		case test.mistake == "" && err != nil:
			t.Errorf("%s: %v", test.text, err)
		case test.mistake != "" && (err == nil || !strings.Contains(err.Error(), test.mistake)):
			t.Errorf("%s: got %v, want %q", test.text, err, test.mistake)
		}
	}
}

// TestMissingPrograms holds that the operator is told of every program that checks need.
func TestMissingPrograms(t *testing.T) {
	directory := t.TempDir()
	plain, program := filepath.Join(directory, "plain"), filepath.Join(directory, "program")
	for path, mode := range map[string]os.FileMode{plain: 0o644, program: 0o755} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	target := func(kind pool.CheckKind, command string) health.Assignment {
		return health.Assignment{Target: health.Target{Probe: pool.Probe{Kind: kind, Command: command}}}
	}
	byRsync, byLook, byHTTP := target(pool.CheckRsync, ""), target(pool.CheckExec, "look"), target(pool.CheckHTTP, "")
	look := func(path string) map[string][]string { return map[string][]string{"look": {path}} }
	for _, test := range []struct {
		config  healthConfig
		wanted  []health.Assignment
		mistake string
	}{
		{healthConfig{}, []health.Assignment{byHTTP}, ""},
		{healthConfig{}, []health.Assignment{byRsync}, "health.rsync names no program"},
		{healthConfig{Rsync: directory + "/none"}, []health.Assignment{byRsync}, "health.rsync: looking for the program: "},
		{healthConfig{Rsync: directory}, []health.Assignment{byRsync}, "is no program"},
		{healthConfig{Rsync: plain}, []health.Assignment{byRsync}, "may not be executed"},
		{healthConfig{Rsync: program}, []health.Assignment{byRsync}, ""},
		{healthConfig{}, []health.Assignment{byLook}, `health.commands has no "look", which the repository names`},
		{healthConfig{Commands: look(plain)}, []health.Assignment{byLook}, "health.commands.look: " + plain + " may not be executed"},
		{healthConfig{Commands: look(program)}, []health.Assignment{byLook, byLook}, ""},
		{healthConfig{}, []health.Assignment{byRsync, byLook}, "names no program; health.commands has no"},
	} {
		err := test.config.missing(test.wanted)
		switch {
		case test.mistake == "" && err != nil:
			t.Errorf("%+v: %v", test.config, err)
		case test.mistake != "" && (err == nil || !strings.Contains(err.Error(), test.mistake)):
			t.Errorf("%+v: got %v, want %q", test.config, err, test.mistake)
		}
	}
}

// TestMissingProgramIsSaid holds that a command which a node lacks takes no mirror down,
// that the node says so, and that a reload takes up what was added to its configuration.
func TestMissingProgramIsSaid(t *testing.T) {
	r := newRunning(t, "")
	r.write("checkout/pools.json", `{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 5, "answers": 1,
  "health": { "check": "exec", "command": "look", "interval": "1s", "timeout": "1s", "down_after": 1, "up_after": 1 },
  "members": [ { "id": "one", "addresses": ["127.0.0.41"], "weight": 1 } ] } ] }`)
	commit := r.push("A check by a command")
	r.start()
	r.serving(commit)
	health := func() string {
		var state struct {
			Pools []struct {
				Members []struct {
					Addresses []struct{ Health statusSeen }
				}
			}
		}
		_, body := r.get("/api/v1/state")
		if err := json.Unmarshal([]byte(body), &state); err != nil {
			t.Fatal(err)
		}
		seen := state.Pools[0].Members[0].Addresses[0].Health
		return seen.State + ": " + seen.Reason
	}
	if got := health(); !strings.HasPrefix(got, "up: not looked at: ") {
		t.Errorf("without the command: %s", got)
	}
	r.eventually("the operator is told", func() bool {
		return strings.Contains(r.stage(stagePrograms).Error, `health.commands has no "look"`)
	})
	r.write("look", "#!/bin/sh\necho \"$MIRRORPOOL_ADDRESS for $MIRRORPOOL_HOST is bad\"; exit 7\n")
	if err := os.Chmod(r.path("look"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("node.yaml", r.config("")+"health: {commands: {look: ["+r.path("look")+"]}}\n")
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if failed := r.stage(stagePrograms); failed.Error != "" {
		t.Errorf("stage %+v after the reload", failed)
	}
	r.eventually("the command is believed", func() bool {
		return health() == "down: exit status 7: 127.0.0.41 for dl.example.test is bad"
	})
}
