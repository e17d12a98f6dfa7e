package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"mirrorpool/gitsource"
	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// source gives package gitsource its part of the configuration.
func (c *config) source(looked func(gitsource.Status)) gitsource.Config {
	return gitsource.Config{
		URL: c.Git.URL, Branch: c.Git.Branch, Poll: c.Git.Poll.value(), Timeout: c.Git.Timeout.value(),
		Proxy: c.Git.Proxy, SSHKey: c.Git.SSHKey, KnownHosts: c.Git.KnownHosts,
		StateDir: c.StateDir, Notify: looked,
	}
}

// follower is the goroutine that follows the repository.
type follower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (f *follower) stop() {
	f.cancel()
	<-f.done
}

// follow serves the last good commit and then whatever the remote has.
func (n *node) follow(ctx context.Context) *follower {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{cancel: cancel, done: make(chan struct{})}
	source := n.source.Load()
	go func() {
		defer close(f.done)
		stepBack()
		if n.compiler.table.Load() == nil {
			n.serveKept(ctx, source)
		}
		if err := source.Run(ctx, n.accept); err != nil && ctx.Err() == nil {
			n.failed <- fmt.Errorf("following the repository: %w", err)
		}
	}()
	return f
}

// serveKept serves the commit that the last run kept.
func (n *node) serveKept(ctx context.Context, source *gitsource.Source) {
	revision, err := source.Last()
	if errors.Is(err, gitsource.ErrOtherRemote) {
		n.logger.Warn().Err(err).Msg("nothing is served before the first commit of this remote")
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = n.adopt(ctx, revision, 1, true)
	}
	if err != nil && ctx.Err() == nil {
		// The remote may have it whole, or another one.
		source.Forget()
		n.stages.fail(stageKept, err)
		n.logger.Error().Err(err).Str("stage", string(stageKept)).Msg("the kept commit cannot be served: nothing is before the remote gives one")
	}
}

// accept is offered each new commit. A nil error makes it the last good one;
// sourceLooked tells of the others.
func (n *node) accept(ctx context.Context, revision *gitsource.Revision) error {
	return n.adopt(ctx, revision, n.config.Load().Git.MaxCapacityDrop, false)
}

// refusal is why a commit is not taken: every problem, with its place.
type refusal struct {
	commit   string
	author   string // of the commit
	problems []pool.Problem
}

func (r *refusal) Error() string {
	first, count := "", 0
	for _, problem := range r.problems {
		if problem.Severity != pool.Error {
			continue
		}
		if count == 0 {
			first = problem.String()
		}
		count++
	}
	if count > 1 {
		return fmt.Sprintf("commit %s is refused: %s (and %d more)", r.commit, first, count-1)
	}
	return fmt.Sprintf("commit %s is refused: %s", r.commit, first)
}

// adopt reads a commit, waits until all that it names has been probed once, and
// serves it. Until then, and if it cannot, what was served goes on.
//
// One that was served before, and was kept, is served again also where its pools are
// not all published any more.
//
// A panic refuses the commit: it would end the server, and each start after it that
// reads the same.
func (n *node) adopt(ctx context.Context, revision *gitsource.Revision, maxCapacityDrop float64, kept bool) error {
	defer n.sweeper.soon()
	return guarded("taking over commit "+revision.Commit, func() error {
		return n.takeOver(ctx, revision, maxCapacityDrop, kept)
	})
}

func (n *node) takeOver(ctx context.Context, revision *gitsource.Revision, maxCapacityDrop float64, kept bool) error {
	content, problems := readRepositoryWith(revision.Files, func(definition *pool.Definition) []string {
		if kept {
			return poolNames(definition)
		}
		return n.config.Load().publishedPools()
	})
	if content == nil {
		return &refusal{commit: revision.Commit, author: revision.Author, problems: problems}
	}
	if err := n.keys.begin(content.static, servedZones(n.compiler.table.Load())); err != nil {
		if n.compiler.table.Load() == nil {
			n.failed <- err // as with all that has to be right at the start
		}
		return err
	}
	if err := n.hosts.lock(ctx); err != nil {
		return err
	}
	defer n.hosts.unlock()
	var served *pool.Definition
	if table := n.compiler.table.Load(); table != nil {
		served = table.Definition
	}
	if drops := pool.CapacityDrop(served, content.definition, maxCapacityDrop); pool.HasErrors(drops) {
		return &refusal{commit: revision.Commit, author: revision.Author, problems: drops}
	}
	n.await("the addresses of host names")
	resolved := n.hosts.resolve(ctx, content)
	if err := n.switchTo(ctx, served, &commitContent{content: resolved, commit: revision.Commit, time: revision.Time}); err != nil {
		n.hosts.adopt(nil)
		return err
	}
	n.hosts.adopt(&commitContent{content: content, commit: revision.Commit, time: revision.Time})
	n.warnings.Store(&content.warnings)
	n.warnUnpublished()
	n.lookAtPrograms()
	n.logAdopted(revision, content)
	if served == nil {
		n.whenReady()
	}
	return nil
}

// switchTo serves a commit once all that it names has been probed. Until then, and where
// it cannot be, what was served goes on, and is probed.
func (n *node) switchTo(ctx context.Context, served *pool.Definition, commit *commitContent) error {
	wanted := health.Targets(commit.definition)
	n.remember(commit.definition, served)
	n.probeFirst(ctx, served, wanted)
	if err := n.compiler.serve(ctx, commit); err != nil {
		n.prober.SetTargets(targetsOf(served))
		n.remember(served)
		return err
	}
	n.prober.SetTargets(wanted)
	n.remember(commit.definition)
	return nil
}

