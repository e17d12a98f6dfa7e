package zones

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// masterFile is a master file while it is read: what one entry leaves behind
// for those after it. What an entry that cannot be read might have said is
// "lost": nothing that may follow from it is reported.
type masterFile struct {
	parser *parser
	draft  *draft
	reader *entryReader
	feed   []byte

	origin     string
	originLost bool
	owner      string // of the last record, absolute; empty: none so far
	ownerLost  bool
	ttl        uint32 // for records without one
	hasTTL     bool
	ttlLost    bool
	directive  bool // the TTL comes from $TTL, and no record changes it
	mistakes   int
	endless    int // of those that are never closed, each of which is looked for far
}

// maxEndless bounds after how many of them a file is read no further.
const maxEndless = 32

// fallbackTTL stands for one that cannot be read.
const fallbackTTL = 3600

// mistake is what is wrong with an entry, and where in it.
type mistake struct {
	offset                int
	what, found, expected string
}

// parseRecords reads a file's records into a draft.
func (p *parser) parseRecords(d *draft, data []byte) {
	m := masterFile{parser: p, draft: d, reader: newEntryReader(data), origin: d.origin}
	for {
		e, ok := m.reader.next()
		if !ok {
			return
		}
		if !m.read(&e) {
			d.loseAny(dns.TypeNone)
			return
		}
	}
}

// read reads one entry. It reports whether to go on.
func (m *masterFile) read(e *entry) bool {
	switch wrong := e.form(); {
	case wrong != nil:
		m.refuse(e, *wrong)
	case len(e.tokens) == 0:
	case e.directive() == "$TTL":
		m.readTTL(e)
	case e.directive() == "$ORIGIN":
		m.readOrigin(e)
	case e.directive() == "$INCLUDE":
		found := "$INCLUDE"
		if len(e.tokens) > 1 {
			found += " " + shown(e.text(e.tokens[1]))
		}
		m.refuse(e, mistake{e.tokens[0].start, "$INCLUDE", found, "the records themselves: a zone is one file"})
	default:
		if !m.readRecords(e) {
			return false
		}
	}
	return m.mistakes <= maxProblems && m.endless <= maxEndless
}

// form gives what is wrong with an entry's parentheses and quotes.
func (e *entry) form() *mistake {
	switch {
	case e.closed >= 0:
		return &mistake{e.closed, "", `")"`, `a "(" before it`}
	case e.endless && e.quoted >= 0:
		return &mistake{e.quoted, "", "a quote that is not closed", `a second " on its line`}
	case e.endless:
		return &mistake{e.opened, "", `"("`, `a ")" after it`}
	}
	return nil
}

// directive gives the entry's directive in upper case, or nothing.
func (e *entry) directive() string {
	if !e.hasOwner() || e.tokens[0].quoted || e.data[e.tokens[0].start] != '$' {
		return ""
	}
	return strings.ToUpper(e.text(e.tokens[0]))
}

// refuse reports an entry that cannot be read, remembers what is lost with it,
// and finds where to go on.
func (m *masterFile) refuse(e *entry, wrong mistake) {
	h := e.header(0)
	name, isName := m.owner, m.owner != "" && !m.ownerLost
	if h.owner >= 0 {
		name, isName = m.absolute(e.tokens[h.owner], e)
		if isName = isName && e.directive() == ""; isName {
			m.owner, m.ownerLost = name, m.originLost
		} else if e.directive() == "" {
			m.owner, m.ownerLost = "", true
		}
	}
	if !m.directive && e.directive() == "" {
		if h.ttl >= 0 {
			ttl, _ := parseTTL(e.text(e.tokens[h.ttl]))
			m.ttl, m.hasTTL, m.ttlLost = uint32(ttl), true, ttl > maxTTL
		} else if h.bad >= 0 {
			m.ttlLost = true
		}
	}
	switch {
	case e.endless || e.quoted >= 0 || e.directive() != "":
		m.draft.loseAny(dns.TypeNone)
	case !isName || m.originLost || m.ownerLost:
		m.draft.loseAny(h.kind)
	default:
		m.draft.lose(canonical(name), h.kind)
	}
	if wrong.what == "" {
		wrong.what = "record"
		if isName {
			wrong.what = record{name: canonical(name), kind: h.kind}.String()
		}
	}
	line, column := e.position(wrong.offset)
	m.parser.report(m.draft, line, column, pool.Error, wrong.what, wrong.found, wrong.expected)
	m.mistakes++
	if e.endless {
		m.endless++
	}
	switch {
	case e.quoted >= 0 && wrong.offset >= e.quoted:
		m.reader.resume(e, e.quoted, false)
	case e.endless && e.opened >= 0:
		m.reader.resume(e, e.opened, true)
	}
}

