package publish

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// action is what a family needs.
type action int

const (
	keep    action = iota // it is as it should be, or nothing of ours
	create                // there is none
	replace               // there is one of ours that is another
	remove                // there is one of ours, and is to be none
	blocked               // there is one that others put there
)

// plan is what a look asks for.
type plan struct {
	entry   Entry
	want    *wanted
	seen    *seen
	actions [len(kinds)]action
	ours    [len(kinds)]bool // what is there, or would be, is ours
	put     [len(kinds)]bool // it is known to be put there, or to have been as it should
	begun   bool             // one of the families is ours as it stands there, or was put there
	foreign []string         // what others have changed in RRsets of ours
	// settles: what others have changed may be another node's, which may know more, or
	// is about to know what this one does; commits: its commit may be another one.
	settles, commits bool
	notes            []string
}

// judge holds what is there against what should be, and what was put there.
func judge(e Entry, want *wanted, found *seen, m memory) *plan {
	p := &plan{entry: e, want: want, seen: found, settles: true}
	for family := range kinds {
		p.actions[family] = p.judge(family, m)
	}
	p.settles = p.settles && len(p.foreign) > 0
	return p
}

func (p *plan) judge(family int, m memory) action {
	asPut := p.holds(family, m.done) || p.holds(family, m.trying)
	hasPut := m.done != nil && len(m.done.sets[family]) > 0
	p.ours[family] = hasPut || asPut || p.entry.Adopt && len(p.want.sets[family]) > 0 || p.want.isKnown(p.seen.sets[family])
	p.put[family] = hasPut || asPut
	p.begun = p.begun || hasPut || len(p.seen.sets[family]) > 0 && (asPut || p.want.isKnown(p.seen.sets[family]))
	needed := p.need(family, m)
	if needed != keep && hasPut && !asPut {
		p.noteForeign(family, m)
	}
	return needed
}

// need decides what a family needs.
func (p *plan) need(family int, m memory) action {
	there, should := p.seen.sets[family], p.want.sets[family]
	switch {
	case len(there) == 0 && len(should) == 0:
		return keep
	case len(there) == 0:
		return create
	case len(should) == 0 && !p.want.mayBeEmpty[family]:
		p.notes = append(p.notes, fmt.Sprintf("the pool gives no %s records now: what is there stays, so that clients have something: %s", dns.Type(kinds[family]), words(there)))
		return keep
	case len(should) == 0 && !p.put[family]:
		p.notes = append(p.notes, fmt.Sprintf("%s records that others put there stay, and the pool gives none: %s", dns.Type(kinds[family]), words(there)))
		return keep
	case len(should) == 0:
		return p.judgeRemoval(family, m)
	case slices.Equal(there, should) && p.seen.ttls[family] == p.want.ttl:
		return keep
	case p.ours[family]:
		return replace
	}
	return blocked
}

// holds reports whether a family is as it was put.
func (p *plan) holds(family int, put *put) bool {
	if put == nil || !slices.Equal(p.seen.sets[family], put.sets[family]) {
		return false
	}
	return len(put.sets[family]) == 0 || p.seen.ttls[family] == put.ttl
}

// noteForeign tells what others did to an RRset that was put there. Where it is what
// it should be now, that is no news, whoever did it.
func (p *plan) noteForeign(family int, m memory) {
	there := p.seen.sets[family]
	p.foreign = append(p.foreign, fmt.Sprintf("%s: found %s, put there %s", dns.Type(kinds[family]),
		withTTL(there, p.seen.ttls[family]), withTTL(m.done.sets[family], m.done.ttl)))
	commits := p.want.isLate(there) || p.seen.ttls[family] == p.want.ttl && p.want.isEarly(there, m.done.sets[family])
	p.commits = p.commits || commits
	p.settles = p.settles && len(there) > 0 && (commits || p.want.isKnown(there))
}

func withTTL(addresses []netip.Addr, ttl uint32) string {
	if len(addresses) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s with TTL %d", words(addresses), ttl)
}

