package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mirrorpool/admin"
	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

// poolMember is a member or mirror of the definition that is served.
type poolMember struct {
	owner     memberOwner
	member    string       // id or URL prefix
	hosts     []string     // other names of it
	addresses []netip.Addr // a mirror has none of its own
	weight    uint32
}

// memberOwner is a pool, or a redirect host, which may have the same name.
type memberOwner struct {
	name     string
	redirect bool
}

// everybody lists members and mirrors, pool by pool.
func everybody(definition *pool.Definition) []poolMember {
	var all []poolMember
	for _, p := range definition.Pools {
		for _, m := range p.Members {
			all = append(all, poolMember{memberOwner{p.Name, false}, m.ID, []string{m.HostName, m.Mirror}, m.Addresses, m.Weight})
		}
	}
	for _, r := range definition.Redirects {
		if r.List == nil {
			continue
		}
		for _, m := range r.List.Mirrors {
			all = append(all, poolMember{memberOwner{r.Host, true}, m.URLPrefix, nil, nil, m.Weight})
		}
	}
	return all
}

// isNamed reports whether a pattern names it by any of its names.
func (m poolMember) isNamed(pattern administrative.Pattern) bool {
	return pattern.Matches(m.member) || m.hasAddress(pattern.Address()) || slices.ContainsFunc(m.hosts, func(host string) bool { return host != "" && pattern.Matches(host) })
}

func (m poolMember) hasAddress(address netip.Addr) bool {
	return slices.ContainsFunc(m.addresses, func(own netip.Addr) bool { return own.Unmap() == address })
}

func (m poolMember) String() string { return m.member + " of " + m.owner.name }

// Say changes what is said, and returns when answers follow.
func (w *words) Say(ctx context.Context, wish admin.WordsWish) (*admin.WordsChange, error) {
	w.saying.Lock()
	defer w.saying.Unlock()
	table := w.table()
	if table == nil {
		return nil, errors.New("nothing is served yet")
	}
	now := w.now().UTC().Round(0)
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
		change.Notes = append(change.Notes, "answers do not follow yet, and are tried again in a minute: "+err.Error())
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
	found, err := find(definition, wish)
	named := make(map[[2]string]bool, len(found))
	for _, one := range found {
		named[[2]string{one.owner.name, one.member}] = true
	}
	next, dropped := w.current.Load().Without(now, func(pool, member string) bool {
		return named[[2]string{pool, member}] || (wish.Pool == "" || wish.Pool == pool) && wish.Member.Matches(member)
	})
	if len(dropped) > 0 {
		change.Words = dropped
		return next, nil
	}
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
	before := w.current.Load()
	for _, one := range found {
		word := administrative.Word{
			Action: administrative.Action(wish.Action), Pool: one.owner.name, Member: one.member,
			Reason: wish.Reason, By: wish.By, Since: now,
		}
		if wish.For > 0 {
			word.Until = now.Add(wish.For)
		}
		if last := before.Of(word.Pool, word.Member, now); last != nil {
			stays := wish.Member.IsPattern() && !wish.Force && gives(word, *last)
			if change.Notes = append(change.Notes, replaced(one, *last, stays, w.now())); stays {
				continue
			}
		}
		change.Words = append(change.Words, word)
		if one.hasAddress(wish.Member.Address()) && len(one.addresses) > 1 {
			change.Notes = append(change.Notes, fmt.Sprintf("%s is meant as a whole, with all of its %d addresses", one, len(one.addresses)))
		}
		if one.weight == 0 {
			change.Notes = append(change.Notes, fmt.Sprintf("%s has weight 0 in the repository: it is given to nobody, whatever is said here", one))
		}
	}
	next := before.With(now, change.Words...)
	if wish.Action == string(administrative.Disable) && !wish.Force {
		if emptied := emptiedBy(definition, next, found, now); emptied != "" {
			return nil, &admin.RefusedWords{Words: "this would leave " + emptied + " without any member; --force does it nevertheless"}
		}
	}
	return next, nil
}

// gives reports whether a word would give a member sooner than the one before, which
// disables it.
func gives(word, last administrative.Word) bool {
	if last.Action != administrative.Disable {
		return false
	}
	sooner := !word.Until.IsZero() && (last.Until.IsZero() || last.Until.After(word.Until))
	return word.Action == administrative.ForceUp || sooner
}

// replaced tells of a word whose place another one takes, or does not.
func replaced(one poolMember, last administrative.Word, stays bool, now time.Time) string {
	if stays {
		return fmt.Sprintf("%s stays %s; name it by itself, or say --force", one, wordWords(last, now))
	}
	return fmt.Sprintf("of %s this takes the place of: %s", one, wordWords(last, now))
}

