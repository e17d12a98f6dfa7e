package gitsource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// httpSession is a session over Git's smart HTTP protocol. Redirects of the
// first question are followed, without the password to another host, and never
// from https to http.
type httpSession struct {
	session transport.UploadPackSession
	idle    func() // closes the connections that are idle
	remote  *remote
	body    io.Closer // of the pack; nil before there is one
}

func (r *remote) openHTTP(m *meter) (session, error) {
	carrier := &http.Transport{
		Proxy: nil, // not from the environment
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return r.dialer.dial(ctx, address, m)
		},
		TLSClientConfig:    &tls.Config{RootCAs: r.config.RootCAs, MinVersion: tls.VersionTLS12},
		DisableCompression: true, // what is counted is what is unpacked
	}
	// The user and the password go into a header alone: a URL with them would
	// show up in errors.
	endpoint := &transport.Endpoint{
		Protocol: r.address.scheme,
		Host:     bracketed(r.address.host),
		Port:     r.address.port,
		Path:     r.address.path,
	}
	var auth transport.AuthMethod
	if r.address.user != "" || r.address.password != "" {
		auth = &githttp.BasicAuth{Username: r.address.user, Password: r.address.password}
	}
	s, err := githttp.NewClient(&http.Client{Transport: shortErrorPages{carrier}}).NewUploadPackSession(endpoint, auth)
	if err != nil {
		return nil, fmt.Errorf("setting up the HTTP client: %w", err)
	}
	return &httpSession{session: s, idle: carrier.CloseIdleConnections, remote: r}, nil
}

// errorPageLimit is how many bytes are read of an answer that is an error or a
// redirect. The Git client keeps them all, and only a line of it is shown.
const errorPageLimit = 4 << 10

// shortErrorPages cuts the body of answers that are no success.
type shortErrorPages struct{ carrier http.RoundTripper }

func (s shortErrorPages) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.carrier.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, errorPageLimit), response.Body}
	}
	return response, nil
}

func (s *httpSession) advertised(ctx context.Context) (*packp.AdvRefs, error) {
	references, err := s.session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) || errors.Is(err, packp.ErrEmptyAdvRefs) {
		return packp.NewAdvRefs(), nil
	}
	if err != nil {
		return nil, s.word(err)
	}
	return references, nil
}

func (s *httpSession) fetch(ctx context.Context, request *packp.UploadPackRequest) (io.Reader, error) {
	response, err := s.session.UploadPack(ctx, request)
	if err != nil {
		return nil, s.word(err)
	}
	s.body = response
	return packOf(request, response), nil
}

func (s *httpSession) lastWords() string { return "" }

func (s *httpSession) close() {
	if s.body != nil {
		_ = s.body.Close()
	}
	_ = s.session.Close()
	s.idle()
}

// word puts the errors of HTTP and TLS into words. What it returns holds neither
// the URL nor the page that came with an error.
func (s *httpSession) word(err error) error {
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) {
		err = unexpected.Err
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err // without the URL
	}
	var untrusted *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var status *githttp.Err
	var odd *packp.ErrUnexpectedData
	host := s.remote.address.hostPort()
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("the certificate of %s is not trusted: %w", host, untrusted.Err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return worded(host+" does not speak TLS there: is it http://?", err)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return worded(host+" wants a user and a password, or other ones (status 401): write them into the URL as https://user:password@host/path, or use ssh", ErrAuthentication, transport.ErrAuthenticationRequired)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return worded(host+" does not let us read the repository (status 403)", ErrAuthentication, transport.ErrAuthorizationFailed)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return worded(fmt.Sprintf("there is no Git repository at %s on %s (status 404)", s.remote.address.path, host), transport.ErrRepositoryNotFound)
	case errors.As(err, &status):
		return fmt.Errorf("%s answered with status %d: %s", host, status.StatusCode(), tidy(status.Reason, 200))
	case errors.Is(err, packp.ErrEmptyInput), errors.Is(err, pktline.ErrInvalidPktLen), errors.As(err, &odd):
		return notGit(s.remote.address.path, fmt.Errorf("%w (is it served by git http-backend or the like?)", err))
	}
	return shortened{err}
}
