package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorpool/pool/health"
	"mirrorpool/testdraw"
)

// TestAFullDisk makes a disk of eight megabytes, in a mount namespace of its own, and fills it.
func TestAFullDisk(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), roleVariable+"=full "+t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := command.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "cannot mount"):
		needRights(t, "no right to make a mount namespace: "+string(out))
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

func needRights(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// fillTheDisk is the process in the namespace.
func fillTheDisk(path string) {
	if err := fillDisk(path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func fillDisk(path string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot mount: %w", err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=8m"); err != nil {
		return fmt.Errorf("cannot mount: %w", err)
	}
	now := begin
	reports := make(chan error, 1000)
	h, err := Open(filepath.Join(path, "history.db"), Options{
		Now: func() time.Time { return now }, Report: func(err error) { reports <- err },
	})
	if err != nil {
		return err
	}
	definition := definitionOf("wiki")
	h.SetTargets(definition)
	target := health.MemberTarget(definition.Pools[0], definition.Pools[0].Members[0].Addresses[0])
	observed := 0
	incident := func() {
		observed++
		down := health.State{Verdict: health.Down, Since: now, Checked: now}
		up := health.State{Verdict: health.Up, Since: now.Add(time.Second), Checked: now.Add(time.Second)}
		h.Observe(health.Observation{Target: target, Result: bad(health.Status, strings.Repeat("status 503 ", 30)), Before: up, After: down})
		h.Observe(health.Observation{Target: target, Result: good(), Before: down, After: up})
		now = now.Add(10 * time.Minute)
	}
	incident()
	if err := h.turn(true); err != nil {
		return err
	}
	// Somebody else fills the disk.
	other := filepath.Join(path, "other")
	if err := os.WriteFile(other, make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is not full: %w", err)
	}
	var full error
	for range 2000 {
		incident()
		if full = h.turn(true); full != nil {
			break
		}
	}
	if full == nil || damaged(full) {
		return fmt.Errorf("a full disk gives %w", full)
	}
	fmt.Println("a full disk is told of as:", full)
	begun := time.Now()
	for range 500 {
		incident()
	}
	if took := time.Since(begun); took > 30*time.Second {
		return fmt.Errorf("with a full disk 1000 probes took %s", took)
	}
	if err := h.turn(true); err == nil {
		return errors.New("500 incidents were written to a full disk")
	}
	if _, err := h.Look(context.Background(), Question{}); !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("looking gives %w", err)
	}
	if err := os.Remove(other); err != nil {
		return err
	}
	if err := h.turn(true); err != nil {
		return fmt.Errorf("with room on the disk again: %w", err)
	}
	answer, err := h.Look(context.Background(), Question{Since: begin.AddDate(-1, 0, 0), Limit: 1})
	if err != nil {
		return err
	}
	if got := len(answer.Members[0].Incidents) + answer.Members[0].Omitted; got != observed {
		return fmt.Errorf("%d incidents are there, of %d", got, observed)
	}
	var last error
	for len(reports) > 0 {
		last = <-reports
	}
	if last != nil {
		return fmt.Errorf("the last report is %w, expected that writing goes on", last)
	}
	if asides, _ := filepath.Glob(filepath.Join(path, "*corrupt*")); len(asides) > 0 {
		return fmt.Errorf("files were put aside: %q", asides)
	}
	fmt.Printf("%d incidents, none lost\n", observed)
	return h.Close()
}

// TestTheFileHasABound: the database itself refuses more than the bound and a quarter of it,
// which is told of and costs nothing that is there.
func TestTheFileHasABound(t *testing.T) {
	now := begin
	path := filepath.Join(t.TempDir(), "history.db")
	h, err := Open(path, Options{Now: func() time.Time { return now }, MaxBytes: 300_000, Report: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	definition := definitionOf("wiki")
	h.SetTargets(definition)
	target := health.MemberTarget(definition.Pools[0], definition.Pools[0].Members[0].Addresses[0])
	failed := 0
	for day := range testdraw.Cases(t, 20) {
		for range 20 {
			down := health.State{Verdict: health.Down, Since: now, Checked: now}
			up := health.State{Verdict: health.Up, Since: now.Add(time.Second), Checked: now.Add(time.Second)}
			h.Observe(health.Observation{Target: target, Result: bad(health.Status, strings.Repeat("x", 300)), Before: up, After: down})
			h.Observe(health.Observation{Target: target, Result: good(), Before: down, After: up})
			now = now.Add(72 * time.Minute)
		}
		if err := h.turn(true); err != nil {
			failed++
			t.Logf("day %d: %v", day, err)
		}
		if about, err := os.Stat(path); err != nil || about.Size() > 375_000+pageSize {
			t.Fatalf("day %d: the file has %d bytes, %v", day, about.Size(), err)
		}
	}
	answer, err := h.Look(t.Context(), Question{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.Members[0]
	if failed > 0 || len(got.Incidents) < 60 || got.Incidents[0].Started.Before(now.Add(-3*time.Hour)) {
		t.Errorf("%d turns failed; %d incidents are left", failed, len(got.Incidents))
	}
}
