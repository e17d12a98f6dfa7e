package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"mirrorpool/pool/health/history"
)

// printHistory shows a member to people: the verdict first, then what it rests on.
func printHistory(out io.Writer, m history.MemberHistory, answer history.Answer) {
	what := "member"
	if m.Redirect {
		what = "mirror"
	}
	fmt.Fprintf(out, "%s %s of %s", what, m.ID, m.Pool)
	if m.Host != "" && !strings.Contains(m.ID, m.Host) {
		fmt.Fprintf(out, ", %s", m.Host)
	}
	if !m.Present {
		fmt.Fprint(out, ", not in the repository any more")
	}
	fmt.Fprintf(out, "\n  %s\n", m.Verdict)
	if !m.DownSince.IsZero() {
		fmt.Fprintf(out, "  DOWN since %s\n", historyTime(m.DownSince))
	}
	fmt.Fprintf(out, "  known since %s\n", m.KnownSince.Format(time.DateOnly))
	if len(m.Flags) > 0 {
		fmt.Fprintf(out, "\n  red flags\n")
		for _, flag := range m.Flags {
			fmt.Fprintf(out, "    %s: %s\n", flag.Kind, flag.Words)
		}
	}
	printAvailability(out, m, answer)
	printTrend(out, m.Trend)
	printIncidents(out, m)
	printMarks(out, m.Marks)
}

func printAvailability(out io.Writer, m history.MemberHistory, answer history.Answer) {
	if len(m.Availability) == 0 {
		return
	}
	from := answer.Since
	if m.KnownSince.After(from) {
		from = m.KnownSince
	}
	fmt.Fprintf(out, "\n  availability since %s\n", from.Format(time.DateOnly))
	for _, a := range m.Availability {
		name := cmp.Or(a.Address, "the mirror")
		if a.Percent == nil {
			fmt.Fprintf(out, "    %s: nothing is known\n", name)
			continue
		}
		known := a.Up + a.Down
		fmt.Fprintf(out, "    %s: %s of the time that is known, which is %.1f %% of all; down for %s\n", name, historyPercent(a.Percent),
			100*float64(known)/float64(max(known+a.Frozen+a.Unknown, 1)), historyLength(a.Down))
	}
}

// historyPercent does not round up to all of the time.
func historyPercent(percent *float64) string {
	if percent == nil {
		return "–"
	}
	if *percent < 100 {
		return fmt.Sprintf("%.3f %%", min(*percent, 99.999))
	}
	return "100 %"
}

func printTrend(out io.Writer, trend []history.Period) {
	fmt.Fprintf(out, "\n  trend\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "    from\tup\toutages\tsingle errors\tresponse: median\t95 %\tthroughput: mean\tleast")
	for _, p := range trend {
		response, slowest, delivery, least := "–", "–", "–", "–"
		if p.Response != nil {
			response, slowest = fmt.Sprintf("%.0f ms", p.Response.Median), fmt.Sprintf("%.0f ms", p.Response.P95)
		}
		if p.Delivery != nil {
			delivery, least = historyRate(p.Delivery.Mean), historyRate(p.Delivery.Min)
		}
		fmt.Fprintf(table, "    %s\t%s\t%d\t%d of %d\t%s\t%s\t%s\t%s\n", p.From.Format(time.DateOnly), historyPercent(p.Percent), p.Outages,
			p.Singles, p.Probes, response, slowest, delivery, least)
	}
	_ = table.Flush() // to memory
}

func historyRate(bytes float64) string {
	if bytes >= 1e6 {
		return fmt.Sprintf("%.1f MB/s", bytes/1e6)
	}
	return fmt.Sprintf("%.0f kB/s", bytes/1e3)
}

func printIncidents(out io.Writer, m history.MemberHistory) {
	if len(m.Incidents) == 0 {
		fmt.Fprintf(out, "\n  no incidents\n")
		return
	}
	fmt.Fprintf(out, "\n  incidents, the newest first\n")
	for _, i := range m.Incidents {
		length := historyLength(i.Seconds)
		if i.Ended.IsZero() {
			length += " and going on"
		}
		fmt.Fprintf(out, "    %s, for %s: %s\n", historyTime(i.Started), length, strings.TrimSpace(i.Check+" "+i.Address))
		fmt.Fprintf(out, "      %s\n", i.Reason)
		if i.Ending != "" {
			fmt.Fprintf(out, "      %s\n", i.Ending)
		}
		if i.Last != nil && i.Last.Reason != i.Reason {
			fmt.Fprintf(out, "      at last: %s\n", i.Last.Reason)
		}
		if i.Worst != nil && i.Worst.Reason != i.Reason && i.Last != nil && i.Worst.Reason != i.Last.Reason {
			fmt.Fprintf(out, "      at worst: %s\n", i.Worst.Reason)
		}
		printEvidence(out, i)
	}
	if m.Omitted > 0 {
		fmt.Fprintf(out, "    and %d more: see --limit, --since\n", m.Omitted)
	}
}

// printEvidence shows in short what the last failed probe has seen.
func printEvidence(out io.Writer, i history.Incident) {
	if i.Last == nil {
		return
	}
	parts := []string{fmt.Sprintf("%d failed probes", i.Failures)}
	if i.Last.Address.IsValid() && i.Last.Address.String() != i.Address {
		parts = append(parts, "at "+i.Last.Address.String())
	}
	if i.Last.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", i.Last.Status))
	}
	if i.Last.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes", i.Last.Bytes))
	}
	if i.Last.BytesPerSecond > 0 {
		parts = append(parts, historyRate(float64(i.Last.BytesPerSecond)))
	}
	for _, step := range i.Last.Steps {
		parts = append(parts, fmt.Sprintf("%s %.1f ms", step.Name, step.Milliseconds))
	}
	fmt.Fprintf(out, "      %s\n", strings.Join(parts, ", "))
}

func printMarks(out io.Writer, marks []history.Mark) {
	if len(marks) == 0 {
		return
	}
	fmt.Fprintf(out, "\n  what was said and done\n")
	for _, mark := range marks {
		fmt.Fprintf(out, "    %s: %s: %s\n", historyTime(mark.Time), mark.Kind, mark.Words)
	}
}

func historyTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// historyLength gives seconds as people say it: "3 d 4 h", "5 h 10 min", "12 min", "40 s".
func historyLength(seconds int64) string {
	days, hours, minutes := seconds/86_400, seconds/3600%24, seconds/60%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", seconds)
}
