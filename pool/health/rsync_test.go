package health

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
)

// rsyncProber is one that has the program.
func rsyncProber(t *testing.T) *Prober {
	p := NewProber(Config{Resolver: hosts{"mirror.test": {addr("127.0.0.1")}}})
	p.SetPrograms(Programs{Rsync: needProgram(t, "rsync")})
	return p
}

// rsyncMember is the target of a member's daemon.
func rsyncMember(at netip.AddrPort, module, path string) Target {
	return Target{Address: at.Addr(), Probe: pool.Probe{
		Kind: pool.CheckRsync, Port: at.Port(), Module: module, Path: path, Timeout: time.Minute,
	}}
}

func TestRsync(t *testing.T) {
	at := rsyncDaemon(t, "127.0.0.1")
	p := rsyncProber(t)
	for _, test := range []struct {
		module, path string
		outcome      Outcome
		reason       string
	}{
		{"tails", "", Success, `module "tails" is there`},
		{"tails", "project/trace", Success, `"project/trace" in module "tails" is there`},
		{"tails", "/project/trace", Success, `"project/trace" in module "tails" is there`},
		{"tails", "project", Success, `"project" in module "tails" is there`},
		{"tails", "project/", Success, `"project/" in module "tails" is there`},
		{"tails", "many/", Success, `"many/" in module "tails" is there`}, // more than is looked at
		{"hidden", "project/trace", Success, `"project/trace" in module "hidden" is there`},
		{"tails", "link", Success, `"link" in module "tails" is there`},
		{"tails", "inside/trace", Success, `"inside/trace" in module "tails" is there`},
		{"tails", "dangling", Missing, `"dangling" in module "tails" is not there`},
		{"tails", "stable/other.img", Missing, `"stable/other.img" in module "tails" is not there`},
		{"tails", "nothing/", Missing, `"nothing/" in module "tails" is not there`},
		{"tails", "../../etc/passwd", Missing, `* is not there`},
		{"debian", "project/trace", Missing, `the rsync daemon refuses: Unknown module 'debian'; the daemon lists tails, gone, secret, denied`},
		{"gone", "", Missing, "the rsync daemon refuses: chdir failed"},
		{"secret", "project/trace", Connection, "the rsync daemon refuses: auth failed on module secret"},
		{"denied", "project/trace", Connection, "the rsync daemon refuses: access denied to denied *"},
		{"tails", "project/tra*", Failed, `module and path have wildcards: "tails/project/tra*"`},
		{"tails", "a\nb", Failed, `module and path have control characters: *`},
		{"#list", "", Failed, `"#list" is not the name of a module`},
		{"", "project", Failed, "no rsync module is named"},
		{"", "", Success, "the daemon lists 4 modules: tails, gone, secret, denied"},
	} {
		t.Run(test.module+"/"+test.path, func(t *testing.T) {
			got := p.Probe(t.Context(), rsyncMember(at, test.module, test.path))
			expect(t, got, test.outcome, test.reason)
			if got.NotMade {
				t.Error("taken for not made")
			}
		})
	}
}

// TestRsyncSteps holds that each step is told of, with what was seen.
func TestRsyncSteps(t *testing.T) {
	at := rsyncDaemon(t, "127.0.0.1")
	target := Target{
		Probe: pool.Probe{Kind: pool.CheckRsync, Timeout: time.Minute},
		URL:   fmt.Sprintf("rsync://mirror.test:%d/tails/project/trace", at.Port()),
	}
	got := rsyncProber(t).Probe(t.Context(), target)
	expect(t, got, Success, `"project/trace" in module "tails" is there`)
	if got.Address != addr("127.0.0.1") {
		t.Errorf("address %s", got.Address)
	}
	var told []string
	for _, step := range got.Evidence.Steps {
		told = append(told, step.Name)
		if step.Took <= 0 || step.Words == "" {
			t.Errorf("step %+v", step)
		}
	}
	if want := "resolve connect greeting modules listing"; strings.Join(told, " ") != want {
		t.Errorf("steps %q, want %q", told, want)
	}
	if words := got.Evidence.Steps[4].Words; !strings.HasSuffix(words, " trace") {
		t.Errorf("the listing is %q", words)
	}
}

// TestRsyncIPv6 holds that the program is given the address in brackets.
func TestRsyncIPv6(t *testing.T) {
	at := rsyncDaemon(t, "::1")
	got := rsyncProber(t).Probe(t.Context(), rsyncMember(at, "tails", "project/trace"))
	expect(t, got, Success, `"project/trace" in module "tails" is there`)
}

