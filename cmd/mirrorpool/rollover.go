package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/admin"
	"mirrorpool/zones/signing"
)

func rolloverCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "rollover ZONE",
		Short: "Replace a zone's keys by a new one, step by step, and say where that stands",
		Long: `rollover has the running server replace the keys of a zone by a new one, so that no
validator loses the zone on the way. It prints the steps and how long each of them
lasts at least, and returns; the server goes on by itself, also after a restart. While
a rollover is under way, the same command without flags shows where it stands. When it
is over, the command begins another one only a day later, and not while the parent's DS
records are not those of the zone's keys; --again, --kind and --algorithm do at once.
To look and do nothing else, there is mirrorpool status.

A zone with one key for everything (a CSK) needs no flags; where there are a KSK and a
ZSK, --kind says which is replaced: ksk, zsk, or csk for both by one. With --algorithm
all keys are replaced by one of another algorithm.

But for a ZSK, the parent's DS record has to change on the way. CDS and CDNSKEY
records ask for it (RFC 7344, RFC 8078), which not every parent looks at: the DS to
hand in is printed. If dns.dnssec_parents names the parent's servers, they are asked
whether it is there; otherwise say it with --ds-seen, when every server of the parent
has the new record and none the old one, and with --ds-ttl the old record's TTL, which
is taken for a day if nobody says it. What is said counts until those servers answer
otherwise, and no TTL less than what they gave.

--cancel goes back. How, depends on the step:
  the first one (publish, or sign for another algorithm): the new key is taken out at
    once.
  publish for another algorithm: the new key leaves the DNSKEY records first, and signs
    on until caches have noticed (step undo).
  parent: the rollover is turned back, such as when the registry does not take the new
    algorithm. CDS asks for the old DS again, and once the parent has had three days to
    act on what it has read before, and names the old key and not the new one, the
    latter is taken out. Withdraw what you have handed in there, and if the parent has
    the new DS, hand in the old one. --ds-seen says then that it has the old one alone.
  sign for a ZSK, and all steps after parent: it is too late.
Of one that goes back already, --cancel only shows where it stands. Nothing turns it
forward again: let it go back, and begin anew with --again.

--withdraw-ds asks the parent to delete all DS records of the zone (RFC 8078, section
4), before the zone becomes unsigned; --no-withdraw-ds ends that. Leave the keys in
place until the parent has none and their TTL is over.

Exit code 0: done. 1: it cannot be done, such as --cancel too late. 2: the command line,
the configuration, or no such zone. 3: the server cannot be reached.`,
		Args: cobra.ExactArgs(1),
		Example: `  mirrorpool rollover example.org
  mirrorpool rollover example.org --algorithm ed25519
  mirrorpool rollover example.org --kind zsk
  mirrorpool rollover example.org --ds-seen --ds-ttl 1h`,
	}
	path := configFlag(command)
	flags := command.Flags()
	wish := rolloverWish{}
	flags.StringVar(&wish.kind, "kind", "", "what is replaced: csk, ksk or zsk; absent: what the zone's keys allow")
	flags.StringVar(&wish.algorithm, "algorithm", "", "the new key's `NAME` or number, such as ed25519; absent: that of the zone's keys")
	flags.BoolVar(&wish.again, "again", false, "begin also where the last rollover has just ended, or the parent has other DS records")
	flags.BoolVar(&wish.seen, "ds-seen", false, "the parent's servers all have the DS of the new key (after --cancel: of the old one), and no other")
	flags.DurationVar(&wish.ttl, "ds-ttl", 0, "with --ds-seen: the `TTL` that the DS record of before had")
	flags.BoolVar(&wish.cancel, "cancel", false, "go back, while that is safe; said again, show how far that is")
	flags.BoolVar(&wish.withdraw, "withdraw-ds", false, "ask the parent to delete all DS records of the zone")
	flags.BoolVar(&wish.keep, "no-withdraw-ds", false, "do not ask for that any more")
	asJSON := flags.Bool("json", false, "print JSON")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		zone, err := zoneName(arguments[0])
		if err != nil {
			return usageError{err}
		}
		if err := wish.check(); err != nil {
			return usageError{err}
		}
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		body, err := wish.ask(command.Context(), client, zone)
		if err != nil {
			return err
		}
		if *asJSON {
			if _, err := command.OutOrStdout().Write(body); err != nil {
				return fmt.Errorf("writing the answer: %w", err)
			}
			return nil
		}
		var described admin.Signing
		if err := json.Unmarshal(body, &described); err != nil {
			return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
		}
		var text strings.Builder
		fmt.Fprintf(&text, "zone %s\n", zone)
		printZoneSigning(&text, zone, &described, time.Now())
		return printPlain(command.OutOrStdout(), text.String())
	}
	return command
}

