package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// defaultRsync is where Debian has it.
const defaultRsync = "/usr/bin/rsync"

// programsInterval is how often it is looked whether the programs are there.
const programsInterval = time.Minute

// commandName is how the repository may name a command.
var commandName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// validatePrograms looks at what is to be started. Whether it is there is seen while the
// node runs: a package that is replaced must not keep it from starting.
func (h *healthConfig) validatePrograms(v *validation) {
	const expected = "the absolute path of a program"
	if h.Rsync != "" && !isProgramPath(h.Rsync) {
		v.wrong("health.rsync", h.Rsync, expected+`, or "" for none`)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Commands)) {
		key, command := "health.commands."+name, h.Commands[name]
		switch {
		case !commandName.MatchString(name):
			v.wrong("health.commands", name, "a name of at most 64 letters, digits, dots, hyphens and underscores that begins with a letter or digit")
			continue
		case len(command) == 0:
			v.wrong(key, "[]", expected+", and its arguments")
			continue
		case !isProgramPath(command[0]):
			v.wrong(key+"[0]", command[0], expected+": commands are started without a shell")
		}
		for i, argument := range command[1:] {
			if strings.ContainsRune(argument, 0) {
				v.wrong(fmt.Sprintf("%s[%d]", key, i+1), argument, "an argument without NUL")
			}
		}
	}
}

func isProgramPath(path string) bool {
	return filepath.IsAbs(path) && filepath.Clean(path) == path && !strings.ContainsRune(path, 0)
}

// programs are as package health takes them.
func (h *healthConfig) programs() health.Programs {
	return health.Programs{Rsync: h.Rsync, Commands: h.Commands}
}

// missing names what checks of the given targets need and this machine does not have.
// For want of it mirrors are not taken for down.
func (h *healthConfig) missing(wanted []health.Assignment) error {
	var needsRsync bool
	commands := map[string]bool{}
	for _, assignment := range wanted {
		switch probe := assignment.Target.Probe; probe.Kind {
		case pool.CheckRsync:
			needsRsync = true
		case pool.CheckExec:
			commands[probe.Command] = true
		}
	}
	var all []error
	if needsRsync && h.Rsync == "" {
		all = append(all, errors.New("health.rsync names no program"))
	} else if needsRsync {
		if err := executable(h.Rsync); err != nil {
			all = append(all, fmt.Errorf("health.rsync: %w", err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		if command, ok := h.Commands[name]; !ok {
			all = append(all, fmt.Errorf("health.commands has no %q, which the repository names", name))
		} else if err := executable(command[0]); err != nil {
			all = append(all, fmt.Errorf("health.commands.%s: %w", name, err))
		}
	}
	if len(all) == 0 {
		return nil
	}
	words := make([]string, len(all))
	for i, err := range all {
		words[i] = err.Error()
	}
	return fmt.Errorf("checks by rsync and commands are not made, and count as passed: %s", strings.Join(words, "; "))
}

// executable reports why a program cannot be started.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("looking for the program: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no program", path)
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fmt.Errorf("%s may not be executed: %w", path, err)
	}
	return nil
}

// usePrograms has checks start what the configuration names.
func (n *node) usePrograms(config *config) {
	n.prober.SetPrograms(config.Health.programs())
	n.lookAtPrograms()
}

// lookAtPrograms says loudly what is missing for the checks of what is served.
func (n *node) lookAtPrograms() {
	table := n.compiler.table.Load()
	if table == nil {
		return
	}
	config := n.config.Load()
	if err := config.Health.missing(health.Targets(table.Definition)); err != nil {
		if n.stages.fail(stagePrograms, err) {
			n.logger.Error().Err(err).Str("stage", string(stagePrograms)).
				Msg("mirrors are given to clients though not all of their checks are made: install what is missing, or take these checks out of pools.json")
		}
	} else if n.stages.succeed(stagePrograms) {
		n.logger.Info().Msg("all programs that checks need are there")
	}
}

func (n *node) programsFollow(ctx context.Context) {
	for sleep(ctx, programsInterval) {
		n.lookAtPrograms()
	}
}