// TestRsyncAge holds that max_age is held against the file's own time.
func TestRsyncAge(t *testing.T) {
	at := rsyncDaemon(t, "127.0.0.1")
	p := rsyncProber(t)
	target := rsyncMember(at, "tails", "project/trace")
	target.Probe.MaxAge = 2 * time.Hour
	expect(t, p.Probe(t.Context(), target), Success, `"project/trace" in module "tails" is 1h30m old`)
	target.Probe.MaxAge = time.Hour
	expect(t, p.Probe(t.Context(), target), Content, `"project/trace" in module "tails" is 1h30m old, max_age is 1h0m0s`)
	link := rsyncMember(at, "tails", "link") // made just now
	link.Probe.MaxAge = time.Hour
	expect(t, p.Probe(t.Context(), link), Content, `"link" in module "tails" is 1h30m old, max_age is 1h0m0s`)
	early := NewProber(Config{Now: func() time.Time { return time.Now().Add(-100 * time.Minute) }})
	early.SetPrograms(Programs{Rsync: needProgram(t, "rsync")})
	expect(t, early.Probe(t.Context(), target), Content, `"project/trace" in module "tails" is * in the future, at most 5m0s is taken for a difference of clocks`)
}

// TestRsyncWithoutProgram holds that a node without rsync takes no mirror down for it,
// and still finds what can be found without.
func TestRsyncWithoutProgram(t *testing.T) {
	at := rsyncDaemon(t, "127.0.0.1")
	for _, test := range []struct {
		rsync, module string
		outcome       Outcome
		reason        string
	}{
		{"", "tails", Success, `module "tails" is there; its files are not looked at: no program is configured`},
		{"", "hidden", Success, `module "hidden" is there; *`},
		{"/nowhere/rsync", "tails", Success, `module "tails" is there; its files are not looked at: starting /nowhere/rsync: *no such file or directory`},
		{"/nowhere/rsync", "secret", Success, `module "secret" is there; *`},
		{"/nowhere/rsync", "debian", Missing, `the rsync daemon refuses: Unknown module 'debian'`},
	} {
		p := NewProber(Config{})
		p.SetPrograms(Programs{Rsync: test.rsync})
		got := p.Probe(t.Context(), rsyncMember(at, test.module, "no/such/file"))
		expect(t, got, test.outcome, test.reason)
		if !got.NotMade {
			t.Errorf("%s with %q: not told that it was not made", test.module, test.rsync)
		}
	}
}

// TestNotRsync tells apart what else may be at the port.
func TestNotRsync(t *testing.T) {
	closed := nobody(t)
	quick := rsyncMember(closed, "tails", "")
	p := rsyncProber(t)
	expect(t, p.Probe(t.Context(), quick), Connection, "connection refused")

	quick = rsyncMember(raw(t, func(c net.Conn) { io.Copy(io.Discard, c) }), "tails", "")
	quick.Probe.Timeout = time.Second
	expect(t, p.Probe(t.Context(), quick), Timeout, "no answer within 1s (waiting for the rsync greeting)")

	web := serve(t, "127.0.0.1", ok("fine"))
	expect(t, p.Probe(t.Context(), rsyncMember(web, "tails", "")), Protocol, `not an rsync daemon: it says "HTTP/1.1 400 Bad Request"`)

	for _, test := range []struct {
		says    string
		outcome Outcome
		reason  string
	}{
		{"SSH-2.0-OpenSSH_9.2p1\r\n", Protocol, `not an rsync daemon: it says "SSH-2.0-OpenSSH_9.2p1"`},
		{"@RSYNCD: new\n", Protocol, `not an rsync daemon: it says "@RSYNCD: new"`},
		{"@ERROR: max connections (1) reached -- try again later\n", Connection, "the rsync daemon refuses: max connections (1) reached -- try again later"},
		{"@RSYNCD: 31.0\n@ERROR: protocol startup error\n", Protocol, "the rsync daemon refuses: protocol startup error"},
		{"", Connection, "connection closed (waiting for the rsync greeting)"},
		{strings.Repeat("x", 3*maxDialogue), Protocol, `not an rsync daemon: it says "xxx*`},
	} {
		at := raw(t, func(c net.Conn) {
			c.Read(make([]byte, 100))
			io.WriteString(c, test.says)
		})
		expect(t, p.Probe(t.Context(), rsyncMember(at, "tails", "")), test.outcome, test.reason)
	}
}

