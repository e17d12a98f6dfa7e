package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/admin"
	"mirrorpool/pool/administrative"
)

// aboutMembers is what the help of each command about members says.
const aboutMembers = `MEMBER is a member's id, host name or address, a mirror's url_prefix or the host name in
it, or a pattern of names, such as "edge-*" (in quotes, for the shell). It is looked for in
all pools and redirect hosts, or in that of --pool. What is said last of a member counts;
but a pattern gives nobody sooner who was disabled by a word of its own.

It holds on this node alone, at once, and over restarts; what the repository says, such
as weight 0, is kept apart: "mirrorpool explain" and "mirrorpool status" name which of
the two it is. Where there are several nodes, say it on each, or push a weight of 0.

Exit code 0: done. 1: it cannot be done. 2: the command line, the configuration, or
nobody has this name. 3: the server cannot be reached.`

func disableCommand() *cobra.Command {
	return sayCommand(string(administrative.Disable), &cobra.Command{
		Use:   "disable MEMBER",
		Short: "Give a member or mirror to nobody for a while, whatever the checks find",
		Long: `disable has the running server give a member or mirror to nobody, until the time of
--for is over or until "mirrorpool enable". It goes on being checked, so that its
history shows when it works again. A pool is not left without any member unless --force
says so.

` + aboutMembers,
		Example: `  mirrorpool disable edge-eu --for 48h --reason "disk is being replaced, mail of 2026-05-01"
  mirrorpool disable "*.example.org" --pool download.example.org --reason "certificate expired"`,
	})
}

func forceUpCommand() *cobra.Command {
	return sayCommand(string(administrative.ForceUp), &cobra.Command{
		Use:   "force-up MEMBER",
		Short: "Take a member or mirror for up for a while, whatever the checks find",
		Long: `force-up has the running server take a member or mirror for up, until the time of
--for is over or until "mirrorpool enable": for a check that is wrong, not for a mirror
that is. It goes on being checked. Weight 0 in the repository, and rules such as
exclude, hold nevertheless.

` + aboutMembers,
		Example: `  mirrorpool force-up wiki --for 2h --reason "its trace is late, the files are right"`,
	})
}

func enableCommand() *cobra.Command {
	return sayCommand(admin.WordsEnable, &cobra.Command{
		Use:   "enable MEMBER",
		Short: "Take back what disable or force-up has said of a member or mirror",
		Long: `enable takes back what "mirrorpool disable" and "mirrorpool force-up" have said: the
checks alone decide again whether the member is given.

` + aboutMembers,
		Example: `  mirrorpool enable edge-eu`,
	})
}

// sayCommand gives a command its flags, and has it ask the running server.
func sayCommand(action string, command *cobra.Command) *cobra.Command {
	command.Args = cobra.ExactArgs(1)
	path := configFlag(command)
	flags := command.Flags()
	pool := flags.String("pool", "", "the `POOL` or redirect host; absent: all")
	asJSON := flags.Bool("json", false, "print JSON")
	var length, reason string
	var force bool
	if action != admin.WordsEnable {
		flags.StringVar(&length, "for", "", "how `LONG` it holds, such as 48h, 7d or 2w; absent: until it is taken back")
		flags.StringVar(&reason, "reason", "", "`WHY`, for those who find it later")
	}
	switch administrative.Action(action) {
	case administrative.Disable:
		flags.BoolVar(&force, "force", false, "also if it leaves a pool without any member, or a pattern shortens what was said")
	case administrative.ForceUp:
		flags.BoolVar(&force, "force", false, "also those that are disabled and named by a pattern")
	}
	command.RunE = func(command *cobra.Command, arguments []string) error {
		query := url.Values{"action": {action}, "member": {arguments[0]}, "pool": {*pool}, "by": {whoSays()}}
		if length != "" {
			time, err := parseTimeSpan(length)
			if err != nil {
				return usageError{fmt.Errorf("--for: %w", err)}
			}
			query.Set("for", time.String())
		}
		if action != admin.WordsEnable && strings.TrimSpace(reason) == "" {
			return usageError{errors.New("--reason is missing: say why, for those who find it later")}
		}
		query.Set("reason", reason)
		if force {
			query.Set("force", "true")
		}
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		body, err := client.do(command.Context(), http.MethodPost, "/api/v1/administrative/change", query)
		if err != nil {
			return err
		}
		return printChange(command.OutOrStdout(), action, body, *asJSON)
	}
	return command
}

// whoSays names who runs the command, as they or the system say.
func whoSays() string {
	for _, variable := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if name := os.Getenv(variable); name != "" {
			return name
		}
	}
	if who, err := user.Current(); err == nil {
		return who.Username // as in a container, where nobody has logged in
	}
	return ""
}

func printChange(out io.Writer, action string, body []byte, asJSON bool) error {
	if asJSON {
		if _, err := out.Write(body); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
		return nil
	}
	var change admin.WordsChange
	if err := json.Unmarshal(body, &change); err != nil {
		return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
	}
	var text strings.Builder
	for _, word := range change.Words {
		if action == admin.WordsEnable {
			fmt.Fprintf(&text, "%s of %s is not %s any more\n", word.Member, word.Pool, actionWords(word.Action))
		} else {
			fmt.Fprintf(&text, "%s of %s is %s\n", word.Member, word.Pool, wordWords(word, time.Now()))
		}
	}
	for _, note := range change.Notes {
		fmt.Fprintf(&text, "note: %s\n", note)
	}
	return printPlain(out, text.String())
}

// actionWords says what a word makes of a member.
func actionWords(action administrative.Action) string {
	if action == administrative.ForceUp {
		return "taken for up"
	}
	return "disabled"
}

// wordWords tells people of a word.
func wordWords(word administrative.Word, now time.Time) string {
	until := "until it is enabled"
	if !word.Until.IsZero() {
		until = "until " + when(&word.Until, now)
	}
	text := fmt.Sprintf("%s on this node %s: %s", actionWords(word.Action), until, word.Reason)
	if word.By != "" {
		text += " (" + word.By + ", " + word.Since.UTC().Format("2006-01-02 15:04 UTC") + ")"
	}
	return text
}
