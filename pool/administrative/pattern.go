package administrative

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
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
	if address := addressIn(text); address.IsValid() {
		return Pattern{address.String(), address}, nil
	}
	p := Pattern{text: plain(text)}
	if text == "" {
		return Pattern{}, fmt.Errorf("reading a member: found nothing, expected an id, a URL prefix or a host name, or a pattern such as \"edge-*\"")
	}
	if _, err := path.Match(p.text, ""); err != nil || p.text == "" {
		return Pattern{}, fmt.Errorf("reading a member: found %q, expected an id, a URL prefix or a host name, or a pattern such as \"edge-*\"", text)
	}
	return p, nil
}

// Address is the address that it names; the zero Addr: none.
func (p Pattern) Address() netip.Addr { return p.address }

// IsPattern reports whether it may name several, and is no plain name.
func (p Pattern) IsPattern() bool { return strings.ContainsAny(p.text, `*?[\\`) }

// plain leaves out case and the final dot, and hides slashes, over which "*" would not go.
func plain(text string) string {
	return strings.TrimSuffix(strings.ReplaceAll(strings.ToLower(text), "/", "\x00"), ".")
}

// addressIn reads an address, which may stand in brackets; the zero Addr: it is none.
func addressIn(text string) netip.Addr {
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return address.WithZone("").Unmap()
}

// Matches reports whether the pattern names a member by its id, or a mirror by its URL
// prefix or the host in it; or what has that host name or address.
func (p Pattern) Matches(member string) bool {
	return slices.ContainsFunc(namesOf(member), func(name string) bool {
		if p.address.IsValid() && addressIn(name) == p.address {
			return true
		}
		name = plain(name)
		matched, err := path.Match(p.text, name)
		return name != "" && (name == p.text || err == nil && matched)
	})
}

// namesOf are the names that a pattern may name a member by.
func namesOf(member string) []string {
	_, rest, isURL := strings.Cut(member, "://")
	if !isURL {
		return []string{member}
	}
	authority, _, _ := strings.Cut(rest, "/")
	host, port := authority, ""
	if at := strings.LastIndexByte(authority, ':'); at > strings.LastIndexByte(authority, ']') {
		host, port = authority[:at], authority[at:]
	}
	host = strings.TrimSuffix(host, ".")
	return []string{member, strings.TrimSuffix(member, "/"), authority, host + port, strings.Trim(host, "[]")}
}
