package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"mirrorpool/admin"
	"mirrorpool/pool/administrative"
)

func statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Show what the running server serves, and what is wrong with it",
		Long: `status shows the running server on one page: its version, the commit that is
served and how following the repository goes, the stages that fail, each zone with its
serial, its keys, the end of its signatures, whether the parent's DS is in sync and
where a rollover stands, the secondaries, what is published at other primaries, the
addresses of members that are given by host name, how telling people goes, the members
of pools with their health, and what was said of them on this node by mirrorpool disable
and force-up.

Exit code 0: the server has answered, whatever it has said. 2: the command line or the
configuration. 3: the server cannot be reached.
Lines that contain PROBLEM are what somebody has to look at; with --json it is all of
/api/v1/state.`,
		Example: `  mirrorpool status
  mirrorpool status --json | jq '.zones[] | {apex, serial, signed: (.dnssec != null)}'`,
	}
	path := configFlag(command)
	asJSON := command.Flags().Bool("json", false, "print JSON")
	command.RunE = func(command *cobra.Command, _ []string) error {
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		body, err := client.do(command.Context(), http.MethodGet, "/api/v1/state", nil)
		if err != nil {
			return err
		}
		if *asJSON {
			if _, err := command.OutOrStdout().Write(body); err != nil {
				return fmt.Errorf("writing the state: %w", err)
			}
			return nil
		}
		var page statusPage
		if err := json.Unmarshal(body, &page); err != nil {
			return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
		}
		var text strings.Builder
		page.print(&text, time.Now())
		return printPlain(command.OutOrStdout(), text.String())
	}
	return command
}

// printPlain prints text of which parts come from elsewhere: nothing of it is to
// change the terminal.
func printPlain(out io.Writer, text string) error {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' {
			return '?'
		}
		return c
	}, text)
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// statusPage is what of /api/v1/state is shown to people.
type statusPage struct {
	Ready      bool       `json:"ready"`
	Awaiting   string     `json:"awaiting"`
	Version    string     `json:"version"`
	Started    *time.Time `json:"started"`
	Commit     string     `json:"commit"`
	CommitTime *time.Time `json:"commit_time"`
	Source     struct {
		URL         string     `json:"url"`
		Head        string     `json:"head"`
		LastSuccess *time.Time `json:"last_success"`
		LastError   string     `json:"last_error"`
		Refused     *struct {
			Commit string `json:"commit"`
			Error  string `json:"error"`
		} `json:"refused"`
	} `json:"source"`
	Stages []struct {
		Stage      string     `json:"stage"`
		StaleSince *time.Time `json:"stale_since"`
		Error      string     `json:"error"`
	} `json:"stages"`
	Warnings []struct {
		Text string `json:"text"`
	} `json:"warnings"`
	NotInForce     []string `json:"not_in_force"`
	Administrative []struct {
		Pool   string     `json:"pool"`
		Member string     `json:"member"`
		Action string     `json:"action"`
		Reason string     `json:"reason"`
		By     string     `json:"by"`
		Since  *time.Time `json:"since"`
		Until  *time.Time `json:"until"`
	} `json:"administrative"`
	Zones []struct {
		Apex   string         `json:"apex"`
		Serial uint32         `json:"serial"`
		DNSSEC *admin.Signing `json:"dnssec"`
	} `json:"zones"`
	Secondaries []struct {
		Address  string     `json:"address"`
		Answered *time.Time `json:"answered"`
		Silent   bool       `json:"silent"`
		Behind   int        `json:"behind"`
		Refused  int        `json:"refused"`
		Zones    []struct {
			Apex         string `json:"apex"`
			Standing     string `json:"standing"`
			Serial       uint32 `json:"serial"`
			Acknowledged uint32 `json:"acknowledged"`
			Problem      string `json:"problem"`
		} `json:"zones"`
	} `json:"secondaries"`
	HostNames []struct {
		Name         string     `json:"name"`
		IPv4         []string   `json:"ipv4"`
		IPv6         []string   `json:"ipv6"`
		Answered     *time.Time `json:"answered"`
		FailingSince *time.Time `json:"failing_since"`
		Problem      string     `json:"problem"`
	} `json:"host_names"`
	Alerts []struct {
		Name    string     `json:"name"`
		DryRun  bool       `json:"dry_run"`
		Pending int        `json:"pending"`
		Last    *time.Time `json:"last"`
		Error   string     `json:"error"`
	} `json:"alerts"`
	Publish []struct {
		Pool      string     `json:"pool"`
		Server    string     `json:"server"`
		Condition string     `json:"condition"`
		LastGood  *time.Time `json:"last_good"`
		Error     string     `json:"error"`
		Notes     []string   `json:"notes"`
		WouldSend string     `json:"would_send"`
	} `json:"publish"`
	Pools []struct {
		Name    string `json:"name"`
		Members []struct {
			ID        string `json:"id"`
			Host      string `json:"host"`
			Weight    uint32 `json:"weight"`
			Reserve   bool   `json:"reserve"`
			Addresses []struct {
				Address string     `json:"address"`
				Health  statusSeen `json:"health"`
			} `json:"addresses"`
		} `json:"members"`
	} `json:"pools"`
	Redirects []struct {
		Host    string `json:"host"`
		Mirrors []struct {
			URLPrefix string     `json:"url_prefix"`
			Weight    uint32     `json:"weight"`
			Health    statusSeen `json:"health"`
		} `json:"mirrors"`
	} `json:"redirects"`
}

