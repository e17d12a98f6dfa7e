package administrative

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// Pattern names members: by an id or a URL prefix, by the host name in a URL prefix, by an
// address, or by a pattern of names, in which "*" stands for any characters, "?" for one, and
// "[a-z]" for one of some. Case does not matter, nor does the final dot of a host name.
type Pattern struct {
	text    string
	address netip.Addr // the zero Addr: it is none
}

// ParsePattern reads one. An IPv6 address may stand in brackets.
func ParsePattern(text string) (Pattern, error) {
	if address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
		address = address.WithZone("").Unmap()
		return Pattern{address.String(), address}, nil
	}
	p := Pattern{text: strings.TrimSuffix(inOne(text), ".")}
	if text == "" {
		return Pattern{}, fmt.Errorf("reading a member: found nothing, expected an id, a URL prefix or a host name, or a pattern such as \"edge-*\"")
	}
	if _, err := path.Match(p.text, ""); err != nil {
		return Pattern{}, fmt.Errorf("reading a member: found %q, expected an id, a URL prefix or a host name, or a pattern such as \"edge-*\"", text)
	}
	return p, nil
}

// Address is the address that it names; the zero Addr: none.
func (p Pattern) Address() netip.Addr { return p.address }

// IsPattern reports whether it may name several, and is no plain name.
func (p Pattern) IsPattern() bool { return strings.ContainsAny(p.text, `*?[\\`) }

// inOne hides slashes, over which "*" would not go.
func inOne(text string) string { return strings.ReplaceAll(strings.ToLower(text), "/", "\x00") }

// Matches reports whether the pattern names a member by its id, or a mirror by its URL
// prefix.
func (p Pattern) Matches(member string) bool {
	names := []string{member}
	if _, rest, isURL := strings.Cut(member, "://"); isURL {
		authority, _, _ := strings.Cut(rest, "/")
		host := authority
		if at := strings.LastIndexByte(authority, ':'); at > strings.LastIndexByte(authority, ']') {
			host = authority[:at]
		}
		names = append(names, authority, strings.Trim(host, "[]"))
		if strings.HasSuffix(member, "/") {
			names = append(names, strings.TrimSuffix(member, "/"))
		}
	}
	for _, name := range names {
		name = inOne(name)
		if name == p.text {
			return true
		}
		if matched, err := path.Match(p.text, name); err == nil && matched {
			return true
		}
	}
	return false
}
