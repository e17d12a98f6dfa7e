package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/admin"
	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/selection"
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
	// unkept tells that current is not on disk.
	unkept bool
}

// openWords reads what the last run kept. What cannot be read is put aside and told
// of: members that were disabled are given again.
func openWords(logger zerolog.Logger, stages *stages, state *stateDir) *words {
	w := &words{logger: logger, stages: stages, state: state, now: time.Now}
	said, err := w.read()
	if err != nil {
		err = fmt.Errorf("%w: what was said with `mirrorpool disable` and `force-up` is not known any more; say it again", err)
		w.stages.fail(stageAdministrative, err)
		w.logger.Error().Err(err).Str("stage", string(stageAdministrative)).Msg("members that were disabled are given again")
	}
	w.current.Store(administrative.NewState(said))
	return w
}

func (w *words) read() ([]administrative.Word, error) {
	data, err := w.state.read(administrativeFile)
	if err != nil || data == nil {
		return nil, err
	}
	var kept keptWords
	err = json.Unmarshal(data, &kept)
	if err == nil && kept.Version != administrativeVersion {
		err = fmt.Errorf("version is %d, expected %d", kept.Version, administrativeVersion)
	}
	for i := range kept.Words {
		if err == nil {
			if err = kept.Words[i].Validate(); err != nil {
				err = fmt.Errorf("words[%d]: %w", i, err)
			}
		}
	}
	if err == nil {
		return kept.Words, nil
	}
	err = fmt.Errorf("reading %s: %w", w.state.file(administrativeFile), err)
	aside := administrativeFile + ".unreadable"
	if moving := w.state.write(aside, data); moving != nil {
		return nil, errors.Join(err, moving)
	}
	return nil, fmt.Errorf("%w; it is kept as %s", err, w.state.file(aside))
}

// keep writes down what is said; saying is held.
func (w *words) keep() error {
	data, err := json.MarshalIndent(keptWords{administrativeVersion, append([]administrative.Word{}, w.current.Load().Words(w.now())...)}, "", "\t")
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

// poolMember is a member or mirror of the definition that is served.
type poolMember struct {
	pool, member string
	weight       uint32
}

// everybody lists members and mirrors, pool by pool.
func everybody(definition *pool.Definition) []poolMember {
	var all []poolMember
	for _, p := range definition.Pools {
		for _, m := range p.Members {
			all = append(all, poolMember{p.Name, m.ID, m.Weight})
		}
	}
	for _, r := range definition.Redirects {
		if r.List == nil {
			continue
		}
		for _, m := range r.List.Mirrors {
			all = append(all, poolMember{r.Host, m.URLPrefix, m.Weight})
		}
	}
	return all
}

// Say changes what is said, and returns when answers follow.
func (w *words) Say(ctx context.Context, wish admin.WordsWish) (*admin.WordsChange, error) {
	w.saying.Lock()
	defer w.saying.Unlock()
	table := w.table()
	if table == nil {
		return nil, errors.New("nothing is served yet")
	}
	now := w.now().UTC().Truncate(time.Second)
	var next *administrative.State
	change := &admin.WordsChange{Words: []administrative.Word{}, Notes: []string{}}
	var err error
	if wish.Action == admin.WordsEnable {
		next, err = w.takeBack(table.Definition, wish, now, change)
	} else {
		next, err = w.add(table.Definition, wish, now, change)
	}
	if err != nil {
		return nil, err
	}
	w.current.Store(next)
	for _, word := range change.Words {
		w.log(wish, word)
	}
	if err := w.keep(); err != nil {
		change.Notes = append(change.Notes, "it holds until the next restart alone: "+err.Error())
	}
	if err := w.serve(ctx); err != nil {
		change.Notes = append(change.Notes, "answers do not follow yet: "+err.Error())
	} else {
		change.Notes = append(change.Notes, w.modes(change.Words)...)
	}
	return change, nil
}

func (w *words) log(wish admin.WordsWish, word administrative.Word) {
	w.mark(word, wish.Action == admin.WordsEnable)
	event := w.logger.Info().Str("pool", word.Pool).Str("member", word.Member).Str("by", wish.By)
	if wish.Action == admin.WordsEnable {
		event.Str("taken_back", string(word.Action)).Msg("what was said of a member is taken back")
		return
	}
	if !word.Until.IsZero() {
		event = event.Time("until", word.Until)
	}
	event.Str("action", string(word.Action)).Str("reason", word.Reason).Msg("said of a member")
}

// takeBack leaves out the words about whom the wish names; they may have left the
// repository since.
func (w *words) takeBack(definition *pool.Definition, wish admin.WordsWish, now time.Time, change *admin.WordsChange) (*administrative.State, error) {
	next, dropped := w.current.Load().Without(now, func(pool, member string) bool {
		return (wish.Pool == "" || wish.Pool == pool) && wish.Member.Matches(member)
	})
	if len(dropped) > 0 {
		change.Words = dropped
		return next, nil
	}
	found, err := find(definition, wish)
	if err != nil {
		return nil, err
	}
	change.Notes = append(change.Notes, "nothing was said of "+list(found))
	return next, nil
}

// add says it of all whom the wish names.
func (w *words) add(definition *pool.Definition, wish admin.WordsWish, now time.Time, change *admin.WordsChange) (*administrative.State, error) {
	found, err := find(definition, wish)
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		word := administrative.Word{
			Action: administrative.Action(wish.Action), Pool: one.pool, Member: one.member,
			Reason: wish.Reason, By: wish.By, Since: now,
		}
		if wish.For > 0 {
			word.Until = now.Add(wish.For)
		}
		change.Words = append(change.Words, word)
		if one.weight == 0 {
			change.Notes = append(change.Notes, fmt.Sprintf("%s of %s has weight 0 in the repository: it is given to nobody, whatever is said here", one.member, one.pool))
		}
	}
	next := w.current.Load().With(now, change.Words...)
	if wish.Action == string(administrative.Disable) && !wish.Force {
		if emptied := emptiedBy(definition, next, found, now); emptied != "" {
			return nil, &admin.RefusedWords{Words: "this would leave " + emptied + " without any member; --force does it nevertheless"}
		}
	}
	return next, nil
}

