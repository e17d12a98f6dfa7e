package alert

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// status is what a message says of an event.
type status string

const (
	statusTrouble  status = "trouble"  // it has begun
	statusFlapping status = "flapping" // it comes and goes
	statusReminder status = "reminder" // it lasts
	statusOver     status = "over"     // it is over
	statusNotice   status = "notice"   // it is told once
)

// statuses in the order in which a message has them, with their headings.
var statuses = []struct {
	status  status
	heading string
}{
	{statusTrouble, "Wrong"},
	{statusFlapping, "Comes and goes"},
	{statusReminder, "Still wrong"},
	{statusNotice, "To look at"},
	{statusOver, "Over"},
}

func (s status) rank() int {
	return slices.IndexFunc(statuses, func(one struct {
		status  status
		heading string
	},
	) bool {
		return one.status == s
	})
}

// notice is one event in a message.
type notice struct {
	status status
	event  Event
	first  time.Time // when it began
	end    time.Time // zero: it is not over
	over   string    // how it ended
	begins int       // how often it has begun lately, where it comes and goes
	// thread is the message that it was first told in; empty: this one.
	thread string
}

// message is what is sent in one piece.
type message struct {
	id      string // 32 hexadecimal digits
	node    string
	time    time.Time
	test    bool
	notices []notice // at most maxNotices, the worst first
	omitted int      // notices that there is no room for
	// heldBack is how many of them the limit has held back since heldSince.
	heldBack  int
	heldSince time.Time
	limit     Limit
	// operator is the mail address of the mirrors' operator that it goes to; empty: it
	// goes to the administrators.
	operator string
}

// maxNotices is how many events stand in one message.
const maxNotices = 100

func newMessage(node string, now time.Time) *message {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return &message{id: hex.EncodeToString(id[:]), node: clean(node, 200), time: now.UTC()}
}

// take puts notices in, in their order, as far as there is room.
func (m *message) take(notices []notice) {
	slices.SortStableFunc(notices, func(a, b notice) int {
		return cmp.Or(
			a.status.rank()-b.status.rank(),
			b.event.Severity.rank()-a.event.Severity.rank(),
			strings.Compare(a.event.Subject, b.event.Subject),
			strings.Compare(a.event.Key, b.event.Key),
		)
	})
	m.omitted = max(len(notices)-maxNotices, 0)
	m.notices = notices[:len(notices)-m.omitted]
}

// sentence says of a notice what is so.
func (n *notice) sentence() string {
	switch n.status {
	case statusOver:
		words := n.over
		if words == "" {
			words = "is in order again"
		}
		return n.event.Subject + " " + words
	case statusFlapping:
		return fmt.Sprintf("%s comes and goes, %d times within an hour; last it %s", n.event.Subject, n.begins, strings.TrimPrefix(n.event.Words, "it "))
	}
	return n.event.Subject + " " + n.event.Words
}

// times says since when or how long it was so.
func (n *notice) times(now time.Time) string {
	switch n.status {
	case statusOver:
		return fmt.Sprintf("from %s to %s (%s)", stamp(n.first), stamp(n.end), span(n.end.Sub(n.first)))
	case statusNotice:
		return stamp(n.first)
	}
	return fmt.Sprintf("since %s (%s)", stamp(n.first), span(now.Sub(n.first)))
}

// stamp writes a time for people.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// span writes a duration for people: 45s, 13m, 5h20m, 3d4h.
func span(d time.Duration) string {
	switch d = max(d.Round(time.Second), 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// subject is the message in one line.
func (m *message) subject() string {
	prefix := "[mirrorpool " + m.node + "] "
	switch {
	case m.test:
		return prefix + "test"
	case len(m.notices) == 1 && m.omitted == 0:
		return clean(prefix+m.notices[0].word()+": "+m.notices[0].sentence(), 180)
	}
	counts := map[status]int{}
	for i := range m.notices {
		counts[m.notices[i].status]++
	}
	var parts []string
	for _, one := range statuses {
		if counts[one.status] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[one.status], strings.ToLower(one.heading)))
		}
	}
	if m.omitted > 0 {
		parts = append(parts, fmt.Sprintf("%d more", m.omitted))
	}
	return clean(prefix+strings.Join(parts, ", ")+": "+m.notices[0].sentence(), 180)
}

// word is what a subject begins with.
func (n *notice) word() string {
	return statuses[n.status.rank()].heading
}

// text is the whole message for people, with LF at the end of each line.
func (m *message) text() string {
	if m.operator != "" {
		return m.letter()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "mirrorpool on %s, %s\n", m.node, stamp(m.time))
	if m.heldBack > 0 {
		fmt.Fprintf(&b, "\nHeld back since %s, for there were %d messages within %s: %d of what follows.\n",
			stamp(m.heldSince), m.limit.Count, span(m.limit.Period), m.heldBack)
	}
	before := status("")
	for i := range m.notices {
		n := &m.notices[i]
		if n.status != before {
			fmt.Fprintf(&b, "\n%s\n", statuses[n.status.rank()].heading)
			before = n.status
		}
		fmt.Fprintf(&b, "- %s\n  %s\n", n.sentence(), n.times(m.time))
		n.writeEvidence(&b, len(m.notices))
	}
	if m.omitted > 0 {
		fmt.Fprintf(&b, "\nand %d more: `mirrorpool status` shows what is so now.\n", m.omitted)
	}
	return b.String()
}

