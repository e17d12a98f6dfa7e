package health

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mirrorpool/pool"
)

// question is one request.
type question struct {
	method string // empty: GET
	url    *url.URL
	host   string // the Host header
	span   *span  // of the file that is wanted; nil: all of it
	known  string // the ETag of what we have: an answer 304 says that it is still so
	alone  bool   // nothing more is asked on the connection
}

// at is the same question of another URL.
func (q question) at(u *url.URL) question {
	q.url, q.host = u, u.Host
	return q
}

// asking is the same question of a part of the file.
func (q question) asking(part span) question {
	q.span = &part
	return q
}

// request puts the question into the form of HTTP.
func (q question) request(ctx context.Context, userAgent string) *http.Request {
	request := &http.Request{
		Method: q.method,
		URL:    q.url,
		Host:   q.host,
		Header: http.Header{
			"User-Agent":      {userAgent},
			"Accept":          {"*/*"},
			"Accept-Encoding": {"identity"},
		},
		Close: q.alone,
	}
	if request.Method == "" {
		request.Method = http.MethodGet
	}
	if q.span != nil {
		request.Header.Set("Range", q.span.header())
	}
	if q.known != "" {
		request.Header.Set("If-None-Match", q.known)
	}
	return request.WithContext(ctx)
}

// reply is what a server said, its body as far as it was read. It has to be
// given up with done.
type reply struct {
	*http.Response
	party   *party
	link    *link
	release func()
	alone   bool // the connection is not used again
	ended   bool // the body was read to its end
}

// Read reads the body, no further than the limit allows.
func (r *reply) Read(b []byte) (int, error) {
	n, err := r.Body.Read(b)
	if r.party.scribe != nil {
		r.party.scribe.took(r, b[:n])
	}
	r.ended = r.ended || err == io.EOF
	return n, err
}

// limit bounds what is read from the connection from now on, with all that is
// around the body.
func (r *reply) limit(bytes int64) { r.link.limited.N = bytes }

// exhausted reports whether the limit is what ended the reading.
func (r *reply) exhausted() bool { return r.link.limited.N <= 0 }

// done gives the connection back if it can be used again, and closes it if not:
// to close the body would read all of it. What came without having been asked
// for would be taken for the next answer.
func (r *reply) done() {
	r.release()
	if r.alone || r.Close || !r.ended || r.StatusCode < 200 || r.link.reader.Buffered() > 0 {
		r.link.raw.Close()
		return
	}
	r.party.keep(r.link)
}

// all reads a body of so many bytes, or one more if it has more.
func (r *reply) all(length int64) ([]byte, error) {
	r.limit(chunkRoom(length))
	body, err := io.ReadAll(io.LimitReader(r, length+1))
	if err != nil && r.exhausted() {
		return nil, fail(Protocol, "body's chunks take more than %s", bytesInWords(chunkRoom(length)))
	}
	return body, err
}

// skip reads a small body that nobody wants, so that the connection can be used
// again.
func (r *reply) skip() {
	const small = 4 << 10
	if !r.ended && !r.alone && r.ContentLength >= 0 && r.ContentLength <= small {
		r.limit(2 * small)
		n, err := io.Copy(io.Discard, io.LimitReader(r.Body, small+1))
		r.ended = err == nil && n == r.ContentLength
	}
}

// redirects reports whether the answer leads elsewhere.
func (r *reply) redirects() bool {
	switch r.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return r.location() != ""
	}
	return false
}

func (r *reply) location() string { return r.Header.Get("Location") }

// unexpected is the failure of an answer with another status than expected.
func (r *reply) unexpected(expected pool.StatusSet) error {
	if r.redirects() {
		return fail(Status, "status %d, expected %s (redirect to %s)", r.StatusCode, expected, quote([]byte(r.location())))
	}
	return fail(Status, "status %d, expected %s", r.StatusCode, expected)
}

// glance reads how the body of an unexpected answer begins, for the evidence
// alone, and waits a second for it at most.
func (r *reply) glance(ctx context.Context) {
	if r.party.scribe == nil || r.ended {
		return
	}
	r.alone = true // what ends the reading makes the connection useless
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	defer endWith(short, r.link.raw)()
	r.limit(4 * firstBytes)
	io.Copy(io.Discard, io.LimitReader(r, firstBytes)) // what fails has said enough by its status
}

