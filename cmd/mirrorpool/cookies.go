package main

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"mirrorpool/dnsserver"
)

// cookiesLifetime is how long a drawn secret makes cookies: RFC 7873 section 7.1
// wants no more than 26 hours, and what is not shared needs no ceremony. How long
// one of a file does, the operator says.
const cookiesLifetime = 24 * time.Hour

// maxCookiesFile is more than secrets with the most talkative comments take.
const maxCookiesFile = 64 << 10

// cookies are the secrets that DNS cookies are made with now: those of a file
// that is read again and again or, without one, drawn ones. A file that has
// become bad changes nothing. It is safe for concurrent use.
type cookies struct {
	path string // empty: no file

	mutex   sync.Mutex
	secrets dnsserver.CookieSecrets
	drawn   time.Time // when the current one was, if there is no file
	exposed bool      // others than the file's owner and group may read or write it
}

// openCookies reads the file, or draws a secret.
func openCookies(path string) (*cookies, error) {
	c := &cookies{path: path}
	if _, err := c.refresh(); err != nil {
		return nil, err
	}
	return c, nil
}

// reopen gives the secrets of a configuration that may name another file.
func (c *cookies) reopen(path string) (*cookies, error) {
	if path == c.path {
		return c, nil
	}
	return openCookies(path)
}

// current are the secrets in use.
func (c *cookies) current() dnsserver.CookieSecrets {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.secrets
}

// isExposed reports whether any user of the machine may read or write the file.
func (c *cookies) isExposed() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.exposed
}

// refresh reads the file, or draws a secret where it is time to, and reports
// whether the secrets are other ones now.
func (c *cookies) refresh() (changed bool, err error) {
	if c.path == "" {
		return c.draw(time.Now()), nil
	}
	secrets, mode, err := readCookies(c.path)
	if err != nil {
		return false, fmt.Errorf("dns.cookie_secret_file: %w", err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	changed = secrets != c.secrets
	c.secrets, c.exposed = secrets, mode.Perm()&0o006 != 0
	return changed, nil
}

// draw draws a secret at the start and when the last one has had its time.
func (c *cookies) draw(now time.Time) (changed bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.drawn.IsZero() && now.Sub(c.drawn) < cookiesLifetime {
		return false
	}
	c.secrets, c.drawn = c.secrets.Roll(), now
	return true
}

// cookieFiles hold one or two secrets.
var cookieFiles = smallFile{
	most:      maxCookiesFile,
	missing:   "make it with `openssl rand -hex 16`, or take the key out for a secret that is drawn at each start and once a day",
	irregular: "name one with one or two lines of 32 hexadecimal digits",
	large:     "name a file with one or two lines of 32 hexadecimal digits",
}

// readCookies reads a file of secrets. The error says the way out.
func readCookies(path string) (secrets dnsserver.CookieSecrets, mode fs.FileMode, err error) {
	data, mode, err := cookieFiles.read(path)
	if err != nil {
		return secrets, 0, err
	}
	secrets, err = dnsserver.ParseCookieSecrets(data)
	if err != nil {
		return secrets, 0, fmt.Errorf("%s: %w", path, err)
	}
	return secrets, mode, nil
}

// dnsSettings are what the name server takes while it runs.
func (c *config) dnsSettings() dnsserver.Settings {
	settings := c.DNS.settings()
	settings.Cookies = c.cookies.current()
	settings.Transfer = c.transferSettings()
	return settings
}

// openCookies reads the secrets at the start, where a mistake is the operator's to
// mend: a node whose secret is another one than that of its peers would make
// cookies bad for all of them.
func (n *node) openCookies(config *config) error {
	cookies, err := openCookies(config.DNS.CookieSecretFile)
	if err != nil {
		return err
	}
	config.cookies = cookies
	n.warnExposed(cookies)
	return nil
}

func (n *node) warnExposed(cookies *cookies) {
	if cookies.isExposed() {
		n.logger.Warn().Str("file", cookies.path).
			Msg("every user of this machine may read or change the cookie secret, and whoever knows it passes the rate limits: chmod 640")
	}
}

// cookiesFollow looks at the file until ctx ends.
func (n *node) cookiesFollow(ctx context.Context) {
	rereadFollow(ctx, n.refreshCookies, n.cookiesChanged)
}

// refreshCookies reads the file now and reports whether there are other secrets.
func (n *node) refreshCookies() (changed bool) {
	cookies := n.config.Load().cookies
	return n.reread(cookies, stageCookies, "cookie secrets", func() { n.warnExposed(cookies) })
}

// useCookies gives the name server the secrets that are current.
func (n *node) useCookies() { n.useReread(stageCookies, "cookie secrets") }
