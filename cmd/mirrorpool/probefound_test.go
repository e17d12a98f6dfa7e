package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// fixedNames is a resolver of a few names.
type fixedNames map[string][]netip.Addr

func (f fixedNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if found, ok := f[host]; ok {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// TestProbeAsksEveryAddress holds that a name is resolved once, and each of its addresses
// is asked by itself, for that name.
func TestProbeAsksEveryAddress(t *testing.T) {
	at := talkTo(t, func(c net.Conn) {
		request := make([]byte, 4096)
		n, _ := c.Read(request)
		host := "nobody"
		for line := range strings.Lines(string(request[:n])) {
			if name, is := strings.CutPrefix(line, "Host: "); is {
				host = strings.TrimSpace(name)
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nX: %s\r\n\r\n%d\n", host, time.Now().Unix())
	}).(*net.TCPAddr)
	o := probeOptions{path: "project/trace", maxAge: time.Hour, timeout: time.Minute, bytes: 1000, fast: true}
	if err := o.check([]string{"http://mirror.test:" + strconv.Itoa(at.Port) + "/tails"}, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	names := fixedNames{"mirror.test": {netip.MustParseAddr("127.0.0.7"), netip.MustParseAddr("::ffff:127.0.0.1"), netip.MustParseAddr("127.0.0.1")}}
	found := o.ask(t.Context(), asking{resolver: names})
	found.judge(o.judging(time.Now()))
	var asked []string
	for _, p := range found.probes {
		asked = append(asked, p.what+" "+p.label+" "+string(p.result.Outcome))
	}
	// The test listens at the first alone.
	want := []string{"answer 127.0.0.1 success", "ranges 127.0.0.1 success", "answer 127.0.0.7 connection"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if found.verdict != probeBad || !slices.Equal(found.reasons, []string{"127.0.0.7: connection refused"}) {
		t.Errorf("%s: %q", found.verdict, found.reasons)
	}
	if !slices.ContainsFunc(found.flags, func(f redFlag) bool { return f.Flag == flagNoIPv6 }) {
		t.Errorf("flags %v", found.flags)
	}

	unknown := o.ask(t.Context(), asking{resolver: fixedNames{}})
	unknown.judge(o.judging(time.Now()))
	if unknown.verdict != probeBad || len(unknown.reasons) != 1 || !strings.Contains(unknown.reasons[0], "no such host") {
		t.Errorf("%s: %q", unknown.verdict, unknown.reasons)
	}
}

// TestProbeVerdicts holds what counts against a mirror, and what only says something of
// this machine.
func TestProbeVerdicts(t *testing.T) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	made := func(what string, address netip.Addr, outcome health.Outcome, reason string) probed {
		return probed{what: what, label: address.String(), address: address, result: health.Result{Outcome: outcome, Reason: reason}}
	}
	unlooked := made(asksRsync, v4, health.Success, "not looked at: no rsync")
	unlooked.result.NotMade = true
	switchedOff := made(asksAnswer, v6, health.Success, "not looked at: no local address or port for the connection")
	switchedOff.result.NotMade = true
	good := made(asksAnswer, v4, health.Success, "status 200")
	for name, test := range map[string]struct {
		probes  []probed
		cut     bool
		verdict probeVerdict
		reasons string
		flags   string
	}{
		"good":                      {[]probed{good}, false, probeGood, "", ""},
		"one address is down":       {[]probed{good, made(asksAnswer, v6, health.Timeout, "slow")}, false, probeBad, "::1: slow", ""},
		"no IPv6 here":              {[]probed{good, made(asksAnswer, v6, health.Connection, "network is unreachable")}, false, probeGood, "", flagNotLookedAt},
		"IPv4 cannot be reached":    {[]probed{made(asksAnswer, v4, health.Connection, "network is unreachable")}, false, probeBad, "127.0.0.1: network is unreachable", ""},
		"IPv6 alone, and none here": {[]probed{made(asksAnswer, v6, health.Connection, "network is unreachable")}, false, probeBad, "nothing could be looked at from this machine", flagNotLookedAt},
		"IPv6 switched off here":    {[]probed{good, switchedOff}, false, probeGood, "", flagNotLookedAt},
		"no rsync here":             {[]probed{good, unlooked}, false, probeGood, "", flagNotLookedAt},
		"no ranges":                 {[]probed{good, made(asksRanges, v4, health.Status, "status 416")}, false, probeGood, "", flagNoRanges},
		"no https":                  {[]probed{good, made(asksHTTPS, v4, health.Connection, "connection refused")}, false, probeGood, "", flagHTTPOnly},
		"https too":                 {[]probed{good, made(asksHTTPS, v4, health.Success, "status 404")}, false, probeGood, "", ""},
		"ended early":               {[]probed{good}, true, probeUnfinished, "", ""},
		"ended early, and bad":      {[]probed{made(asksAnswer, v4, health.Timeout, "slow")}, true, probeBad, "127.0.0.1: slow", ""},
	} {
		f := mirrorFound{probes: test.probes, cut: test.cut}
		f.judge(judging{now: time.Now()})
		var flags []string
		for _, flag := range f.flags {
			flags = append(flags, flag.Flag)
			if strings.Contains(name, "IPv6") && !strings.Contains(flag.Text, "no way to IPv6") {
				t.Errorf("%s: %s", name, flag.Text)
			}
		}
		if f.verdict != test.verdict || strings.Join(f.reasons, "; ") != test.reasons || strings.Join(flags, " ") != test.flags {
			t.Errorf("%s: %s, %q, %q", name, f.verdict, f.reasons, flags)
		}
	}
}

// TestProbeEndsAtOnce holds that Ctrl-C prints what is known by then, and that the exit
// code says that it is not all.
func TestProbeEndsAtOnce(t *testing.T) {
	silent := talkTo(t, func(c net.Conn) { io.Copy(io.Discard, c) }).(*net.TCPAddr)
	trace := talkTo(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%d\n", time.Now().Unix())
	})
	directory := t.TempDir()
	list := fmt.Sprintf(`{"mirrors": [ {"url_prefix": "http://%s/", "weight": 1}, {"url_prefix": "http://%s/", "weight": 1} ]}`, trace, silent)
	pools := `{"version": 1, "redirects": [ {"host": "a.test", "health": {"check": "http", "interval": "10m", "timeout": "5m"}} ]}`
	for name, text := range map[string]string{"mirrors.json": list, "pools.json": pools} {
		if err := os.WriteFile(directory+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(after time.Duration, arguments ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		var out, mistakes bytes.Buffer
		start := time.Now()
		if code := run(ctx, append([]string{"probe"}, arguments...), &out, &mistakes); code != exitNo {
			t.Errorf("%q: exit code %d: %s", arguments, code, mistakes.String())
		}
		if took := time.Since(start); took > after+time.Minute {
			t.Errorf("%q: took %s", arguments, took)
		}
		if mistakes.Len() > 0 {
			t.Errorf("%q: %s", arguments, mistakes.String())
		}
		return out.String()
	}
	said := ""
	for after := 2 * time.Second; after < time.Minute && !strings.Contains(said, "good           1"); after *= 3 { // as long as the first takes
		said = ended(after, "--all", directory)
	}
	if !strings.Contains(said, "good           1  http://"+trace.String()) ||
		!strings.Contains(said, "not asked      1  http://"+silent.String()) ||
		!strings.Contains(said, "of 2 with a weight 1 are good, 0 not, 1 not asked;") {
		t.Errorf("said\n%s", said)
	}
	if said := ended(300*time.Millisecond, "http://"+silent.String()+"/", "--timeout", "5m"); !strings.Contains(said, "verdict: none, ended before all was asked\n") {
		t.Errorf("said\n%s", said)
	}
	if said := ended(300*time.Millisecond, "--json", "http://"+silent.String()+"/", "--timeout", "5m"); !strings.Contains(said, `"verdict": "unfinished"`) {
		t.Errorf("said\n%s", said)
	}
}

// A member that has no trace where it was looked for first is not judged by that if Ctrl-C
// comes before the second look.
func TestProbeEndsAtTheSecondLook(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	at := talkTo(t, func(c net.Conn) {
		request := make([]byte, 4096)
		n, _ := c.Read(request)
		if strings.Contains(string(request[:n]), otherPath) {
			end()
			io.Copy(io.Discard, c)
		}
		fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	o := probeOptions{host: "dl.test", path: "project/trace", timeout: time.Minute, bytes: 1}
	if err := o.check([]string{at.String()}, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	found := o.ask(ctx, asking{})
	found.judge(o.judging(time.Now()))
	if found.verdict != probeUnfinished || len(found.reasons) > 0 || len(found.probes) != 1 || found.probes[0].result.Evidence.Status != 404 {
		t.Errorf("%s: %q, %+v", found.verdict, found.reasons, found.probes)
	}
}

// TestProbeAsksOnce holds that what several mirrors of a tree share is asked once.
func TestProbeAsksOnce(t *testing.T) {
	asked := 0
	shared := sharedProbes{
		prober: health.NewProber(health.Config{Probe: func(context.Context, health.Target) health.Result {
			asked++
			return health.Result{Outcome: health.Success}
		}}),
		made: map[health.Target]*sharedProbe{},
	}
	for _, path := range []string{"a", "b", "a"} {
		shared.Probe(t.Context(), health.Target{Probe: pool.Probe{Kind: pool.CheckHTTP}, URL: "http://127.0.0.1/" + path})
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}

// TestProbeOnTerminal holds that there are colours and progress on a terminal, and
// neither elsewhere; and that nothing of a mirror's own reaches the terminal.
func TestProbeOnTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	master, terminal := openTerminal(t)
	bad := &treeMirror{pool: "dl.test", member: "a\x1b[2J", address: netip.MustParseAddr("127.0.0.1"), weight: 1}
	bad.found.probes = []probed{{what: asksAnswer, result: health.Result{Outcome: health.Timeout, Reason: "slow\a"}}}
	p := newProgress(terminal, 2, false)
	p.done(bad)
	p.end()
	bad.judge(time.Now())
	bad.targets = []health.Target{{}}
	bad.judge(time.Now())
	tree := treeFound{mirrors: []*treeMirror{bad}}
	if err := tree.print(&checkedWriter{out: terminal}); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var said strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := master.Read(buffer)
		said.Write(buffer[:n])
		if err != nil { // the other side is closed
			break
		}
	}
	for _, want := range []string{"\r\x1b[K[............", "] 0 of 2", "[############............] 1 of 2, 1 not good  dl.test a?[2J", "\x1b[1;31mNOT GOOD ", "slow?"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in %q", want, said.String())
		}
	}
	if strings.ContainsAny(said.String(), "\a") || strings.Contains(said.String(), "\x1b[2J") {
		t.Errorf("a mirror reaches the terminal: %q", said.String())
	}

	var plainly bytes.Buffer
	q := newProgress(&plainly, 2, false)
	q.done(bad)
	q.end()
	if plainly.Len() > 0 {
		t.Errorf("progress %q without a terminal", plainly.String())
	}
	if err := tree.print(&plainly); err != nil || strings.Contains(plainly.String(), "\x1b") {
		t.Errorf("colours without a terminal: %q %v", plainly.String(), err)
	}
	t.Setenv("NO_COLOR", "1")
	_, terminal = openTerminal(t)
	if paintOf(terminal).on {
		t.Error("colours against NO_COLOR")
	}
}

// openTerminal makes a terminal without a screen: what is written to one side is read
// from the other.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skipf("no terminals here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

func TestInDays(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1 hour", time.Minute: "0 hours", 47 * time.Hour: "47 hours", 48 * time.Hour: "2 days", 7*24*time.Hour + time.Minute: "7 days"} {
		if got := inDays(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// TestProbeTreeNames holds that members given by host name are asked at the addresses that
// a node would take.
func TestProbeTreeNames(t *testing.T) {
	check := pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 1}}
	literal := []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	definition := &pool.Definition{Pools: []*pool.Pool{
		{Name: "in.test", Health: check, Members: []*pool.Member{
			{ID: "literal", Addresses: literal, Weight: 1}, {ID: "named", HostName: "in.mirror.test", Weight: 1}, {ID: "gone", HostName: "gone.test", Weight: 0},
		}},
		{Name: "out.test", Health: check, Members: []*pool.Member{{ID: "named", HostName: "out.mirror.test", Weight: 1}}},
	}}
	inside := []netip.Addr{netip.MustParseAddr("127.0.0.8"), netip.MustParseAddr("127.0.0.7")}
	names := newTreeNames(t.Context(), fixedNames{"in.mirror.test": inside, "out.mirror.test": inside}, definition)
	var got []string
	for _, m := range treeMirrors(definition, names.addresses, false) {
		got = append(got, fmt.Sprintf("%s %d %s", m.name(), len(m.targets), m.unresolved))
	}
	want := []string{
		"in.test literal 127.0.0.2 1 ", "in.test named 127.0.0.7 1 ", "in.test named 127.0.0.8 1 ",
		"in.test gone 0 resolving gone.test: lookup gone.test: no such host",
		"out.test named 0 resolving out.mirror.test: 127.0.0.8 is not taken: ",
	}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

// slowNames is a resolver that takes a second for each name.
type slowNames struct{}

func (slowNames) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	select {
	case <-time.After(time.Second):
		return []netip.Addr{netip.MustParseAddr("127.0.0.8")}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestProbeEndsWhileNamesResolve holds that Ctrl-C says nothing of those whose names were
// being resolved, and that names are resolved at the same time.
func TestProbeEndsWhileNamesResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := &pool.Pool{Name: "in.test", Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 1}}}
		for i := range treeConcurrency {
			one.Members = append(one.Members, &pool.Member{ID: fmt.Sprint(i), HostName: fmt.Sprintf("%d.test", i), Weight: 1})
		}
		definition := &pool.Definition{Pools: []*pool.Pool{one}}
		start := time.Now()
		names := newTreeNames(t.Context(), slowNames{}, definition)
		if took := time.Since(start); took != time.Second || names.addresses(one.Members[3]).cut {
			t.Errorf("took %s, found %+v", took, names.addresses(one.Members[3]))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for _, m := range treeMirrors(definition, newTreeNames(ctx, slowNames{}, definition).addresses, false) {
			if m.judge(time.Now()); m.found.verdict != probeUnfinished || len(m.found.reasons) > 0 {
				t.Errorf("%s is %s: %q", m.name(), m.found.verdict, m.found.reasons)
			}
		}
		o := probeOptions{argument: "http://0.test/", timeout: time.Minute}
		if err := o.readArgument(func(string) bool { return false }); err != nil {
			t.Fatal(err)
		}
		found := o.ask(ctx, asking{resolver: slowNames{}})
		if found.judge(o.judging(time.Now())); found.verdict != probeUnfinished || len(found.reasons) > 0 {
			t.Errorf("%s: %q", found.verdict, found.reasons)
		}
	})
}

// TestProbeArguments holds which URLs can be asked at all.
func TestProbeArguments(t *testing.T) {
	for argument, good := range map[string]bool{
		"http://mirror.test:8080/": true, "http://[::1]:65535/": true,
		"http://mirror.test:0/": false, "http://mirror.test:65536/": false, "https://mirror.test:99999/": false,
		"http://[fe80::1%25lo]/": false, "http://[fe80::1%25lo]:80/": false,
	} {
		o := probeOptions{argument: argument}
		if err := o.readArgument(func(string) bool { return false }); (err == nil) != good {
			t.Errorf("%s: %v", argument, err)
		}
		o.rsync = strings.Replace(strings.Replace(argument, "https:", "rsync:", 1), "http:", "rsync:", 1) + "tree/"
		if err := o.checkRsync(); (err == nil) != good {
			t.Errorf("%s: %v", o.rsync, err)
		}
	}
}
