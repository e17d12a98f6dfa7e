package history

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

// roleVariable makes the test program another one: it names what to be, and where.
const roleVariable = "MIRRORPOOL_HISTORY_TEST_ROLE"

func TestMain(m *testing.M) {
	role, path, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "writer":
		writeUntilKilled(path)
	case "full":
		fillTheDisk(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled has incidents begin and end as fast as it can, and prints those that are
// said to be on the disk.
func writeUntilKilled(path string) {
	const members = 40
	var ids []string
	for i := range members {
		ids = append(ids, fmt.Sprintf("m%02d", i))
	}
	definition := definitionOf(ids...)
	h, err := Open(path, Options{Report: func(err error) {
		if err != nil {
			fmt.Println("error", err)
		}
	}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	h.acknowledged = func(ended []*incident) {
		var lines strings.Builder
		for _, one := range ended {
			fmt.Fprintf(&lines, "kept %d %s\n", one.started.UnixMilli(), one.track.key)
		}
		_, _ = os.Stdout.WriteString(lines.String())
	}
	h.SetTargets(definition)
	go h.Run(context.Background())
	// Run waits for what happens together; here it is not to.
	go func() {
		for {
			_ = h.turn(rand.IntN(3) == 0)
		}
	}()
	verdicts := make([]health.Verdict, members)
	for {
		i := rand.IntN(members)
		p := definition.Pools[0]
		target := health.MemberTarget(p, p.Members[i].Addresses[0])
		now := time.Now().UTC()
		before := health.State{Verdict: verdicts[i], Since: now, Checked: now}
		after, result := health.State{Verdict: health.Up, Since: now, Checked: now}, good()
		if verdicts[i] == health.Up {
			after.Verdict, result = health.Down, bad(health.Connection, "connection refused")
		}
		verdicts[i] = after.Verdict
		h.Observe(health.Observation{Target: target, Result: result, Before: before, After: after})
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	}
}

// TestAKillLosesNoIncidentThatWasKept kills a writing process again and again, at random
// moments: each incident that it has said to be on the disk is there, and the file is sound.
func TestAKillLosesNoIncidentThatWasKept(t *testing.T) {
	kills := 25
	if testing.Short() || raced {
		kills = 4
	}
	path := filepath.Join(t.TempDir(), "history.db")
	kept := map[string]bool{}
	for range kills {
		killOnce(t, path, kept)
		h, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.store.check(t.Context()); err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		rows, err := h.store.read.Query(`SELECT i.started, t.key FROM incidents i JOIN targets t ON t.id = i.target WHERE ended IS NOT NULL`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var started int64
			var key string
			if err := rows.Scan(&started, &key); err != nil {
				t.Fatal(err)
			}
			there[fmt.Sprint(started, " ", key)] = true
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for one := range kept {
			if !there[one] {
				t.Fatalf("the incident %q was kept, and is not there after a kill; there are %d of %d", one, len(there), len(kept))
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(kept) < kills { // a busy machine keeps few before it is killed
		t.Errorf("only %d incidents were kept in %d runs", len(kept), kills)
	}
	t.Logf("%d kills, %d incidents kept, none lost", kills, len(kept))
}

// killOnce runs the writer for some time and adds what it has kept.
func killOnce(t *testing.T, path string, kept map[string]bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), roleVariable+"=writer "+path)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	first := true
	for lines.Scan() {
		line, whole := strings.CutPrefix(lines.Text(), "kept ")
		if !whole {
			t.Errorf("the writer says: %s", lines.Text())
			continue
		}
		started, key, found := strings.Cut(line, " ")
		if _, err := strconv.ParseInt(started, 10, 64); err != nil || !found || strings.Count(key, " ") != 2 {
			continue // cut by the kill
		}
		kept[line] = true
		if first {
			first = false
			wait := time.Duration(rand.IntN(150)) * time.Millisecond
			time.AfterFunc(wait, func() { _ = command.Process.Kill() })
		}
	}
	_ = command.Wait() // it was killed
}
