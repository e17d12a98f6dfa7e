package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mirrorpool/pool"
)

// answer is what a server said.
type answer struct {
	status   int
	location string // of a redirect
	body     []byte // as far as it was wanted
	cut      bool   // the body went on after maxBody
}

// redirects reports whether the answer leads elsewhere.
func (a *answer) redirects() bool {
	switch a.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return a.location != ""
	}
	return false
}

// unexpected is the failure of an answer with another status than expected.
func (a *answer) unexpected(expected pool.StatusSet) error {
	if a.redirects() {
		return fail(Status, "status %d, expected %s (redirect to %s)", a.status, expected, quote([]byte(a.location)))
	}
	return fail(Status, "status %d, expected %s", a.status, expected)
}

// exchange connects, sends one GET request and reads the answer; the body only
// if it is wanted with that status. It speaks HTTP/1.1 on a connection of its
// own, so that nothing is shared between probes, nothing goes on in the
// background, and a failure tells what the probe was doing.
func (a *attempt) exchange(ctx context.Context, u *url.URL, host string, wanted func(status int) bool) (*answer, error) {
	port, err := portOf(u)
	if err != nil {
		return nil, err
	}
	addresses, err := a.addresses(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := a.bounded(addresses); err != nil {
		return nil, err
	}
	connection, err := a.connect(ctx, addresses, port)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	defer endWith(ctx, connection)()
	if u.Scheme != "https" {
		return a.ask(ctx, connection, u, host, wanted)
	}
	secured, err := a.secure(ctx, connection, u.Hostname())
	if err != nil {
		return nil, err
	}
	return a.ask(ctx, secured, u, host, wanted)
}

// endWith makes a connection's reads and writes fail once the context has
// ended, until the function that it gives is called.
func endWith(ctx context.Context, connection net.Conn) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		connection.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done // it has begun: leave nothing behind
		}
	}
}

// portOf is the port that a URL names, or its scheme's own.
func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	switch {
	case text == "" && u.Scheme == "http":
		return 80, nil
	case text == "" && u.Scheme == "https":
		return 443, nil
	case u.Scheme != "http" && u.Scheme != "https":
		return 0, fail(Failed, "no way to fetch %s", quote([]byte(u.Redacted())))
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fail(Failed, "%s is not a port", quote([]byte(text)))
	}
	return uint16(port), nil
}

// secure makes the TLS handshake and verifies the certificate for the name.
func (a *attempt) secure(ctx context.Context, connection net.Conn, name string) (net.Conn, error) {
	a.doing = shaking
	secured := tls.Client(connection, &tls.Config{
		ServerName: strings.TrimSuffix(name, "."),
		RootCAs:    a.roots,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		Time:       a.now,
	})
	err := secured.HandshakeContext(ctx)
	if err != nil {
		a.sawCertificate(leafOf(err))
		return nil, err
	}
	a.sawCertificate(secured.ConnectionState().PeerCertificates[0])
	return secured, nil
}

// sawCertificate notes when a certificate ends; of several, behind redirects,
// the soonest.
func (a *attempt) sawCertificate(leaf *x509.Certificate) {
	if leaf == nil {
		return
	}
	if known := a.result.CertificateExpiry; known.IsZero() || leaf.NotAfter.Before(known) {
		a.result.CertificateExpiry = leaf.NotAfter.UTC()
	}
}

// ask sends the request and reads the answer.
func (a *attempt) ask(ctx context.Context, connection net.Conn, u *url.URL, host string, wanted func(int) bool) (*answer, error) {
	a.doing = sending
	request := (&http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   host,
		Header: http.Header{
			"User-Agent":      {a.userAgent},
			"Accept":          {"*/*"},
			"Accept-Encoding": {"identity"},
		},
		Close: true,
	}).WithContext(ctx)
	if err := request.Write(connection); err != nil {
		return nil, err
	}
	a.doing = waiting
	limited := &io.LimitedReader{R: connection, N: maxHeader}
	response, err := readResponse(bufio.NewReader(limited), request)
	if err != nil {
		if limited.N <= 0 {
			return nil, fail(Protocol, "header of the answer is larger than %d KiB", maxHeader>>10)
		}
		return nil, err
	}
	// The body is not closed, as that would read all of it: the connection is.
	got := &answer{status: response.StatusCode, location: response.Header.Get("Location")}
	if !wanted(got.status) {
		return got, nil
	}
	a.doing = reading
	// Chunks may be as small as a byte, with five bytes around each.
	limited.N = maxChunked
	got.body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		if limited.N <= 0 {
			return nil, fail(Protocol, "body's chunks take more than %d KiB", maxChunked>>10)
		}
		return nil, err
	}
	if len(got.body) > maxBody {
		got.body, got.cut = got.body[:maxBody], true
	}
	return got, nil
}

// readResponse reads the final answer, past interim ones.
func readResponse(from *bufio.Reader, request *http.Request) (*http.Response, error) {
	for range 5 {
		response, err := http.ReadResponse(from, request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, fail(Protocol, "too many interim answers")
}
