package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/spf13/cobra"

	"mirrorpool/pool/selection"
)

func explainCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "explain --client ADDRESS [--pool NAME | --host NAME]",
		Short: "Say who would be given to a client, and why",
		Long: `explain asks the running server, through the admin address, to apply the rule
of choice to one client: its place, the tiers of nearness, everyone left out with
the reason, and every candidate's share. The address is neither logged nor kept.

Without --pool and --host it explains the only pool there is.`,
		Example: `  mirrorpool explain --client 192.0.2.7
  mirrorpool explain --client 2001:db8::7 --host download.example.org --https`,
	}
	path := configFlag(command)
	flags := command.Flags()
	address := flags.String("client", "", "the client's `ADDRESS`")
	poolName := flags.String("pool", "", "a DNS pool's `NAME`")
	host := flags.String("host", "", "a redirect host's `NAME`")
	family := flags.String("family", "", "4 for A, 6 for AAAA records (default: the family of the client's address)")
	secure := flags.Bool("https", false, "the client came to the redirect host by https")
	asJSON := flags.Bool("json", false, "print JSON")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if *poolName != "" && *host != "" {
			return usageError{errors.New("explain: name either a --pool or a --host, not both")}
		}
		if _, err := netip.ParseAddr(*address); err != nil {
			return usageError{fmt.Errorf("--client: found %q, expected an IPv4 or IPv6 address", *address)}
		}
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		query := url.Values{"client": {*address}}
		set(query, "pool", *poolName)
		set(query, "host", *host)
		set(query, "family", *family)
		if *secure {
			query.Set("scheme", "https")
		}
		body, err := client.do(command.Context(), http.MethodGet, "/api/v1/explain", query)
		if err != nil {
			return err
		}
		return printExplanation(command, body, *asJSON)
	}
	return command
}

func set(query url.Values, key, value string) {
	if value != "" {
		query.Set(key, value)
	}
}

func printExplanation(command *cobra.Command, body []byte, asJSON bool) error {
	out := command.OutOrStdout()
	if asJSON {
		if _, err := out.Write(body); err != nil {
			return fmt.Errorf("writing the explanation: %w", err)
		}
		return nil
	}
	var explanation selection.Explanation
	if err := json.Unmarshal(body, &explanation); err != nil {
		return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
	}
	fmt.Fprint(out, explanation.String())
	return nil
}