// judgeRemoval decides whether there is anything of ours to remove.
func (p *plan) judgeRemoval(family int, m memory) action {
	there := p.seen.sets[family]
	if rest := p.others(family, m); len(rest) > 0 {
		p.notes = append(p.notes, fmt.Sprintf("%s records that others added stay, and the pool gives none: %s", dns.Type(kinds[family]), words(rest)))
		if len(rest) == len(there) {
			return keep
		}
	}
	return remove
}

// others are those of a family's records that neither were put there nor are the
// pool's.
func (p *plan) others(family int, m memory) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(p.seen.sets[family]), func(address netip.Addr) bool {
		for _, one := range []*put{m.done, m.trying} {
			if one != nil && slices.Contains(one.sets[family], address) {
				return true
			}
		}
		return p.want.known[address]
	})
}

// settled is what is known to be put there once the plan is carried out, but for
// families that others are in the way of.
func (p *plan) settled(m memory, all bool) *put {
	result := &put{ttl: p.want.ttl}
	for family, action := range p.actions {
		there, should := p.seen.sets[family], p.want.sets[family]
		switch {
		case action == blocked && !all:
		case action != keep, slices.Equal(there, should), p.want.mayBeEmpty[family] && len(should) == 0:
			result.sets[family] = should
		case m.done != nil:
			result.sets[family] = m.done.sets[family]
		}
	}
	return result
}

// has reports whether any family needs an action.
func (p *plan) has(wanted action) bool { return slices.Contains(p.actions[:], wanted) }

// changes reports whether there is anything to send.
func (p *plan) changes() bool { return p.actions != [len(kinds)]action{} }

// blockage is what others have at the name, and are to decide about.
type blockage struct{ text string }

func (b *blockage) Error() string { return b.text }

// blockedError says what is in the way.
func (p *plan) blockedError() error {
	name := canonical(p.entry.Pool)
	if p.seen.alias != "" {
		return &blockage{fmt.Sprintf("%s is a CNAME for %s at the primary, and no address can stand beside one: remove it there", name, p.seen.alias)}
	}
	var found []string
	for family, action := range p.actions {
		if action == blocked {
			found = append(found, dns.Type(kinds[family]).String()+" "+words(p.seen.sets[family]))
		}
	}
	return &blockage{fmt.Sprintf("%s has records at the primary that this node did not put there: %s: remove them there, or set `adopt: true` to have them replaced",
		name, strings.Join(found, ", "))}
}

// variant is a way to word the prerequisites: a look shows what a wildcard makes up
// as well, and only the primary can tell.
type variant struct {
	// asSeen: the RRsets that are replaced are as they were seen; otherwise there are
	// none at the name itself.
	asSeen bool
	// all: also those families that others are in the way of, for there may be none
	// of theirs at the name itself.
	all bool
}

// variants are those that are worth trying, in their order. A name is not begun with
// where others have records of it: then all of it waits.
func (p *plan) variants() []variant {
	list := []variant{{asSeen: true, all: true}}
	if p.has(blocked) && p.begun && (p.has(create) || p.has(replace) || p.has(remove)) {
		list = append(list, variant{asSeen: true})
	}
	if p.has(replace) || p.has(remove) {
		list = append(list, variant{})
	}
	return list
}

// update words the plan; nil: there is nothing to do.
func (p *plan) update(v variant, m memory) *update {
	u := &update{zone: canonical(p.entry.Zone), name: canonical(p.entry.Pool), ttl: p.want.ttl}
	for family, action := range p.actions {
		there, should := p.seen.sets[family], p.want.sets[family]
		switch {
		case action == create, action == blocked && v.all, action == replace && !v.asSeen:
			u.changes = append(u.changes, change{family: family, added: should})
		case action == replace:
			u.changes = append(u.changes, change{family: family, expected: there, whole: true, added: should})
		case action == remove && v.asSeen:
			c := change{family: family, expected: there, whole: true}
			if rest := p.others(family, m); len(rest) > 0 {
				c.whole = false
				c.deleted = slices.DeleteFunc(slices.Clone(there), func(address netip.Addr) bool { return slices.Contains(rest, address) })
			}
			u.changes = append(u.changes, c)
		}
	}
	if len(u.changes) == 0 {
		return nil
	}
	return u
}
