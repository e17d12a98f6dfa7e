//go:build e2e

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// faultPool is a pool whose first member has a fault put in, with what came of it.
type faultPool struct {
	healthFault
	number int // of its addresses
	victim *healthMirror
	// The pool with us and with gdnsd, and with us in the family that has no fault; nil
	// where members have one family.
	ours, theirs, untouched *healthWatch

	put, mended time.Time // in this round
	whole       time.Time // when the mirror had its whole share again, with us
	measured    []healthFigures
}

func (lab *healthLab) newFaultPool(fault healthFault, number int) *faultPool {
	return &faultPool{healthFault: fault, number: number}
}

// healthFigures are those of one round of one fault.
type healthFigures struct {
	ours, theirs systemFigures
	whole        time.Duration // from mending to the whole share
}

// systemFigures are what one of the two made of a fault.
type systemFigures struct {
	left     int           // how often the mirror left the answers
	detected time.Duration // from putting it in to the first answer without the mirror
	returned time.Duration // from mending to the first answer with it
	all      int           // downloads that began while the fault was in
	failed   int           // of them, from the first address
	lost     int           // of them, from all addresses
	slow     int           // of those that failed, the ones that did not end in time
	late     int           // downloads that this machine was too slow for
}

// round puts all faults in, takes them out, and keeps what came of it.
func (lab *healthLab) round() {
	lab.Helper()
	lab.eventually("all mirrors are in the answers of both", backWithin+healthTTL, func() bool {
		return !slices.ContainsFunc(lab.faults, func(f *faultPool) bool { return !f.ours.shows() || !f.theirs.shows() })
	})
	time.Sleep(healthTTL + time.Second) // so that nobody has an older answer
	calm := time.Now()
	time.Sleep(2 * time.Second)
	var mends []func()
	for _, fault := range lab.faults {
		fault.put = time.Now()
		mends = append(mends, fault.healthFault.put(fault.victim))
	}
	time.Sleep(faultLasts)
	for i, fault := range lab.faults {
		fault.mended, fault.whole = time.Now(), time.Time{}
		mends[i]()
	}
	lab.waitForWhole()
	time.Sleep(healthTTL + clientWaits)
	for _, fault := range lab.faults {
		fault.judge(lab, calm)
	}
}

// cutFigures are those of a time in which checks did not reach most mirrors, of all pools.
type cutFigures struct {
	pools, ours, theirs int // all pools, and those in which the mirror left the answers
	all, failed         int // downloads with us
}

// cutOff has the checks of both, and not the clients, cut off from all mirrors but the last
// of each pool over IPv4: what is wrong then is wrong with who checks, and no traffic is to
// move.
func (lab *healthLab) cutOff() {
	lab.Helper()
	var four []string
	for _, fault := range lab.faults {
		for i := range healthMembers - 1 {
			four = append(four, fault.memberAddress(i))
		}
	}
	elements := " element inet faults far4 { " + strings.Join(four, ", ") + " }"
	begins := time.Now()
	lab.command("nft", "add"+elements)
	time.Sleep(cutLasts)
	ends := time.Now()
	lab.command("nft", "delete"+elements)
	time.Sleep(clientWaits)
	var cut cutFigures
	for _, fault := range lab.faults {
		if fault.steady || fault.six {
			continue // it fails by itself now and then, or is asked for over IPv6
		}
		ours, theirs := fault.ours.figures(begins, ends), fault.theirs.figures(begins, ends)
		if fault.ours.leftSince(begins) || ours.failed > ours.slow {
			lab.Errorf("the checks are cut off from most mirrors: in the pool %q %d downloads failed, and the mirror left the answers %d times%s",
				fault.label, ours.failed, ours.left, fault.ours.story(begins))
		}
		cut.pools++
		cut.ours += min(ours.left, 1)
		cut.theirs += min(theirs.left, 1)
		cut.all += ours.all
		cut.failed += ours.failed - ours.slow
	}
	lab.cuts = append(lab.cuts, cut)
}

// shows reports whether the newest answer has the mirror.
func (w *healthWatch) shows() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.looks) > 0 && w.looks[len(w.looks)-1].present
}

// waitForWhole waits until every mirror has its whole share, and notes when.
func (lab *healthLab) waitForWhole() {
	lab.Helper()
	missing := ""
	lab.eventually("all mirrors have their whole share again, and gdnsd gives them", backWithin+healthRamp, func() bool {
		missing = ""
		for _, fault := range lab.faults {
			if fault.whole.IsZero() && lab.hasWholeShare(fault) {
				fault.whole = time.Now()
			}
			if fault.whole.IsZero() || !fault.theirs.shows() {
				missing += " " + fault.label
			}
		}
		return missing == ""
	})
}

// hasWholeShare reports whether the mirror has a share that is like those of the others,
// whose weights are equal.
func (lab *healthLab) hasWholeShare(fault *faultPool) bool {
	lab.Helper()
	var said struct {
		Candidates []struct {
			Name  string  `json:"id"`
			Share float64 `json:"share"`
		} `json:"candidates"`
	}
	family := "4"
	if fault.six {
		family = "6"
	}
	body := lab.get("/api/v1/explain?client=127.0.0.1&pool=" + fault.label + ".health.test&family=" + family)
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		lab.Fatalf("explain said %q: %v", body, err)
	}
	for _, candidate := range said.Candidates {
		if candidate.Name == "m1" {
			return candidate.Share > 0.99/healthMembers
		}
	}
	return false
}

