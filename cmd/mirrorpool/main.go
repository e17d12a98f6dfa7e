// Command mirrorpool is an authoritative DNS server and HTTP redirector for a
// pool of download mirrors that are listed in a Git repository.
//
// This package parses flags and the configuration file and wires the others
// together; one file holds one subcommand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of every subcommand.
const (
	exitDone        = 0
	exitNo          = 1 // the answer is no: a check or a probe failed
	exitUsage       = 2 // usage or configuration
	exitUnreachable = 3 // the server cannot be reached
)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// unreachableError says that the running server could not be asked.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

// errNo ends a subcommand whose answer is no and that has said so already.
var errNo = errors.New("no")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(arguments)
	out := &checkedWriter{out: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.err
	}
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errNo) {
		fmt.Fprintf(stderr, "mirrorpool: %v\n", err)
	}
	return exitCode(err)
}

// checkedWriter remembers the first error, so that no subcommand says that it
// is done when nobody could read what it said.
type checkedWriter struct {
	out io.Writer
	err error
}

func (w *checkedWriter) Write(data []byte) (int, error) {
	written, err := w.out.Write(data)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("writing to standard output: %w", err)
	}
	return written, err
}

func exitCode(err error) int {
	var usage usageError
	var unreachable unreachableError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnreachable
	}
	return exitNo
}

// defaultConfigPath is where a packaged node keeps its configuration.
const defaultConfigPath = "/etc/mirrorpool/mirrorpool.yaml"

// noSubcommand says so, and what may have been meant.
func noSubcommand(root *cobra.Command, name string) error {
	meant := ""
	if near := root.SuggestionsFor(name); len(near) > 0 {
		meant = ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("there is no subcommand %q%s: mirrorpool --help lists them", name, meant)}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mirrorpool",
		Short: "Serve a pool of download mirrors by DNS and by HTTP redirects",
		Long: `mirrorpool follows a Git repository that lists download mirrors, checks them,
answers A and AAAA with weighted, geo-aware, rotating records, and redirects
HTTP downloads by the same rule.

Exit codes: 0 done, 1 the answer is no, 2 usage or configuration, 3 the running
server cannot be reached.`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		DisableAutoGenTag:          true,
		SuggestionsMinimumDistance: 2,
		Args: func(root *cobra.Command, arguments []string) error {
			if len(arguments) > 0 {
				return noSubcommand(root, arguments[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		if before := command.Flags().Args(); command == root && len(before) > 0 {
			return noSubcommand(root, before[0]) // whose flag it may be
		}
		return usageError{fmt.Errorf("%w: %s --help lists the flags", err, command.CommandPath())}
	})
	root.AddCommand(
		serveCommand(), checkCommand(), explainCommand(), reloadCommand(),
		keygenCommand(), rolloverCommand(), statusCommand(), historyCommand(), disableCommand(), enableCommand(), forceUpCommand(), publishCommand(), alertCommand(), probeCommand(), schemaCommand(), versionCommand(), demoCommand(), manualCommand(),
	)
	takeUsageErrors(root)
	return root
}

// takeUsageErrors makes a wrong number of arguments exit as any other mistake
// in the command line does.
func takeUsageErrors(parent *cobra.Command) {
	for _, command := range parent.Commands() {
		checkArguments(command)
		takeUsageErrors(command)
	}
}

func checkArguments(command *cobra.Command) {
	check := command.Args
	if check == nil {
		check = cobra.NoArgs
	}
	command.Args = func(command *cobra.Command, arguments []string) error {
		if err := check(command, arguments); err != nil {
			return usageError{fmt.Errorf("%w: see %s --help", err, command.CommandPath())}
		}
		return nil
	}
}

// configFlag gives a subcommand the --config flag.
func configFlag(command *cobra.Command) *string {
	return command.Flags().String("config", defaultConfigPath, "the node's configuration `FILE`")
}
