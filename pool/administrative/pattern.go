package administrative

import (
	"fmt"
	"path"
	"strings"
)

// Pattern names members: by an id or a URL prefix, by the host name in a URL prefix, or by a
// pattern of those, in which "*" stands for any characters, "?" for one, and "[a-z]" for one
// of some. Case does not matter.
type Pattern struct{ text string }

// ParsePattern reads one.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{inOne(text)}
	if text == "" {
		return Pattern{}, fmt.Errorf("reading a member: found nothing, expected an id, a URL prefix or a host name, or a pattern such as \"edge-*\"")
	}
	if _, err := path.Match(p.text, ""); err != nil {
		return Pattern{}, fmt.Errorf("reading a member: found %q, expected an id, a URL prefix or a host name, or a pattern such as \"edge-*\"", text)
	}
	return p, nil
}

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
