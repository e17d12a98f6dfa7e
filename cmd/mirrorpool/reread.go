package main

import (
	"context"
	"time"
)

// rereadInterval is how often a file of secrets, certificates or keys is read.
const rereadInterval = 10 * time.Second

// rereadable is what a file holds that the configuration names and that is read again and
// again. One that has become bad changes nothing.
type rereadable interface {
	// refresh reads the file, and reports whether it holds something else now.
	refresh() (changed bool, err error)
	// isExposed reports whether any user of the machine may read it, or change it.
	isExposed() bool
}

// reread reads what a file holds now, keeps the stage, and reports whether it is something
// else. Of a file that has come to be exposed, or to hold something else, warn tells.
func (n *node) reread(file rereadable, of stage, what string, warn func()) (changed bool) {
	exposed := file.isExposed()
	changed, err := file.refresh()
	if err != nil {
		if n.stages.fail(of, err) {
			n.logger.Error().Err(err).Str("stage", string(of)).Msg("the " + what + " that were read last stay")
		}
		return false
	}
	if n.stages.succeed(of) {
		n.logger.Info().Msg("the " + what + " can be read again")
	}
	if !exposed || changed {
		warn()
	}
	return changed
}

// rereadFollow has a file read until ctx ends, and tells of each change.
func rereadFollow(ctx context.Context, refresh func() bool, changed chan<- struct{}) {
	for sleep(ctx, rereadInterval) {
		if refresh() {
			select {
			case changed <- struct{}{}:
			default: // run will take the newest ones anyway
			}
		}
	}
}

// useReread gives the name server what was read, and reports whether it took it.
func (n *node) useReread(of stage, what string) bool {
	if err := n.adjustListeners(n.config.Load()); err != nil {
		n.stages.fail(of, err)
		n.logger.Error().Err(err).Str("stage", string(of)).Msg("the " + what + " that were used before stay")
		return false
	}
	n.logger.Info().Msg("other " + what + " are in use")
	return true
}