// absolute gives a token as a whole name.
func (m *masterFile) absolute(t token, e *entry) (name string, ok bool) {
	name = e.text(t)
	if name == "@" {
		return m.origin, true
	}
	if _, ok = dns.IsDomainName(name); !ok || name == "" || t.quoted {
		return "", false
	}
	if !dns.IsFqdn(name) {
		name = strings.TrimSuffix(name+"."+m.origin, "..") // the root has no name
		name = dns.Fqdn(name)
	}
	_, ok = dns.IsDomainName(name)
	return name, ok
}

func (m *masterFile) readTTL(e *entry) {
	wrong := e.value(expectedTTL)
	if wrong == nil {
		if ttl, ok := parseTTL(e.text(e.tokens[1])); ok && ttl <= maxTTL {
			m.ttl, m.hasTTL, m.ttlLost, m.directive = uint32(ttl), true, false, true
			return
		}
		wrong = &mistake{offset: e.tokens[1].start, found: shown(e.text(e.tokens[1])), expected: expectedTTL}
	}
	m.ttlLost, m.directive = true, true
	wrong.what = "$TTL"
	m.refuseDirective(e, *wrong)
}

func (m *masterFile) readOrigin(e *entry) {
	wrong := e.value(expectedName)
	if wrong == nil {
		if name, ok := m.absolute(e.tokens[1], e); ok {
			m.originLost = m.originLost && !dns.IsFqdn(e.text(e.tokens[1]))
			m.origin = name
			return
		}
		wrong = &mistake{offset: e.tokens[1].start, found: shown(e.text(e.tokens[1])), expected: expectedName}
	}
	m.originLost = true
	m.draft.loseAny(dns.TypeNone)
	wrong.what = "$ORIGIN"
	m.refuseDirective(e, *wrong)
}

// refuseDirective reports a directive with which no record is lost.
func (m *masterFile) refuseDirective(e *entry, wrong mistake) {
	line, column := e.position(wrong.offset)
	m.parser.report(m.draft, line, column, pool.Error, wrong.what, wrong.found, wrong.expected)
	m.mistakes++
}

// value sees that a directive has one value.
func (e *entry) value(expected string) *mistake {
	switch {
	case len(e.tokens) < 2:
		return &mistake{offset: e.end(), found: "the end of the line", expected: expected}
	case e.tokens[1].quoted:
		return &mistake{offset: e.tokens[1].start, found: "a quoted text", expected: expected}
	case len(e.tokens) > 2:
		return &mistake{offset: e.tokens[2].start, found: shown(e.text(e.tokens[2])), expected: `the end of the line, or ";" before a comment`}
	}
	return nil
}

// readRecords reads the records of an entry: one, or those of a $GENERATE. It
// reports whether there is room for more.
func (m *masterFile) readRecords(e *entry) bool {
	generates := e.directive() == "$GENERATE"
	h := e.header(0)
	if generates {
		h = e.header(2)
		if wrong := e.generateMistake(h); wrong != nil {
			m.refuse(e, *wrong)
			return true
		}
	} else if h.owner >= 0 {
		m.owner = ""
		m.ownerLost = m.originLost && !dns.IsFqdn(e.text(e.tokens[h.owner]))
	}
	if h.ttl >= 0 {
		if text := e.text(e.tokens[h.ttl]); tooLong(text) {
			m.refuse(e, mistake{offset: e.tokens[h.ttl].start, found: shown(text), expected: expectedTTL})
			return true
		}
	}
	room := true
	err := m.parse(e, func(rr dns.RR) bool {
		room = m.add(e, h, rr, generates)
		return room
	})
	if err != nil {
		m.refuse(e, m.diagnose(e, h, err, generates))
	}
	return room
}

