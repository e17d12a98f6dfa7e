package health

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"mirrorpool/pool"
)

// BenchmarkScheduler is one probe's cost among 10,000 targets, without the
// probe: taking it out of the queue, recording its result, putting it back.
func BenchmarkScheduler(b *testing.B) {
	p := NewProber(Config{Rate: 1e9})
	p.SetTargets(assign(10_000, everyHalfMinute))
	result := Result{Outcome: Success, Reason: "status 200"}
	now := p.elapsed()
	b.ReportAllocs()
	for b.Loop() {
		e, _, wait := p.next(b.Context(), now)
		for e == nil {
			now += wait
			e, _, wait = p.next(b.Context(), now)
		}
		p.finish(e, result, time.Millisecond, true, now)
	}
}

// BenchmarkReport is the cost of a report of 10,000 targets after a change.
func BenchmarkReport(b *testing.B) {
	p := NewProber(Config{})
	p.SetTargets(assign(10_000, everyHalfMinute))
	b.ReportAllocs()
	for b.Loop() {
		p.stale.Store(true)
		p.Report()
	}
}

// BenchmarkSetTargets is the cost of a reload of 10,000 targets that stay.
func BenchmarkSetTargets(b *testing.B) {
	p := NewProber(Config{})
	all := assign(10_000, everyHalfMinute)
	p.SetTargets(all)
	b.ReportAllocs()
	for b.Loop() {
		p.SetTargets(all)
	}
}

// BenchmarkProbe is one ordinary probe's cost with its evidence, on a connection that
// answers at once.
func BenchmarkProbe(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\n1700000000\n"
	c := &checker{
		userAgent: "mirrorpool/test", resolver: sameAddress{}, now: func() time.Time { return time.Unix(1_700_000_000, 0) },
		dial: func(context.Context, string, string) (net.Conn, error) {
			return &spoken{answer: bytes.NewReader([]byte(answer))}, nil
		},
	}
	target := member(pool.CheckHTTP, netip.MustParseAddrPort("127.0.0.1:80"), func(p *pool.Probe) { p.MaxAge = time.Hour })
	b.ReportAllocs()
	for b.Loop() {
		if got := c.probe(b.Context(), target); got.Outcome != Success || len(got.Evidence.Steps) != 4 {
			b.Fatalf("%+v", got)
		}
	}
}
