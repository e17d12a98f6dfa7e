package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/pool/administrative"
	"mirrorpool/zones"
)

// administrativeFile keeps what administrators have said of members.
const administrativeFile = "administrative.json"

// administrativeVersion is the version of its form.
const administrativeVersion = 1

type keptWords struct {
	Version int                   `json:"version"`
	Words   []administrative.Word `json:"words"`
}

// words leads what administrators say of members on this node.
type words struct {
	logger zerolog.Logger
	stages *stages
	state  *stateDir
	now    func() time.Time
	table  func() *zones.Table
	// serve has a table made with what is said now, and returns when it is served.
	serve func(context.Context) error
	// mark is told of each word that was said, or taken back.
	mark func(word administrative.Word, takenBack bool)

	current atomic.Pointer[administrative.State]
	saying  sync.Mutex // held while words change, and are written down
	// unkept tells that current is not on disk, damaged that what is there could not be
	// read.
	unkept, damaged bool
}

// openWords reads what the last run kept. What cannot be read is told of: members that
// were disabled are given again.
func openWords(logger zerolog.Logger, stages *stages, state *stateDir) *words {
	w := &words{logger: logger, stages: stages, state: state, now: time.Now}
	said, err := w.read()
	if err != nil {
		err = fmt.Errorf("%w: what was said with `mirrorpool disable` and `force-up` is not known any more, or not all of it; say it again", err)
		w.stages.fail(stageAdministrative, err)
		w.logger.Error().Err(err).Str("stage", string(stageAdministrative)).Msg("members that were disabled are given again")
	}
	w.current.Store(administrative.NewState(said))
	return w
}

// read gives the words that can be read, and what is wrong with the others. The file is
// then to be put aside before it is written anew.
func (w *words) read() ([]administrative.Word, error) {
	data, err := w.state.read(administrativeFile)
	if err != nil {
		w.damaged = true
		return nil, err
	}
	if data == nil {
		return nil, nil
	}
	var kept keptWords
	err = json.Unmarshal(data, &kept)
	if err == nil && kept.Version != administrativeVersion {
		err = fmt.Errorf("version is %d, expected %d", kept.Version, administrativeVersion)
	}
	var valid []administrative.Word
	for i, word := range kept.Words {
		if wrong := word.Validate(); wrong != nil {
			err = errors.Join(err, fmt.Errorf("words[%d]: %w", i, wrong))
		} else {
			valid = append(valid, word)
		}
	}
	if err != nil {
		w.damaged = true
		return valid, fmt.Errorf("reading %s: %w; it is kept as %s once something is said", w.state.file(administrativeFile), err, unreadableFile)
	}
	return valid, nil
}

// unreadableFile is where a file goes that could not be read.
const unreadableFile = administrativeFile + ".unreadable"

// putAside keeps a file that could not be read, before another one takes its place.
func (w *words) putAside() error {
	if !w.damaged {
		return nil
	}
	err := os.Rename(w.state.file(administrativeFile), w.state.file(unreadableFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("putting aside what cannot be read: %w", err)
	}
	w.damaged = false
	return nil
}

// keep writes down what is said; saying is held.
func (w *words) keep() error {
	data, err := json.MarshalIndent(keptWords{administrativeVersion, append([]administrative.Word{}, w.current.Load().Words(w.now())...)}, "", "\t")
	if err == nil {
		err = w.putAside()
	}
	if err == nil {
		err = w.state.write(administrativeFile, append(data, '\n'))
	}
	w.unkept = err != nil
	if err != nil {
		if w.stages.fail(stageAdministrative, err) {
			w.logger.Error().Err(err).Str("stage", string(stageAdministrative)).Msg("what was said of members holds until the next restart: trying again")
		}
		return err
	}
	w.stages.succeed(stageAdministrative)
	return nil
}

// follow writes down again what could not be, until ctx ends.
func (w *words) follow(ctx context.Context) {
	for sleep(ctx, keepInterval) {
		w.saying.Lock()
		if w.unkept {
			// keep has said what is wrong.
			_ = w.keep()
		}
		w.saying.Unlock()
	}
}

// Said are the words that hold now.
func (w *words) Said() []administrative.Word { return w.current.Load().Words(w.now()) }