// TestHostileRsync holds that a daemon which says what no daemon says, or never stops,
// costs no more than the probe's time.
func TestHostileRsync(t *testing.T) {
	p := rsyncProber(t)
	for name, talk := range map[string]func(net.Conn){
		"endless list": func(c net.Conn) {
			io.WriteString(c, "@RSYNCD: 31.0\n")
			for {
				if _, err := io.WriteString(c, strings.Repeat("module         \tall\n", 1000)); err != nil {
					return
				}
			}
		},
		"silence after the greeting": func(c net.Conn) {
			io.WriteString(c, "@RSYNCD: 31.0\n")
			io.Copy(io.Discard, c)
		},
		"noise in the transfer": func(c net.Conn) {
			io.WriteString(c, "@RSYNCD: 31.0 md5\n")
			lines := bufio.NewReader(c)
			lines.ReadString('\n')
			if asked, _ := lines.ReadString('\n'); asked == "#list\n" {
				io.WriteString(c, "@RSYNCD: EXIT\n")
				return
			}
			io.WriteString(c, "@RSYNCD: OK\n")
			for {
				if _, err := c.Write([]byte("\xff\xfe\xfd\xfc0123456789\x00")); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			target := rsyncMember(raw(t, talk), "tails", "project/trace")
			target.Probe.Timeout = 500 * time.Millisecond
			start := time.Now()
			got := p.Probe(t.Context(), target)
			if got.Outcome != Timeout && got.Outcome != Protocol && got.Outcome != Connection {
				t.Errorf("%s: %q", got.Outcome, got.Reason)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestRsyncEnvironment holds what the program is started with, and that nothing of this
// program's own environment reaches it: RSYNC_CONNECT_PROG would be run by a shell.
func TestRsyncEnvironment(t *testing.T) {
	t.Setenv("RSYNC_CONNECT_PROG", "touch /tmp/never")
	t.Setenv("RSYNC_PROXY", "127.0.0.1:1")
	t.Setenv("HOME", "/nowhere")
	at := raw(t, func(c net.Conn) {
		io.WriteString(c, "@RSYNCD: 31.0\n@RSYNCD: EXIT\n")
		io.Copy(io.Discard, c)
	})
	said := filepath.Join(t.TempDir(), "said")
	program := script(t, `{ printf '%s\n' "$@"; env; cat; pwd; } >`+said+`
echo "-rw-r--r-- 11 2026/11/23 15:10:08 file"`)
	p := NewProber(Config{})
	p.SetPrograms(Programs{Rsync: program})
	expect(t, p.Probe(t.Context(), rsyncMember(at, "-e", "sh/file")), Success, `"sh/file" in module "-e" is there`)
	text, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		// What the shell adds of its own.
		if !strings.HasPrefix(line, "PWD=") && !strings.HasPrefix(line, "_=") && !strings.HasPrefix(line, "OLDPWD=") && !strings.HasPrefix(line, "SHLVL=") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	for i, argument := range got {
		// The seconds that are left.
		if name, value, ok := strings.Cut(argument, "imeout="); ok {
			if seconds, err := strconv.Atoi(value); err != nil || seconds < 1 || seconds > 61 {
				t.Errorf("argument %q", argument)
			}
			got[i] = name + "imeout=N"
		}
	}
	want := []string{
		"--list-only", "--copy-links", "--no-motd", "--no-h", "--contimeout=N", "--timeout=N", "--",
		fmt.Sprintf("rsync://127.0.0.1:%d/-e/sh/file", at.Port()),
	}
	if len(got) < len(want) || strings.Join(got[:len(want)], " ") != strings.Join(want, " ") {
		t.Errorf("arguments %q, want %q", got, want)
	}
	for _, line := range got[len(want):] {
		switch line {
		case "PATH=" + programPath, "LC_ALL=C", "TZ=UTC", "/":
		default:
			t.Errorf("it was also told %q", line)
		}
	}
}

// TestRsyncMemory holds that a daemon cannot have the program take all memory of the
// machine for its list of files.
func TestRsyncMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux bounds another process")
	}
	at := raw(t, func(c net.Conn) {
		io.WriteString(c, "@RSYNCD: 31.0\n@RSYNCD: EXIT\n")
		io.Copy(io.Discard, c)
	})
	p := NewProber(Config{})
	p.SetPrograms(Programs{Rsync: script(t, `while [ "$(ulimit -v)" = unlimited ]; do :; done; echo "-rw-r--r-- 11 2026/11/23 15:10:08 $(ulimit -v)"`)})
	expect(t, p.Probe(t.Context(), rsyncMember(at, "tails", strconv.Itoa(maxRsyncMemory>>10))), Success, `"65536" in module "tails" is there`)
}

func TestRsyncMirrors(t *testing.T) {
	at := rsyncDaemon(t, "127.0.0.1")
	p := rsyncProber(t)
	host := func(format string) *pool.Mirror {
		return &pool.Mirror{URLPrefix: "http://mirror.test/", RsyncURL: strings.ReplaceAll(format, "AT", at.String()), Weight: 1}
	}
	probe := pool.Probe{Kind: pool.CheckRsync, Path: "project/trace", Timeout: time.Minute}
	for _, test := range []struct {
		mirror  *pool.Mirror
		outcome Outcome
		reason  string
	}{
		{host("rsync://AT/tails/"), Success, `"project/trace" in module "tails" is there`},
		{host("rsync://AT/tails"), Success, `"project/trace" in module "tails" is there`},
		{host("rsync://AT/tails/project/../"), Success, `*in module "tails" is there`},
		{host("rsync://AT/tails%20/"), Missing, `the rsync daemon refuses: Unknown module 'tails%20'; *`},
		{host("rsync://joe@AT/tails/"), Success, `"project/trace" in module "tails" is there`},
		{host("https://AT/tails/"), Failed, `"https://*" is not an rsync:// URL`},
		{host("rsync://nowhere.test/tails/"), Resolution, `resolving "nowhere.test": no such host`},
		{host("-e sh"), Failed, `"-e sh/project/trace" is not an rsync:// URL`},
	} {
		target := mirrorTarget(probe, test.mirror)
		expect(t, p.Probe(t.Context(), target), test.outcome, test.reason)
	}
	t.Run("no rsync_url", func(t *testing.T) {
		redirect := &pool.Redirect{
			Health: pool.Check{
				Probe:       pool.Probe{Kind: pool.CheckHTTP, Statuses: "200"},
				Inspections: []pool.Inspection{{Probe: probe}},
			},
			List: &pool.MirrorList{Mirrors: []*pool.Mirror{host(""), host("rsync://AT/tails/")}},
		}
		all := Targets(&pool.Definition{Redirects: []*pool.Redirect{redirect}})
		if len(all) != 2 || all[0].Target.Probe.Kind != pool.CheckHTTP || all[1].Target.URL != "rsync://"+at.String()+"/tails/project/trace" {
			t.Errorf("targets %v", all)
		}
		report := NewReport(map[Target]State{MirrorTarget(redirect, redirect.List.Mirrors[0]): {Verdict: Up}})
		if got := report.Mirror(redirect, redirect.List.Mirrors[0]); got.Verdict != Up {
			t.Errorf("the mirror is %s for want of an rsync_url", got.Verdict)
		}
	})
}

func TestParseListing(t *testing.T) {
	for text, want := range map[string]string{
		"-rw-r--r--          11 2026/11/23 15:10:08 trace\n":                       "trace 2026-11-23T15:10:08Z",
		"drwxr-xr-x       4,096 2026/11/23 15:10:08 .\n-rw-r--r-- 1 2025/...\n":    ". 2026-11-23T15:10:08Z",
		"a message of the day\nlrwxrwxrwx 5 2026/11/23 15:10:08 link -> there\r\n": "link -> there 2026-11-23T15:10:08Z",
		"-rw-r--r-- 11 2026/13/45 15:10:08 trace\n":                                "",
		"": "",
	} {
		file, found := parseListing([]byte(text))
		got := ""
		if found {
			got = file.name + " " + file.changed.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzRsyncListing(f *testing.F) {
	f.Add("-rw-r--r-- 11 2026/11/23 15:10:08 trace\n", "@RSYNCD: 31.0 md5")
	f.Add("@ERROR: Unknown module 'x'\n", "@ERROR")
	a := &attempt{party: party{checker: &checker{now: time.Now}}}
	f.Fuzz(func(t *testing.T, text, line string) {
		if file, found := parseListing([]byte(text)); found && (file.name == "" || file.changed.IsZero()) {
			t.Errorf("%q gives %+v", text, file)
		}
		for _, status := range []int{0, 5, 23, -1} {
			words, err := a.judgeListing(rsyncPlace{module: "m", path: "p"}, printed{output: []byte(text), errors: []byte(line), status: status})
			if err != nil {
				words = err.Error()
			}
			if words == "" || len(words) > 2000 || strings.ContainsAny(words, "\n\r\x1b") {
				t.Errorf("%q and %q are worded %q", text, line, words)
			}
		}
		if err := greets(line); err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b") {
			t.Errorf("%q is worded %q", line, err)
		}
	})
}
