package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
)

// progress draws on a terminal how much of the mirrors has been asked. Nothing is drawn
// anywhere else.
type progress struct {
	out   io.Writer // nil: nothing is drawn
	width int       // of the terminal, in characters
	total int

	mutex sync.Mutex
	asked int
	bad   int
	drawn bool
}

// newProgress draws on errors if that is a terminal, and not beside JSON.
func newProgress(errors io.Writer, total int, quiet bool) *progress {
	p := &progress{total: total}
	terminal := terminalOf(errors)
	if quiet || terminal == nil || total == 0 {
		return p
	}
	p.out, p.width = errors, 80
	if width, _, err := term.GetSize(int(terminal.Fd())); err == nil && width > 0 {
		p.width = width
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.draw("")
	return p
}

// done notes a mirror that was asked.
func (p *progress) done(m *treeMirror) {
	if p.out == nil {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.asked++
	if m.failed() {
		p.bad++
	}
	p.draw(m.name())
}

// draw writes the line anew. p.mutex is held.
func (p *progress) draw(name string) {
	const bar = 24
	full := bar * p.asked / p.total
	line := fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", bar-full), p.asked, p.total)
	if p.bad > 0 {
		line += fmt.Sprintf(", %d not good", p.bad)
	}
	if name != "" {
		line += "  " + plain(name)
	}
	if room := p.width - 1; len(line) > room {
		line = line[:max(room, 0)]
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s", line)
	p.drawn = true
}

// end takes the line away.
func (p *progress) end() {
	if p.out == nil {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