// statusSeen is what is known of a member's or a mirror's health.
type statusSeen struct {
	State  string     `json:"state"`
	Since  *time.Time `json:"since"`
	Reason string     `json:"reason"`
	Frozen bool       `json:"frozen"`
}

func (p *statusPage) print(out io.Writer, now time.Time) {
	fmt.Fprintf(out, "mirrorpool %s, started %s\n", p.Version, when(p.Started, now))
	if p.Ready {
		fmt.Fprintf(out, "serving commit %s of %s\n", p.Commit, when(p.CommitTime, now))
	} else {
		fmt.Fprintf(out, "PROBLEM: no answers yet: waiting for %s\n", p.Awaiting)
	}
	p.printSource(out, now)
	for _, stage := range p.Stages {
		if stage.StaleSince != nil {
			fmt.Fprintf(out, "PROBLEM: %s fails since %s: %s\n", stage.Stage, when(stage.StaleSince, now), stage.Error)
		}
	}
	for _, key := range p.NotInForce {
		fmt.Fprintf(out, "warning: %s\n", key)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintln(out, warning.Text) // which says that it is one
	}
	p.printZones(out, now)
	p.printSecondaries(out, now)
	p.printPublications(out, now)
	p.printHostNames(out, now)
	p.printAlerts(out, now)
	p.printAdministrative(out, now)
	p.printPools(out, now)
}

// printAdministrative lists what was said on this node. The same stands where each
// member does, but these may have left the repository.
func (p *statusPage) printAdministrative(out io.Writer, now time.Time) {
	if len(p.Administrative) > 0 {
		fmt.Fprintln(out, "\nsaid on this node")
	}
	for i := range p.Administrative {
		fmt.Fprintf(out, "  %s of %s: %s\n", p.Administrative[i].Member, p.Administrative[i].Pool, p.word(i, now))
	}
}

// word tells people of what was said.
func (p *statusPage) word(i int, now time.Time) string {
	one := p.Administrative[i]
	word := administrative.Word{Action: administrative.Action(one.Action), Reason: one.Reason, By: one.By}
	if one.Since != nil {
		word.Since = *one.Since
	}
	if one.Until != nil {
		word.Until = *one.Until
	}
	return wordWords(word, now)
}

// said is what was said of a member; empty: nothing.
func (p *statusPage) said(pool, member string, now time.Time) string {
	for i, one := range p.Administrative {
		if one.Pool == pool && one.Member == member {
			return p.word(i, now)
		}
	}
	return ""
}

func (p *statusPage) printHostNames(out io.Writer, now time.Time) {
	if len(p.HostNames) > 0 {
		fmt.Fprintln(out, "\nhost names of members")
	}
	for _, one := range p.HostNames {
		addresses := strings.Join(slices.Concat(one.IPv4, one.IPv6), ", ")
		if addresses == "" {
			addresses = "no address"
		}
		fmt.Fprintf(out, "  %s: %s, last answered %s\n", one.Name, addresses, when(one.Answered, now))
		switch {
		case one.FailingSince != nil:
			fmt.Fprintf(out, "    PROBLEM since %s: %s\n", when(one.FailingSince, now), one.Problem)
		case one.Problem != "":
			fmt.Fprintf(out, "    %s\n", one.Problem)
		}
	}
}

