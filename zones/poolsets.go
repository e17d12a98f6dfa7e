package zones

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool/geo"
	"mirrorpool/pool/selection"
	"mirrorpool/zones/signing"
)

// maxAhead is how many sets of records of one family of a pool are signed ahead, and
// maxAllAhead how many of all families: some four seconds of a processor. Where there
// are so many pools that each would get less than minAhead, it gets that. Sets of one
// member, and the one that is transferred, come on top.
const (
	maxAhead    = 4096
	maxAllAhead = 1 << 17
	minAhead    = 16
)

// aheadOfEach is how many sets of each family are signed ahead.
func aheadOfEach(in *Input) int {
	families := 0
	for _, zone := range in.Static.sorted {
		if in.Signing[zone.Apex] != nil {
			families += 2 * len(zone.pools)
		}
	}
	return min(maxAhead, max(minAhead, maxAllAhead/max(families, 1)))
}

// setPlan is with what the sets of one family of a pool are signed. It is immutable.
type setPlan struct {
	plan  *signing.Plan
	owner string // canonical
	kind  uint16
	ttl   uint32

	secret    setSecret // of the keys of sets
	inception uint32    // of the signatures
	renew     time.Time
	hash      uint64
}

func newSetPlan(plan *signing.Plan, secret setSecret, owner string, kind uint16, ttl uint32) *setPlan {
	p := &setPlan{plan: plan, secret: secret, owner: owner, kind: kind, ttl: ttl}
	p.inception, _, p.renew = plan.Window(owner, kind)
	text := binary.BigEndian.AppendUint32([]byte(owner), ttl)
	hash := sha256.Sum256(binary.BigEndian.AppendUint32(text, p.inception+uint32(kind)))
	p.hash = binary.BigEndian.Uint64(hash[:])
	return p
}

// same reports whether what another plan has signed is as this one would sign it.
func (p *setPlan) same(other *setPlan) bool {
	return p == other || p.owner == other.owner && p.kind == other.kind && p.ttl == other.ttl &&
		p.inception == other.inception && p.plan.SignsAs(other.plan)
}

// signedSet is a set's signatures, as such and in wire format one behind another:
// their owner is a pointer to the name that was asked for.
type signedSet struct {
	signatures []signing.Signature
	wire       []byte
}

func (p *setPlan) sign(records []dns.RR) (signedSet, error) {
	signatures, err := p.plan.Sign(records)
	if err != nil {
		return signedSet{}, err
	}
	set := signedSet{signatures: signatures}
	for i := range signatures {
		set.wire = append(set.wire, questionPointer>>8, questionPointer&0xFF)
		set.wire = signatures[i].AppendRecord(set.wire)
	}
	return set, nil
}

// signedFamily is a family of a pool in a zone that is signed.
type signedFamily struct {
	*family
	plan   *setPlan
	signer *Signer // nil: nothing is signed later
	// up and all are the keys of each member's records in the modes of the choice.
	up, all []setKey
	self    setKey
	// ahead are the sets that are signed, by key.
	ahead map[setKey]*signedSet
	most  int // how many of them there were to be
	// instead are those that are given where what was drawn is not signed: by
	// Choice.ID, the orders that begin with each of Shares; nil: those of blocks are.
	instead [][][][]int
	blocks  []*blocks // by the mode of the choice
	// transferred is the set of all members that are up, as secondaries get it.
	transferred *signedSet
}

// signFamily signs ahead what a family may give, taking over what it can from the
// table before.
func signFamily(plan *setPlan, f *family, places []geo.Place, signer *Signer, ahead int, before *signedFamily) (*signedFamily, error) {
	if before != nil && before.family == f && before.most == ahead && before.plan.same(plan) {
		return before, nil
	}
	s := &signedFamily{family: f, plan: plan, signer: signer, ahead: map[setKey]*signedSet{}, most: ahead}
	if before != nil && !before.plan.same(plan) {
		before = nil
	}
	for i := range f.members {
		s.up = append(s.up, plan.secret.records(f.members[i].up))
		s.all = append(s.all, plan.secret.records(f.members[i].all))
	}
	s.self = plan.secret.records(f.self)
	work := aheadWork{family: s, before: before, most: ahead}
	work.plan(places)
	if err := work.sign(); err != nil {
		return nil, err
	}
	return s, nil
}

// records are those of members, in any order.
func (s *signedFamily) records(members []int32, all bool) []dns.RR {
	var records []dns.RR
	for _, index := range members {
		if all {
			records = append(records, s.members[index].all...)
		} else {
			records = append(records, s.members[index].up...)
		}
	}
	return records
}

