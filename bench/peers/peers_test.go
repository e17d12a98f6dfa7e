//go:build linux

// Package peers_test checks the scripts of this directory, which start the
// servers that the benchmark compares with: what each says of itself, and that
// a server that is installed serves the zone, on its port alone, and ends.
package peers_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notPeers are the scripts that are no peers.
var notPeers = []string{"common.sh", "build-go-peers.sh"}

// always are the peers that are there wherever CI is "true". The others are
// optional: they are skipped where they are not installed.
var always = []string{"nsd", "nsd-rotate", "nsd-signed", "knot", "knot-rotate", "knot-signed"}

// exitNotInstalled is how a peer ends whose server is missing.
const exitNotInstalled = 77

// A description is what a peer says of itself.
type description struct {
	name      string
	software  string // the Debian or Go package
	version   string // "" where the server is not installed
	scenarios []string
	records   int
	kind      string
	notes     []string
}

// peers returns the names of all peers.
func peers(t *testing.T) []string {
	t.Helper()
	scripts, err := filepath.Glob("*.sh")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, script := range scripts {
		if !slices.Contains(notPeers, script) {
			names = append(names, strings.TrimSuffix(script, ".sh"))
		}
	}
	for _, name := range always {
		if !slices.Contains(names, name) {
			t.Fatalf("%s.sh is missing among %q", name, names)
		}
	}
	return names
}

// bash skips the test where there is none.
func bash(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is missing")
	}
}

// describe asks a peer for its description, and checks the form of each line.
func describe(t *testing.T, name string) description {
	t.Helper()
	bash(t)
	var output, complaints bytes.Buffer
	command := exec.Command("./"+name+".sh", "--describe")
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		t.Fatalf("%s.sh --describe: %v: %s", name, err, complaints.String())
	}
	if complaints.Len() > 0 {
		t.Errorf("%s.sh --describe complains: %s", name, complaints.String())
	}
	d := description{name: name}
	seen := map[string]bool{}
	for line := range strings.Lines(output.String()) {
		line = strings.TrimSuffix(line, "\n")
		key, value, ok := strings.Cut(line, ": ")
		if !ok || value == "" || strings.TrimSpace(value) != value {
			t.Errorf("%s.sh --describe: line %q, want \"key: value\"", name, line)
		}
		if seen[key] && key != "note" {
			t.Errorf("%s.sh --describe has %s twice", name, key)
		}
		seen[key] = true
		switch key {
		case "package":
			d.software = value
		case "version":
			d.version = value
		case "scenarios":
			d.scenarios = strings.Split(value, " ")
		case "records":
			records, err := strconv.Atoi(value)
			if err != nil {
				t.Errorf("%s.sh --describe: records: %v", name, err)
			}
			d.records = records
		case "kind":
			d.kind = value
		case "note":
			d.notes = append(d.notes, value)
		default:
			t.Errorf("%s.sh --describe: unknown key in line %q", name, line)
		}
	}
	return d
}

func TestDescribe(t *testing.T) {
	known := strings.Fields("pool pool-edns subnet do static nxdomain tcp latency signed")
	for _, name := range peers(t) {
		t.Run(name, func(t *testing.T) {
			d := describe(t, name)
			if d.software == "" {
				t.Error("no package")
			}
			if d.version != "" && (d.version[0] < '0' || d.version[0] > '9') {
				t.Errorf("version %q does not start with a digit", d.version)
			}
			for i, scenario := range d.scenarios {
				if !slices.Contains(known, scenario) || slices.Contains(d.scenarios[:i], scenario) {
					t.Errorf("scenario %q is unknown or there twice", scenario)
				}
			}
			if slices.Contains(d.scenarios, "pool") == slices.Contains(d.scenarios, "signed") {
				t.Errorf("scenarios %q have neither pool nor signed, or both", d.scenarios)
			}
			if d.records < 1 || d.records > len(pool4) {
				t.Errorf("%d records, want 1 to %d", d.records, len(pool4))
			}
			if !slices.Contains([]string{"static", "rotating", "weighted", "geo"}, d.kind) {
				t.Errorf("unknown kind %q", d.kind)
			}
			if slices.Contains(d.scenarios, "subnet") != (d.kind == "geo") {
				t.Errorf("scenarios %q do not fit kind %s: the geo-aware, and they alone, choose by subnet", d.scenarios, d.kind)
			}
			if d.kind == "geo" && len(d.notes) == 0 {
				t.Error("geo, and no note of how many networks it searches")
			}
		})
	}
}

func TestPeersAreExecutableAndSharedPartsAreNot(t *testing.T) {
	for _, name := range peers(t) {
		if mode := mode(t, name+".sh"); mode&0o111 != 0o111 {
			t.Errorf("%s.sh has mode %v: want it executable", name, mode)
		}
	}
	shared, err := filepath.Glob("servers/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range append(shared, "common.sh") {
		if mode := mode(t, script); mode&0o111 != 0 {
			t.Errorf("%s has mode %v: it is sourced, want it not executable", script, mode)
		}
	}
}

func mode(t *testing.T, name string) os.FileMode {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestWrongUse(t *testing.T) {
	bash(t)
	for _, arguments := range [][]string{
		{},
		{"5300"},
		{"5300", t.TempDir()},
		{"port", t.TempDir(), "1"},
		{"5300", t.TempDir(), "0"},
		{"5300", t.TempDir(), "1", "more"},
		{"--describe-it"},
	} {
		output, err := exec.Command("./nsd.sh", arguments...).CombinedOutput()
		if exitStatus(err) != 64 || !strings.HasPrefix(string(output), "usage: nsd.sh PORT DIR CPUS") {
			t.Errorf("nsd.sh %q: %v: %s; want exit status 64 and the usage", arguments, err, output)
		}
	}
}

// A peer whose server is missing ends before it writes anything.
func TestMissingServer(t *testing.T) {
	bash(t)
	common, err := filepath.Abs("common.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, software, program, available, way string }{
		{"no program", "some-server", "no-such-server-program", "true", "apt-get install --no-install-recommends some-server some-module"},
		{"no module", "some-server", "bash", "false", "apt-get install --no-install-recommends some-server some-module"},
		{"Go", "example.test/server@v1.2.3", "no-such-server-program", "true", "run bench/peers/build-go-peers.sh"},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "missing.sh")
			text := "#!/usr/bin/env bash\nsource '" + common + "'\npackage=" + c.software + "\npackages=(some-module)\nprogram=" + c.program +
				"\nversion=(echo 1.2)\navailable() { " + c.available + "; }\nbegin \"$@\"\necho >begun\n"
			if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			directory := filepath.Join(t.TempDir(), "work")
			output, err := exec.Command(script, "5300", directory, "1").CombinedOutput()
			if exitStatus(err) != exitNotInstalled {
				t.Errorf("%v: %s; want exit status %d", err, output, exitNotInstalled)
			}
			if line := string(output); strings.Count(line, "\n") != 1 || !strings.Contains(line, c.way) {
				t.Errorf("it says %q, want one line with %q", line, c.way)
			}
			if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it has made %s: %v", directory, err)
			}
			output, err = exec.Command(script, "--describe").CombinedOutput()
			if err != nil || strings.Contains(string(output), "version:") {
				t.Errorf("--describe: %v: %s; want no version", err, output)
			}
		})
	}
}

// exitStatus is the exit status of a command that ended with err, -1 where it
// was not started or did not exit.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}
