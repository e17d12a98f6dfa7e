package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/admin/alert"
)

func alertCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "alert [NAME...]",
		Short: "Show how people are told what they have to know, and try it",
		Long: `alert lists the ways that the configuration has under alerts: to whom each goes, and
what of. With names it lists those alone.

With --test it sends a message that says that it is a test by each of them, once, and says
what came of it. It needs no running server, reads the files that the configuration names
itself, and is to be run as the user that the server runs as, to try the same. A way with
dry_run prints the message and sends nothing.

Exit code 0: all were taken, or none is configured. 1: one was not. 2: the command line or
the configuration.`,
		Args: cobra.ArbitraryArgs,
		Example: `  mirrorpool alert
  mirrorpool alert --test
  mirrorpool alert --test "smtp 127.0.0.1:25"`,
	}
	path := configFlag(command)
	test := command.Flags().Bool("test", false, "send a message by each way")
	command.RunE = func(command *cobra.Command, names []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		if err := knownAlerts(config, names); err != nil {
			return usageError{err}
		}
		if !*test {
			return printPlain(command.OutOrStdout(), describeAlerts(config, names))
		}
		ways, _, err := config.openAlerts()
		if err != nil {
			return usageError{err}
		}
		var failed bool
		for i := range ways {
			if len(names) > 0 && !slices.Contains(names, ways[i].Name) {
				continue
			}
			ok, err := testWay(command, &ways[i])
			if err != nil {
				return err
			}
			failed = failed || !ok
		}
		if failed {
			return errNo
		}
		return nil
	}
	return command
}

// knownAlerts refuses names that there are not.
func knownAlerts(config *config, names []string) error {
	var there []string
	for i := range config.Alerts {
		there = append(there, config.Alerts[i].Name)
	}
	for _, name := range names {
		if !slices.Contains(there, name) {
			if len(there) == 0 {
				return fmt.Errorf("there is no way %q: the configuration has nothing under alerts", name)
			}
			return fmt.Errorf("there is no way %q: there are %s", name, strings.Join(there, ", "))
		}
	}
	return nil
}

// testWay sends a test and says what came of it.
func testWay(command *cobra.Command, way *alert.Way) (bool, error) {
	began := time.Now()
	text, err := way.Test(command.Context(), nodeName(), began)
	took := time.Since(began).Round(time.Millisecond)
	switch {
	case err != nil:
		return false, printPlain(command.OutOrStdout(), fmt.Sprintf("%s: FAILED after %s: %v\n", way.Name, took, err))
	case way.DryRun:
		return true, printPlain(command.OutOrStdout(), fmt.Sprintf("%s: dry run; it would send\n  %s\n", way.Name,
			strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")))
	}
	return true, printPlain(command.OutOrStdout(), fmt.Sprintf("%s: sent in %s\n", way.Name, took))
}

// describeAlerts lists the ways.
func describeAlerts(config *config, names []string) string {
	var b strings.Builder
	for i := range config.Alerts {
		if a := &config.Alerts[i]; len(names) == 0 || slices.Contains(names, a.Name) {
			a.describe(&b)
		}
	}
	if len(config.Alerts) == 0 {
		b.WriteString("nobody is told: the configuration has nothing under alerts\n")
	}
	return b.String()
}

func (a *alertConfig) describe(out io.Writer) {
	fmt.Fprintln(out, a.Name)
	if a.SMTP != nil {
		fmt.Fprintf(out, "  to %s, tls %s\n", strings.Join(a.SMTP.To, ", "), a.SMTP.TLS)
		if a.SMTP.ToMirrors {
			fmt.Fprintf(out, "  to mirrors' operators after %s\n", a.SMTP.MirrorsAfter.or(defaultMirrorsAfter))
		}
	}
	all := func(list []string) string {
		if len(list) == 0 {
			return "all"
		}
		return strings.Join(list, ", ")
	}
	repeat := "never"
	if every := a.Repeat.or(defaultAlertRepeat); every > 0 {
		repeat = "after " + every.String()
	}
	fmt.Fprintf(out, "  events: %s; pools: %s; wait %s; at most %d within %s; repeated %s\n",
		all(a.Events), all(a.Pools), a.Wait.or(defaultAlertWait), a.limit.Count, a.limit.Period, repeat)
	if a.DryRun {
		fmt.Fprintln(out, "  dry run: nothing is sent")
	}
}
