package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// aside is a place that a probe asks besides its target: the origin of a file, or
// the index of files. That it does not answer is no fault of the target. It may
// lead elsewhere, within the bounds that every party has.
type aside struct {
	party
	name     string // "origin", "index"
	question question
	took     time.Duration // of what was asked there
}

// beside opens what is asked besides; the caller closes it.
func (a *attempt) beside(name, raw string) (*aside, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, fail(Failed, "%s %s is not a URL that can be fetched", name, quote([]byte(raw)))
	}
	return &aside{
		party:    party{checker: a.checker, follow: true, timeout: a.timeout, doing: connecting},
		name:     name,
		question: question{url: u, host: u.Host},
	}, nil
}

// during lets something be asked there, which may take half of the time that the
// probe has left, so that the target is not made to fail by it. What the probe's
// steps tell is not of this time.
func (s *aside) during(ctx context.Context, a *attempt, ask func(context.Context) error) error {
	start := time.Now()
	part, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		s.timeout = time.Until(deadline) / 2
		part, cancel = context.WithTimeout(ctx, s.timeout)
	}
	defer cancel()
	err := ask(part)
	if err != nil {
		err = explain(part, err, s.doing, s.timeout.Round(time.Millisecond))
	}
	s.took += time.Since(start)
	a.mark = time.Now()
	return err
}

// without is the end of a probe that could not be made for want of the other
// place: what was known before stands, and who is not known yet stays out. A probe
// that was cut short is not even that.
func (s *aside) without(ctx context.Context, a *attempt, done string, why error) (string, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "", ctx.Err()
	}
	a.result.NotMade = true
	a.ended(s.name, time.Now().Add(-s.took), why.Error())
	return done, nil
}

// identity is what a server tells of a file apart from its bytes.
type identity struct {
	size           int64 // unknown: it does not tell
	etag, modified string
}

// identity reads it from an answer.
func (r *reply) identity() identity {
	return identity{r.whole(), strings.TrimPrefix(r.Header.Get("ETag"), "W/"), r.Header.Get("Last-Modified")}
}

// same reports whether two looks may have been at the same version of a file.
// What is not told is not compared.
func (i identity) same(other identity) bool {
	return (i.size == other.size || i.size == unknown || other.size == unknown) &&
		(i.etag == other.etag || i.etag == "" || other.etag == "") &&
		(i.modified == other.modified || i.modified == "" || other.modified == "")
}

func (i identity) String() string {
	words := fmt.Sprintf("%d bytes", i.size)
	if i.modified != "" {
		words += ", of " + i.modified
	}
	if i.etag != "" {
		words += ", ETag " + i.etag
	}
	return words
}

// identify finds out what a server tells of a file: by HEAD, and by asking for its
// first byte where that is not allowed or tells no size.
func (p *party) identify(ctx context.Context, q question) (identity, error) {
	q.method = http.MethodHead
	r, err := p.lead(ctx, q, "200")
	if err != nil {
		return identity{}, err
	}
	found, status := r.identity(), r.StatusCode
	r.done()
	if status == http.StatusOK && found.size != unknown {
		return found, nil
	}
	q.method = http.MethodGet
	if r, err = p.expect(ctx, q.asking(span{0, 0}), partStatuses); err != nil {
		return identity{}, err
	}
	defer r.done()
	r.skip()
	if found = r.identity(); found.size == unknown {
		return identity{}, fail(Content, "tells no size of the file")
	}
	return found, nil
}
