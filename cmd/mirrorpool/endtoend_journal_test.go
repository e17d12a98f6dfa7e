//go:build e2e

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"mirrorpool/zones"
)

// TestEndToEndKilledJournal kills the built program at random moments while commits
// come, and starts it again. Whatever a secondary has got from it is what the next run
// tells differences from: no zone comes whole a second time, and none leads astray.
func TestEndToEndKilledJournal(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("127.0.0.1:%d", unusedPort(t))
	r := newRunning(t, fmt.Sprintf("dns: {listen: [%q], transfer: {allow: [\"127.0.0.0/8\"]}}\n", address))
	program := builtProgram(t)
	r.write("checkout/zones/example.test.zone", largeZone)
	r.push("A large zone")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var has *zones.Version // what the secondary has
	raised := 0
	for round := range 25 {
		command := exec.Command(program, "serve", "--config", r.path("node.yaml"))
		command.Stdout, command.Stderr = r.log, r.log
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		r.eventually("the zone is served", func() bool {
			whole, err := wholeZone("example.test.", address)
			if err == nil && has == nil {
				has = whole
			}
			return err == nil
		})
		has = r.follow(has, address, round)
		r.write("checkout/zones/example.test.zone", largeZone+fmt.Sprintf("round 300 IN TXT \"%d\"\n", round))
		r.push(fmt.Sprint("Round ", round))
		before := has.SOA.Serial
		if err := command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if round%5 == 0 { // on a slow machine the others may all be too late
			r.eventually("the commit is served", func() bool {
				has = r.follow(has, address, round)
				return has.SOA.Serial != before
			})
		}
		for end := time.Now().Add(time.Duration(random.IntN(400)) * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			has = r.follow(has, address, round)
		}
		if err := command.Process.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		_ = command.Wait() // it was killed
		if has.SOA.Serial != before {
			raised++
		}
	}
	if raised == 0 {
		t.Error("no commit was seen before a kill")
	}
	t.Logf("%d of 25 commits were seen before the kill", raised)
}

// follow brings what a secondary has up to date.
func (r *running) follow(has *zones.Version, address string, round int) *zones.Version {
	r.Helper()
	next, err := nextVersion(has, address)
	if err != nil {
		r.Fatalf("round %d: since %d: %v\n%s", round, has.SOA.Serial, err, r.log)
	}
	whole, err := wholeZone(has.Apex, address)
	if err != nil {
		r.Fatal(err)
	}
	if next.SOA.Serial == whole.SOA.Serial && versionLines(next) != versionLines(whole) {
		r.Fatalf("round %d: differences lead to\n%s\nthe whole zone is\n%s", round, versionLines(next), versionLines(whole))
	}
	return next
}