// keyOf gives the key of a draw.
func (s *signedFamily) keyOf(mode selection.Mode, order []int) (key setKey) {
	keys := s.up
	if mode == selection.All {
		keys = s.all
	}
	for _, index := range order {
		key = key.plus(keys[index])
	}
	return key
}

// find gives the signatures of a set, or nil.
func (s *signedFamily) find(key setKey) *signedSet {
	if set := s.ahead[key]; set != nil || s.signer == nil {
		return set
	}
	return s.signer.find(s.plan, key)
}

// settle gives the signatures of a draw. Where it is not signed, it is to be for
// the next time, and another draw takes its place that begins with the same member,
// so that each member's share of first places is what it is to be.
func (s *signedFamily) settle(choice *selection.Choice, order []int, random Random) ([]int, *signedSet) {
	if len(order) == 0 {
		return order, nil
	}
	if set := s.find(s.keyOf(choice.Mode, order)); set != nil {
		return order, set
	}
	s.want(choice.Mode, order)
	first := order[0]
	if other := s.other(choice, first, random); other != nil {
		if set := s.find(s.keyOf(choice.Mode, other)); set != nil {
			return append(order[:0], other...), set
		}
	}
	if other, set := s.inBlock(choice, order, random); set != nil {
		return other, set
	}
	return order[:1], s.find(s.keyOf(choice.Mode, order[:1]))
}

// other draws one of the orders that are signed ahead and begin with a member; nil:
// there is none.
func (s *signedFamily) other(choice *selection.Choice, first int, random Random) []int {
	if uint(choice.ID) >= uint(len(s.instead)) || s.instead[choice.ID] == nil {
		return nil
	}
	at, found := shareOf(choice, first)
	if !found {
		return nil
	}
	orders := s.instead[choice.ID][at]
	if len(orders) == 0 {
		return nil
	}
	return orders[firstOf(random, len(orders))]
}

func (s *signedFamily) want(mode selection.Mode, order []int) {
	if s.signer == nil || len(order) > maxWantedMembers {
		return
	}
	w := wantedSet{family: s, all: mode == selection.All, count: len(order)}
	for i, index := range order {
		w.members[i] = int32(index)
	}
	s.signer.want(w)
}

// aheadWork collects what is to be signed ahead, and signs it.
type aheadWork struct {
	family  *signedFamily
	before  *signedFamily // with the same plan; or nil
	most    int           // sets
	keys    []setKey
	records [][]dns.RR
}

// plan finds the sets: all that can be drawn while they are few; or else for each
// member some that begin with it, or while there is no room for those, blocks of
// neighbours; and it alone.
func (w *aheadWork) plan(places []geo.Place) {
	s := w.family
	f := s.family
	if given := f.givenRecords(); len(given) > 0 {
		w.add(given)
	}
	if len(f.self) > 0 {
		w.add(f.self)
	}
	choices := f.knownChoices()
	sets, firsts := 0.0, 0
	for _, choice := range choices {
		sets += combinations(len(choice.Shares), f.wire.most)
		firsts += len(choice.Shares)
	}
	known := f.choices != nil || !f.placeDependent
	if known && sets <= float64(w.most) {
		for _, choice := range choices {
			w.addAll(choice, nil, 0)
		}
		return
	}
	for i := range f.members {
		w.add(f.members[i].up)
		w.add(f.members[i].all)
	}
	const leastEach, mostEach = 4, 64 // of each member
	each := min(w.most/max(firsts, 1), mostEach)
	rounds := min(w.most*f.wire.most/max(firsts, 1), blockRounds)
	switch {
	case !known || rounds == 0:
		w.addBlocks(places, choices)
		return
	case each < leastEach:
		w.addChoiceBlocks(places, choices, rounds)
		return
	}
	for _, choice := range choices {
		if choice.ID >= 0 {
			s.setInstead(choice.ID, w.addSome(choice, each))
		}
	}
}

// knownChoices are those that are known before the first question, each once.
func (f *family) knownChoices() []*selection.Choice {
	if !f.served {
		return nil
	}
	var choices []*selection.Choice
	for _, choice := range append([]*selection.Choice{f.unlocated}, f.choices...) {
		if len(choice.Shares) > 0 && !slices.Contains(choices, choice) {
			choices = append(choices, choice)
		}
	}
	return choices
}

