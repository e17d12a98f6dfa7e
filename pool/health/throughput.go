package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"mirrorpool/pool"
)

const (
	defaultThroughputBytes = 1 << 20
	// tooShort is a time in which a rate cannot be measured: what comes within it was
	// under way already.
	tooShort = time.Millisecond
	// stalled is how long nothing may have come at the end of the probe's time for what
	// came before to count as its rate.
	stalled = time.Second
	// partStatuses are those of answers to a question for a part of a file.
	partStatuses pool.StatusSet = "200,206"
)

// throughput gets the beginning of a file and measures how fast it comes, from
// the first bytes of the body on.
func (a *attempt) throughput(ctx context.Context, q question) (string, error) {
	probe := a.target.Probe
	wanted := span{0, probe.Bytes - 1}
	if probe.Bytes <= 0 {
		wanted.last = defaultThroughputBytes - 1
	}
	q.alone = true
	r, err := a.expect(ctx, q.asking(wanted), partStatuses)
	if err != nil {
		return "", err
	}
	defer r.done()
	part, _, err := r.sent(wanted)
	if err != nil {
		return "", err
	}
	most := wanted.length()
	if part.last >= part.first {
		most = min(most, part.length())
	}
	var m measurement
	r.limit(chunkRoom(most))
	err = m.read(r, most)
	if rate := m.rate(); !m.brief() || rate >= probe.MinRate {
		a.result.Evidence.BytesPerSecond = rate
	}
	a.step(stepBody, m.words())
	if err == nil && r.StatusCode == http.StatusPartialContent && m.bytes < part.length() {
		return "", fail(Content, "sent %s in a body of %d bytes", part, m.bytes)
	}
	return m.judge(ctx, r, most, probe.MinRate, err)
}

// chunkRoom is how much may be read of a connection for so many bytes of a body,
// with the marks of chunks.
func chunkRoom(bytes int64) int64 { return 2*bytes + maxBody }

// measurement is what came of a body, and when.
type measurement struct {
	bytes       int64
	beginning   int64 // of them those that came at the first moment
	first, last time.Time
	waited      time.Duration // after the last of them
}

// read takes so many bytes of a body at most, and measures.
func (m *measurement) read(from io.Reader, most int64) error {
	buffer := make([]byte, 32<<10)
	for m.bytes < most {
		n, err := from.Read(buffer[:min(int64(len(buffer)), most-m.bytes)])
		now := time.Now()
		if n > 0 {
			if m.bytes == 0 {
				m.first, m.beginning = now, int64(n)
			}
			m.bytes, m.last = m.bytes+int64(n), now
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			m.waited = now.Sub(m.last)
			return err
		}
	}
	return nil
}

// took is how long the body came, or was waited for.
func (m *measurement) took() time.Duration { return m.last.Sub(m.first) + m.waited }

// brief reports whether the body came in less time than can be measured.
func (m *measurement) brief() bool { return m.took() < tooShort }

// rate is in bytes a second. What came at the first moment is not counted, as its
// time is not known. What came too fast to tell came in tooShort.
func (m *measurement) rate() int64 {
	if m.brief() {
		return m.bytes * int64(time.Second/tooShort)
	}
	return int64(float64(m.bytes-m.beginning) / m.took().Seconds())
}

func (m *measurement) words() string {
	if m.brief() {
		return bytesInWords(m.bytes) + " at once"
	}
	return fmt.Sprintf("%s in %s, %s", bytesInWords(m.bytes), m.took().Round(time.Millisecond), rateInWords(m.rate()))
}

// judge holds what was measured against the floor. Where the time is over while
// bytes still come in, what came tells the rate.
func (m *measurement) judge(ctx context.Context, r *reply, most, floor int64, err error) (string, error) {
	switch {
	case err != nil && r.exhausted():
		return "", fail(Protocol, "body's chunks take more than %s", bytesInWords(chunkRoom(most)))
	case err != nil && (m.bytes == 0 || !errors.Is(ctx.Err(), context.DeadlineExceeded)):
		return "", err
	case m.bytes == 0:
		return "", fail(Content, "the file is empty")
	}
	var cut string
	if err != nil {
		cut = fmt.Sprintf(" (%s of %s within %s)", bytesInWords(m.bytes), bytesInWords(most), r.party.timeout)
	}
	switch rate := m.rate(); {
	case !m.brief() && rate < floor:
		found, wanted := rateInWords(rate), rateInWords(floor)
		if found == wanted {
			found, wanted = fmt.Sprintf("%d B/s", rate), fmt.Sprintf("%d B/s", floor)
		}
		return "", fail(Slow, "%s, at least %s is wanted%s", found, wanted, cut)
	case m.waited > stalled:
		return "", fail(Slow, "nothing came for the last %s%s", m.waited.Round(100*time.Millisecond), cut)
	}
	return fmt.Sprintf("status %d, %s%s", r.StatusCode, m.words(), cut), nil
}
