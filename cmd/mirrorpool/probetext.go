package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"mirrorpool/pool/health"
)

// paint colours words on a terminal, and nowhere else.
type paint struct{ on bool }

// paintOf colours what goes to a terminal, unless its user wants none (no-color.org).
func paintOf(out io.Writer) paint {
	return paint{terminalOf(out) != nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// terminalOf is the terminal that is written to; nil: there is none.
func terminalOf(out io.Writer) *os.File {
	if checked, is := out.(*checkedWriter); is {
		out = checked.out
	}
	file, is := out.(*os.File)
	if !is || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

func (p paint) with(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) good(text string) string { return p.with("32", text) }
func (p paint) bad(text string) string  { return p.with("1;31", text) }
func (p paint) flag(text string) string { return p.with("33", text) }
func (p paint) head(text string) string { return p.with("1", text) }

// plain leaves nothing in a text from elsewhere that could change the terminal.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return '?'
		}
		return c
	}, text)
}

// printProbe prints one mirror for people: what was asked of each address, step by step.
func printProbe(out io.Writer, f *mirrorFound) error {
	colours := paintOf(out)
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", colours.head(plain(f.name)))
	if r := f.resolved; r != nil && !r.literal {
		text.WriteByte('\n')
		words := r.mistake
		for i, address := range r.addresses {
			if i > 0 {
				words += ", "
			}
			words += address.String()
		}
		writeStep(&text, "resolve", r.took, "", words)
	}
	label := ""
	for i := range f.probes {
		p := &f.probes[i]
		if p.label != label {
			label = p.label
			fmt.Fprintf(&text, "\n%s\n", colours.head(plain(label)))
		}
		p.write(&text, colours)
	}
	f.writeVerdict(&text, colours)
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("writing what was found: %w", err)
	}
	return nil
}

// write prints a probe's steps and what it came to. Of those that follow the first at an
// address the steps are the same, and are printed where they failed.
func (p *probed) write(out io.Writer, colours paint) {
	failed := p.result.Outcome != health.Success
	for _, step := range p.result.Evidence.Steps {
		known := step.Name == "resolve" && p.pinned != "" && strings.HasPrefix(step.Words, p.pinned+": ")
		if !known && (p.what == asksAnswer || p.what == asksRsync || failed && p.what != asksHTTPS && p.what != asksDaemon) {
			writeStep(out, step.Name, step.Took, "", step.Words)
		}
	}
	word := colours.good("good")
	switch {
	case p.what == asksDaemon && failed:
		word = "none"
	case !p.judged() && (failed || p.result.NotMade):
		word = colours.flag("red flag")
	case failed:
		word = colours.bad("NOT GOOD")
	}
	writeStep(out, p.what, p.took, word+": ", p.result.Reason)
}

// writeStep prints a line of three columns, the last one with a mark, which may have
// colours, before its words.
func writeStep(out io.Writer, name string, took time.Duration, mark, words string) {
	fmt.Fprintf(out, "  %-12s %9s  %s%s\n", plain(name), inMilliseconds(took), mark, plain(words))
}

// inMilliseconds is a time with its unit, "0.3 ms", "48.1 ms" or "1.21 s".
func inMilliseconds(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// writeVerdict prints the red flags, and the verdict as the last line.
func (f *mirrorFound) writeVerdict(out io.Writer, colours paint) {
	fmt.Fprintln(out)
	for _, flag := range f.flags {
		fmt.Fprintf(out, "%s %s: %s\n", colours.flag("red flag:"), flag.Flag, plain(flag.Text))
	}
	switch f.verdict {
	case probeBad:
		for _, reason := range f.reasons {
			fmt.Fprintf(out, "%s %s\n", colours.bad("not good:"), plain(reason))
		}
		fmt.Fprintf(out, "verdict: %s\n", colours.bad("NOT GOOD"))
	case probeUnfinished:
		fmt.Fprintf(out, "verdict: %s, ended before all was asked\n", colours.flag("none"))
	default:
		also := ""
		if n := len(f.flags); n == 1 {
			also = ", with a red flag"
		} else if n > 1 {
			also = fmt.Sprintf(", with %d red flags", n)
		}
		fmt.Fprintf(out, "verdict: %s%s\n", colours.good("good"), also)
	}
}