// judge keeps the figures of a round, and fails where they are not as they have to be.
func (f *faultPool) judge(lab *healthLab, calm time.Time) {
	lab.Helper()
	ours, theirs := f.ours.figures(f.put, f.mended), f.theirs.figures(f.put, f.mended)
	f.measured = append(f.measured, healthFigures{ours: ours, theirs: theirs, whole: f.whole.Sub(f.mended)})
	complain := func(format string, arguments ...any) {
		lab.Helper()
		lab.Errorf("%s: %s\nevents: %s", f.name, fmt.Sprintf(format, arguments...), f.ours.story(f.put))
	}
	if first := f.ours.firstFailure(calm, f.put, false); first != nil && first.ended.Before(f.put) {
		complain("a download failed before the fault was there: %v", first.err)
	}
	if !f.harmless && ours.failed == 0 {
		complain("no download failed: the fault is not there")
	}
	if ours.lost > 0 {
		complain("%d downloads failed from every address of the answer", ours.lost)
	}
	if f.steady {
		if f.ours.leftSince(calm) {
			complain("the mirror left the answers %d times", ours.left)
		}
		return
	}
	switch {
	case ours.left == 0:
		complain("it was never found")
		return
	case ours.left > 1:
		complain("the mirror left the answers %d times", ours.left)
	case ours.detected > detectedWithin+f.pauses:
		complain("found after %s, and has to be within %s", ours.detected, detectedWithin+f.pauses)
	}
	if late := f.ours.firstFailure(f.put.Add(ours.detected+healthTTL+healthSlack), f.mended, true); late != nil {
		complain("a download that began %s after the fault was found failed: %v", late.began.Sub(f.put.Add(ours.detected)), late.err)
	}
	if ours.returned == 0 || ours.returned > backWithin {
		complain("back after %s, and has to be within %s", ours.returned, backWithin)
	}
	if took := f.whole.Sub(f.mended) - ours.returned; took < healthRamp/2 || took > healthRamp+healthSlack {
		complain("the whole share %s after the first answer, and ramp is %s", took, healthRamp)
	}
	if after := f.ours.firstFailure(f.mended.Add(healthSlack), time.Now(), false); after != nil {
		complain("a download that began %s after mending failed: %v", after.began.Sub(f.mended), after.err)
	}
	if f.untouched != nil {
		if f.untouched.leftSince(calm) {
			complain("the family that works lost the mirror too")
		}
		if failed := f.untouched.firstFailure(calm, time.Now(), false); failed != nil {
			complain("a download failed in the family that works: %v", failed.err)
		}
	}
}

// figures are those of a fault that was put in and mended at these times.
func (w *healthWatch) figures(put, mended time.Time) systemFigures {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var figures systemFigures
	for _, seen := range w.looks {
		switch {
		case seen.at.Before(put):
		case seen.at.Before(mended):
			if !seen.present {
				figures.left++
			}
			if !seen.present && figures.detected == 0 {
				figures.detected = seen.at.Sub(put)
			}
		case seen.present && figures.left > 0 && figures.returned == 0:
			figures.returned = seen.at.Sub(mended)
		}
	}
	for _, d := range w.downloads {
		if d.began.Before(put) || !d.began.Before(mended) {
			continue
		}
		figures.all++
		if d.err != nil {
			figures.failed++
		}
		if errors.Is(d.err, context.DeadlineExceeded) {
			figures.slow++
		}
		if d.lost {
			figures.lost++
		}
		if d.late {
			figures.late++
		}
	}
	return figures
}

// firstFailure is the first download that began in that time and failed; nil: none did. While
// the fault is not in, what did not end in time is this machine's doing.
func (w *healthWatch) firstFailure(from, to time.Time, faulty bool) *download {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var first *download
	for _, d := range w.downloads {
		if !faulty && errors.Is(d.err, context.DeadlineExceeded) {
			continue
		}
		if d.err != nil && !d.began.Before(from) && d.began.Before(to) && (first == nil || d.began.Before(first.began)) {
			first = &d
		}
	}
	return first
}

func (w *healthWatch) leftSince(from time.Time) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.ContainsFunc(w.looks, func(seen look) bool { return !seen.present && !seen.at.Before(from) })
}

// story is what was seen since then, for people.
func (w *healthWatch) story(since time.Time) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	type event struct {
		at    time.Time
		words string
	}
	var events []event
	for _, seen := range w.looks {
		words := "in the answers"
		if !seen.present {
			words = "out of the answers"
		}
		events = append(events, event{seen.at, words})
	}
	for _, d := range w.downloads {
		if d.err != nil {
			events = append(events, event{d.began, "a download fails " + d.err.Error()})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	var b strings.Builder
	for _, e := range events {
		if e.at.After(since) {
			fmt.Fprintf(&b, "\n  %5.1f s  %s", e.at.Sub(since).Seconds(), e.words)
		}
	}
	return b.String()
}
