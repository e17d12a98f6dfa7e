//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// sharedFlags are the flags of the commands that measure in rounds.
type sharedFlags struct {
	options
	program string
	json    string
	seconds float64
}

// newFlags makes the flags of a command.
func newFlags(command string, errorOut io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("bench "+command, flag.ContinueOnError)
	flags.SetOutput(errorOut)
	return flags
}

// define adds them all. What is set already is the command's own default.
func (f *sharedFlags) define(flags *flag.FlagSet) {
	flags.IntVar(&f.rounds, "rounds", cmp.Or(f.rounds, 1), "`rounds`, of which medians are printed")
	flags.Float64Var(&f.seconds, "seconds", cmp.Or(f.seconds, 3), "`seconds` of each measurement, after a warm-up of 0.5")
	flags.Float64Var(&f.rate, "rate", cmp.Or(f.rate, 20000), "`questions` a second, for what is asked at a fixed rate")
	flags.IntVar(&f.tries, "tries", 3, "`times` that a measurement is made to get one that nothing disturbed")
	flags.Float64Var(&f.noise, "noise", 0.10, "`processors` that others, or the host, may have used in an undisturbed one")
	flags.StringVar(&f.json, "json", "", "`file` that each measurement is written to, a JSON object a line")
	f.defineProgram(flags)
}

func (f *sharedFlags) defineProgram(flags *flag.FlagSet) {
	flags.StringVar(&f.program, "program", "bin/mirrorpool", "the built `program`")
}

// parse reads the flags.
func (f *sharedFlags) parse(flags *flag.FlagSet, arguments []string) error {
	if err := parseFlags(flags, arguments); err != nil {
		return err
	}
	if f.rounds < 1 || f.tries < 1 || !(f.seconds > 0 && f.seconds <= 600) || !(f.rate > 0 && f.rate <= 1e6) {
		return usageError{errors.New("expected rounds and tries from 1, seconds above 0 and up to 600, a rate above 0 and up to 1,000,000")}
	}
	return nil
}

func parseFlags(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Errorf("unknown argument %q", flags.Arg(0))}
	}
	return nil
}

// begun is what a command has while it measures.
type begun struct {
	version string        // of the program
	record  *json.Encoder // nil: not wanted
	ends    []func() error
}

// begin takes the processors, a temporary directory and the file for results, and asks
// the program who it is. The caller has to end it.
func (f *sharedFlags) begin(ctx context.Context) (_ *begun, err error) {
	b := &begun{}
	defer func() {
		if err != nil {
			err = b.end(err)
		}
	}()
	cleanUp, err := f.prepare()
	if err != nil {
		return nil, err
	}
	b.ends = append(b.ends, cleanUp)
	if f.json != "" {
		file, err := os.Create(f.json)
		if err != nil {
			return nil, fmt.Errorf("opening the file for results: %w", err)
		}
		b.record = json.NewEncoder(file)
		b.ends = append(b.ends, file.Close)
	}
	b.version, err = programVersion(ctx, f.program)
	return b, err
}

// end gives back what begin took, and the error with which the command ends.
func (b *begun) end(err error) error {
	for _, end := range b.ends {
		err = errors.Join(err, end())
	}
	return err
}

// heading says on what is measured, when, and what.
func (b *begun) heading() string {
	return fmt.Sprintf("%s\n%s; %s", machineDescription(), time.Now().UTC().Format(time.RFC3339), b.version)
}

// keep writes a result to the file for results, where one is wanted.
func (b *begun) keep(result any) error {
	if b.record == nil {
		return nil
	}
	if err := b.record.Encode(result); err != nil {
		return fmt.Errorf("writing a result: %w", err)
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
