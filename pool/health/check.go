package health

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"mirrorpool/pool"
)

// Limits of one probe.
const (
	maxBody      = 64 << 10    // bytes of a body that are looked at
	maxChunked   = 8 * maxBody // bytes that are read for them, with the marks of chunks
	maxHeader    = 64 << 10    // bytes of an answer's header
	maxRedirects = 5
	maxAddresses = 8 // of a mirror's name that are tried
)

// checker makes probes. It may be used at the same time by any number of
// goroutines. It keeps for a while what targets have to have.
type checker struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	resolver  Resolver
	roots     *x509.CertPool // nil: the system's
	userAgent string
	now       func() time.Time
	installed *atomic.Pointer[Programs] // nil: none
	draw      func(n int64) int64       // a random number from 0 to n-1; nil: one that nobody can foresee
	indexes   indexes
}

// programs are those that may be started now.
func (c *checker) programs() Programs {
	if c.installed != nil {
		if p := c.installed.Load(); p != nil {
			return *p
		}
	}
	return Programs{}
}

// probe asks a target once. It returns soon after its context has ended, and
// leaves nothing running.
func (c *checker) probe(ctx context.Context, t Target) Result {
	a := newAttempt(c, t)
	defer a.close()
	seen, err := a.run(ctx)
	a.result.Outcome, a.result.Reason = Success, seen
	if err != nil {
		f := explain(ctx, err, a.doing, a.timeout)
		a.result.Outcome, a.result.Reason = f.outcome, f.reason
		a.failed(f)
		if f.outcome == shortage {
			a.result.Outcome, a.result.NotMade, a.result.NoProgram = Success, true, false
			a.result.Reason = notLookedAt + f.reason
		}
	}
	a.result.Evidence = a.sealed()
	return a.result
}

// attempt is one probe under way.
type attempt struct {
	party  // the side that is asked
	target Target
	result Result

	mark    time.Time // when the last step ended
	opener  *reply    // the first answer that had a body
	opening []byte    // of that body
	refused string    // the certificate that was not taken, in words
}

func newAttempt(c *checker, t Target) *attempt {
	a := &attempt{target: t, mark: time.Now()}
	a.party = party{
		checker: c, follow: t.Probe.FollowRedirects, scribe: a, timeout: timeoutOf(t), doing: connecting,
	}
	if t.URL == "" {
		a.name, a.address = t.Probe.Host, t.Address
	}
	return a
}

// run says in words what it saw, or what failed.
func (a *attempt) run(ctx context.Context) (string, error) {
	switch a.target.Probe.Kind {
	case pool.CheckTCP:
		return a.tcp(ctx)
	case pool.CheckHTTP, pool.CheckHTTPS, "": // of a URL, its scheme tells the kind
		return a.http(ctx)
	case pool.CheckRsync:
		return a.rsync(ctx)
	case pool.CheckExec:
		return a.exec(ctx)
	}
	return "", fail(Failed, "no way to check %s", quote([]byte(a.target.Probe.Kind)))
}

// tcp connects, and says nothing.
func (a *attempt) tcp(ctx context.Context) (string, error) {
	if !a.target.Address.IsValid() {
		return "", fail(Failed, "target has no address")
	}
	connection, err := a.connect(ctx, []netip.Addr{a.target.Address}, a.target.Probe.Port)
	if err != nil {
		return "", err
	}
	connection.Close()
	return "connected", nil
}

// http asks what the probe is for.
func (a *attempt) http(ctx context.Context) (string, error) {
	q, err := a.question()
	if err != nil {
		return "", err
	}
	switch a.target.Probe.Purpose {
	case pool.PurposeAnswer:
		return a.fetch(ctx, q)
	case pool.PurposeThroughput:
		return a.throughput(ctx, q)
	case pool.PurposeIntegrity:
		return a.integrity(ctx, q)
	case pool.PurposeContents:
		return a.contents(ctx, q)
	}
	return "", fail(Failed, "no way to find out %s", quote([]byte(a.target.Probe.Purpose)))
}

// question is what the target is asked for: its URL, or the path at a member.
func (a *attempt) question() (question, error) {
	t := a.target
	if t.URL != "" {
		u, err := url.Parse(t.URL)
		if err != nil || u.Host == "" {
			return question{}, fail(Failed, "%s is not a URL that can be fetched", quote([]byte(t.URL)))
		}
		return question{url: u, host: u.Host}, nil
	}
	if !t.Address.IsValid() {
		return question{}, fail(Failed, "target has neither address nor URL")
	}
	raw := string(t.Probe.Kind) + "://" + net.JoinHostPort(t.Probe.Host, strconv.Itoa(int(t.Probe.Port))) +
		cmp.Or(t.Probe.Path, "/")
	u, err := url.Parse(raw)
	if err != nil || t.Probe.Host == "" {
		return question{}, fail(Failed, "host and path do not make a URL: %s", quote([]byte(raw)))
	}
	// The Host header is the name alone, whatever the port: that is
	// what the pool's clients send.
	return question{url: u, host: t.Probe.Host}, nil
}

// fetch gets a URL, and judges the answer.
func (a *attempt) fetch(ctx context.Context, q question) (string, error) {
	probe := a.target.Probe
	var pattern *regexp.Regexp
	if probe.Body != "" {
		var err error
		if pattern, err = regexp.Compile(probe.Body); err != nil {
			return "", fail(Failed, "body pattern: %s", clip(err.Error()))
		}
	}
	q.alone = true
	r, err := a.expect(ctx, q, probe.Statuses)
	if err != nil {
		return "", err
	}
	defer r.done()
	seen := "status " + strconv.Itoa(r.StatusCode)
	if pattern == nil && probe.MaxAge <= 0 {
		return seen, nil
	}
	body, cut, err := a.body(r)
	if err != nil {
		return "", err
	}
	if pattern != nil && !pattern.Match(body) {
		what := "body"
		if cut {
			what = fmt.Sprintf("body's first %d KiB", maxBody>>10)
		}
		return "", fail(Content, "%s does not match %s", what, quote([]byte(pattern.String())))
	}
	if probe.MaxAge > 0 {
		age, fresh := freshness(body, probe.TraceFormat, probe.MaxAge, a.now())
		if !fresh {
			return "", &failure{Content, age}
		}
		seen += ", " + age
	}
	return seen, nil
}

// body reads as much of a body as is looked at, and tells whether there is more.
func (a *attempt) body(r *reply) (body []byte, cut bool, err error) {
	// Chunks may be as small as a byte, with five bytes around each.
	r.limit(maxChunked)
	body, err = io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		if r.exhausted() {
			return nil, false, fail(Protocol, "body's chunks take more than %d KiB", maxChunked>>10)
		}
		return nil, false, err
	}
	a.step(stepBody, bytesInWords(int64(len(body))))
	if len(body) > maxBody {
		return body[:maxBody], true, nil
	}
	return body, false, nil
}
