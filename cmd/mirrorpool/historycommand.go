package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health/history"
)

func historyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "history MEMBER",
		Short: "Has it failed already? Show a member's incidents, availability and red flags",
		Long: `history asks the running server what the checks have found of a member or mirror, over a
year at most, also of one that is not in the repository any more. MEMBER is a member's
id, a mirror's URL prefix, the host name of either, or an address; or a pattern of
those, such as "*.example.org", in quotes so that the shell leaves it alone.

It begins with a verdict. Failures are counted over the last six months: what fails of
one member at the same time is one failure, whatever its addresses and checks. Then come
red flags, such as slow delivery, a certificate that ended, altered files, long or
repeated outages; availability, in the time that is known, since while the server was
not running nothing is; how fast it answered and delivered; and the incidents with what
was seen, the newest first. What --since says is about all but the verdict and the flags.

The server has to run: what it remembers is in history.db in state_dir, which sqlite3
reads as well.

Exit code 0: the member is known, whatever was found. 1: nobody is known by that name, or
the server cannot read its history now. 2: the command line or the configuration. 3: the
server cannot be reached.`,
		Args: cobra.ExactArgs(1),
		Example: `  mirrorpool history mirror.example.org
  mirrorpool history wiki --pool dl.example.org --since 30d
  mirrorpool history '*' --json | jq '.members[] | {pool, member, verdict}'`,
	}
	path := configFlag(command)
	flags := command.Flags()
	pool := flags.String("pool", "", "only in this `POOL` or redirect host")
	since := flags.String("since", "6mo", "how far to go back: `TIME` such as 48h, 30d, 12w, 6mo or 1y")
	limit := flags.Int("limit", 20, "how many incidents are shown of each member, at most 1000")
	asJSON := flags.Bool("json", false, "print JSON, with all that the incidents' probes have seen")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if _, err := history.ParseSince(*since, time.Now()); err != nil {
			return usageError{fmt.Errorf("--since: %w", err)}
		}
		if *limit < 1 || *limit > 1000 {
			return usageError{fmt.Errorf("--limit: found %d, expected a number from 1 to 1000", *limit)}
		}
		if arguments[0] == "" {
			return usageError{fmt.Errorf("MEMBER is empty; expected a name, or '*' for all")}
		}
		if _, err := administrative.ParsePattern(arguments[0]); err != nil {
			return usageError{fmt.Errorf("MEMBER: %w", err)}
		}
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		query := url.Values{"member": {arguments[0]}, "since": {*since}, "limit": {strconv.Itoa(*limit)}}
		if *pool != "" {
			query.Set("pool", *pool)
		}
		body, err := client.do(command.Context(), http.MethodGet, "/api/v1/history", query)
		if err != nil {
			return err
		}
		var answer history.Answer
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
		}
		if *asJSON {
			if _, err := command.OutOrStdout().Write(body); err != nil {
				return fmt.Errorf("writing the history: %w", err)
			}
		}
		if len(answer.Members) == 0 {
			return unknownMember(arguments[0], *pool)
		}
		if *asJSON {
			return nil
		}
		var text strings.Builder
		for i, member := range answer.Members {
			if i > 0 {
				text.WriteString("\n")
			}
			printHistory(&text, member, answer)
		}
		return printPlain(command.OutOrStdout(), text.String())
	}
	return command
}

func unknownMember(name, pool string) error {
	where := ""
	if pool != "" {
		where = " in " + pool
	}
	return fmt.Errorf("nobody is known by the name %q%s, now or in what is remembered: `mirrorpool history '*'` shows everybody", name, where)
}
