package main

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mirrorpool/admin/alert"
)

// alertConfig is one way to tell people what they have to know.
type alertConfig struct {
	Name    string         `yaml:"name"` // empty: made of what it is
	Webhook *webhookConfig `yaml:"webhook"`
	SMTP    *smtpConfig    `yaml:"smtp"`
	// Exec is a program with its arguments.
	Exec       []string `yaml:"exec"`
	Events     []string `yaml:"events"` // absent: all
	Pools      []string `yaml:"pools"`  // absent: all
	Wait       duration `yaml:"wait"`
	AtMost     string   `yaml:"at_most"`
	Repeat     duration `yaml:"repeat"`
	StaleAfter duration `yaml:"stale_after"`
	Timeout    duration `yaml:"timeout"`
	DryRun     bool     `yaml:"dry_run"`

	// What validation has made of it.
	limit  alert.Limit
	events []alert.Kind
	place  string // of the entry in the file
}

type webhookConfig struct {
	URL               string `yaml:"url"`
	Format            string `yaml:"format"`
	SecretFile        string `yaml:"secret_file"`
	AuthorizationFile string `yaml:"authorization_file"`
	CAFile            string `yaml:"ca_file"`
}

type smtpConfig struct {
	Server       string   `yaml:"server"`
	TLS          string   `yaml:"tls"` // empty: starttls; none on loopback
	CAFile       string   `yaml:"ca_file"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	Hello        string   `yaml:"hello"` // empty: the machine's name
	From         string   `yaml:"from"`
	To           []string `yaml:"to"`
	ToMirrors    bool     `yaml:"to_mirrors"`
	MirrorsAfter duration `yaml:"mirrors_after"`

	from *mail.Address
	to   []*mail.Address
}

// What is so where the configuration says nothing.
const (
	defaultAlertWait      = time.Minute
	defaultAlertRepeat    = 24 * time.Hour
	defaultStaleAfter     = time.Hour
	defaultMirrorsAfter   = time.Hour
	defaultWebhookTimeout = 10 * time.Second
	defaultSMTPTimeout    = time.Minute
	defaultExecTimeout    = 30 * time.Second
)

var defaultAlertLimit = alert.Limit{Count: 10, Period: time.Hour}

// or is the duration, or another one where there is none.
func (d duration) or(otherwise time.Duration) time.Duration {
	if d == "" {
		return otherwise
	}
	return d.value()
}

// validateAlerts checks alerts, and reads what is in its texts.
func (c *config) validateAlerts(v *validation) {
	if len(c.Alerts) > alert.MaxWays {
		v.wrong("alerts", len(c.Alerts), fmt.Sprintf("at most %d entries", alert.MaxWays))
		return
	}
	seen := map[string]bool{}
	for i := range c.Alerts {
		a, key := &c.Alerts[i], fmt.Sprintf("alerts[%d]", i)
		a.validate(v, key)
		if seen[a.Name] {
			v.wrong(key+".name", a.Name, "a name of its own for each entry, by which the log and metrics name it")
		}
		seen[a.Name] = true
	}
}

// alertName is what may stand in a metric's label and in a line of the log.
var alertName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._:@/\[\]-]{0,99}$`)

func (a *alertConfig) validate(v *validation, key string) {
	a.place = v.place(key)
	kinds := 0
	for _, is := range []bool{a.Webhook != nil, a.SMTP != nil, a.Exec != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		v.wrong(key, fmt.Sprintf("%d ways", kinds), "exactly one of webhook, smtp and exec")
		return
	}
	switch {
	case a.Webhook != nil:
		a.Webhook.validate(v, key+".webhook")
	case a.SMTP != nil:
		a.SMTP.validate(v, key+".smtp")
	default:
		a.validateExec(v, key+".exec")
	}
	if a.Name == "" {
		a.Name = a.defaultName()
	}
	if !alertName.MatchString(a.Name) {
		v.wrong(key+".name", a.Name, "letters, digits, spaces and . _ - : @ / to 100")
	}
	a.validateTimes(v, key)
	for i, name := range a.Events {
		kind := alert.Kind(name)
		v.oneOf(fmt.Sprintf("%s.events[%d]", key, i), name, eventNames()...)
		a.events = append(a.events, kind)
	}
	if a.Events != nil && len(a.Events) == 0 {
		v.wrong(key+".events", "[]", "some of "+strings.Join(eventNames(), ", ")+", or no such key for all")
	}
	for i, name := range a.Pools {
		if a.Pools[i] = strings.ToLower(strings.TrimSuffix(name, ".")); a.Pools[i] == "" {
			v.wrong(fmt.Sprintf("%s.pools[%d]", key, i), name, "the name of a pool or of a redirect host")
		}
	}
	if a.Pools != nil && len(a.Pools) == 0 {
		v.wrong(key+".pools", "[]", "names of pools and redirect hosts, or no such key for all")
	}
}

func eventNames() []string {
	var names []string
	for _, kind := range alert.Kinds() {
		names = append(names, string(kind))
	}
	return names
}

