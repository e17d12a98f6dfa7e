package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/dnsserver/notify"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
	"mirrorpool/zones/journal"
)

// commitContent is a commit that can be served. It does not hold the revision,
// which has all files of the repository in memory.
type commitContent struct {
	*content
	commit string
	time   time.Time
}

// compileRequest asks the loop to serve another commit, or to serve the same one anew.
type compileRequest struct {
	commit *commitContent // nil: the same
	reply  chan error
}

// compiler is the one place where tables are made. Its loop waits for commits,
// changes of health and changes of geography, and swaps the table whole.
type compiler struct {
	logger zerolog.Logger
	stages *stages
	state  *stateDir
	prober *health.Prober
	geo    func() *geo.Map
	keys   *keys
	signer *zones.Signer
	words  *words
	// notifier is told what is served.
	notifier *notify.Notifier
	journal  *journal.Journal
	transfer atomic.Pointer[transferWish]
	// published is called when another table is served.
	published func()
	now       func() time.Time

	table         atomic.Pointer[zones.Table]
	selfAddresses atomic.Pointer[[]netip.Addr]
	requests      chan compileRequest
	geoChanged    chan struct{}

	// Only the loop reads and writes these.
	current     *commitContent
	serials     map[string]zones.Serial
	serialsKept bool // they are on disk
	// onDisk is what was written last.
	onDisk keptSerials
	// lastGood is who was up when pools had min_members of their members.
	lastGood     zones.LastGood
	lastGoodKept bool // it is on disk
	// recorded is why the journal is not; nil: it is.
	recorded error
	// due is when to compile though nothing has happened; zero: never.
	due         time.Time
	transitions transitions
	freezes     freezes
}

// coalesce is how long the loop waits after a change of health, so that what
// changes together is compiled once.
const coalesce = 20 * time.Millisecond

// keepInterval is how often state is written down, or tried again to be.
const keepInterval = time.Minute

// run compiles until ctx ends.
func (c *compiler) run(ctx context.Context) {
	retry := time.NewTicker(keepInterval)
	defer retry.Stop()
	for {
		due := c.alarm()
		select {
		case <-ctx.Done():
			return
		case <-due:
			if !c.now().Before(c.due) {
				c.recompile()
			}
		case request := <-c.requests:
			request.reply <- c.take(request.commit)
		case <-c.prober.Changed():
			if !sleep(ctx, coalesce) {
				return
			}
			c.freezes.observe(c.prober.Report())
			c.recompile()
		case <-c.geoChanged:
			c.recompile()
		case <-retry.C:
			c.promiseSerials()
			c.retryLastGood()
			c.retryJournal()
		}
	}
}

// take compiles what was asked for.
func (c *compiler) take(commit *commitContent) error {
	if commit == nil {
		commit = c.current
	}
	if commit == nil {
		return nil // what is asked for is in the first table
	}
	err := c.compile(commit)
	switch {
	case err == nil:
		c.current = commit
	case commit == c.current:
		c.due = c.now().Add(mostAlarm) // once more
	}
	return err
}

// serve makes the loop serve another commit, or nil for the same with what is known
// now, and returns when it does or
// cannot. The table that was there stays when it cannot.
func (c *compiler) serve(ctx context.Context, commit *commitContent) error {
	request := compileRequest{commit: commit, reply: make(chan error, 1)}
	select {
	case c.requests <- request:
	case <-ctx.Done():
		return ctx.Err()
	}
	// The loop answers all that it takes. A commit that it serves is to be known as one
	// that is served, and kept, though whoever asked is about to stop.
	return <-request.reply
}

// geographyChanged tells the loop that the geo data is another one.
func (c *compiler) geographyChanged() {
	select {
	case c.geoChanged <- struct{}{}:
	default:
	}
}

// signingChanged tells the loop that zones are signed otherwise.
func (c *compiler) signingChanged() { c.geographyChanged() }

// leastAlarm and mostAlarm bound how long the loop waits for what is due. A clock may
// be set while it waits.
const (
	leastAlarm = 10 * time.Millisecond
	mostAlarm  = time.Minute
)

// alarm gives what is readable when something is due; nil: nothing is.
func (c *compiler) alarm() <-chan time.Time {
	if c.due.IsZero() {
		return nil
	}
	return time.After(min(max(c.due.Sub(c.now()), leastAlarm), mostAlarm))
}

func (c *compiler) recompile() {
	if c.current == nil {
		return
	}
	if err := c.compile(c.current); err != nil {
		c.due = c.now().Add(mostAlarm) // once more
		c.logger.Error().Err(err).Str("stage", string(stageCompile)).Msg("the last table goes on being served")
	}
}

// compile makes a table of a commit and of what is known now, and serves it.
func (c *compiler) compile(commit *commitContent) error {
	start := c.now()
	var table *zones.Table
	var nextPlan time.Time
	err := guarded("making a table", func() (err error) {
		table, nextPlan, err = c.makeTable(commit, start)
		return err
	})
	if err != nil {
		err = fmt.Errorf("compiling commit %s: %w", commit.commit, err)
		c.stages.fail(stageCompile, err)
		return err
	}
	c.serials = c.with(table.Serials())
	c.keepLastGood(table.LastGood())
	c.record(table)
	c.table.Store(table)
	tellSecondaries(c.notifier, table)
	c.published()
	c.flushJournal(c.journal.Flush)
	c.due = sooner(table.Due(), c.keys.clock.wallAt(sooner(table.SigningDue(), nextPlan)))
	c.stages.succeed(stageCompile)
	c.transitions.observe(table)
	c.logger.Debug().Str("commit", commit.commit).Dur("took", c.now().Sub(start)).Msg("serving a new table")
	return nil
}

// makeTable makes a table, and tells when zones are to be signed with other keys.
func (c *compiler) makeTable(commit *commitContent, now time.Time) (*zones.Table, time.Time, error) {
	plans, nextPlan, err := c.keys.plansFor(commit.static, servedZones(c.table.Load()))
	if err != nil {
		return nil, time.Time{}, err
	}
	input := zones.Input{
		Definition:     commit.definition,
		Static:         commit.static,
		Health:         c.prober.Report(),
		Geo:            c.geo(),
		Serials:        c.serials,
		LastGood:       c.lastGood,
		SerialShare:    c.transfer.Load().serials,
		SelfAddresses:  *c.selfAddresses.Load(),
		Commit:         commit.commit,
		CommitTime:     commit.time,
		Now:            now,
		Signing:        plans,
		Signer:         c.signer,
		Catalog:        c.transfer.Load().catalog,
		Administrative: c.words.current.Load(),
		Previous:       c.table.Load(),
	}
	table, err := zones.Compile(input)
	if err == nil && !c.keepSerials(table.Serials()) && c.onDisk.complete(now) {
		// It stays so where it can: a restart would go back to what is on disk.
		input.HoldUntil = c.onDisk.Until
		table, err = zones.Compile(input)
	}
	return table, nextPlan, err
}

// sleep waits, and reports whether ctx is still alive.
func sleep(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