// expect asks, and takes an answer with another status than those that are
// wanted for a failure.
func (p *party) expect(ctx context.Context, q question, wanted pool.StatusSet) (*reply, error) {
	r, err := p.lead(ctx, q, wanted)
	if err != nil {
		return nil, err
	}
	if !wanted.Has(r.StatusCode) {
		r.glance(ctx)
		r.done()
		return nil, r.unexpected(wanted)
	}
	return r, nil
}

// lead asks, and follows redirects if it may and they are not what is wanted.
// The last answer is given, whatever its status.
func (p *party) lead(ctx context.Context, q question, wanted pool.StatusSet) (*reply, error) {
	for hops := 0; ; hops++ {
		r, err := p.ask(ctx, q)
		if err != nil {
			return nil, err
		}
		if !p.follow || !r.redirects() || wanted.Has(r.StatusCode) {
			return r, nil
		}
		next, err := redirected(q.url, r.location())
		r.skip()
		r.done()
		if err != nil {
			return nil, err
		}
		if hops == maxRedirects {
			return nil, fail(Status, "more than %d redirects", maxRedirects)
		}
		q = q.at(next)
	}
}

// ask sends one request and reads the answer's header. A server may close a
// connection that was kept open at any moment (RFC 9112, section 9.3.1): then it
// is asked again on one of its own.
func (p *party) ask(ctx context.Context, q question) (*reply, error) {
	for {
		l, err := p.link(ctx, q.url)
		if err != nil {
			return nil, err
		}
		r, err := p.askOn(ctx, l, q)
		if err == nil {
			return r, nil
		}
		l.raw.Close()
		if !l.used || ctx.Err() != nil {
			return nil, err
		}
	}
}

// askOn asks on one connection. It speaks HTTP/1.1 on connections of the
// probe's own, so that nothing is shared between probes, nothing goes on in the
// background, and a failure tells what the probe was doing.
func (p *party) askOn(ctx context.Context, l *link, q question) (_ *reply, err error) {
	release := endWith(ctx, l.raw)
	defer func() {
		if err != nil {
			release()
		}
	}()
	p.doing = sending
	request := q.request(ctx, p.userAgent)
	if err := request.Write(l.connection); err != nil {
		return nil, err
	}
	if p.scribe != nil && !l.used {
		p.step(stepRequest, request.Method+" "+q.url.RequestURI())
	}
	p.doing = waiting
	l.limited.N = maxHeader
	response, err := readResponse(l.reader, request)
	if err != nil {
		if l.limited.N <= 0 {
			return nil, fail(Protocol, "header of the answer is larger than %d KiB", maxHeader>>10)
		}
		return nil, err
	}
	r := &reply{Response: response, party: p, link: l, release: release, alone: q.alone}
	r.ended = response.Body == http.NoBody
	p.doing = reading
	if a := p.scribe; a != nil {
		a.result.Evidence.Status, a.result.Evidence.Version = response.StatusCode, response.Proto
		if !l.used {
			a.step(stepFirstByte, statusInWords(r))
		}
	}
	return r, nil
}

// statusInWords tells a status, and where it leads.
func statusInWords(r *reply) string {
	words := "status " + strings.TrimSpace(r.Status)
	if r.redirects() {
		words += ", redirect to " + quote([]byte(r.location()))
	}
	return words
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

// redirected is where a redirect from u leads, if it may be followed.
func redirected(u *url.URL, location string) (*url.URL, error) {
	next, err := u.Parse(location)
	switch {
	case err != nil:
		return nil, fail(Status, "redirect to %s, which is not a URL", quote([]byte(location)))
	case next.Scheme != "http" && next.Scheme != "https", next.Hostname() == "":
		return nil, fail(Status, "redirect to %s, which is neither http nor https", quote([]byte(location)))
	case u.Scheme == "https" && next.Scheme == "http":
		return nil, fail(Status, "redirect from https down to %s", quote([]byte(location)))
	}
	return next, nil
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
