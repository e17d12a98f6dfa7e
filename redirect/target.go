package redirect

import (
	"errors"
	"net/url"
	"strings"
)

// maxTarget bounds a request's path with its query, in bytes. The answer
// repeats it in up to seven places.
const maxTarget = 2048

// Errors of parseTarget, worded for the person behind the request.
var (
	errTargetForm       = errors.New("the request target is not a path")
	errTargetLong       = errors.New("the path is too long: at most 2048 bytes with the query")
	errTargetEscape     = errors.New(`the path has a "%" that is not followed by two hexadecimal digits`)
	errTargetSlash      = errors.New("the path has an escaped slash or a backslash")
	errTargetControl    = errors.New("the path has a control character")
	errTargetParent     = errors.New(`the path has a ".." segment`)
	errTargetNumberSign = errors.New(`the path has a "#", which has to be written %23`)
)

// target is what a request asks for, made safe to be appended to a URL prefix:
// no way of reading it leads out of the prefix or ends the header it stands in.
type target struct {
	// segments are the parts of the path between slashes, escaped as the
	// client sent them. Empty ones and "." are left out, but the last one is
	// empty where the path ends with a slash. There is at least one.
	segments []string
	query    string // with the "?" before it, or empty
}

// parseTarget reads the request target as it stands in the request line (RFC
// 9112 section 3.2, origin-form or absolute-form). Escapes stay as they are;
// bytes that may not stand in a URL are escaped. What could lead a mirror or a
// browser to another directory is an error: "..", escaped or not, an escaped
// slash, a backslash, control characters.
func parseTarget(requestURI string) (target, error) {
	raw := requestURI
	if !strings.HasPrefix(raw, "/") {
		// absolute-form: "http://host/path"; net/http has taken the host.
		_, rest, ok := strings.Cut(raw, "://")
		if !ok {
			return target{}, errTargetForm
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		raw = rest[end:]
		if !strings.HasPrefix(raw, "/") {
			raw = "/" + raw
		}
	}
	if len(raw) > maxTarget {
		return target{}, errTargetLong
	}
	path, query, hasQuery := strings.Cut(raw, "?")

	var t target
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		segment, name, err := cleanSegment(part)
		if err != nil {
			return target{}, err
		}
		last := i == len(parts)-1
		switch {
		case name == ".." || strings.HasPrefix(name, "..;"):
			// "..;" is ".." for servers that cut parameters off.
			return target{}, errTargetParent
		case name == "." && last:
			t.segments = append(t.segments, "")
		case name == ".", name == "" && !last:
		default:
			t.segments = append(t.segments, segment)
		}
	}
	if hasQuery {
		cleaned, err := cleanQuery(query)
		if err != nil {
			return target{}, err
		}
		t.query = "?" + cleaned
	}
	return t, nil
}

// cleanSegment gives a part of a path as it may stand in a URL, and the name
// that a server reads in it.
func cleanSegment(part string) (segment, name string, err error) {
	var written, read strings.Builder
	for i := 0; i < len(part); i++ {
		c := part[i]
		if c != '%' {
			switch {
			case c == '\\':
				return "", "", errTargetSlash
			case c == '#':
				return "", "", errTargetNumberSign
			case isControl(c):
				return "", "", errTargetControl
			}
			writeEscaped(&written, c)
			read.WriteByte(c)
			continue
		}
		if i+2 >= len(part) || !isHex(part[i+1]) || !isHex(part[i+2]) {
			return "", "", errTargetEscape
		}
		decoded := unhex(part[i+1])<<4 | unhex(part[i+2])
		switch {
		case decoded == '/' || decoded == '\\':
			return "", "", errTargetSlash
		case isControl(decoded):
			return "", "", errTargetControl
		}
		written.WriteString(part[i : i+3])
		read.WriteByte(decoded)
		i += 2
	}
	return written.String(), read.String(), nil
}

// cleanQuery gives a query as it may stand in a URL. Nothing in a query leads
// anywhere, so that its escapes are nobody's business but the mirror's.
func cleanQuery(query string) (string, error) {
	var written strings.Builder
	for i := 0; i < len(query); i++ {
		switch c := query[i]; {
		case c == '#':
			return "", errTargetNumberSign
		case isControl(c):
			return "", errTargetControl
		case c == '\\':
			written.WriteString("%5C")
		default:
			writeEscaped(&written, c)
		}
	}
	return written.String(), nil
}

// under cuts a strip prefix ("/" or "/tails/") off the path. It gives what is
// to be appended to a URL prefix that ends with a slash, and false where the
// path lies outside the strip prefix. The strip prefix without its final
// slash counts as the strip prefix: both stand for the mirror's top directory.
func (t target) under(stripPrefix string) (string, bool) {
	rest := t.segments
	for wanted := range strings.SplitSeq(strings.Trim(stripPrefix, "/"), "/") {
		if wanted == "" {
			continue
		}
		if len(rest) == 0 || !sameName(rest[0], wanted) {
			return "", false
		}
		rest = rest[1:]
	}
	return strings.Join(rest, "/") + t.query, true
}

// is reports whether the path is the single given name, as it stands.
func (t target) is(name string) bool {
	return len(t.segments) == 1 && t.segments[0] == name
}

// sameName reports whether two segments name the same thing, however they are
// escaped.
func sameName(a, b string) bool {
	if a == b {
		return true
	}
	nameA, errA := url.PathUnescape(a)
	nameB, errB := url.PathUnescape(b)
	return errA == nil && errB == nil && nameA == nameB
}

// writeEscaped writes a byte of a URL, escaped where it may not stand in one
// (RFC 3986 section 2) and would end a header's <URL>, an attribute or a line.
func writeEscaped(b *strings.Builder, c byte) {
	if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0 {
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		return
	}
	b.WriteByte(c)
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
