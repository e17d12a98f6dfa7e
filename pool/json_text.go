package pool

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string, the opening quote of which stands here.
func (s *scanner) text() (string, *syntaxError) {
	s.at++
	start := s.at
	for s.at < len(s.data) && s.data[s.at] != '"' && s.data[s.at] != '\\' && s.data[s.at] >= ' ' {
		s.at++
	}
	if s.peek() == '"' {
		s.at++
		return string(s.data[start : s.at-1]), nil
	}
	decoded := append([]byte(nil), s.data[start:s.at]...)
	for {
		switch c := s.peek(); {
		case s.ended():
			return "", s.fail("the end of the file", `the closing " of the text`)
		case c == '"':
			s.at++
			return string(decoded), nil
		case c == '\\':
			r, failure := s.escape()
			if failure != nil {
				return "", failure
			}
			decoded = utf8.AppendRune(decoded, r)
		case c == '\n' || c == '\r':
			return "", s.fail("the end of the line", `the closing " of the text (a line break inside is written \n)`)
		case c < ' ':
			return "", s.fail(fmt.Sprintf("the control character 0x%02x", c), fmt.Sprintf(`the escape \u%04x`, c))
		default:
			decoded = append(decoded, c)
			s.at++
		}
	}
}

// escape reads an escape, the backslash of which stands here.
func (s *scanner) escape() (rune, *syntaxError) {
	start := s.at
	s.at++
	c := s.peek()
	if c == 'u' {
		return s.unicodeEscape(start)
	}
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 && c != 0 {
		s.at++
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	return 0, s.unexpected(`one of " \ / b f n r t u after the backslash`)
}

func (s *scanner) unicodeEscape(start int) (rune, *syntaxError) {
	high, ok := s.hexadecimal()
	if !ok {
		return 0, s.unexpected(`four hexadecimal digits after \u`)
	}
	if !utf16.IsSurrogate(high) {
		return high, nil
	}
	if s.peek() == '\\' && s.at+1 < len(s.data) && s.data[s.at+1] == 'u' {
		s.at++
		if low, ok := s.hexadecimal(); ok {
			if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	s.at = start
	return 0, s.fail("half of a surrogate pair", "a whole character")
}

// hexadecimal reads the four digits after the "u" that stands here.
func (s *scanner) hexadecimal() (rune, bool) {
	s.at++
	if s.at+4 > len(s.data) {
		s.at = len(s.data)
		return 0, false
	}
	var r rune
	for range 4 {
		c := s.data[s.at]
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
		s.at++
	}
	return r, true
}
