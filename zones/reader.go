package zones

import (
	"bytes"
	"slices"
)

// entry is what ends with a line feed outside of parentheses and quotes: a
// record, a directive, or nothing but blanks and a comment.
type entry struct {
	line   int    // of its first byte, from 1
	start  int    // of its first byte, in the file
	data   []byte // with the line feed, if the file has it
	tokens []token
	folds  []int // the line feeds within parentheses, which stand for blanks

	// What is wrong with its form, by its offset in data; -1: nothing.
	opened int // the parenthesis that is never closed
	quoted int // the first quote that is not closed on its line
	closed int // the first closing parenthesis without an opening one
	// endless tells that a parenthesis or quote is never closed.
	endless bool
}

// token is a word of an entry, without the parentheses around it; or what
// stands between quotes.
type token struct {
	start, end int
	quoted     bool
}

// maxEntry bounds how far the end of a parenthesis or quote is looked for. The
// data of the longest record is 64 KiB, and a quarter of that in escapes.
const maxEntry = 1 << 20

// entryReader splits a master file into entries, as miekg/dns does, so that
// one that is wrong does not hide what is wrong with others.
type entryReader struct {
	data   []byte
	offset int
	line   int
	tokens []token // of the last entry: the room for those of the next
	folds  []int
}

func newEntryReader(data []byte) *entryReader { return &entryReader{data: data, line: 1} }

// next gives the next entry, valid until the one after it is asked for.
func (r *entryReader) next() (e entry, ok bool) {
	if r.offset >= len(r.data) {
		return entry{}, false
	}
	s := scanner{rest: r.data[r.offset:], word: -1}
	s.entry = entry{line: r.line, start: r.offset, opened: -1, quoted: -1, closed: -1}
	s.tokens, s.folds = r.tokens[:0], r.folds[:0]
	s.scan()
	r.tokens, r.folds = s.tokens, s.folds
	r.offset += len(s.data)
	r.line += bytes.Count(s.data, []byte("\n"))
	return s.entry, true
}

// resume goes back to the line after the one of an offset in an entry. With
// owner it goes on from there to the first line that begins with a name: those
// before it are likely to belong to a record that is not closed.
func (r *entryReader) resume(e *entry, offset int, owner bool) {
	r.offset, r.line = e.start+offset, e.line+bytes.Count(e.data[:offset], []byte("\n"))
	for {
		length := bytes.IndexByte(r.data[r.offset:], '\n')
		if length < 0 {
			r.offset = len(r.data)
			return
		}
		r.offset += length + 1
		r.line++
		if !owner || r.offset < len(r.data) && !bytes.ContainsRune([]byte(" \t\r\n;)"), rune(r.data[r.offset])) {
			return
		}
	}
}

// scanner reads one entry.
type scanner struct {
	entry
	rest                   []byte
	word, wordEnd          int // the token that is being read; -1: none
	depth                  int // of parentheses
	outer                  int // the outermost one
	quote                  int // the opening one
	inQuote, inComment     bool
	escaped, severalInside bool // several lines in the quote
}

func (s *scanner) scan() {
	for i, c := range s.rest {
		if s.step(i, c) {
			s.data = s.rest[:i+1]
			return
		}
		if i >= maxEntry && (s.depth > 0 || s.inQuote) {
			s.data = s.rest[:i+1]
			break
		}
	}
	if s.data == nil {
		s.data = s.rest
	}
	s.endWord()
	if s.endless = s.depth > 0 || s.inQuote; s.inQuote && s.quoted < 0 {
		s.quoted = s.quote
	}
	if s.depth > 0 {
		s.opened = s.outer
	}
}

// step reads one byte and reports whether the entry ends with it.
func (s *scanner) step(i int, c byte) (end bool) {
	escaped := s.escaped
	s.escaped = false
	switch {
	case s.inComment && c != '\n':
	case s.inQuote:
		s.stepQuoted(i, c, escaped)
	case c == '\n':
		s.inComment = false
		s.endWord()
		if s.depth == 0 {
			return true
		}
		s.folds = append(s.folds, i)
	case c == '\r':
	case escaped:
		s.addWord(i)
	case c == ' ' || c == '\t':
		s.endWord()
	case c == ';':
		s.endWord()
		s.inComment = true
	case c == '"':
		s.endWord()
		s.inQuote, s.quote, s.severalInside = true, i, false
	case c == '(':
		if s.depth == 0 {
			s.outer = i
		}
		s.depth++
	case c == ')':
		if s.depth > 0 {
			s.depth--
		} else if s.closed < 0 {
			s.closed = i
		}
	default:
		s.escaped = c == '\\'
		s.addWord(i)
	}
	return false
}

func (s *scanner) stepQuoted(i int, c byte, escaped bool) {
	switch {
	case c == '\n':
		s.severalInside = true
	case c == '"' && !escaped:
		s.inQuote = false
		s.tokens = append(s.tokens, token{s.quote + 1, i, true})
		if s.severalInside && s.quoted < 0 {
			s.quoted = s.quote
		}
	case c == '\\':
		s.escaped = !escaped
	}
}

func (s *scanner) addWord(i int) {
	if s.word < 0 {
		s.word = i
	}
	s.wordEnd = i + 1
}

func (s *scanner) endWord() {
	if s.word >= 0 {
		s.tokens = append(s.tokens, token{s.word, s.wordEnd, false})
		s.word = -1
	}
}

// text gives what a token says.
func (e *entry) text(t token) string {
	raw := e.data[t.start:t.end]
	if t.quoted || !bytes.ContainsAny(raw, "()\r") {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	escaped := false
	for _, c := range raw {
		if c != '\r' && (escaped || c != '(' && c != ')') {
			out = append(out, c)
		}
		escaped = c == '\\' && !escaped
	}
	return string(out)
}

// hasOwner reports whether the first token stands at the beginning of the line.
func (e *entry) hasOwner() bool {
	return len(e.tokens) > 0 && !bytes.ContainsAny(e.data[:e.tokens[0].start], " \t\n")
}

// end gives the offset right behind the last token.
func (e *entry) end() int {
	if len(e.tokens) == 0 {
		return 0
	}
	return e.tokens[len(e.tokens)-1].end
}

// position gives line and column of an offset.
func (e *entry) position(offset int) (line, column int) {
	before := e.data[:offset]
	return e.line + bytes.Count(before, []byte("\n")), offset - bytes.LastIndexByte(before, '\n')
}

// offset gives the offset of a line and column of the entry alone.
func (e *entry) offset(line, column int) int {
	offset := 0
	for ; line > 1; line-- {
		length := bytes.IndexByte(e.data[offset:], '\n')
		if length < 0 {
			break
		}
		offset += length + 1
	}
	return min(offset+max(column-1, 0), len(e.data))
}

// appendTo appends the entry in the form in which the zone parser reads it
// well: a line feed within parentheses would join two words, and a name and
// type at the very end would be a dynamic update without data.
func (e *entry) appendTo(buffer []byte) []byte {
	buffer = slices.Grow(buffer, len(e.data)+len(e.folds)+2)
	last := 0
	for _, fold := range e.folds {
		buffer = append(append(buffer, e.data[last:fold+1]...), ' ')
		last = fold + 1
	}
	return append(append(buffer, e.data[last:]...), '\n', '\n')
}
