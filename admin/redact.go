package admin

import (
	"net/url"
	"strings"
)

// hidden stands where a secret was.
const hidden = "xxxxx"

// shortSecret is the length in bytes below which a secret is looked for only
// where a URL has one: the letter "a" stands in many places.
const shortSecret = 4

// redaction takes the secrets of a repository's URL out of texts.
type redaction struct{ replacer *strings.Replacer }

// redact finds the secrets in a URL of a repository: the password, or, over
// http and https, a user name without one, as that is how tokens are given.
func redact(raw string) redaction {
	// By hand, since a password may hold what net/url refuses.
	scheme, rest, _ := strings.Cut(raw, "://")
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	user, secret, ok := strings.Cut(authority[:max(at, 0)], ":")
	before := user + ":"
	if !ok && strings.HasPrefix(strings.ToLower(scheme), "http") {
		secret, before = user, "://"
	}
	if secret == "" {
		return redaction{strings.NewReplacer()}
	}
	pairs := []string{before + secret + "@", before + hidden + "@"}
	if len(secret) >= shortSecret {
		pairs = append(pairs, secret, hidden)
		// As it is, and as others may have escaped it.
		if plain, err := url.PathUnescape(secret); err == nil {
			pairs = append(pairs, url.QueryEscape(plain), hidden, url.PathEscape(plain), hidden, plain, hidden)
		}
	}
	return redaction{strings.NewReplacer(pairs...)}
}

func (r redaction) text(s string) string { return r.replacer.Replace(s) }
