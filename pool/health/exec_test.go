package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mirrorpool/pool"
)

// execTarget is a member that a command looks at.
func execTarget(name string) Target {
	return Target{Address: addr("127.0.0.1"), Probe: pool.Probe{Kind: pool.CheckExec, Command: name, Host: "dl.test", Timeout: time.Minute}}
}

// shell is a prober whose command "look" is a script.
func shell(t *testing.T, text string) *Prober {
	p := NewProber(Config{})
	p.SetPrograms(Programs{Commands: map[string][]string{"look": {script(t, text), "--first", "$(touch /tmp/never)"}}})
	return p
}

func TestExec(t *testing.T) {
	for _, test := range []struct {
		text    string
		outcome Outcome
		reason  string
	}{
		{"echo first; echo 'all is well'", Success, "all is well"},
		{"exit 0", Success, "exit status 0"},
		{"echo 'line'; echo 'disk full' >&2; echo; exit 3", Failed, "exit status 3: disk full"},
		{"exit 1", Failed, "exit status 1"},
		{`printf 'bad \033[31mred\007\n'; exit 1`, Failed, "exit status 1: bad .[31mred."},
		{"kill -9 $$", Failed, `command "look" was ended by a signal`},
		{"yes", Failed, `command "look" printed more than 1024 KiB, and was ended`},
		{"read line && echo got $line || echo nothing to read", Success, "nothing to read"},
		{`echo "$1 $2 $#"`, Success, "--first $(touch /tmp/never) 2"},
		{"pwd", Success, "/"},
	} {
		expect(t, shell(t, test.text).Probe(t.Context(), execTarget("look")), test.outcome, test.reason)
	}
}

// TestExecEnvironment holds that a command is told of the target and of nothing else.
func TestExecEnvironment(t *testing.T) {
	t.Setenv("MIRRORPOOL_SECRET", "x")
	p := shell(t, `env | grep -v -e '^PWD=' -e '^_=' -e '^SHLVL=' -e '^OLDPWD=' | sort | tr '\n' ' '`)
	member := execTarget("look")
	member.Probe.Port = 8080
	mirror := Target{URL: "https://mirror.test:8443/tails/", Probe: pool.Probe{Kind: pool.CheckExec, Command: "look", Timeout: 90 * time.Second}}
	for _, test := range []struct {
		target Target
		want   string
	}{
		{member, "LC_ALL=C MIRRORPOOL_ADDRESS=127.0.0.1 MIRRORPOOL_HOST=dl.test MIRRORPOOL_PORT=8080 MIRRORPOOL_TIMEOUT=60 PATH=*"},
		{mirror, "LC_ALL=C MIRRORPOOL_HOST=mirror.test MIRRORPOOL_TIMEOUT=90 MIRRORPOOL_URL=https://mirror.test:8443/tails/ PATH=*"},
	} {
		expect(t, p.Probe(t.Context(), test.target), Success, test.want)
	}
}

// TestExecNotHere holds that a command that this node does not have takes nobody down.
func TestExecNotHere(t *testing.T) {
	p := NewProber(Config{})
	for _, test := range []struct {
		commands map[string][]string
		reason   string
	}{
		{nil, `not looked at: this node has no command "look" in health.commands`},
		{map[string][]string{"look": {"/nowhere/look"}}, "not looked at: starting /nowhere/look: *no such file or directory"},
		{map[string][]string{"look": {"/dev/null"}}, "not looked at: starting /dev/null: *permission denied"},
	} {
		p.SetPrograms(Programs{Commands: test.commands})
		got := p.Probe(t.Context(), execTarget("look"))
		expect(t, got, Success, test.reason)
		if !got.NotMade {
			t.Error("not told that it was not made")
		}
	}
}

// TestExecEndsAll holds that nothing of a command is left when it is to end, or when it
// has left something behind.
func TestExecEndsAll(t *testing.T) {
	for _, test := range []struct {
		name, text string
		outcome    Outcome
		reason     string
	}{
		{"it waits", "sleep 600 & echo $! >IDS; exec sleep 600", Failed, "cancelled (running the command)"},
		{"it takes no signals", "trap '' TERM INT HUP; sleep 600 & echo $! >IDS; while :; do sleep 600; done", Failed, "cancelled (running the command)"},
		{"left in the background", "sleep 600 & echo $! >IDS; echo done", Success, "done"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ids := filepath.Join(t.TempDir(), "ids")
			p := shell(t, strings.ReplaceAll(test.text, "IDS", ids+".part; mv "+ids+".part "+ids))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			all.Go(func() { expect(t, p.Probe(ctx, execTarget("look")), test.outcome, test.reason) })
			var text []byte
			for len(text) == 0 && t.Context().Err() == nil {
				text, _ = os.ReadFile(ids)
				time.Sleep(time.Millisecond)
			}
			if test.outcome != Success {
				cancel()
			}
			all.Wait()
			id, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			awaitGone(t, id)
		})
	}
}

// TestExecInTime holds that a command has no more than the probe's time.
func TestExecInTime(t *testing.T) {
	target := execTarget("look")
	target.Probe.Timeout = 300 * time.Millisecond
	expect(t, shell(t, "sleep 600").Probe(t.Context(), target), Timeout, "no answer within 300ms (running the command)")
}

// awaitGone returns when a process is no more, or is a zombie that waits for whoever
// takes orphans.
func awaitGone(t *testing.T, id int) {
	t.Helper()
	for range 10_000 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		if err := syscall.Kill(id, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", id)
}

// TestExecSaysWhileAnotherHoldsOn holds that what has left the group and keeps the output
// open does not hold the probe up.
func TestExecSaysWhileAnotherHoldsOn(t *testing.T) {
	needProgram(t, "setsid")
	ids := filepath.Join(t.TempDir(), "ids")
	p := shell(t, `setsid sh -c 'echo $$ >`+ids+`; exec sleep 600' & 
while ! [ -s `+ids+` ]; do :; done
echo well`)
	start := time.Now()
	expect(t, p.Probe(t.Context(), execTarget("look")), Success, "well")
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("took %s", took)
	}
	if text, err := os.ReadFile(ids); err == nil {
		if id, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
}

func TestExecCancelled(t *testing.T) {
	p := shell(t, "sleep 600")
	got := p.Probe(cancelled(t), execTarget("look"))
	if got.Outcome != Failed || !strings.HasPrefix(got.Reason, "cancelled") {
		t.Errorf("%s: %q", got.Outcome, got.Reason)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	p.Probe(ctx, execTarget("look"))
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s to end", took)
	}
}

// TestProcessesAreFew holds that no more than MaxProcesses are probed by processes at a
// time, and that those that wait lose nothing of their own time.
func TestProcessesAreFew(t *testing.T) {
	var running, most atomic.Int32
	p := NewProber(Config{Probe: func(ctx context.Context, _ Target) Result {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		if ctx.Err() != nil {
			return Result{Outcome: Timeout}
		}
		return Result{Outcome: Success}
	}})
	var all sync.WaitGroup
	for range 10 * MaxProcesses {
		all.Go(func() {
			target := execTarget("look")
			target.Probe.Timeout = time.Minute
			if got := p.Probe(t.Context(), target); got.Outcome != Success {
				t.Errorf("%+v", got)
			}
		})
	}
	all.Wait()
	if most.Load() != MaxProcesses {
		t.Errorf("%d at a time, want %d", most.Load(), MaxProcesses)
	}
}
