//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// sharedFlags are the flags that every command has.
type sharedFlags struct {
	options
	program string
	json    string
	seconds float64
}

func (f *sharedFlags) define(flags *flag.FlagSet, rounds int) {
	flags.IntVar(&f.rounds, "rounds", rounds, "`rounds`, of which medians are printed")
	flags.Float64Var(&f.seconds, "seconds", 3, "`seconds` of each measurement, after a warm-up of 0.5")
	flags.Float64Var(&f.rate, "rate", 20000, "`questions` a second, for what is asked at a fixed rate")
	flags.IntVar(&f.tries, "tries", 3, "`times` that a measurement is made to get one that nothing disturbed")
	flags.Float64Var(&f.noise, "noise", 0.10, "`processors` that others, or the host, may have used in an undisturbed one")
	flags.StringVar(&f.program, "program", "bin/mirrorpool", "the built `program`")
	flags.StringVar(&f.json, "json", "", "`file` that each measurement is written to, a JSON object a line")
}

// parse reads the flags.
func (f *sharedFlags) parse(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Errorf("unknown argument %q", flags.Arg(0))}
	}
	if f.rounds < 1 || f.tries < 1 || !(f.seconds > 0 && f.seconds <= 600) || !(f.rate > 0 && f.rate <= 1e6) {
		return usageError{errors.New("expected rounds and tries from 1, seconds above 0 and up to 600, a rate above 0 and up to 1,000,000")}
	}
	return nil
}

// prepare takes the processors and a temporary directory.
func (f *sharedFlags) prepare() (cleanUp func() error, err error) {
	f.duration = time.Duration(f.seconds * float64(time.Second))
	f.warmUp = 500 * time.Millisecond
	f.startWithin = time.Minute
	if f.program, err = filepath.Abs(f.program); err != nil {
		return nil, fmt.Errorf("finding the program: %w", err)
	}
	if f.cpus, err = chooseProcessors(); err != nil {
		return nil, err
	}
	if f.directory, err = os.MkdirTemp("", "mirrorpool-bench-"); err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	// All but the server shares the generator's processor.
	if err := keepAllTo(f.cpus.generator); err != nil {
		return nil, errors.Join(err, os.RemoveAll(f.directory))
	}
	return func() error { return os.RemoveAll(f.directory) }, nil
}

// openRecord opens the file for machine-readable output.
func (f *sharedFlags) openRecord() (*json.Encoder, func() error, error) {
	if f.json == "" {
		return nil, func() error { return nil }, nil
	}
	file, err := os.Create(f.json)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the file for results: %w", err)
	}
	return json.NewEncoder(file), file.Close, nil
}
