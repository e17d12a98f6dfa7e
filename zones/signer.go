package zones

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Signer signs, beside the answering, sets of pools' records that were drawn and
// are not signed ahead, and keeps the signatures of the last ones. Its memory is
// bounded. Tables share one; it is safe for concurrent use.
type Signer struct {
	wanted chan wantedSet
	// sets are in groups of setWays, each at the places of the group that its key
	// names. Only Run writes.
	sets []atomic.Pointer[keptSet]
}

const (
	setGroups = 1 << 14
	setWays   = 4
	// maxWanted is how many sets wait to be signed; those drawn meanwhile are
	// asked for again when they are drawn again.
	maxWanted = 512
	// maxWantedMembers is how many members a set may have that is signed when it
	// is drawn; larger ones are given by what is signed ahead.
	maxWantedMembers = 16
)

// keptSet is a set that was signed when it was first drawn.
type keptSet struct {
	of  *setPlan
	key setKey
	signedSet
}

// wantedSet is a set that is to be signed.
type wantedSet struct {
	family  *signedFamily
	all     bool // of the members' records: all, or those that are up
	count   int
	members [maxWantedMembers]int32
}

// NewSigner makes a Signer. It signs while Run does.
func NewSigner() *Signer {
	return &Signer{wanted: make(chan wantedSet, maxWanted), sets: make([]atomic.Pointer[keptSet], setGroups*setWays)}
}

// signerPart is which part of a processor Run takes at most: whoever asks makes it
// sign, and what is signed ahead does as well.
const signerPart = 16

// Run signs until ctx ends. What cannot be signed is not reported here: the same
// keys sign all that the next table signs ahead, whose errors Compile returns.
func (s *Signer) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case wanted := <-s.wanted:
			begin := time.Now()
			s.sign(&wanted)
			if !pause(ctx, (signerPart-1)*time.Since(begin)) {
				return
			}
		}
	}
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (s *Signer) sign(w *wantedSet) {
	records := w.family.records(w.members[:w.count], w.all)
	key := w.family.plan.secret.records(records)
	if s.find(w.family.plan, key) != nil {
		return // it was drawn more than once meanwhile
	}
	set, err := w.family.plan.sign(records)
	if err != nil {
		return
	}
	s.keep(&keptSet{of: w.family.plan, key: key, signedSet: set})
}

// keep takes the place of a set of the group that is drawn, or a free one.
func (s *Signer) keep(set *keptSet) {
	group := s.group(set.of, set.key)
	place := rand.IntN(setWays)
	for i := range group {
		if group[i].Load() == nil {
			place = i
			break
		}
	}
	group[place].Store(set)
}

// find gives a set that is kept, or nil.
func (s *Signer) find(plan *setPlan, key setKey) *signedSet {
	group := s.group(plan, key)
	for i := range group {
		if set := group[i].Load(); set != nil && set.key == key && set.of.same(plan) {
			return &set.signedSet
		}
	}
	return nil
}

func (s *Signer) group(plan *setPlan, key setKey) []atomic.Pointer[keptSet] {
	at := (key.low ^ plan.hash) % setGroups * setWays
	return s.sets[at : at+setWays]
}

// want asks for a set to be signed, if there is room.
func (s *Signer) want(w wantedSet) {
	select {
	case s.wanted <- w:
	default:
	}
}