func targetsOf(definition *pool.Definition) []health.Assignment {
	if definition == nil {
		return nil
	}
	return health.Targets(definition)
}

// firstRoundSlack is what a loaded machine may be late by.
const firstRoundSlack = 3 * time.Second

// longestFirstRound bounds the wait for very slow or very many targets.
const longestFirstRound = 5 * time.Minute

// probeFirst has the new targets probed beside those that are served, and returns when
// each is known. An inspection that is new for members that are served may be repeated for
// that, since a single error must not take them out of the answers; where nothing is
// served yet, nobody waits for that longer than for the slowest probe.
func (n *node) probeFirst(ctx context.Context, served *pool.Definition, wanted []health.Assignment) {
	n.await("the first round of health checks")
	all := union(wanted, targetsOf(served))
	n.prober.SetTargets(all)
	longest, processes, transfers, repeats := time.Duration(0), 0, time.Duration(0), time.Duration(0)
	for _, assignment := range wanted {
		probe := assignment.Target.Probe
		longest = max(longest, probe.Timeout)
		repeats = max(repeats, time.Duration(assignment.Schedule.DownAfter-1)*(health.RepeatUnknown+probe.Timeout))
		switch {
		case probe.Kind == pool.CheckRsync, probe.Kind == pool.CheckExec:
			processes++
		case probe.Purpose == pool.PurposeThroughput, probe.Purpose == pool.PurposeIntegrity:
			transfers += probe.Timeout
		}
	}
	if served != nil {
		longest += repeats
	}
	// Those that start processes wait for each other: a second is more than they need.
	longest += time.Duration(processes) * time.Second / health.MaxProcesses
	// So do those that load the network, for as long as each of them takes.
	longest += transfers / health.MaxTransfers
	// Starts are spread by the cap on the rate of probes, which a loaded machine does not
	// reach.
	longest += firstRoundSlack + 2*time.Duration(float64(len(all))/n.prober.Rate()*float64(time.Second))
	round, cancel := context.WithTimeout(ctx, min(longest, longestFirstRound))
	defer cancel()
	if err := n.prober.WaitKnown(round); err != nil && ctx.Err() == nil {
		n.logger.Warn().Err(err).Msg("not every target is known yet: those that are not count as down")
	}
}

// union is a, and what of b has a target that a does not have.
func union(a, b []health.Assignment) []health.Assignment {
	all := append([]health.Assignment(nil), a...)
	seen := make(map[health.Target]bool, len(a))
	for _, assignment := range a {
		seen[assignment.Target] = true
	}
	for _, assignment := range b {
		if !seen[assignment.Target] {
			all = append(all, assignment)
		}
	}
	return all
}

func (n *node) logAdopted(revision *gitsource.Revision, content *content) {
	n.logger.Info().Str("commit", revision.Commit).Time("commit_time", revision.Time).
		Str("content", content.summary()).Msg("serving a commit")
	if len(content.warnings) > 0 {
		n.logger.Warn().Str("commit", revision.Commit).Int("warnings", len(content.warnings)).
			Str("first", content.warnings[0].String()).
			Msg("the commit is not quite right: `mirrorpool check` and /api/v1/state show all warnings")
	}
}

// meanwhile says what is served while something else fails.
func (n *node) meanwhile() string {
	if n.compiler.table.Load() == nil {
		return "nothing is served yet"
	}
	return "the last good commit goes on being served"
}

func (n *node) logRefused(commit string, err error) {
	logger := n.logger.With().Str("commit", commit).Str("stage", string(stageCommit)).Logger()
	message := "the commit is refused: " + n.meanwhile()
	var refused *refusal
	if !errors.As(err, &refused) {
		logger.Error().Err(err).Msg(message)
		return
	}
	for _, problem := range refused.problems {
		if problem.Severity == pool.Error {
			logger.Error().Str("file", problem.File).Int("line", problem.Line).Int("column", problem.Column).
				Str("problem", problem.String()).Msg(message)
		}
	}
}

// sourceLooked is called after each look at the remote, by the goroutine that
// follows it.
func (n *node) sourceLooked(status gitsource.Status) {
	n.commitLooked(status.Refused)
	if status.Stage == gitsource.StageStore {
		n.stages.succeed(stageSource)
		if n.stages.fail(stageKept, status.Error) {
			n.logger.Error().Err(status.Error).Str("stage", string(stageKept)).
				Msg("the commit is served, and not kept for the next start: trying again")
		}
		return
	}
	if status.LastError != "" {
		n.stages.fail(stageSource, status.Error)
		n.logger.Error().Err(status.Error).Str("stage", string(stageSource)).Time("failing_since", status.FailingSince).
			Time("next_look", status.NextLook).Msg("the repository cannot be followed: " + n.meanwhile())
		return
	}
	if status.Good.Commit != "" {
		n.stages.succeed(stageKept)
	}
	if n.stages.succeed(stageSource) {
		n.logger.Info().Str("head", status.Head).Msg("the repository can be followed again")
	}
}

// commitLooked tells of a commit that is refused, once for each time that it
// was fetched, whether its content or its size is the reason.
func (n *node) commitLooked(refused gitsource.Refused) {
	if refused.Commit == "" {
		// A good one was taken, or the head went back to the one that is served.
		n.stages.succeed(stageCommit)
		return
	}
	if last := n.refused.Swap(&refused); last != nil && last.Commit == refused.Commit && last.Time.Equal(refused.Time) {
		return
	}
	n.sweeper.soon() // it may be one that was too large
	n.stages.fail(stageCommit, refused.Error)
	n.logRefused(refused.Commit, refused.Error)
}
