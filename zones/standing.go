package zones

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

// standing is what a pool's members, or a host's mirrors, count as at one moment: all
// that the rule of choice looks at of their health, of what was said of them on this
// node, and of who was up before. A pool with the same standing compiles to the same.
// Families are those of addresses, or of the schemes that a host's clients come by. It
// is immutable.
type standing struct {
	// verdicts are those of each address of each member, or of each mirror, in order.
	verdicts []health.Verdict
	first    []int                  // of a member's verdicts; of mirrors as well
	probed   []netip.Addr           // mirrors: where the last probe went
	words    []*administrative.Word // by member; nil: nothing is said of any
	// trust tells of each family, as in addressKinds, that addresses of which nothing is
	// known yet count as up.
	trust [2]bool
	// coming are those that have come back and have not all of their weight yet, and
	// kept those that are given though they are not up, by family and member; nil:
	// there is none.
	coming [2][]coming
	kept   [2][]bool

	// What follows changes nothing of what is compiled.

	step     time.Time     // when the next of coming has more; zero: none has
	soonest  [2][2]soonest // by family: of those that are no reserve, and of the reserve
	ruled    bool          // members have rules about who may have them
	lastGood FamilyMembers // of a pool with min_members
}

// same reports whether two standings are the same to the rule of choice.
func (s *standing) same(other *standing) bool {
	return slices.Equal(s.verdicts, other.verdicts) && slices.Equal(s.probed, other.probed) &&
		slices.EqualFunc(s.words, other.words, sameWord) &&
		slices.Equal(s.coming[0], other.coming[0]) && slices.Equal(s.coming[1], other.coming[1]) &&
		slices.Equal(s.kept[0], other.kept[0]) && slices.Equal(s.kept[1], other.kept[1])
}

func sameWord(a, b *administrative.Word) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.Since, x.Until, y.Since, y.Until = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return x == y && a.Since.Equal(b.Since) && a.Until.Equal(b.Until)
}

// standingOf finds what the members of a pool count as.
func standingOf(in *Input, p *pool.Pool) *standing {
	s := &standing{verdicts: make([]health.Verdict, 0, 2*len(p.Members)), first: make([]int, len(p.Members))}
	for i, member := range p.Members {
		s.hear(in, i, len(p.Members), p.Name, member.ID)
		s.first[i] = len(s.verdicts)
		s.ruled = s.ruled || member.Exclude != nil || member.Only != nil
		s.see(in, p, i)
	}
	for family, kind := range addressKinds {
		s.trust[family] = !s.anyKnownUp(p, kind)
	}
	s.keep(in, p)
	return s
}

// see notes what is known of a member's addresses.
func (s *standing) see(in *Input, p *pool.Pool, i int) {
	member := p.Members[i]
	counted := member.Weight > 0 && s.word(i) == nil
	var returned [2][]time.Time // of the addresses that are up
	for _, address := range member.Addresses {
		state := in.Health.Member(p, address)
		s.verdicts = append(s.verdicts, state.Verdict)
		family := familyOf(address)
		if counted {
			s.soonest[family][reserveIndex(member.Reserve)].note(state, i)
		}
		if state.Verdict == health.Up && p.Health.Ramp > 0 {
			returned[family] = append(returned[family], state.Returned)
		}
	}
	for family := range returned {
		s.returning(family, i, len(p.Members), returned[family], p.Health.Ramp, in.Now)
	}
}

// reserveIndex is where the soonest change of a member stands.
func reserveIndex(reserve bool) int {
	if reserve {
		return 1
	}
	return 0
}

// hear notes what is said of a member.
func (s *standing) hear(in *Input, member, members int, pool, name string) {
	word := in.Administrative.Of(pool, name, in.Now)
	if word == nil {
		return
	}
	if s.words == nil {
		s.words = make([]*administrative.Word, members)
	}
	s.words[member] = word
}

// word is what is said of a member; nil: nothing.
func (s *standing) word(member int) *administrative.Word {
	if s.words == nil {
		return nil
	}
	return s.words[member]
}

func (s *standing) says(member int, action administrative.Action) bool {
	word := s.word(member)
	return word != nil && word.Action == action
}

// disables reports whether a member is given to nobody, by what was said here.
func (s *standing) disables(member int) bool { return s.says(member, administrative.Disable) }

// forces reports whether a member counts as up whatever is known of it.
func (s *standing) forces(member int) bool { return s.says(member, administrative.ForceUp) }

// anyKnownUp reports whether any member that may be given is known to be up in a
// family. What was said here is no such knowledge.
func (s *standing) anyKnownUp(p *pool.Pool, kind uint16) bool {
	for i, member := range p.Members {
		if member.Weight == 0 || s.disables(i) {
			continue
		}
		for k, address := range member.Addresses {
			if isOf(address, kind) && s.verdicts[s.first[i]+k] == health.Up {
				return true
			}
		}
	}
	return false
}

// counts reports whether an address of a member, by its number, counts as up. One that
// was not probed yet does so only while nothing is known to be up: a new member has to
// show that it works before clients get it, but a table made before the first probes
// ended gives what there is.
func (s *standing) counts(member, address, family int) bool {
	return s.forces(member) || counts(s.verdicts[s.first[member]+address], s.trust[family])
}

