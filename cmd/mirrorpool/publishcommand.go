package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/publish"
)

func publishCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "publish",
		Short: "Say whether other primaries have what is published there",
		Long: `publish asks the running server how each entry of publish in its configuration
is: whether the primary had the pool's addresses at the last look, what is in the
way if not, and what a dry run would send, as nsupdate would be told it.

To see what publishing would change, set dry_run: true in the entry, have the server
read it by "mirrorpool reload", and run this a few seconds later.

Exit code 0: all primaries have what they should, or nothing is published. 1: one
has not. 2: the command line or the configuration. 3: the server cannot be reached.`,
		Args: cobra.NoArgs,
		Example: `  mirrorpool publish
  mirrorpool publish --config /etc/mirrorpool/mirrorpool.yaml || mail -s publish noc@example.org`,
	}
	path := configFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		body, err := client.do(command.Context(), http.MethodGet, "/api/v1/state", nil)
		if err != nil {
			return err
		}
		var page statusPage
		if err := json.Unmarshal(body, &page); err != nil {
			return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
		}
		var text strings.Builder
		page.printPublications(&text, time.Now())
		if len(page.Publish) == 0 {
			text.WriteString("nothing is published: the configuration has no entries of publish\n")
		}
		if err := printPlain(command.OutOrStdout(), strings.TrimPrefix(text.String(), "\n")); err != nil {
			return err
		}
		for _, one := range page.Publish {
			if one.Condition != string(publish.Published) {
				return errNo
			}
		}
		return nil
	}
	return command
}
