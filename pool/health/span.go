package health

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// span is a part of a file, in bytes from 0: first and last are within it.
type span struct{ first, last int64 }

func (s span) length() int64 { return s.last - s.first + 1 }

// pieces divides it into spans of so many bytes; the last may be shorter.
func (s span) pieces(length int64) []span {
	var all []span
	for first := s.first; first <= s.last; first += length {
		all = append(all, span{first, min(first+length-1, s.last)})
	}
	return all
}

func (s span) String() string { return fmt.Sprintf("bytes %d-%d", s.first, s.last) }

// header is the Range that asks for it, RFC 9110, section 14.1.2.
func (s span) header() string { return fmt.Sprintf("bytes=%d-%d", s.first, s.last) }

// unknown is the size of a file of which none was told.
const unknown = -1

// contentRange reads the header Content-Range, RFC 9110, section 14.4: the part
// that was sent, none where the range cannot be satisfied (status 416), and the
// size of the whole file, or unknown.
func contentRange(text string) (part span, none bool, size int64, err error) {
	malformed := fmt.Errorf("Content-Range %s is not of the form bytes 0-99/100", quote([]byte(text)))
	unit, rest, ok := strings.Cut(text, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return span{}, false, unknown, malformed
	}
	sent, whole, ok := strings.Cut(strings.TrimSpace(rest), "/")
	if !ok {
		return span{}, false, unknown, malformed
	}
	size = unknown
	if whole != "*" {
		if size, ok = position(whole); !ok {
			return span{}, false, unknown, malformed
		}
	}
	if sent == "*" && size != unknown {
		return span{}, true, size, nil
	}
	low, high, _ := strings.Cut(sent, "-")
	first, ok := position(low)
	last, also := position(high)
	if !ok || !also || last < first || size != unknown && last >= size {
		return span{}, false, unknown, malformed
	}
	return span{first, last}, false, size, nil
}

// position reads a number of bytes, which is digits alone.
func position(text string) (int64, bool) {
	if text == "" || len(text) > 18 || !allDigits([]byte(text)) {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// sent tells which part of a file an answer to a question for the given part
// holds, and the size of the whole file, or unknown. An answer with status 200
// holds all of it. That it holds other bytes than were asked for is a failure;
// fewer may be sent only where the file ends.
func (r *reply) sent(wanted span) (part span, size int64, err error) {
	if r.StatusCode != http.StatusPartialContent {
		return span{0, r.ContentLength - 1}, r.ContentLength, nil
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/byteranges") {
		return span{}, unknown, fail(Content, "asked for one part of the file, %s, and sent a body of several", wanted)
	}
	if len(r.Header.Values("Content-Range")) != 1 {
		return span{}, unknown, fail(Content, "asked for %s, and sent a part without telling which", wanted)
	}
	part, none, size, err := contentRange(r.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return span{}, unknown, fail(Content, "%s", err)
	case none:
		return span{}, unknown, fail(Content, "asked for %s, and sent a part that is none", wanted)
	case part.first != wanted.first, part.last > wanted.last,
		part.last < wanted.last && size != part.last+1:
		return span{}, unknown, fail(Content, "asked for %s, and sent %s", wanted, part)
	case r.ContentLength >= 0 && r.ContentLength != part.length():
		return span{}, unknown, fail(Content, "sent %s in a body of %d bytes", part, r.ContentLength)
	}
	return part, size, nil
}

// whole is the size of the file that an answer tells of; unknown if it does not
// tell.
func (r *reply) whole() int64 {
	switch r.StatusCode {
	case http.StatusOK:
		return r.ContentLength
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		if _, _, size, err := contentRange(r.Header.Get("Content-Range")); err == nil {
			return size
		}
	}
	return unknown
}
