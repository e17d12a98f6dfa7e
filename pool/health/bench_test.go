package health

import (
	"testing"
	"time"
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
