package pool

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// maxURL is how many characters a URL or path may have: with a request's own
// path behind it, it has to fit every client's bounds.
const maxURL = 2000

const (
	expectedURLPrefix = `an http or https URL that ends with "/"`
	expectedRsyncURL  = "an rsync:// URL"
)

// Characters of paths, RFC 3986 section 3.3.
const pathCharacters = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})`

var (
	urlPath     = regexp.MustCompile(`^(?:/` + pathCharacters + `*)*$`)
	stripPrefix = regexp.MustCompile(`^/(?:` + pathCharacters + `+/)*$`)
	checkPath   = regexp.MustCompile(`^(?:` + pathCharacters + `|[/?])*$`)
	dotSegment  = regexp.MustCompile(`(?:^|/)(?:\.|%2[Ee]){1,2}(?:[/?]|$)`)
	rsyncPath   = regexp.MustCompile(`^[A-Za-z0-9._~+@=,:%/-]*$`)
	mirrorsFile = regexp.MustCompile(`^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*\.json$`)
)

// parseURLPrefix gives the prefix with scheme and host in lower case, or else
// what is wrong with it. A final "/" may be missing.
func parseURLPrefix(text string) (prefix, mistake string) {
	if len(text) > maxURL {
		return "", fmt.Sprintf("%s, of at most %d characters", expectedURLPrefix, maxURL)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
		return "", expectedURLPrefix + " and has no spaces, control or non-ASCII characters (percent-encode them in the path; write host names in their xn-- form)"
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", expectedURLPrefix
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", expectedURLPrefix
	case u.Opaque != "" || u.Host == "":
		return "", expectedURLPrefix + ", with a host after the scheme"
	case u.User != nil:
		return "", expectedURLPrefix + ", without user name and password"
	case u.ForceQuery || u.RawQuery != "" || strings.Contains(text, "#"):
		return "", expectedURLPrefix + ", without query and fragment"
	}
	host, mistake := parseURLHost(u)
	if mistake != "" {
		return "", expectedURLPrefix + ", " + mistake
	}
	escaped := u.EscapedPath()
	switch {
	case !urlPath.MatchString(escaped) || !strings.HasSuffix(text, escaped):
		return "", expectedURLPrefix + ", with a path of letters, digits and -._~!$&'()*+,;=:@/ alone (percent-encode others)"
	case dotSegment.MatchString(escaped):
		return "", expectedURLPrefix + `, without "." and ".." in its path`
	}
	return u.Scheme + "://" + host + escaped, ""
}

// parseURLHost gives a URL's host and port, the host in lower case.
func parseURLHost(u *url.URL) (host, mistake string) {
	host = strings.ToLower(u.Host)
	if strings.HasSuffix(host, ":") {
		return "", "with a port after the colon"
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 || len(port) > 5 {
			return "", "with a port from 1 to 65535"
		}
	}
	if strings.HasPrefix(host, "[") {
		address, err := netip.ParseAddr(u.Hostname())
		if err != nil || !address.Is6() || address.Zone() != "" {
			return "", "with an IPv6 address in the brackets"
		}
		return host, ""
	}
	if _, ok := parseName(u.Hostname()); !ok {
		return "", "with a host that is a DNS name or an address"
	}
	return host, ""
}

// urlPrefixKey is the same for two prefixes that lead to the same place.
func urlPrefixKey(prefix string) string {
	u, err := url.Parse(prefix)
	if err != nil {
		return prefix
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if port := u.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host = net.JoinHostPort(host, port)
	}
	return u.Scheme + "://" + host + u.EscapedPath()
}

// urlHost gives the host of a URL prefix, without port and final dot.
func urlHost(prefix string) string {
	u, err := url.Parse(prefix)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// isPath reports whether text is a path of a bearable length in the given form,
// without "." and "..".
func isPath(form *regexp.Regexp, text string) bool {
	return len(text) <= maxURL && form.MatchString(text) && !dotSegment.MatchString(text)
}

// readRsyncURL reads an rsync URL; the empty text stands for none.
func readRsyncURL(v value) string {
	text, ok := v.string(expectedRsyncURL)
	if !ok || text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Scheme != "rsync" || u.Hostname() == "" ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		v.refuse(fmt.Sprintf("%s of at most %d characters with a host, without spaces and non-ASCII characters", expectedRsyncURL, maxURL))
		return ""
	}
	if _, mistake := parseURLHost(u); mistake != "" {
		v.refuse(expectedRsyncURL + ", " + mistake)
		return ""
	}
	return text
}

const expectedFileURL = "an http or https URL of a file"

// readFileURL reads the URL of one file, which may have a query.
func readFileURL(v value) string {
	text, ok := v.string(expectedFileURL)
	if !ok {
		return ""
	}
	address, query, queried := strings.Cut(text, "?")
	prefix, mistake := parseURLPrefix(address)
	if mistake == "" && (strings.HasSuffix(prefix, "/") || strings.Count(prefix, "/") < 3) {
		mistake = expectedURLPrefix + `, with a path that names a file`
	}
	if mistake == "" && (len(text) > maxURL || !isPath(checkPath, query)) {
		mistake = fmt.Sprintf("%s, of at most %d characters, with a query of letters, digits and -._~!$&'()*+,;=:@?/ alone (percent-encode others)", expectedURLPrefix, maxURL)
	}
	if mistake != "" {
		v.refuse(strings.Replace(mistake, expectedURLPrefix, expectedFileURL, 1))
		return ""
	}
	if strings.HasPrefix(prefix, "http:") {
		v.report(Warning, v.describe(), "an https URL: whoever is on the way to an http one decides what is found right")
	}
	if queried {
		prefix += "?" + query
	}
	return prefix
}

// nameLabel is a label of a host name, or of a name such as _acme.
const nameLabel = `[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?`

var (
	dnsName = regexp.MustCompile(`^` + nameLabel + `(?:\.` + nameLabel + `)*\.?$`)
	shortID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

const (
	maxName      = 253
	expectedName = "a DNS name of letters, digits, hyphens and underscores, with labels of at most 63 and at most 253 characters in all"
	expectedID   = "a short name of at most 64 letters, digits, dots, hyphens and underscores that begins with a letter or digit"
)

// parseName gives a DNS name in lower case and without its final dot.
func parseName(text string) (string, bool) {
	name := strings.TrimSuffix(text, ".")
	if len(name) > maxName || !dnsName.MatchString(text) {
		return "", false
	}
	return strings.ToLower(name), true
}

// readName reads a DNS name; the empty string if it is none.
func readName(v value, purpose string) string {
	expected := fmt.Sprintf("%s, %s", purpose, expectedName)
	text, ok := v.string(expected)
	if !ok {
		return ""
	}
	name, ok := parseName(text)
	if !ok {
		v.refuse(expected)
	}
	return name
}