// maxTextEvidence is how many lines of evidence stand in a text, shared by its notices;
// each has leastTextEvidence. JSON has all.
const (
	maxTextEvidence   = 100
	leastTextEvidence = 2
)

func (n *notice) writeEvidence(b *strings.Builder, notices int) {
	for i, line := range n.event.Evidence {
		if i >= max(maxTextEvidence/notices, leastTextEvidence) {
			return
		}
		fmt.Fprintf(b, "  %s\n", line)
	}
}

// letter is the text for a mirror's operator, who knows nothing of this program.
func (m *message) letter() string {
	var b strings.Builder
	wrong, right := false, false
	b.WriteString("Hello,\n\nyou get this since your address is the contact of a mirror that takes part in a download pool.\n")
	for i := range m.notices {
		n := &m.notices[i]
		fmt.Fprintf(&b, "\nMirror: %s\n", n.event.Mirror)
		if len(n.event.Pools) > 0 {
			fmt.Fprintf(&b, "Pool: %s\n", strings.Join(n.event.Pools, ", "))
		}
		if n.status == statusOver {
			right = true
			fmt.Fprintf(&b, "It is over: %s.\nIt was so %s.\n", n.sentence(), n.times(m.time))
			continue
		}
		wrong = true
		fmt.Fprintf(&b, "What is wrong: %s.\nIt is so %s.\n", n.sentence(), n.times(m.time))
		n.writeEvidence(&b, len(m.notices))
	}
	if wrong {
		b.WriteString("\nPlease have a look. A mirror that is down gets no downloads meanwhile; they come back by themselves\n" +
			"as soon as the checks succeed again, and you get one more mail then. There is one mail a day at most.\n")
	} else if right {
		b.WriteString("\nThere is nothing left to do. Thank you for running the mirror.\n")
	}
	fmt.Fprintf(&b, "\nAn answer to this mail reaches the people who run the pool.\n\n-- \nmirrorpool on %s, %s\n", m.node, stamp(m.time))
	return b.String()
}

// letterSubject is the subject of a letter.
func (m *message) letterSubject() string {
	first := &m.notices[0]
	word := "problem with your mirror "
	if first.status == statusOver {
		word = "in order again: your mirror "
	}
	more := ""
	if len(m.notices) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(m.notices)-1)
	}
	return clean(word+first.event.Mirror, 160) + more
}

// Document is a message as JSON. Names only come to be added; lists are never null.
type Document struct {
	Version  int             `json:"version"` // 1
	ID       string          `json:"id"`      // the same each time that one message is tried
	Time     time.Time       `json:"time"`
	Node     string          `json:"node"`
	Test     bool            `json:"test"`
	Subject  string          `json:"subject"`
	Text     string          `json:"text"` // all of it for people
	HeldBack int             `json:"held_back"`
	Omitted  int             `json:"omitted"` // events beyond the first hundred
	Events   []DocumentEvent `json:"events"`
}

// DocumentEvent is an event of a Document.
type DocumentEvent struct {
	Status   string            `json:"status"` // trouble, flapping, reminder, over, notice
	Key      string            `json:"key"`
	Kind     Kind              `json:"kind"`
	Severity Severity          `json:"severity"`
	Begin    time.Time         `json:"begin"`
	End      *time.Time        `json:"end"` // null while it is so
	Pools    []string          `json:"pools"`
	Subject  string            `json:"subject"`
	Words    string            `json:"words"` // what was wrong
	Over     string            `json:"over"`  // how it ended
	Details  map[string]string `json:"details"`
	Evidence []string          `json:"evidence"`
}

// document gives the message as JSON.
func (m *message) document() ([]byte, error) {
	d := Document{
		Version: 1, ID: m.id, Time: m.time.Truncate(time.Second), Node: m.node, Test: m.test, Subject: m.subject(), Text: m.text(),
		HeldBack: m.heldBack, Omitted: m.omitted, Events: make([]DocumentEvent, 0, len(m.notices)),
	}
	for i := range m.notices {
		n := &m.notices[i]
		one := DocumentEvent{
			Status: string(n.status), Key: n.event.Key, Kind: n.event.Kind, Severity: n.event.Severity,
			Begin: n.first.UTC().Truncate(time.Second), Pools: n.event.Pools, Subject: n.event.Subject, Words: n.event.Words,
			Over: n.over, Details: n.event.Details, Evidence: n.event.Evidence,
		}
		if !n.end.IsZero() {
			end := n.end.UTC().Truncate(time.Second)
			one.End = &end
		}
		d.Events = append(d.Events, one)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("writing the message as JSON: %w", err)
	}
	return data, nil
}
