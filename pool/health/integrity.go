package health

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
)

// Limits of PurposeIntegrity.
const (
	maxHashed          = 64 << 20 // bytes of a file that is hashed whole
	maxSamples         = 100
	maxSample          = 16 << 20 // bytes
	maxPart            = 1 << 20  // bytes of a sample that are held in memory
	defaultSamples     = 3
	defaultSampleBytes = 64 << 10
)

// integrity holds a file against its published hash, or against the origin's.
func (a *attempt) integrity(ctx context.Context, q question) (string, error) {
	switch probe := a.target.Probe; {
	case probe.SHA256 != "":
		return a.hash(ctx, q)
	case probe.Origin != "":
		return a.compare(ctx, q)
	}
	return "", fail(Failed, "neither an origin nor a hash to hold the file against")
}

// hash gets a whole file, and holds it against its published SHA-256.
func (a *attempt) hash(ctx context.Context, q question) (string, error) {
	q.alone = true
	r, err := a.expect(ctx, q, "200")
	if err != nil {
		return "", err
	}
	defer r.done()
	large := fail(Content, "the file has more than %d MiB, which is the most that is hashed", maxHashed>>20)
	if r.ContentLength > maxHashed {
		return "", large
	}
	r.limit(chunkRoom(maxHashed))
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(r, maxHashed+1))
	switch {
	case err != nil && r.exhausted():
		return "", fail(Protocol, "body's chunks take more than %d MiB", chunkRoom(maxHashed)>>20)
	case err != nil:
		return "", err
	case n > maxHashed:
		return "", large
	}
	found := hex.EncodeToString(sum.Sum(nil))
	a.step(stepBody, fmt.Sprintf("%s, sha256 %s", bytesInWords(n), found))
	if published := a.target.Probe.SHA256; found != published {
		return "", fail(Altered, "the file of %s has sha256 %s, published is %s", bytesInWords(n), short(found), short(published))
	}
	return fmt.Sprintf("the file of %s has the published sha256", bytesInWords(n)), nil
}

// short is enough of a hash to tell two contents apart in words.
func short(hash string) string { return clip(hash[:min(len(hash), 12)]) }

func shortHash(content []byte) string {
	sum := sha256.Sum256(content)
	return short(hex.EncodeToString(sum[:]))
}

// compare gets parts of a file from the origin and from the target, and holds
// them against each other.
func (a *attempt) compare(ctx context.Context, q question) (string, error) {
	origin, err := a.beside("origin", a.target.Probe.Origin)
	if err != nil {
		return "", err
	}
	defer origin.close()
	var is identity
	err = origin.during(ctx, a, func(ctx context.Context) (err error) {
		is, err = origin.identify(ctx, origin.question)
		if err == nil && is.size == 0 {
			err = fail(Content, "the file is empty")
		}
		return err
	})
	if err != nil {
		return origin.without(ctx, a, "origin not reachable: not compared", err)
	}
	a.ended(origin.name, a.mark.Add(-origin.took), is.String())
	c := &comparison{attempt: a, origin: origin, question: q, is: is}
	parts := a.places(is.size)
	for i, part := range parts {
		err := c.hold(ctx, part)
		missed, ours := errors.AsType[*notCompared](err)
		switch {
		case ours:
			words := missed.Error() + ": not compared"
			if i > 0 {
				words = fmt.Sprintf("%d of %d parts are the origin's; %s", i, len(parts), words)
			}
			return origin.without(ctx, a, words, missed.why)
		case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && 2*origin.took > a.timeout:
			return origin.without(ctx, a, "origin is slow: not compared", fmt.Errorf("took %s of %s", origin.took, a.timeout))
		case err != nil:
			return "", err
		}
	}
	return fmt.Sprintf("%s of %s are the origin's", count(len(parts), "part", "parts"), bytesInWords(is.size)), nil
}