// modes tells of the pools that have nothing left but what they give in need.
func (w *words) modes(changed []administrative.Word) []string {
	var notes []string
	affected := func(name string) bool {
		return slices.ContainsFunc(changed, func(one administrative.Word) bool { return one.Pool == name })
	}
	for _, p := range w.table().Pools(nil) {
		for _, family := range []struct {
			kind string
			zones.FamilyDescription
		}{{"A", p.IPv4}, {"AAAA", p.IPv6}} {
			switch {
			case !affected(p.Name) || !family.Served || family.Mode == selection.Normal:
			case family.Mode == selection.Kept:
				notes = append(notes, fmt.Sprintf("fewer members of %s than its min_members are up for %s: %s, who were up before, are given as well", p.Name, family.kind, strings.Join(family.Kept, ", ")))
			default:
				notes = append(notes, fmt.Sprintf("no member of %s that is left is up for %s: clients get what the mode %q gives", p.Name, family.kind, family.Mode))
			}
		}
	}
	for _, host := range w.table().Hosts(nil) {
		if affected(host.Host) && host.Plain != selection.Normal.String() {
			notes = append(notes, fmt.Sprintf("no mirror of %s that is left is up: clients get what the mode %q gives", host.Host, host.Plain))
		}
	}
	return notes
}

// find gives whom a wish names.
func find(definition *pool.Definition, wish admin.WordsWish) ([]poolMember, error) {
	unknown := &admin.UnknownMember{Pool: wish.Pool}
	var found []poolMember
	for _, one := range everybody(definition) {
		if wish.Pool != "" && one.pool != wish.Pool {
			continue
		}
		if wish.Member.Matches(one.member) {
			found = append(found, one)
		}
		if !slices.Contains(unknown.There, one.member) {
			unknown.There = append(unknown.There, one.member)
		}
	}
	if found == nil {
		return nil, unknown
	}
	return found, nil
}

// emptiedBy names the first pool of those found that has nobody left whom the
// repository gives a weight.
func emptiedBy(definition *pool.Definition, state *administrative.State, found []poolMember, now time.Time) string {
	left := map[string]bool{}
	for _, one := range everybody(definition) {
		word := state.Of(one.pool, one.member, now)
		if one.weight > 0 && (word == nil || word.Action != administrative.Disable) {
			left[one.pool] = true
		}
	}
	for _, one := range found {
		if !left[one.pool] && one.weight > 0 {
			return one.pool
		}
	}
	return ""
}

func list(found []poolMember) string {
	var names []string
	for _, one := range found {
		names = append(names, one.member+" of "+one.pool)
	}
	return strings.Join(names, ", ")
}
