package redirect

import (
	"iter"
	"net/http"
	"net/netip"
	"strings"
)

// fromRight gives the elements of a header's comma-separated list, the last
// one first, without the space around them. Elements without content are left
// out (RFC 9110 section 5.6.1).
//
// It reads from the right, because the right end is what the nearest proxy has
// appended: an open quote that a client has put further left cannot swallow it.
func fromRight(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := len(lines) - 1; i >= 0; i-- {
			rest := lines[i]
			for more := true; more; {
				comma := lastComma(rest)
				more = comma >= 0
				element := strings.Trim(rest[comma+1:], " \t")
				rest = rest[:max(comma, 0)]
				if element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// lastComma gives the index of the last comma outside quotes, or -1.
func lastComma(s string) int {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch s[i] {
		case '"':
			backslashes := 0
			for i-backslashes > 0 && s[i-backslashes-1] == '\\' {
				backslashes++
			}
			// Behind an odd number of backslashes it stands for itself.
			if !quoted || backslashes%2 == 0 {
				quoted = !quoted
			}
			i -= backslashes
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// forwardedFor reads who a Forwarded element (RFC 7239 section 4) is for. An
// element that does not say is unreadable.
func forwardedFor(element string) (netip.Addr, node) {
	value, ok := forwardedParameter(element, "for")
	switch {
	case !ok:
		return netip.Addr{}, nodeUnreadable
	case isHidden(value):
		return netip.Addr{}, nodeHidden
	}
	return parseNode(value)
}

// forwardedParameter gives the value of one parameter of a Forwarded element,
// and false where the element does not have it or cannot be read. A parameter
// that stands there twice makes the element unreadable, as section 4 forbids
// it. Values that would have to be quoted are read without quotes as well.
func forwardedParameter(element, name string) (string, bool) {
	found, has := "", false
	for rest := element; ; {
		rest = strings.TrimLeft(rest, "; \t") // pairs may be empty
		if rest == "" {
			return found, has
		}
		key, after, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, `;"`) {
			return "", false
		}
		value, after, ok := forwardedValue(after)
		if !ok {
			return "", false
		}
		if strings.EqualFold(strings.Trim(key, " \t"), name) {
			if has {
				return "", false
			}
			found, has = value, true
		}
		rest = after
	}
}

// forwardedValue reads a token or a quoted string, and the semicolon after it.
func forwardedValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		value = strings.Trim(value, " \t")
		return value, rest, value != "" && !strings.ContainsAny(value, "\" \t\\")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '"':
			rest = strings.TrimLeft(s[i+1:], " \t")
			if rest == "" {
				return b.String(), "", true
			}
			rest, ok = strings.CutPrefix(rest, ";")
			return b.String(), rest, ok
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false // the quote does not end
}

// isHidden reports whether a node is "unknown" or an obfuscated identifier,
// with or without a port.
func isHidden(value string) bool {
	name, port, hasPort := strings.Cut(value, ":")
	if hasPort && !isPort(":"+port) {
		return false
	}
	return strings.EqualFold(name, "unknown") || isObfuscated(name)
}

// isObfuscated reports whether s is an identifier of RFC 7239 section 6.3: an
// underscore and one or more letters, digits, ".", "_" or "-".
func isObfuscated(s string) bool {
	rest, ok := strings.CutPrefix(s, "_")
	if !ok || rest == "" {
		return false
	}
	for _, c := range []byte(rest) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// forwardedSecurely reports whether anybody on the way says that the client
// came by https.
func forwardedSecurely(header http.Header) bool {
	for element := range fromRight(header.Values("X-Forwarded-Proto")) {
		if strings.EqualFold(element, "https") {
			return true
		}
	}
	for element := range fromRight(header.Values("Forwarded")) {
		if proto, ok := forwardedParameter(element, "proto"); ok && strings.EqualFold(proto, "https") {
			return true
		}
	}
	return false
}