// rolloverWish is what the flags say.
type rolloverWish struct {
	kind, algorithm                     string
	ttl                                 time.Duration
	again, seen, cancel, withdraw, keep bool
}

// check reports flags that do not go together.
func (w rolloverWish) check() error {
	actions := 0
	for _, one := range []bool{w.again || w.kind != "" || w.algorithm != "", w.seen, w.cancel, w.withdraw, w.keep} {
		if one {
			actions++
		}
	}
	switch {
	case actions > 1:
		return errors.New("give one of --again with --kind and --algorithm, --ds-seen, --cancel, --withdraw-ds, --no-withdraw-ds")
	case w.ttl != 0 && !w.seen:
		return errors.New("--ds-ttl goes with --ds-seen")
	case w.ttl < 0:
		return fmt.Errorf("--ds-ttl: found %s, expected a time such as 1h", w.ttl)
	}
	switch w.kind {
	case "", "csk", "ksk", "zsk":
	default:
		return fmt.Errorf("--kind: found %q, expected csk, ksk or zsk", w.kind)
	}
	if w.algorithm != "" {
		if _, err := signing.AlgorithmNumber(w.algorithm); err != nil {
			return fmt.Errorf("--algorithm: %w", err)
		}
	}
	return nil
}

const rolloverChangePath = "/api/v1/rollover/change"

// ask has the server do it. Without flags the server itself decides whether what is
// under way is shown or a rollover begins: it may end between two requests.
func (w rolloverWish) ask(ctx context.Context, client *client, zone string) ([]byte, error) {
	query := url.Values{"zone": {zone}, "action": {w.action()}}
	for name, value := range map[string]string{"kind": w.kind, "algorithm": w.algorithm} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if w.ttl > 0 {
		query.Set("ds_ttl", w.ttl.String())
	}
	return client.do(ctx, http.MethodPost, rolloverChangePath, query)
}

func (w rolloverWish) action() string {
	switch {
	case w.seen:
		return admin.RolloverSay
	case w.cancel:
		return admin.RolloverCancel
	case w.withdraw:
		return admin.RolloverWithdraw
	case w.keep:
		return admin.RolloverKeep
	case w.again, w.kind != "", w.algorithm != "":
		return admin.RolloverStart
	}
	return admin.RolloverBegin
}

// printZoneSigning tells people how a zone is signed.
func printZoneSigning(out io.Writer, zone string, s *admin.Signing, now time.Time) {
	for _, key := range s.Keys {
		fmt.Fprintf(out, "  key %d %s %s: %s\n", key.Tag, key.Role, key.Algorithm, keyDuties(key))
	}
	fmt.Fprintf(out, "  signatures: the first ends %s, and is renewed %s\n", when(s.Expires, now), when(s.Renewed, now))
	fmt.Fprintf(out, "  DS at the parent: %s\n", parentWords(s.Parent, now))
	if s.Withdrawing != nil {
		fmt.Fprintf(out, "  CDS asks the parent to delete all DS records, since %s\n", when(s.Withdrawing, now))
	}
	if s.Problem != "" {
		fmt.Fprintf(out, "  PROBLEM: %s\n", s.Problem)
	}
	if s.Last != nil {
		how := "done"
		switch {
		case s.Last.Cancelled:
			how = "cancelled"
		case s.Last.Turned:
			how = "turned back"
		}
		fmt.Fprintf(out, "  last rollover: %s, %s to %s, %s %s\n", s.Last.Kind, strings.Join(s.Last.Old, " "), strings.Join(s.Last.New, " "), how, when(s.Last.Ended, now))
	}
	if s.Rollover != nil {
		printRollover(out, zone, s, now)
	}
}

