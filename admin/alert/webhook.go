package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Form is what the body of a webhook's request is.
type Form string

// The forms.
const (
	FormFull    Form = "full"    // a Document
	FormText    Form = "text"    // {"text": ...}, as Slack, Mattermost, Rocket.Chat and others take it
	FormContent Form = "content" // {"content": ...}, as Discord takes it
)

// Webhook is an HTTP server that takes messages by POST.
type Webhook struct {
	URL  string // https, or http on loopback; it may hold a secret, and is never said
	Form Form
	// Secret gives the key of the signature in X-Mirrorpool-Signature; nil: there is none.
	Secret func() ([]byte, error)
	// Authorization gives the value of the header of that name; nil: there is none.
	Authorization func() (string, error)
	// RootCAs are who may have signed the server's certificate; nil: the machine's.
	RootCAs *x509.CertPool
	// UserAgent is the header of that name.
	UserAgent string

	dialer dialer
}

// Validate reports what is wrong with the URL and the form.
func (w *Webhook) Validate() error {
	at, err := url.Parse(w.URL)
	switch {
	case err != nil || at.Hostname() == "" || at.Scheme != "http" && at.Scheme != "https":
		return errors.New("expected a URL with https")
	case at.Scheme == "http" && !isLoopback(at.Hostname()):
		return errors.New("expected https: http is for addresses of this machine alone")
	case at.User != nil:
		return errors.New("expected a URL without user and password: authorization_file is for them")
	case w.Form != FormFull && w.Form != FormText && w.Form != FormContent:
		return fmt.Errorf("found the form %q, expected full, text or content", w.Form)
	}
	return nil
}

// isLoopback reports whether a host is this machine by its address or as localhost.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// maxReply is what is read of an answer, in bytes; maxContent is what Discord takes, and
// maxText what Slack does, in characters.
const (
	maxReply   = 4096
	maxContent = 2000
	maxText    = 39_000
)

// send implements sender.
func (w *Webhook) send(ctx context.Context, m *message) error {
	body, err := w.body(m)
	if err != nil {
		return hopeless{err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return hopeless{errors.New("making the request: the URL is none")} // the error would say it
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", w.UserAgent)
	request.Header.Set("X-Mirrorpool-Delivery", m.id)
	if err := w.authorize(request, body); err != nil {
		return err
	}
	transport := &http.Transport{
		DialContext:     w.dialer.dial,
		TLSClientConfig: &tls.Config{RootCAs: w.RootCAs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 16 << 10, DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("posting to %s: %w", request.URL.Host, withoutURL(err))
	}
	reply, _ := io.ReadAll(io.LimitReader(response.Body, maxReply)) // only for the words of an error
	_ = response.Body.Close()
	return judge(request.URL.Host, response, reply)
}

func (w *Webhook) authorize(request *http.Request, body []byte) error {
	if w.Secret != nil {
		secret, err := w.Secret()
		if err != nil {
			return fmt.Errorf("reading the webhook's secret: %w", err)
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		request.Header.Set("X-Mirrorpool-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	if w.Authorization != nil {
		value, err := w.Authorization()
		if err != nil {
			return fmt.Errorf("reading the webhook's authorization: %w", err)
		}
		request.Header.Set("Authorization", value)
	}
	return nil
}

// withoutURL is the error without the URL, which may hold a secret.
func withoutURL(err error) error {
	if wrapped, is := errors.AsType[*url.Error](err); is {
		return wrapped.Err
	}
	return err
}

// judge tells from an answer whether the message was taken.
func judge(host string, response *http.Response, reply []byte) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	words := fmt.Sprintf("posting to %s: found status %d, expected 200 to 299", host, response.StatusCode)
	if text := clean(string(reply), 200); text != "" {
		words += fmt.Sprintf(": %q", text)
	}
	err := errors.New(words)
	switch code := response.StatusCode; {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return later{err, time.Duration(min(max(seconds, 0), int(longestWait/time.Second))) * time.Second}
	case code == http.StatusRequestTimeout || code >= 500:
		return err
	case code/100 == 3:
		return hopeless{fmt.Errorf("%w: redirects are not followed: name the place itself", err)}
	}
	return hopeless{err}
}

// body is what is posted.
func (w *Webhook) body(m *message) ([]byte, error) {
	var value any
	switch w.Form {
	case FormText:
		// Otherwise a mirror could have everybody called by what it answers.
		value = map[string]string{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(short(m.text(), maxText/2))}
	case FormContent:
		value = map[string]any{"content": short(m.text(), maxContent), "allowed_mentions": map[string][]string{"parse": {}}}
	default:
		return m.document()
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing the message as JSON: %w", err)
	}
	return data, nil
}

// short cuts a text to a number of characters.
func short(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-2]) + "…\n"
}