func (p *statusPage) printAlerts(out io.Writer, now time.Time) {
	if len(p.Alerts) > 0 {
		fmt.Fprintln(out, "\nways to tell people")
	}
	for _, one := range p.Alerts {
		name, last := one.Name, "nothing told in this run"
		if one.DryRun {
			name += " (dry run)"
		}
		if one.Last != nil {
			last = "last told " + when(one.Last, now)
		}
		fmt.Fprintf(out, "  %s: %s, %d to tell\n", name, last, one.Pending)
		if one.Error != "" {
			fmt.Fprintf(out, "    PROBLEM: %s\n", one.Error)
		}
	}
}

func (p *statusPage) printPublications(out io.Writer, now time.Time) {
	if len(p.Publish) > 0 {
		fmt.Fprintln(out)
	}
	for _, one := range p.Publish {
		fmt.Fprintf(out, "published at %s: %s, %s, last right %s\n", one.Server, one.Pool, one.Condition, when(one.LastGood, now))
		if one.Error != "" {
			fmt.Fprintf(out, "  PROBLEM: %s\n", one.Error)
		}
		for _, note := range one.Notes {
			fmt.Fprintf(out, "  %s\n", note)
		}
		if one.WouldSend != "" {
			fmt.Fprintf(out, "  dry run; it would send\n    %s\n", strings.ReplaceAll(one.WouldSend, "\n", "\n    "))
		}
	}
}

func (p *statusPage) printSource(out io.Writer, now time.Time) {
	fmt.Fprintf(out, "repository %s, last read %s\n", p.Source.URL, when(p.Source.LastSuccess, now))
	if p.Source.LastError != "" {
		fmt.Fprintf(out, "PROBLEM: the repository cannot be read: %s\n", p.Source.LastError)
	}
	if refused := p.Source.Refused; refused != nil {
		fmt.Fprintf(out, "PROBLEM: commit %s is refused: %s\n", refused.Commit, refused.Error)
	}
}

func (p *statusPage) printZones(out io.Writer, now time.Time) {
	for _, zone := range p.Zones {
		signed := "not signed"
		if zone.DNSSEC != nil {
			signed = "signed"
		}
		fmt.Fprintf(out, "\nzone %s serial %d, %s\n", zone.Apex, zone.Serial, signed)
		if zone.DNSSEC != nil {
			printZoneSigning(out, zone.Apex, zone.DNSSEC, now)
		}
	}
}

func (p *statusPage) printPools(out io.Writer, now time.Time) {
	for _, pool := range p.Pools {
		fmt.Fprintf(out, "\npool %s\n", pool.Name)
		for _, member := range pool.Members {
			if member.Host != "" && len(member.Addresses) == 0 && member.Weight > 0 {
				fmt.Fprintf(out, "  %-8s %s: no address of %s is known\n", "unknown", member.ID, member.Host)
			}
			for _, address := range member.Addresses {
				what := member.ID + " " + address.Address
				if member.Reserve {
					what += " (reserve)"
				}
				printSeen(out, what, member.Weight, address.Health, p.said(pool.Name, member.ID, now), now)
			}
		}
	}
	for _, redirect := range p.Redirects {
		fmt.Fprintf(out, "\nredirects of %s\n", redirect.Host)
		for _, mirror := range redirect.Mirrors {
			printSeen(out, mirror.URLPrefix, mirror.Weight, mirror.Health, p.said(redirect.Host, mirror.URLPrefix, now), now)
		}
	}
}

// printSeen tells of one address or mirror. Said is what was said of it on this node.
func printSeen(out io.Writer, what string, weight uint32, seen statusSeen, said string, now time.Time) {
	state, words := seen.State, ""
	if seen.State != "up" {
		words = fmt.Sprintf(" since %s: %s", when(seen.Since, now), seen.Reason)
	}
	if seen.Frozen {
		words = " (frozen)" + words
	}
	switch {
	case weight == 0:
		state, words = "disabled", ": weight 0 in the repository"
	case said != "":
		state, words = "said", ": "+said+"; the checks say "+seen.State+words
	}
	fmt.Fprintf(out, "  %-8s %s%s\n", state, what, words)
}
