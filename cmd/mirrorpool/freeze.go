package main

import (
	"errors"
	"strings"

	"github.com/rs/zerolog"

	"mirrorpool/pool/health"
)

// freezes tells people when the checks are not believed, and when they are again. It
// belongs to the compile loop.
type freezes struct {
	logger zerolog.Logger
	stages *stages
	before map[health.Family]health.Freeze
	said   string // as the stage's failure; empty: it does not fail
	// mark is told of each that begins, or is over.
	mark func(f health.Freeze, over bool)
}

// observe compares a report with the one before.
func (f *freezes) observe(report *health.Report) {
	after := map[health.Family]health.Freeze{}
	var words []string
	for _, freeze := range report.Freezes() {
		after[freeze.Family] = freeze
		words = append(words, freeze.Words)
		if _, before := f.before[freeze.Family]; !before {
			f.logger.Error().Str("stage", string(stageProber)).Str("family", string(freeze.Family)).
				Int("failing", freeze.Failing).Int("up", freeze.Up).Str("reason", freeze.Words).
				Msg("health is frozen: mirrors stay what they are held for until the checks can be believed again")
			f.mark(freeze, false)
		}
	}
	for family, before := range f.before {
		if _, still := after[family]; !still {
			f.logger.Warn().Str("stage", string(stageProber)).Str("family", string(family)).Time("since", before.Since).
				Msg("health is no longer frozen: failures count again")
			f.mark(before, true)
		}
	}
	switch {
	case len(words) > 0:
		if said := strings.Join(words, "; "); said != f.said {
			f.stages.fail(stageProber, errors.New(said))
			f.said = said
		}
	case f.said != "":
		f.stages.succeed(stageProber)
		f.said = ""
	}
	f.before = after
}
