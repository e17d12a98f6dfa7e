package selection

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// String renders the explanation for a terminal: what is known in lines of
// name and value, then tables with aligned columns, ending in a line feed.
func (e *Explanation) String() string {
	var b strings.Builder
	e.writeHead(&b)
	table(&b, e.tierRows())
	table(&b, e.candidateRows())
	table(&b, e.leftOutRows())
	return b.String()
}

// row is the cells of one line of a table.
type row []string

// table writes rows with aligned columns after an empty line, the first one as
// the headings; nothing if there is no other.
func table(b *strings.Builder, rows []row) {
	if len(rows) < 2 {
		return
	}
	b.WriteByte('\n')
	align(b, rows)
}

// align writes rows with aligned columns, and no spaces at the ends of lines.
func align(b *strings.Builder, rows []row) {
	var aligned strings.Builder
	w := tabwriter.NewWriter(&aligned, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush() // writing to memory does not fail
	for line := range strings.Lines(aligned.String()) {
		b.WriteString(strings.TrimRight(line, " \n"))
		b.WriteByte('\n')
	}
}

func (e *Explanation) writeHead(b *strings.Builder) {
	client := "not located"
	if e.Client.IsValid() {
		client = e.Client.String()
	}
	rows := []row{{"client", client}}
	if e.SubnetIgnored {
		rows = append(rows, row{"located", "as a resolver that asks: client_subnet is false, so that its clients get the same, with scope 0"})
	}
	rows = append(rows, []row{
		{"place", e.Place.String()},
		{"same shares", e.scope()},
		{"mode", e.modeText()},
		{"policy", fmt.Sprintf("%s, min_candidates %d, max_share %v, when_all_down %s",
			e.Policy.Nearness, e.Policy.MinCandidates, e.Policy.MaxShare, e.Policy.WhenAllDown)},
		{"needed", fmt.Sprintf("%s, by %s", count(e.Needed.Number, "candidate"), e.Needed.From)},
	}...)
	for _, note := range e.Notes {
		rows = append(rows, row{"note", note})
	}
	align(b, rows)
}

func (e *Explanation) modeText() string {
	if e.Mode == Empty && len(e.Fallbacks) > 0 {
		return "empty: no candidate, sent to " + strings.Join(e.Fallbacks, ", else ")
	}
	return modeText[e.Mode]
}

var modeText = [...]string{
	Normal:  "normal: those that are up",
	Kept:    "kept: fewer are up than min_members, so that those who were up when there were enough are given too",
	Reserve: "reserve: nothing else is up",
	All:     "all: nothing is up, answered as if all were",
	Self:    "self: nothing is up, this node's own addresses",
	Empty:   "empty: nothing to give",
}

func (e *Explanation) scope() string {
	switch {
	case !e.PlaceDependent:
		return "for every client there is"
	case e.Network.IsValid():
		return "for all of " + e.Network.String()
	}
	return "for every client that is not located"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// String gives the place on one line, narrowest first.
func (p PlaceKnown) String() string {
	var parts []string
	if p.Network != "" {
		parts = append(parts, "override network "+p.Network)
	}
	if p.ASN != 0 {
		parts = append(parts, fmt.Sprintf("AS %d", p.ASN))
	}
	if p.Country != "" {
		parts = append(parts, "country "+p.Country)
	}
	if p.Continent != "" {
		parts = append(parts, "continent "+p.Continent)
	}
	if p.Latitude != nil && p.Longitude != nil {
		parts = append(parts, fmt.Sprintf("latitude %.2f, longitude %.2f", *p.Latitude, *p.Longitude))
	}
	if len(parts) == 0 {
		return "unknown"
	}
	return strings.Join(parts, ", ")
}

func (e *Explanation) tierRows() []row {
	rows := []row{{"tier", "taken", "candidates"}}
	for _, t := range e.Tiers {
		taken := "no"
		if t.Taken {
			taken = "yes"
		}
		members := make([]string, len(t.Members))
		for i, m := range t.Members {
			members[i] = m.ID
			if m.Kilometres != nil {
				members[i] += fmt.Sprintf(" (%.0f km)", *m.Kilometres)
			}
		}
		list := strings.Join(members, ", ")
		if list == "" {
			list = "-"
		}
		rows = append(rows, row{t.Name, taken, list})
	}
	return rows
}

func (e *Explanation) candidateRows() []row {
	rows := []row{{"candidate", "weight", "by weight", "share", "", "tier", "health"}}
	for _, c := range e.Candidates {
		weight := fmt.Sprint(c.Weight)
		if c.Sixteenths > 0 {
			weight += fmt.Sprintf(" (%d/%d)", c.Sixteenths, wholeWeight)
		}
		rows = append(rows, row{
			c.ID, weight, percent(c.Proportion), percent(c.Share), c.bent(), c.Tier, health(c.Up, c.Health),
		})
	}
	return rows
}

// bent says what else made a share what it is.
func (c *Candidacy) bent() string {
	switch {
	case c.Kept && c.Capped:
		return "kept, capped"
	case c.Kept:
		return "kept"
	case c.Capped:
		return "capped"
	}
	return ""
}

func (e *Explanation) leftOutRows() []row {
	rows := []row{{"left out", "step", "reason"}}
	for _, l := range e.LeftOut {
		rows = append(rows, row{l.ID, fmt.Sprint(l.Step), l.Reason})
	}
	return rows
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }
