package pool

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects of a file may nest. The formats need
// eight levels; the rest is for unknown fields.
const maxDepth = 64

// kind is the type of a JSON value.
type kind int

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindText
	kindArray
	kindObject
)

// node is a JSON value and where it stands in its file.
type node struct {
	kind   kind
	offset int     // of the value's first byte
	text   string  // numbers and booleans: as written; strings: what they stand for
	items  []*node // of an array
	fields []field // of an object, in the order of the file
}

// field is a key of a JSON object and its value.
type field struct {
	key    string
	offset int // of the key's opening quote
	value  *node
}

// syntaxError is why a file is not JSON.
type syntaxError struct {
	offset          int
	found, expected string
}

// parseJSON reads one RFC 8259 value that fills the whole of data. It differs
// from encoding/json in keeping places and duplicate keys, and in refusing byte
// order marks, invalid UTF-8 and escapes that stand for half a character.
func parseJSON(data []byte) (root *node, failure *syntaxError) {
	s := &scanner{data: data}
	if failure := s.checkEncoding(); failure != nil {
		return nil, failure
	}
	s.space()
	if s.ended() {
		return nil, s.fail("nothing but white space", "a JSON value")
	}
	root, failure = s.value(0)
	if failure != nil {
		return nil, failure
	}
	s.space()
	if !s.ended() {
		return nil, s.unexpected("the end of the file: one JSON value is all that it may hold")
	}
	return root, nil
}

type scanner struct {
	data []byte
	at   int
}

func (s *scanner) ended() bool { return s.at >= len(s.data) }

// peek gives the next byte, and 0 at the end: 0 itself is nowhere allowed.
func (s *scanner) peek() byte {
	if s.ended() {
		return 0
	}
	return s.data[s.at]
}

func (s *scanner) fail(found, expected string) *syntaxError {
	return &syntaxError{offset: s.at, found: found, expected: expected}
}

// unexpected is the failure that what stands here is not what is expected.
func (s *scanner) unexpected(expected string) *syntaxError {
	if s.ended() {
		return s.fail("the end of the file", expected)
	}
	r, _ := utf8.DecodeRune(s.data[s.at:])
	switch {
	case r == '/' || r == '#':
		expected += " (JSON has no comments)"
	case r == '\'':
		expected += ` (JSON's quotes are ")`
	}
	return s.fail(strconv.QuoteRune(r), expected)
}

func (s *scanner) checkEncoding() *syntaxError {
	if strings.HasPrefix(string(s.data[:min(3, len(s.data))]), "\ufeff") {
		return s.fail("a byte order mark", "UTF-8 without one")
	}
	for at := 0; at < len(s.data); {
		if s.data[at] < utf8.RuneSelf {
			at++
			continue
		}
		r, size := utf8.DecodeRune(s.data[at:])
		if r == utf8.RuneError && size == 1 {
			s.at = at
			return s.fail(fmt.Sprintf("the byte 0x%02x", s.data[at]), "UTF-8")
		}
		at += size
	}
	return nil
}

func (s *scanner) space() {
	for !s.ended() {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) (*node, *syntaxError) {
	switch c := s.peek(); {
	case (c == '{' || c == '[') && depth >= maxDepth:
		return nil, s.fail(fmt.Sprintf("nesting deeper than %d levels", maxDepth), "less")
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		at := s.at
		text, failure := s.text()
		if failure != nil {
			return nil, failure
		}
		return &node{kind: kindText, offset: at, text: text}, nil
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return s.word()
	}
	return nil, s.unexpected("a value")
}

func (s *scanner) object(depth int) (*node, *syntaxError) {
	n := &node{kind: kindObject, offset: s.at}
	s.at++
	s.space()
	if s.peek() == '}' {
		s.at++
		return n, nil
	}
	for {
		if s.peek() != '"' {
			if len(n.fields) > 0 && s.peek() == '}' {
				return nil, s.unexpected("a key: no comma may stand after the last field")
			}
			return nil, s.unexpected(`a key in " quotes`)
		}
		f := field{offset: s.at}
		var failure *syntaxError
		if f.key, failure = s.text(); failure != nil {
			return nil, failure
		}
		s.space()
		if s.peek() != ':' {
			return nil, s.unexpected(`":" after the key`)
		}
		s.at++
		s.space()
		if f.value, failure = s.value(depth + 1); failure != nil {
			return nil, failure
		}
		n.fields = append(n.fields, f)
		s.space()
		switch s.peek() {
		case '}':
			s.at++
			return n, nil
		case ',':
			s.at++
			s.space()
		default:
			return nil, s.unexpected(`"," or "}" after the field`)
		}
	}
}

func (s *scanner) array(depth int) (*node, *syntaxError) {
	n := &node{kind: kindArray, offset: s.at}
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return n, nil
	}
	for {
		if len(n.items) > 0 && s.peek() == ']' {
			return nil, s.unexpected("a value: no comma may stand after the last one")
		}
		item, failure := s.value(depth + 1)
		if failure != nil {
			return nil, failure
		}
		n.items = append(n.items, item)
		s.space()
		switch s.peek() {
		case ']':
			s.at++
			return n, nil
		case ',':
			s.at++
			s.space()
		default:
			return nil, s.unexpected(`"," or "]" after the value`)
		}
	}
}

func (s *scanner) word() (*node, *syntaxError) {
	start := s.at
	for end := start; ; end++ {
		if end < len(s.data) && isWordByte(s.data[end]) {
			continue
		}
		switch word := string(s.data[start:end]); word {
		case "true", "false":
			s.at = end
			return &node{kind: kindBool, offset: start, text: word}, nil
		case "null":
			s.at = end
			return &node{kind: kindNull, offset: start}, nil
		default:
			return nil, s.fail(shorten(word), `a value: text stands in " quotes, and the only words are true, false and null`)
		}
	}
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// number reads a number of RFC 8259, section 6.
func (s *scanner) number() (*node, *syntaxError) {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
		if s.digits() > 0 {
			s.at = start
			return nil, s.fail(s.numberText(start), "a number without leading zeros")
		}
	} else if s.digits() == 0 {
		return nil, s.unexpected("a digit")
	}
	if s.peek() == '.' {
		s.at++
		if s.digits() == 0 {
			return nil, s.unexpected("a digit after the decimal point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if s.digits() == 0 {
			return nil, s.unexpected("a digit in the exponent")
		}
	}
	return &node{kind: kindNumber, offset: start, text: string(s.data[start:s.at])}, nil
}

func (s *scanner) numberText(start int) string {
	end := start
	for end < len(s.data) && strings.IndexByte("+-.0123456789eE", s.data[end]) >= 0 {
		end++
	}
	return shorten(string(s.data[start:end]))
}

// digits skips digits and tells how many.
func (s *scanner) digits() int {
	start := s.at
	for s.peek() >= '0' && s.peek() <= '9' {
		s.at++
	}
	return s.at - start
}