func counts(verdict health.Verdict, trustUnknown bool) bool {
	return verdict == health.Up || verdict == health.Unknown && trustUnknown
}

// shown reports whether people are told that an address of a member counts as up.
func (s *standing) shown(member, address, family int, weight uint32) bool {
	if s.disables(member) || weight == 0 && s.verdicts[s.first[member]+address] != health.Up {
		return false
	}
	return s.counts(member, address, family)
}

// disabled gives the words for a member that is disabled here. One of weight 0 is
// disabled by the repository, whatever is said here.
func (s *standing) disabled(member int, weight uint32) (unusable, disabled string) {
	word := s.word(member)
	switch {
	case word == nil:
		return "", ""
	case weight == 0 && word.Action == administrative.Disable:
		return "disabled by the repository (weight 0), and " + wordWords(word), ""
	case weight == 0:
		return "disabled by the repository (weight 0), which goes before: " + wordWords(word), ""
	case word.Action == administrative.Disable:
		return "", wordWords(word)
	}
	return "", ""
}

// wordWords tells people of what was said of a member.
func wordWords(word *administrative.Word) string {
	what := "disabled"
	if word.Action == administrative.ForceUp {
		what = "taken for up"
	}
	until := "until it is enabled"
	if !word.Until.IsZero() {
		until = "until " + moment(word.Until)
	}
	text := fmt.Sprintf("%s on this node %s: %s", what, until, word.Reason)
	if word.By != "" {
		text += fmt.Sprintf(" (%s, %s)", word.By, moment(word.Since))
	}
	return text
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// healthWords says in words why something counts as up or not.
func healthWords(state health.State, trustUnknown bool) string {
	switch {
	case state.Verdict == health.Unknown && trustUnknown:
		return "not probed yet, and nothing is known to be up: taken for up"
	case state.Verdict == health.Unknown:
		return "not probed yet: not given before it is known to be up"
	}
	text := state.Verdict.String()
	switch {
	case state.Verdict == health.Up && state.Failures > 0:
		text += soFar(state.Failures, "failure")
	case state.Verdict == health.Down && state.Successes > 0:
		text += soFar(state.Successes, "success")
	}
	if state.Reason == "" {
		return text
	}
	return text + ": " + state.Reason
}

// soFar tells of probes that count towards another state.
func soFar(count int, what string) string {
	switch {
	case count == 1:
	case what == "success":
		what = "successes"
	default:
		what += "s"
	}
	return fmt.Sprintf(", %d %s so far", count, what)
}

// withWord puts what was said of a member before what the checks say of it.
func (s *standing) withWord(member int, checks string) string {
	if !s.forces(member) {
		return checks
	}
	return wordWords(s.word(member)) + "; by the checks it is " + checks
}

// healthWords says in words why a member counts as up or not in a family, address
// by address where it has more than one.
func (s *standing) healthWords(p *pool.Pool, report *health.Report, kind uint16, member int) string {
	family := kindIndex(kind)
	var addresses, words []string
	for _, address := range p.Members[member].Addresses {
		if isOf(address, kind) {
			addresses = append(addresses, address.String())
			words = append(words, healthWords(report.Member(p, address), s.trust[family]))
		}
	}
	if len(words) > 1 {
		for i := range words {
			words[i] = addresses[i] + " " + words[i]
		}
	}
	return s.comingOf(family, member).words(s.withWord(member, strings.Join(words, "; ")))
}

// standingOfMirrors finds what the mirrors of a redirect host count as. The families
// are clients that came by http and by https.
func standingOfMirrors(in *Input, r *pool.Redirect) *standing {
	s := &standing{}
	if r.List == nil {
		return s
	}
	s.trust = [2]bool{true, true}
	for i, mirror := range r.List.Mirrors {
		s.hear(in, i, len(r.List.Mirrors), r.Host, mirror.URLPrefix)
		state := in.Health.Mirror(r, mirror)
		s.first = append(s.first, i)
		s.verdicts = append(s.verdicts, state.Verdict)
		s.probed = append(s.probed, state.Address)
		if state.Verdict == health.Up {
			s.returning(0, i, len(r.List.Mirrors), []time.Time{state.Returned}, r.Health.Ramp, in.Now)
		}
		if mirror.Weight == 0 || s.disables(i) || state.Verdict != health.Up {
			continue
		}
		for family, secure := range schemes {
			s.trust[family] = s.trust[family] && !usableFor(mirror.URLPrefix, secure)
		}
	}
	return s
}

// schemes tells of the families of hosts whether their clients came by https.
var schemes = [2]bool{false, true}

// schemeIndex is where clients stand in schemes.
func schemeIndex(secure bool) int {
	if secure {
		return 1
	}
	return 0
}

// mirrorWords says in words why a mirror counts as up or not for clients of a family.
func (s *standing) mirrorWords(state health.State, mirror, family int) string {
	return s.comingOf(0, mirror).words(s.withWord(mirror, healthWords(state, s.trust[family])))
}