// count writes a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// places are the parts of a file that are compared: all of it if it is small, or
// else places drawn anew for each probe, and its end, where the file of a mirror
// that has not got all of it differs.
func (a *attempt) places(size int64) []span {
	probe := a.target.Probe
	samples, length := int64(probe.Samples), probe.Bytes
	if samples <= 0 {
		samples = defaultSamples
	}
	if length <= 0 {
		length = defaultSampleBytes
	}
	samples, length = min(samples, maxSamples), min(length, maxSample)
	if size <= samples*length {
		return span{0, size - 1}.pieces(min(length, maxPart))
	}
	draw := a.draw
	if draw == nil {
		draw = rand.Int64N
	}
	var all []span
	for range samples - 1 {
		first := draw(size - 2*length + 1) // size is over 2 lengths where there are 2 samples
		all = append(all, span{first, first + length - 1}.pieces(maxPart)...)
	}
	return append(all, span{size - length, size - 1}.pieces(maxPart)...)
}

// comparison is one under way.
type comparison struct {
	*attempt
	origin   *aside
	question question
	is       identity // of the origin's file
}

// notCompared tells that the origin has not said what the file is.
type notCompared struct {
	words string
	why   error
}

func (n *notCompared) Error() string { return n.words }

// hold holds one part against the origin's. A difference counts only if the
// origin says the same again.
func (c *comparison) hold(ctx context.Context, part span) error {
	theirs, err := c.published(ctx, part)
	if err != nil {
		return err
	}
	ours, was, err := c.part(ctx, c.question, part, c.is.size)
	if err != nil {
		return err
	}
	if was.size == c.is.size && bytes.Equal(ours, theirs) {
		c.step("sample", part.String()+": the origin's")
		return nil
	}
	c.step("sample", part.String()+": not the origin's; the file has "+was.String())
	again, err := c.published(ctx, part)
	if err != nil {
		return err
	}
	if !bytes.Equal(theirs, again) {
		return &notCompared{"origin changed meanwhile", fail(Altered, "%s changed from %s to %s", part, shortHash(theirs), shortHash(again))}
	}
	if was.size != c.is.size {
		return fail(Altered, "the file has %d bytes, the origin's %d", was.size, c.is.size)
	}
	at := part.first
	for i := range ours {
		if ours[i] != theirs[i] {
			at += int64(i)
			break
		}
	}
	return fail(Altered, "%s differ from the origin's at %d (sha256 %s, the origin's %s)", part, at, shortHash(ours), shortHash(theirs))
}

// published is a part of the origin's file, as long as that has not changed.
func (c *comparison) published(ctx context.Context, part span) ([]byte, error) {
	var body []byte
	var is identity
	err := c.origin.during(ctx, c.attempt, func(ctx context.Context) (err error) {
		body, is, err = c.origin.part(ctx, c.origin.question, part, c.is.size)
		return err
	})
	switch {
	case err != nil:
		return nil, &notCompared{"origin not reachable", err}
	case !c.is.same(is):
		return nil, &notCompared{"origin changed meanwhile", fail(Altered, "%s, before %s", is, c.is)}
	}
	return body, nil
}

// part gets a part of a file that is expected to have a size. Where the size is
// another one no body is given. A server that does not tell the size with a part
// is taken at its word that it is as expected.
func (p *party) part(ctx context.Context, q question, wanted span, size int64) ([]byte, identity, error) {
	r, err := p.lead(ctx, q.asking(wanted), partStatuses)
	if err != nil {
		return nil, identity{}, err
	}
	defer r.done()
	is := r.identity()
	switch r.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		if is.size != unknown && is.size != size {
			return nil, is, nil
		}
	}
	switch {
	case r.StatusCode == http.StatusOK && wanted.length() < size:
		return nil, is, fail(Content, "does not do ranges: asked for %s, and sent the whole file", wanted)
	case r.StatusCode != http.StatusOK && r.StatusCode != http.StatusPartialContent:
		r.glance(ctx)
		return nil, is, r.unexpected("206")
	}
	sent := span{0, size - 1}
	if r.StatusCode == http.StatusPartialContent {
		if sent, _, err = r.sent(wanted); err != nil {
			return nil, is, err
		}
	}
	is.size = size
	body, err := r.all(sent.length())
	if err == nil && int64(len(body)) != wanted.length() {
		err = fail(Content, "sent %s in a body of %s", sent, bytesInWords(int64(len(body))))
	}
	return body, is, err
}
