package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"mirrorpool/admin/alert"
)

// secretFiles hold one secret each.
var secretFiles = smallFile{
	most:      4096,
	missing:   "make it, readable by the user that runs mirrorpool alone",
	irregular: "name one with the secret in one line",
	large:     "name a file with the secret in one line",
}

// authorityFiles hold certificates in PEM.
var authorityFiles = smallFile{
	most:      1 << 20,
	missing:   "name a file with the authority's certificate in PEM",
	irregular: "name a file with the authority's certificate in PEM",
	large:     "name a file with the authority's certificate alone",
}

// readSecret gives the secret of a file: its one line.
func readSecret(path string) (string, fs.FileMode, error) {
	data, mode, err := secretFiles.read(path)
	if err != nil {
		return "", 0, err
	}
	secret := strings.TrimSpace(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	switch {
	case secret == "":
		return "", 0, fmt.Errorf("%s is empty: %s", path, secretFiles.irregular)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", 0, fmt.Errorf("%s has several lines: %s", path, secretFiles.irregular)
	}
	return secret, mode, nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	data, _, err := authorityFiles.read(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate in PEM: %s", path, authorityFiles.missing)
	}
	return pool, nil
}

// openAlerts makes the ways that the configuration names, and reads each file of them
// once, so that a mistake is found now. Secrets are read again whenever they are used.
// exposed are the files that any user of the machine may read or write.
func (c *config) openAlerts() (ways []alert.Way, exposed []string, err error) {
	var errs []error
	look := func(a *alertConfig, key, path string) {
		if path == "" {
			return
		}
		_, mode, err := readSecret(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", a.place, key, err))
		}
		if mode.Perm()&0o006 != 0 {
			exposed = append(exposed, path)
		}
	}
	for i := range c.Alerts {
		a := &c.Alerts[i]
		way := alert.Way{
			Name: a.Name, Events: a.events, Pools: a.Pools, Wait: a.Wait.or(defaultAlertWait), AtMost: a.limit,
			Repeat: a.Repeat.or(defaultAlertRepeat), StaleAfter: a.StaleAfter.or(defaultStaleAfter), DryRun: a.DryRun,
		}
		var bad error
		switch {
		case a.Webhook != nil:
			look(a, "secret_file", a.Webhook.SecretFile)
			look(a, "authorization_file", a.Webhook.AuthorizationFile)
			way.Timeout = a.Timeout.or(defaultWebhookTimeout)
			way.Webhook, bad = a.Webhook.open()
		case a.SMTP != nil:
			look(a, "password_file", a.SMTP.PasswordFile)
			way.Timeout = a.Timeout.or(defaultSMTPTimeout)
			way.Mail, bad = a.SMTP.open()
		default:
			way.Timeout = a.Timeout.or(defaultExecTimeout)
			way.Program = &alert.Program{Path: a.Exec[0], Arguments: a.Exec[1:]}
			if _, missing := os.Stat(a.Exec[0]); missing != nil {
				bad = fmt.Errorf("exec: %w; name a program of this machine", missing)
			}
		}
		if bad != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.place, bad))
		}
		ways = append(ways, way)
	}
	return ways, exposed, errors.Join(errs...)
}

func (w *webhookConfig) open() (*alert.Webhook, error) {
	authorities, err := readAuthorities(w.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	hook := &alert.Webhook{URL: w.URL, Form: alert.Form(w.Format), RootCAs: authorities, UserAgent: "mirrorpool/" + programVersion()}
	if w.SecretFile != "" {
		hook.Secret = func() ([]byte, error) {
			secret, _, err := readSecret(w.SecretFile)
			return []byte(secret), err
		}
	}
	if w.AuthorizationFile != "" {
		hook.Authorization = func() (string, error) {
			value, _, err := readSecret(w.AuthorizationFile)
			return value, err
		}
	}
	return hook, nil
}

func (s *smtpConfig) open() (*alert.Mail, error) {
	authorities, err := readAuthorities(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	server := &alert.Mail{
		Server: s.Server, TLS: alert.Encryption(s.TLS), RootCAs: authorities, User: s.User, Hello: s.Hello,
		From: s.from, To: s.to, ToMirrors: s.ToMirrors, MirrorsAfter: s.MirrorsAfter.or(defaultMirrorsAfter),
	}
	if s.Hello == "" {
		server.Hello = nodeName()
	}
	if s.User != "" {
		server.Password = func() (string, error) {
			password, _, err := readSecret(s.PasswordFile)
			return password, err
		}
	}
	if err := server.Validate(); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return server, nil
}

// nodeName is what this machine is called in messages.
func nodeName() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsAny(name, " \t\r\n") {
		return "localhost"
	}
	return name
}
