//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is something to measure.
type server struct {
	name    string
	version string
	kind    string   // static, rotating, weighted, geo
	notes   []string // worth knowing when its figures are read
	can     []string // the kinds of question, by the names that peers say

	// What a right answer to a pool question is.
	echo     bool   // no answer at all: the question comes back
	records  int    // answer records
	poolAAAA string // the name of the pool with IPv6 addresses

	// missing says why it cannot be run and what to install; empty: it can.
	missing string

	site *site // of ours with a city database

	// command runs it in the foreground on a port of 127.0.0.1. directory is
	// its own and empty.
	command func(start startOptions) (*exec.Cmd, error)
}

type startOptions struct {
	port      int
	directory string
	pad       int // bytes by which the padded floor's answers are larger
}

// poolName is the pool that every server has; its A records are asked for.
const (
	poolName = "dl.example.test"
	zoneName = "example.test"
)

func (s *server) is(kind string) bool {
	for _, one := range s.can {
		if one == kind {
			return true
		}
	}
	return false
}

// Names of the servers that are not peers.
const (
	floorName     = "floor"
	paddedName    = "floor-padded"
	oursName      = "ours"
	signedName    = "ours-signed"
	cityName      = "ours-city"
	statusMissing = 77 // exit status of a peer's script
)

// floors are the echo as it is, and with answers as large as ours.
func floors(echo string) []*server {
	can := []string{"pool", "pool-edns", "subnet", "do", "static", "nxdomain", "latency", signed}
	floor := &server{name: floorName, kind: "echo", can: can, echo: true, poolAAAA: poolName}
	floor.command = func(o startOptions) (*exec.Cmd, error) {
		return exec.Command(echo, strconv.Itoa(o.port)), nil
	}
	padded := &server{name: paddedName, kind: "echo", can: can, echo: true, poolAAAA: poolName}
	padded.command = func(o startOptions) (*exec.Cmd, error) {
		return exec.Command(echo, strconv.Itoa(o.port), strconv.Itoa(o.pad)), nil
	}
	if _, err := os.Stat(echo); err != nil {
		floor.missing = fmt.Sprintf("%v; build it with make bench, which needs a C compiler (apt-get install gcc libc6-dev)", err)
		padded.missing = floor.missing
	}
	return []*server{floor, padded}
}

// findPeers describes the scripts of a directory.
func findPeers(ctx context.Context, directory string) ([]*server, error) {
	scripts, err := filepath.Glob(filepath.Join(directory, "*.sh"))
	if err != nil {
		return nil, fmt.Errorf("listing the peers: %w", err)
	}
	var peers []*server
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".sh")
		// What is sourced, and what builds, are no peers.
		if info, err := os.Stat(script); err != nil || info.Mode()&0o100 == 0 || strings.HasPrefix(name, "build-") {
			continue
		}
		peer, err := describePeer(ctx, name, script)
		if err != nil {
			return nil, err
		}
		peers = append(peers, peer)
	}
	return peers, nil
}

// describePeer asks a script what it is.
func describePeer(ctx context.Context, name, script string) (*server, error) {
	path, err := filepath.Abs(script)
	if err != nil {
		return nil, fmt.Errorf("describing the peer %s: %w", name, err)
	}
	output, err := exec.CommandContext(ctx, path, "--describe").Output()
	if err != nil {
		return nil, fmt.Errorf("describing the peer %s: %w%s", name, err, errorOutput(err))
	}
	peer, err := parseDescription(name, string(output))
	if err != nil {
		return nil, err
	}
	if peer.version == "" {
		peer.missing = whyMissing(ctx, path)
	}
	peer.command = func(o startOptions) (*exec.Cmd, error) {
		return exec.Command(path, strconv.Itoa(o.port), o.directory, "1"), nil
	}
	return peer, nil
}

// whyMissing has a script whose server is not installed say what to install.
func whyMissing(ctx context.Context, script string) string {
	// It ends at once; a server that is there after all would not.
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	directory, err := os.MkdirTemp("", "mirrorpool-bench-")
	if err != nil {
		return "not installed"
	}
	defer os.RemoveAll(directory)
	port, err := freePort()
	if err != nil {
		return "not installed"
	}
	_, err = exec.CommandContext(ctx, script, strconv.Itoa(port), directory, "1").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == statusMissing {
		return strings.TrimSpace(string(exit.Stderr))
	}
	return "its version cannot be told"
}

func errorOutput(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return ": " + strings.TrimSpace(string(exit.Stderr))
	}
	return ""
}

// parseDescription reads what a peer's script says of itself: a key, a colon and
// a value on each line. Keys that it does not know are left out.
func parseDescription(name, text string) (*server, error) {
	peer := &server{name: name, poolAAAA: poolName}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), ":")
		if !found {
			return nil, fmt.Errorf("describing the peer %s: found %q, expected a key and a colon", name, lines.Text())
		}
		switch value = strings.TrimSpace(value); key {
		case "version":
			peer.version = value
		case "scenarios":
			peer.can = strings.Fields(value)
		case "records":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("describing the peer %s: found %q records, expected a number from 1", name, value)
			}
			peer.records = n
		case "kind":
			peer.kind = value
		case "note":
			peer.notes = append(peer.notes, value)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("describing the peer %s: %w", name, err)
	}
	if len(peer.can) == 0 || peer.records == 0 {
		return nil, fmt.Errorf("describing the peer %s: it says no scenarios or no records", name)
	}
	return peer, nil
}