// add completes a record and adds it to the draft. It reports whether there
// was room for it.
func (m *masterFile) add(e *entry, h header, rr dns.RR, generated bool) bool {
	p := m.parser
	r := record{}
	r.line, r.column = e.position(e.tokens[0].start)
	if p.records++; p.records > p.limit {
		p.report(m.draft, r.line, r.column, pool.Error, "zone files", "more records than that here",
			fmt.Sprintf("at most %d in all files, those of $GENERATE included", p.limit))
		return false
	}
	head := rr.Header()
	if !generated {
		if head.Name == "" {
			head.Name = m.owner
		}
		m.owner = head.Name
	}
	m.setTTL(&r, h, head, generated)
	if !m.originLost && (generated || !m.ownerLost) {
		p.take(m.draft, r, rr)
	}
	m.draft.empty = false
	return true
}

// setTTL gives a record without a TTL that of $TTL or of the record before it
// (RFC 2308, section 4; RFC 1035, section 5.1).
func (m *masterFile) setTTL(r *record, h header, head *dns.RR_Header, generated bool) {
	stated := h.ttl >= 0 || generated && h.bad >= 0 || !generated && head.Ttl != noTTL
	switch {
	case stated && (generated || m.directive):
	case stated:
		m.ttl, m.hasTTL, m.ttlLost = head.Ttl, true, false
	case m.ttlLost:
		head.Ttl, r.guessedTTL = fallbackTTL, true
	case m.hasTTL:
		head.Ttl = m.ttl
	default:
		head.Ttl, r.noTTL = 0, true
	}
}

// noTTL stands for a TTL that is not stated. Left alone, the parser makes a 0
// of it.
const noTTL = math.MaxUint32

// parse gives an entry's records to take until that says false. A panic in the
// zone parser is the entry's fault, and must not be the server's end.
func (m *masterFile) parse(e *entry, take func(dns.RR) bool) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("parsing: it made the parser fail: %v", panicked)
		}
	}()
	m.feed = e.appendTo(m.feed[:0])
	zp := dns.NewZoneParser(bytes.NewReader(m.feed), m.origin, "")
	zp.SetDefaultTTL(noTTL)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		if !take(rr) {
			return nil
		}
	}
	return zp.Err()
}

// lose remembers that a record of a name and type could not be read; type
// dns.TypeNone is any.
func (d *draft) lose(name string, kind uint16) {
	const most = 2 * maxProblems
	if isWildcard(name) || len(d.lost) >= most {
		d.loseAny(kind)
		return
	}
	if d.lost == nil {
		d.lost = map[lostRecord]bool{}
	}
	d.lost[lostRecord{name, kind}] = true
	d.lostSOA = d.lostSOA || kind == dns.TypeNone || kind == dns.TypeSOA
}

// loseAny remembers that a record of some name and of a type could not be read.
func (d *draft) loseAny(kind uint16) {
	d.lostAny = true
	d.lostSOA = d.lostSOA || kind == dns.TypeNone || kind == dns.TypeSOA
}

// lostSome reports whether anything could not be read.
func (d *draft) lostSome() bool { return d.lostAny || len(d.lost) > 0 }

// lostRecord is a record that could not be read.
type lostRecord struct {
	name string // canonical
	kind uint16 // dns.TypeNone: it is not known
}

// mayHold reports whether the file may hold a record of one of these types at
// a name, or a delegation above it, that could not be read.
func (d *draft) mayHold(name string, kinds ...uint16) bool {
	if d.lostAny || len(d.lost) == 0 {
		return d.lostAny
	}
	isLost := func(name string, kinds ...uint16) bool {
		return d.lost[lostRecord{name, dns.TypeNone}] || slices.ContainsFunc(kinds, func(kind uint16) bool { return d.lost[lostRecord{name, kind}] })
	}
	if isLost(name, kinds...) {
		return true
	}
	for within(name, d.apex) && name != d.apex {
		if name = parent(name); name != d.apex && isLost(name, dns.TypeNS, dns.TypeDNAME) {
			return true
		}
	}
	return false
}