func (a *alertConfig) validateTimes(v *validation, key string) {
	within := func(name string, value duration, least, most time.Duration) {
		v.within(key+"."+name, value, least, most)
	}
	within("wait", a.Wait, 0, time.Hour)
	if !isZeroDuration(a.Repeat) { // 0s: never
		within("repeat", a.Repeat, 10*time.Minute, 366*24*time.Hour)
	}
	within("stale_after", a.StaleAfter, 0, 30*24*time.Hour)
	within("timeout", a.Timeout, time.Second, 10*time.Minute)
	a.limit = defaultAlertLimit
	if a.AtMost == "" {
		return
	}
	limit, err := readLimit(a.AtMost)
	if err != nil {
		v.wrong(key+".at_most", a.AtMost, err.Error())
		return
	}
	a.limit = limit
}

// within is between for what may be left out, and where 0 may be right: what is no
// duration counts as 0 elsewhere.
func (v *validation) within(key string, value duration, least, most time.Duration) {
	switch _, err := time.ParseDuration(string(value)); {
	case value == "":
	case err != nil:
		v.wrong(key, value, fmt.Sprintf("a duration from %s to %s with its unit, such as 60s", least, most))
	default:
		v.between(key, value, least, most)
	}
}

func isZeroDuration(d duration) bool {
	value, err := time.ParseDuration(string(d))
	return err == nil && value == 0
}

// readLimit reads a number of messages in a time: 10/h, 3/d, 5/10m.
func readLimit(text string) (alert.Limit, error) {
	wrong := fmt.Errorf("a number of messages to %d and a time of a minute to 30 days, such as 10/h, 3/d or 5/10m", alert.MaxLimit)
	number, period, found := strings.Cut(text, "/")
	count, err := strconv.Atoi(number)
	if !found || err != nil || count < 1 || count > alert.MaxLimit {
		return alert.Limit{}, wrong
	}
	var length time.Duration
	switch period {
	case "m":
		length = time.Minute
	case "h":
		length = time.Hour
	case "d":
		length = 24 * time.Hour
	default:
		length, err = time.ParseDuration(period)
	}
	if err != nil || length < time.Minute || length > 30*24*time.Hour {
		return alert.Limit{}, wrong
	}
	return alert.Limit{Count: count, Period: length}, nil
}

// defaultName says what the way is, without what may be secret of it.
func (a *alertConfig) defaultName() string {
	switch {
	case a.Webhook != nil:
		if at, err := url.Parse(a.Webhook.URL); err == nil {
			return "webhook " + at.Host
		}
		return "webhook"
	case a.SMTP != nil:
		return "smtp " + a.SMTP.Server
	}
	return "exec " + filepath.Base(a.Exec[0])
}

func (w *webhookConfig) validate(v *validation, key string) {
	if w.Format == "" {
		w.Format = string(alert.FormFull)
	}
	v.oneOf(key+".format", w.Format, string(alert.FormFull), string(alert.FormText), string(alert.FormContent))
	if err := (&alert.Webhook{URL: w.URL, Form: alert.FormFull}).Validate(); err != nil {
		// The path may be a secret of whoever gave the URL away.
		v.say(key+".url", err.Error())
	}
}

func (s *smtpConfig) validate(v *validation, key string) {
	host, port, err := net.SplitHostPort(s.Server)
	if number, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || number < 1 || number > 65535 {
		v.wrong(key+".server", s.Server, "a host and a port, such as mail.example.org:587 or 127.0.0.1:25")
	}
	if s.TLS == "" {
		s.TLS = string(alert.StartTLS)
		if ip := net.ParseIP(host); (ip != nil && ip.IsLoopback() || host == "localhost") && s.User == "" {
			s.TLS = string(alert.NoTLS)
		}
	}
	v.oneOf(key+".tls", s.TLS, string(alert.StartTLS), string(alert.ImplicitTLS), string(alert.NoTLS))
	switch {
	case s.User != "" && s.TLS == string(alert.NoTLS):
		v.wrong(key+".user", s.User, "no user where tls is none: passwords are sent over TLS alone")
	case s.User != "" && s.PasswordFile == "":
		v.wrong(key+".password_file", "", "a file with the password of user")
	case s.User == "" && s.PasswordFile != "":
		v.wrong(key+".user", "", "the user that password_file is the password of")
	}
	if s.from, err = mail.ParseAddress(s.From); err != nil {
		v.wrong(key+".from", s.From, "a mail address, such as mirrorpool@example.org or Mirrors <mirrorpool@example.org>")
	}
	if len(s.To) == 0 || len(s.To) > alert.MaxRecipients {
		v.wrong(key+".to", s.To, fmt.Sprintf("a list of 1 to %d mail addresses", alert.MaxRecipients))
	}
	for i, text := range s.To {
		to, err := mail.ParseAddress(text)
		if err != nil {
			v.wrong(fmt.Sprintf("%s.to[%d]", key, i), text, "a mail address")
		}
		s.to = append(s.to, to)
	}
	if strings.ContainsAny(s.Hello, " \t\r\n") {
		v.wrong(key+".hello", s.Hello, "a host name")
	}
	v.within(key+".mirrors_after", s.MirrorsAfter, 0, 30*24*time.Hour)
}

func (a *alertConfig) validateExec(v *validation, key string) {
	if len(a.Exec) == 0 {
		v.wrong(key, "[]", "a program and its arguments, such as [/usr/local/bin/tell]")
		a.Exec = []string{""}
		return
	}
	if err := (&alert.Program{Path: a.Exec[0], Arguments: a.Exec[1:]}).Validate(); err != nil {
		v.say(key, err.Error())
	}
}
