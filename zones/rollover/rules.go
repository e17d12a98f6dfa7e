package rollover

import "slices"

// Kind is what is replaced by what.
type Kind string

// The kinds of rollovers.
const (
	// CSK replaces the keys of a zone by one for everything, of the same algorithm,
	// by double signatures (RFC 7583, section 3.3.1, for a key of both kinds).
	CSK Kind = "csk"
	// KSK replaces the key that signs the keys, by double signatures.
	KSK Kind = "ksk"
	// ZSK replaces the key that signs the zone, by publication ahead (RFC 6781,
	// section 4.1.1.1).
	ZSK Kind = "zsk"
	// Algorithm replaces all keys by one of another algorithm, in the conservative
	// way (RFC 6781, section 4.1.4).
	Algorithm Kind = "algorithm"
)

// Step is where a rollover stands.
type Step string

// The steps; not every kind has all of them.
const (
	StepSign         Step = "sign"          // the new key signs
	StepPublish      Step = "publish"       // the new key is in the DNSKEY RRset
	StepParent       Step = "parent"        // CDS names the new key, and the parent has to
	StepParentCaches Step = "parent-caches" // the parent names the new key, caches may not
	StepUnpublish    Step = "unpublish"     // the old keys sign and are not published any more
	StepRetire       Step = "retire"        // the old keys are gone, caches may know them
	StepUndo         Step = "undo"          // cancelled: the new key signs and is not published any more
)

// duty is what a key does in a step, within its own role.
type duty uint8

const (
	published duty = 1 << iota // in the DNSKEY RRset
	signs                      // makes signatures
	child                      // CDS and CDNSKEY name it
)

// caches are what a step waits for.
type caches uint8

const (
	keyCaches    caches = 1 << iota // copies of DNSKEY, CDS and CDNSKEY of before
	zoneCaches                      // copies of all else in the zone of before
	parentHas                       // the parent names the new key and none of the old
	parentCaches                    // copies of the DS RRset of before
)

// rule is one step: what the keys do in it, and what has to be over before the
// next one.
type rule struct {
	step     Step
	old, new duty
	wait     caches
	cancel   cancel
	about    string // what is done in the step, as State.words takes it
}

// cancel is what becomes of a rollover that is cancelled in a step.
type cancel uint8

const (
	cannot  cancel = iota
	atOnce         // the new key goes
	undoing        // the new key leaves the DNSKEY RRset, and goes when caches have noticed
	turning        // old and new keys change places, in the same step
)

// CDS is in the zone, signed like the keys, and has their TTL; so whoever waits for
// signatures waits for the copies of both.
const signatureCaches = keyCaches | zoneCaches

// Validators may hold any copies of DS, DNSKEY and records together, each of another
// time. The rules keep two things for every such mix: some DS names a key that the
// DNSKEY RRset has and is signed with, and some key in that RRset has signed the
// record; and for those who are strict (RFC 4035, section 2.2): so it is for each
// algorithm that is in the DS and DNSKEY RRsets.
var (
	doubleSignature = []rule{
		{StepPublish, published | signs | child, published | signs, signatureCaches, atOnce, "{to} is published, and signs beside {from}"},
		{StepParent, published | signs, published | signs | child, parentHas, turning, "CDS and CDNSKEY name {to}; the parent's DS has to do so too"},
		{StepParentCaches, published | signs, published | signs | child, parentCaches, cannot, "the parent's DS names {to}; copies of the DS of before run out"},
		{StepRetire, 0, published | signs | child, signatureCaches, cannot, "the zone is without {from}; copies of before run out"},
	}
	doubleKeySignature = []rule{
		{StepPublish, published | signs | child, published | signs, keyCaches, atOnce, "{to} is published, and signs beside {from}"},
		{StepParent, published | signs, published | signs | child, parentHas, turning, "CDS and CDNSKEY name {to}; the parent's DS has to do so too"},
		{StepParentCaches, published | signs, published | signs | child, parentCaches, cannot, "the parent's DS names {to}; copies of the DS of before run out"},
		{StepRetire, 0, published | signs | child, keyCaches, cannot, "the zone is without {from}; copies of before run out"},
	}
	prePublication = []rule{
		{StepPublish, published | signs, published, keyCaches, atOnce, "{to} is published"},
		{StepSign, published, published | signs, zoneCaches, cannot, "{to} signs instead of {from}; copies of old signatures run out"},
		{StepRetire, 0, published | signs, keyCaches, cannot, "the zone is without {from}; copies of before run out"},
	}
	conservative = []rule{
		{StepSign, published | signs | child, signs, signatureCaches, atOnce, "{to} signs beside {from}, and is not yet published"},
		{StepPublish, published | signs | child, published | signs, keyCaches, undoing, "{to} is published"},
		{StepParent, published | signs, published | signs | child, parentHas, turning, "CDS and CDNSKEY name {to}; the parent's DS has to do so too"},
		{StepParentCaches, published | signs, published | signs | child, parentCaches, cannot, "the parent's DS names {to}; copies of the DS of before run out"},
		{StepUnpublish, signs, published | signs | child, keyCaches, cannot, "DNSKEY is without {from}, whose signatures stay"},
		{StepRetire, 0, published | signs | child, signatureCaches, cannot, "the zone is without the signatures of {from}; copies of them run out"},
	}
	undo = rule{StepUndo, published | signs | child, signs, keyCaches, cannot, "cancelled: {to} is not published any more, and signs on"}
)

// rulesOf are the steps of a kind in their order; nil for one that is none.
func rulesOf(kind Kind) []rule {
	switch kind {
	case CSK:
		return doubleSignature
	case KSK:
		return doubleKeySignature
	case ZSK:
		return prePublication
	case Algorithm:
		return conservative
	}
	return nil
}

// find gives a step's rule and the one after it; nil: it is the last.
func find(rules []rule, step Step) (this, next *rule) {
	if step == StepUndo {
		return &undo, nil
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return r.step == step })
	if i < 0 {
		return nil, nil
	}
	if i+1 < len(rules) {
		next = &rules[i+1]
	}
	return &rules[i], next
}