// modes tells of the pools that have nothing left but what they give in need.
func (w *words) modes(changed []administrative.Word) []string {
	var notes []string
	affected := make(map[string]bool, len(changed))
	for _, one := range changed {
		affected[one.Pool] = true
	}
	for _, p := range w.table().Pools(nil) {
		for _, family := range []struct {
			kind string
			zones.FamilyDescription
		}{{"A", p.IPv4}, {"AAAA", p.IPv6}} {
			switch {
			case !affected[p.Name] || !family.Served || family.Mode == selection.Normal:
			case family.Mode == selection.Kept:
				notes = append(notes, fmt.Sprintf("fewer members of %s than its min_members are up for %s: %s, who were up before, are given as well", p.Name, family.kind, strings.Join(family.Kept, ", ")))
			default:
				notes = append(notes, fmt.Sprintf("no member of %s that is left is up for %s: clients get what the mode %q gives", p.Name, family.kind, family.Mode))
			}
		}
	}
	for _, host := range w.table().Hosts(nil) {
		for _, scheme := range [][2]string{{"http", host.Plain}, {"https", host.Secure}} {
			if affected[host.Host] && scheme[1] != selection.Normal.String() && gaveBefore(host, scheme[0]) {
				notes = append(notes, fmt.Sprintf("no mirror of %s that is left is up for clients by %s: they get what the mode %q gives", host.Host, scheme[0], scheme[1]))
			}
		}
	}
	return notes
}

// gaveBefore reports whether the repository has a mirror for clients by a scheme.
func gaveBefore(host zones.HostDescription, scheme string) bool {
	return slices.ContainsFunc(host.Mirrors, func(m zones.MirrorDescription) bool {
		return m.Weight > 0 && (scheme == "http" || strings.HasPrefix(strings.ToLower(m.URLPrefix), "https://"))
	})
}

// find gives whom a wish names.
func find(definition *pool.Definition, wish admin.WordsWish) ([]poolMember, error) {
	unknown := &admin.UnknownMember{Pool: wish.Pool}
	var found []poolMember
	there := map[string]bool{}
	for _, one := range everybody(definition) {
		if wish.Pool != "" && one.owner.name != wish.Pool {
			continue
		}
		if one.isNamed(wish.Member) {
			found = append(found, one)
		}
		if !there[one.member] {
			there[one.member] = true
			unknown.There = append(unknown.There, one.member)
		}
	}
	if found == nil {
		return nil, unknown
	}
	return found, nil
}

// emptiedBy names the first pool of those found that has nobody left whom the
// repository gives a weight; empty: there is none.
func emptiedBy(definition *pool.Definition, state *administrative.State, found []poolMember, now time.Time) string {
	emptied := emptied(definition, state, now)
	for _, one := range found {
		if one.weight > 0 && slices.Contains(emptied, one.owner) {
			return one.owner.name
		}
	}
	return ""
}

// emptied are the pools and redirect hosts of which everybody who has a weight is
// disabled.
func emptied(definition *pool.Definition, state *administrative.State, now time.Time) []memberOwner {
	left, weighted := map[memberOwner]bool{}, []memberOwner{}
	for _, one := range everybody(definition) {
		if one.weight == 0 {
			continue
		}
		if at := len(weighted); at == 0 || weighted[at-1] != one.owner {
			weighted = append(weighted, one.owner)
		}
		if word := state.Of(one.owner.name, one.member, now); word == nil || word.Action != administrative.Disable {
			left[one.owner] = true
		}
	}
	return slices.DeleteFunc(weighted, func(owner memberOwner) bool { return left[owner] })
}

// tableServed says loudly which pools have nobody left, as by a push after words.
func (w *words) tableServed() {
	table := w.table()
	var names []string
	for _, owner := range emptied(table.Definition, w.current.Load(), w.now()) {
		names = append(names, owner.name)
	}
	if len(names) == 0 {
		if w.stages.succeed(stageDisabled) {
			w.logger.Info().Msg("every pool has members again that are not disabled")
		}
		return
	}
	err := fmt.Errorf("all members of %s that have a weight are disabled on this node: clients get none of them; `mirrorpool enable` takes that back", strings.Join(names, ", "))
	if w.stages.fail(stageDisabled, err) {
		w.logger.Error().Err(err).Str("stage", string(stageDisabled)).Msg("nobody is left to be given")
	}
}

func list(found []poolMember) string {
	var names []string
	for _, one := range found {
		names = append(names, one.String())
	}
	return strings.Join(names, ", ")
}
