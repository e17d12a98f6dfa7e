//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mirrorpool/bench/load"
)

const usage = `usage: bench [compare] [flags]   servers side by side, for each kind of question
       bench growth [flags]      mirrorpool with more pools, members and names
       bench health [flags]      what probing 10,000 mirrors costs mirrorpool
       bench reload [flags]      mirrorpool while pushes, health and SIGHUP come
       bench robustness [flags]  mirrorpool while packets of every kind and damage come
       bench connections [flags] mirrorpool under 10,000 connections of all kinds
       bench flood [flags]       mirrorpool in floods from a million forged addresses
Flags of each: bench compare -h`

// Exit codes: those of the program itself.
const (
	exitDone  = 0
	exitNo    = 1
	exitUsage = 2
)

// errMissed is the answer no: what was measured is not what it should be. It
// has been printed.
var errMissed = errors.New("missed")

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(arguments []string, in io.Reader, out, errorOut io.Writer) int {
	command := "compare"
	if len(arguments) > 0 && arguments[0] != "" && arguments[0][0] != '-' {
		command, arguments = arguments[0], arguments[1:]
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"compare":     compareCommand,
		"growth":      growthCommand,
		"health":      healthCommand,
		"reload":      reloadCommand,
		"connections": connectionsCommand,
		"robustness":  robustnessCommand,
		"flood":       floodCommand,
	}
	var err error
	ctx := context.Background()
	switch do, known := commands[command]; {
	case command == generatorCommand:
		err = generate(in, out) // signals end it at once
	case command == crowdCommand:
		err = bringCrowd(in, out)
	case known:
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		err = do(ctx, arguments, out, errorOut)
	default:
		err = usageError{fmt.Errorf("unknown command %q\n%s", command, usage)}
	}
	var wrongUsage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.Is(err, errMissed):
		return exitNo
	case ctx.Err() != nil:
		fmt.Fprintln(errorOut, "bench: interrupted")
		return exitNo
	case errors.As(err, &wrongUsage):
		fmt.Fprintln(errorOut, "bench:", err)
		return exitUsage
	}
	fmt.Fprintln(errorOut, "bench:", err)
	return exitNo
}

// usageError is a mistake in what was typed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// generatorCommand is how this program starts itself as the generator.
const generatorCommand = "generate"

// generate reads a plan, says "ready" after the warm-up, waits for a line, and
// prints the result.
func generate(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	text, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	var plan load.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	result, err := load.Run(plan, func() error {
		if _, err := fmt.Fprintln(out, "ready"); err != nil {
			return fmt.Errorf("telling that the warm-up is over: %w", err)
		}
		if _, err := lines.ReadBytes('\n'); err != nil {
			return fmt.Errorf("waiting to measure: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
