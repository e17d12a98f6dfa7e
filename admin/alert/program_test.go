package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes a program.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgramGetsTheDocument(t *testing.T) {
	t.Setenv("SECRET", "of this process")
	out := filepath.Join(t.TempDir(), "out")
	path := script(t, `cat >"$1"; env >"$1.env"; pwd >"$1.pwd"; echo "$2" >"$1.argument"`)
	m := nastyMessage()
	p := &Program{Path: path, Arguments: []string{out, `$(touch /nowhere) "`}}
	if err := attemptOnce(context.Background(), p, m, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var d Document
	if err := json.Unmarshal([]byte(read(out)), &d); err != nil || d.ID != m.id || len(d.Events) != 2 {
		t.Errorf("document %+v: %v", d, err)
	}
	if env := read(out + ".env"); strings.Contains(env, "SECRET") || strings.Contains(env, "HOME=") || !strings.Contains(env, "LANG=C.UTF-8") {
		t.Errorf("environment %q", env)
	}
	if got := read(out + ".pwd"); got != "/\n" {
		t.Errorf("directory %q", got)
	}
	if got := read(out + ".argument"); got != "$(touch /nowhere) \"\n" {
		t.Errorf("argument %q", got)
	}
}

func TestProgramsThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		script, words string
		hope          bool
	}{
		"an exit code":      {script: "echo 'no phone \033[31m'; exit 3", words: `exit status 3: "no phone .[31m"`, hope: true},
		"much output":       {script: "head -c 1000000 /dev/zero | tr '\\0' x; exit 1", words: "exit status 1", hope: true},
		"no time":           {script: "sleep 600", words: "did not end in time, and was killed", hope: true},
		"does not read":     {script: "exec 0<&-; exit 0"},
		"leaves one behind": {script: "sleep 600 & exit 0"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			timeout := 2 * time.Minute
			if name == "no time" {
				timeout = 500 * time.Millisecond
			}
			err := attemptOnce(context.Background(), &Program{Path: script(t, c.script)}, nastyMessage(), timeout)
			if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
				t.Errorf("got %v, want %q", err, c.words)
			}
			if err != nil && (errors.As(err, &hopeless{}) == c.hope || len(err.Error()) > 1000) {
				t.Errorf("error of %d bytes: %v", len(err.Error()), err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
		})
	}
	if err := attemptOnce(context.Background(), &Program{Path: "/nowhere/at/all"}, nastyMessage(), time.Second); !errors.As(err, &hopeless{}) {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestProgramIsKilledWithItsGroup(t *testing.T) {
	out := filepath.Join(t.TempDir(), "pid")
	path := script(t, `sleep 600 & echo $! >"$1.new"; mv "$1.new" "$1"; wait`)
	var data []byte
	for limit := time.Second; len(data) == 0; limit *= 2 { // longer only where it takes so long to start
		if attemptOnce(context.Background(), &Program{Path: path, Arguments: []string{out}}, nastyMessage(), limit) == nil {
			t.Fatal("it has ended by itself")
		}
		var err error
		if data, err = os.ReadFile(out); err != nil && limit > time.Minute {
			t.Fatal(err)
		}
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		// It may stay as a zombie where nobody takes it in.
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || bytes.Contains(status, []byte(") Z ")) || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives: %s", pid, status)
		}
	}
}
