package main

import (
	"fmt"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
	"mirrorpool/pool/health/history"
)

// historyFile is where, in state_dir, it is kept what the checks have found.
const historyFile = "history.db"

// openHistory opens what the last runs have remembered. Where that cannot be, the node
// serves without a memory, and tries again.
func (n *node) openHistory() {
	opened, err := history.Open(n.state.file(historyFile), history.Options{Report: n.historyFailed, Flagged: n.flagged})
	n.history = opened
	if err != nil {
		n.historyFailed(err)
	}
}

// historyFailed tells of what costs history; nil: nothing does any more.
func (n *node) historyFailed(err error) {
	if err == nil {
		if n.stages.succeed(stageHistory) {
			n.logger.Info().Msg("the history is written again")
		}
		return
	}
	if n.stages.fail(stageHistory, err) {
		n.logger.Error().Err(err).Str("stage", string(stageHistory)).
			Msg("what the checks find is not remembered: serving goes on, trying again")
	}
}

func (n *node) flagged(flag history.Flag) {
	n.alerts.tableServed() // it looks at the flags, too
	n.logger.Warn().Str("pool", flag.Pool).Str("member", flag.ID).Str("flag", string(flag.Kind)).Str("reason", flag.Words).
		Msg("red flag: `mirrorpool history` tells more")
}

func (n *node) closeHistory() {
	if err := n.history.Close(); err != nil {
		n.logger.Error().Err(err).Str("stage", string(stageHistory)).Msg("what the checks have found last is not remembered")
	}
}

// observed takes in each probe. It does not wait.
func (n *node) observed(o health.Observation) {
	n.alerts.observed(o)
	n.history.Observe(o)
}

// remember tells the history whose the targets are: those of all these definitions, some
// of which may be nil.
func (n *node) remember(definitions ...*pool.Definition) { n.history.SetTargets(definitions...) }

// markFreeze notes that the checks were not believed, or are again.
func (n *node) markFreeze(f health.Freeze, over bool) {
	words := f.Words
	if over {
		words = fmt.Sprintf("the checks of %s count again, which they have not since %s", f.Family, f.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	n.history.Mark(history.Mark{Time: n.compiler.now(), Kind: "freeze", Words: words})
}

// markWord notes what an administrator has said of a member, or taken back.
func (n *node) markWord(word administrative.Word, takenBack bool) {
	mark := history.Mark{Time: n.words.now(), Kind: string(word.Action), Pool: word.Pool, Member: word.Member, Words: word.Reason}
	if takenBack {
		mark.Kind, mark.Words = "enable", fmt.Sprintf("%s is taken back: %s", word.Action, word.Reason)
	} else if !word.Until.IsZero() {
		mark.Words = fmt.Sprintf("until %s: %s", word.Until.UTC().Format("2006-01-02 15:04 UTC"), word.Reason)
	}
	n.history.Mark(mark)
}