// combinations is how many sets of k of n there are; more than can be counted is
// infinite.
func combinations(n, k int) float64 {
	k = min(k, n)
	count := 1.0
	for i := range min(k, n-k) {
		count *= float64(n-i) / float64(i+1)
	}
	return math.Round(count)
}

// add adds a set, once.
func (w *aheadWork) add(records []dns.RR) {
	if len(records) == 0 {
		return
	}
	if key := w.family.plan.secret.records(records); !w.has(key) {
		w.addKeyed(key, records)
	}
}

func (w *aheadWork) has(key setKey) bool {
	_, there := w.family.ahead[key]
	return there
}

func (w *aheadWork) addKeyed(key setKey, records []dns.RR) {
	w.family.ahead[key] = nil
	w.keys = append(w.keys, key)
	w.records = append(w.records, records)
}

// addAll adds all sets of a choice that begin with those in front, from Share number
// from on.
func (w *aheadWork) addAll(choice *selection.Choice, front []int, from int) {
	if len(front) == min(w.family.wire.most, len(choice.Shares)) {
		w.addOrder(choice.Mode, front)
		return
	}
	for i := from; i < len(choice.Shares); i++ {
		w.addAll(choice, append(front, choice.Shares[i].Index), i+1)
	}
}

func (w *aheadWork) addOrder(mode selection.Mode, order []int) {
	key := w.family.keyOf(mode, order)
	if w.has(key) {
		return
	}
	members := make([]int32, len(order))
	for i, index := range order {
		members[i] = int32(index)
	}
	w.addKeyed(key, w.family.records(members, mode == selection.All))
}

// addSome adds, for each candidate of a choice, so many orders that begin with it.
func (w *aheadWork) addSome(choice *selection.Choice, each int) [][][]int {
	out := make([][][]int, len(choice.Shares))
	for i := range choice.Shares {
		for number := range each {
			order := w.family.drawBehind(choice, i, number)
			w.addOrder(choice.Mode, order)
			out[i] = append(out[i], order)
		}
	}
	return out
}

// drawBehind draws, as the choice does, those that follow one of its candidates. The
// draw depends on the members' addresses and a number alone, so that a change of
// health changes only the draws that the member is in, and most signatures stay.
func (s *signedFamily) drawBehind(choice *selection.Choice, first, number int) []int {
	type candidate struct {
		index int
		mark  float64
	}
	key := s.memberKey(choice.Shares[first].Index)
	var others []candidate
	for i, share := range choice.Shares {
		if i == first {
			continue
		}
		mine := s.memberKey(share.Index)
		hash := mixed(mixed(key.low^uint64(number)) ^ mine.low)
		// In (0, 1); the greatest of u^(1/weight) win, one after another.
		u := (float64(hash>>11) + 0.5) / (1 << 53)
		others = append(others, candidate{share.Index, math.Log(u) / share.Share})
	}
	slices.SortFunc(others, func(a, b candidate) int {
		switch {
		case a.mark > b.mark:
			return -1
		case a.mark < b.mark:
			return 1
		}
		return a.index - b.index
	})
	order := []int{choice.Shares[first].Index}
	for _, other := range others[:min(len(others), s.wire.most-1)] {
		order = append(order, other.index)
	}
	return order
}

// mixed scatters the bits of a number: the finalizer of SplitMix64 (Steele, Lea and
// Flood, "Fast splittable pseudorandom number generators").
func mixed(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// memberKey tells a member from others, in any state of health.
func (s *signedFamily) memberKey(index int) setKey { return s.all[index] }

// sign signs what was added, or takes it over.
func (w *aheadWork) sign() error {
	s := w.family
	sets := make([]*signedSet, len(w.keys))
	err := inParallel(len(w.keys), func(i int) error {
		if sets[i] = w.known(w.keys[i]); sets[i] != nil {
			return nil
		}
		set, err := s.plan.sign(w.records[i])
		sets[i] = &set
		return err
	})
	if err != nil {
		return err
	}
	for i, key := range w.keys {
		s.ahead[key] = sets[i]
	}
	if given := s.family.givenRecords(); len(given) > 0 {
		s.transferred = s.ahead[s.plan.secret.records(given)]
	}
	return nil
}

// known gives a set that was signed before, or nil.
func (w *aheadWork) known(key setKey) *signedSet {
	if w.before != nil {
		if set := w.before.ahead[key]; set != nil {
			return set
		}
	}
	if w.family.signer == nil {
		return nil
	}
	return w.family.signer.find(w.family.plan, key)
}