func keyDuties(key admin.SigningKey) string {
	var duties []string
	for _, one := range []struct {
		does bool
		word string
	}{{key.Published, "published"}, {key.Signs, "signs"}, {key.CDS, "in CDS"}} {
		if one.does {
			duties = append(duties, one.word)
		}
	}
	if len(duties) == 0 {
		return "not in use"
	}
	return strings.Join(duties, ", ")
}

func parentWords(ds admin.ParentDS, now time.Time) string {
	words := map[string]string{
		admin.ParentUnknown: "nobody is asked (dns.dnssec_parents)", admin.ParentInSync: "in sync",
		admin.ParentNone: "none: validators take the zone for unsigned", admin.ParentDiffers: "not that of the keys that CDS names",
	}[ds.State]
	for _, server := range ds.Servers {
		if server.Error != "" {
			if ds.State == admin.ParentUnknown {
				words = "unknown"
			}
			words += "; " + server.Error
		}
	}
	if ds.Asked != nil {
		words += ", asked " + when(ds.Asked, now)
	}
	return words
}

func printRollover(out io.Writer, zone string, s *admin.Signing, now time.Time) {
	r := s.Rollover
	turned, age := "", "new"
	if r.Turned {
		turned, age = "turned back, ", "old"
	}
	fmt.Fprintf(out, "  rollover (%s%s, %s): %s to %s, step %d of %d\n", turned, r.Kind, r.Algorithm, strings.Join(r.Old, " "), strings.Join(r.New, " "), r.Number, r.Of)
	for i, step := range r.Steps {
		mark, length := " ", "at least "+span(time.Duration(step.Seconds)*time.Second)
		switch {
		case i+1 < r.Number:
			mark, length = "x", "reached "+when(step.Reached, now)
		case step.Parent:
			length = "until the parent has it"
		}
		if i+1 == r.Number {
			mark = ">"
		}
		fmt.Fprintf(out, "   %s %-13s %s (%s)\n", mark, step.Step, step.About, length)
	}
	if r.Waiting != "" {
		until := ""
		if r.Until != nil {
			until = ", " + when(r.Until, now)
		}
		fmt.Fprintf(out, "  it waits: %s%s\n", r.Waiting, until)
	}
	if r.Step == "parent" && s.Parent.State == admin.ParentNone {
		fmt.Fprintf(out, "  the parent has no DS at all; if there is to be none, say so: mirrorpool rollover %s --ds-seen\n", zone)
	}
	for i, step := range r.Steps {
		if !step.Parent || i+1 < r.Number {
			continue
		}
		for _, key := range s.Keys {
			if key.DS != "" && strings.Contains(strings.Join(r.New, " "), key.ID) {
				fmt.Fprintf(out, "  the %s DS, to be handed in at step %q and not before:\n    %s IN DS %s\n", age, step.Step, zone, key.DS)
			}
		}
	}
	if r.Cancel {
		fmt.Fprintf(out, "  it can be cancelled still: mirrorpool rollover %s --cancel\n", zone)
	}
}

// span is a length of time in words.
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return d.String()
}

// when is a time in words, with how far away it is.
func when(at *time.Time, now time.Time) string {
	if at == nil {
		return "never"
	}
	text := at.UTC().Format("2006-01-02 15:04:05 UTC")
	if away := at.Sub(now); away >= 0 {
		return fmt.Sprintf("%s (in %s)", text, span(away))
	}
	return fmt.Sprintf("%s (%s ago)", text, span(now.Sub(*at)))
}
