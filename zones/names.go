package zones

import (
	"strings"

	"github.com/miekg/dns"
)

// Names are kept in one canonical form, so that equal names are equal strings
// and maps can be asked by name: presentation form with the final dot, letters
// in lower case, escapes as miekg/dns writes them when it unpacks a message.

// canonical gives the canonical form of a name in presentation form. What is
// no name at all comes back in lower case and equals no name.
func canonical(name string) string {
	upper := false
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '*':
		default:
			return lower(unescaped(name))
		}
	}
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	if upper {
		return lower(name)
	}
	return name
}

// unescaped writes a name's escapes in the one form that unpacking gives them:
// "\097" becomes "a", and "@" becomes "\@".
func unescaped(name string) string {
	var wire [256]byte
	length, err := dns.PackDomainName(dns.Fqdn(name), wire[:], 0, nil, false)
	if err != nil {
		return name
	}
	again, _, err := dns.UnpackDomainName(wire[:length], 0)
	if err != nil {
		return name
	}
	return again
}

// lower changes the ASCII letters alone; strings.ToLower would change more.
func lower(name string) string {
	out := []byte(name)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}

// parent gives a name without its first label. The root is its own parent.
func parent(name string) string {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++ // what is escaped ends no label; the digits of \DDD end none either
		case '.':
			if i+1 < len(name) {
				return name[i+1:]
			}
			return "."
		}
	}
	return "."
}

// within reports whether a name is apex or lies below it; both are canonical.
func within(name, apex string) bool {
	for len(name) > len(apex) {
		if name == "." {
			return false
		}
		name = parent(name)
	}
	return name == apex
}

// isWildcard reports whether a name's first label is an asterisk alone (RFC
// 4592, section 2.1.1).
func isWildcard(name string) bool { return strings.HasPrefix(name, "*.") }
