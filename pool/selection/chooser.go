// Package selection is the rule of choice: which candidates one client may be
// given, and with what probability each. It is the one implementation for DNS
// pools and redirect hosts, so that both give every mirror the same share.
//
// The rule has five steps. Leave out what is unusable, disabled (by weight 0, or for
// now) or kept from this client by a rule of its own. Take those that are up, and
// those that are kept because too few are; if none is up, the reserve that is; if none
// is either, what when_all_down says, where those that are kept stand for all. Take
// the near ones: whole tiers around the client, or the nearest by great-circle
// distance. Share in proportion to the weights, of which those that have come back have
// a part for a while, no share above max_share. Draw without replacement, each draw by
// the shares of those left.
//
// A Chooser applies it for the candidates that are up now. Classes sort all
// addresses, ahead of any question, by what the rule can look at, whoever is
// up: one look-up in a table takes the place of finding a client's place and
// asking a Chooser, which need only be asked once for each class.
//
// It imports pool and pool/geo alone, and knows no clock, no network and no
// source of randomness but the one that is handed to Draw. A Chooser and all
// that it gives out may be used by many goroutines at once; a question whose
// class of client has come before takes no lock and allocates nothing.
package selection

import (
	"math"
	"net/netip"
	"slices"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// Candidate is a member or mirror as the rule of choice sees it.
type Candidate struct {
	ID     string
	Weight uint32
	// Unusable says why the candidate is left out before anything else is
	// looked at, such as "no AAAA address"; empty: it is not. Weight 0 needs
	// no saying.
	Unusable string
	// Disabled says why the candidate is given to nobody for now, though it could
	// be, such as "disabled on this node: maintenance"; empty: it is not. Classes
	// do not look at it, so that it is as quick as a change of health.
	Disabled string
	Reserve  bool
	Up       bool
	// Kept gives a candidate that is not up beside those that are, or in place of all
	// where none is: too few are up, and it was when there were enough. It means
	// nothing of a reserve.
	Kept bool
	// Sixteenths are the part of its weight that a candidate has that has come back
	// and is up, 1 to 15; 0: all of it. What is not up has all of its weight, and
	// where others are kept everybody has: who works must not get less than they.
	Sixteenths uint8
	// Health says in words why the candidate is up or down, for Explain.
	Health string
	Place  geo.Place
	// Exclude keeps the candidate from the clients that it names, Only keeps
	// it for them. A client of which something is unknown is not named by it:
	// Exclude does not keep such a client off, Only does. Rules that are not
	// nil but empty name nobody.
	Exclude, Only *pool.Rules
}

// Client is who asks.
type Client struct {
	// Address is the client's, or the network address of its prefix; the zero
	// Addr for a client of which nothing may be known: its Place is not looked
	// at either. An IPv4-mapped IPv6 address counts as IPv4.
	Address netip.Addr
	Place   geo.Place
	// Bits is the length of the prefix around Address in which Place holds; a
	// negative or too large one means Address alone.
	Bits int
}

// normalised gives the client in the one form that the rest of the package
// knows: no mapped addresses, no zones, Bits within the address's length.
func (c Client) normalised() Client {
	if !c.Address.IsValid() {
		return Client{}
	}
	c.Address = c.Address.Unmap().WithZone("")
	if length := c.Address.BitLen(); c.Bits < 0 || c.Bits > length {
		c.Bits = length
	}
	return c
}

// rule is the rule of choice with its settings for one list of candidates. It
// is never written to once it is made.
type rule struct {
	policy     pool.Policy
	candidates []Candidate
	positions  []position // of each candidate, for distances; nil unless the policy is distance
	needed     int        // candidates that step 3 takes at least
	capNeeds   int        // how many of them max_share asks for
	rules      *ruleIndex
}

// Chooser applies the rule of choice to one list of candidates. Its answers
// never change; what it keeps between questions is memory of its own answers.
type Chooser struct {
	rule
	whenAllDown pool.WhenAllDown
	mention     mentions
	// placeMatters: the client's Place may change the choice. Networks named
	// in rules may still do so if it does not.
	placeMatters bool

	// fixed is what everybody gets, or nil if that depends on who asks.
	fixed *Choice
	memo  *memo
}

// New makes a Chooser. The candidates are copied, their rules are not: they
// must not be written to any more. Settings out of range are taken for the
// nearest that is in range (max_share that is not in (0, 1]: no cap), an
// unknown nearness for pool.None, an unknown whenAllDown for pool.AnswerAll.
func New(policy pool.Policy, whenAllDown pool.WhenAllDown, candidates []Candidate) *Chooser {
	if whenAllDown != pool.AnswerEmpty && whenAllDown != pool.AnswerSelf {
		whenAllDown = pool.AnswerAll
	}
	c := &Chooser{
		rule:        newRule(policy, slices.Clone(candidates)),
		whenAllDown: whenAllDown,
		memo:        newMemo(),
	}
	c.findDependence()
	return c
}

// newRule puts settings that are out of range into it. It keeps the candidates.
func newRule(policy pool.Policy, candidates []Candidate) rule {
	policy.MinCandidates = max(policy.MinCandidates, 1)
	if !(policy.MaxShare > 0 && policy.MaxShare <= 1) { // so that NaN fails too
		policy.MaxShare = 1
	}
	if policy.Nearness != pool.Near && policy.Nearness != pool.Distance {
		policy.Nearness = pool.None
	}
	c := rule{policy: policy, candidates: candidates, capNeeds: candidatesForCap(policy.MaxShare)}
	c.needed = max(policy.MinCandidates, c.capNeeds)
	if policy.Nearness == pool.Distance {
		c.positions = make([]position, len(candidates))
		for i := range candidates {
			c.positions[i] = positionOf(candidates[i].Place)
		}
	}
	c.rules = indexRules(c.candidates)
	return c
}

// findDependence finds out what of a client can change its choice.
func (c *Chooser) findDependence() {
	field := c.possibleField()
	geography := c.tellsApart(field)
	c.placeMatters = geography || c.rules.byPlace
	c.mention = c.mentioned(field, geography)
	if !geography && !c.rules.any() {
		// Nothing about the client is looked at: one Choice serves all.
		c.fixed = c.memo.keep(c, class{}, c.decide(Client{}))
	}
}

// possibleField gives the candidates that step 3 may have before it for some
// client. Without rules that is the same for every client; with rules it is
// everybody who is not left out for all.
func (c *Chooser) possibleField() []int {
	if !c.rules.any() {
		return c.decide(Client{}).field
	}
	return c.usable()
}

// usable gives the candidates that any client at all may be given.
func (c *rule) usable() []int {
	var field []int
	for i := range c.candidates {
		if c.candidates[i].usable() {
			field = append(field, i)
		}
	}
	return field
}

// tellsApart reports whether step 3 may take some of the field by where they
// stand, and leave others.
func (c *rule) tellsApart(field []int) bool {
	return len(field) > c.needed && slices.ContainsFunc(field, c.hasPlace)
}

// hasPlace reports whether the policy can tell candidate i from one of which
// nothing is known.
func (c *rule) hasPlace(i int) bool {
	p := c.candidates[i].Place
	switch c.policy.Nearness {
	case pool.Near:
		return p.Network.IsValid() || p.ASN != 0 || p.Country != "" || p.Continent != ""
	case pool.Distance:
		return c.positions[i].known
	}
	return false
}

// usable reports whether any client at all may be given the candidate.
func (c *Candidate) usable() bool { return c.Unusable == "" && c.Weight > 0 && c.Disabled == "" }

// PlaceDependent reports whether what a client gets may depend on who it is:
// on its place, or on the networks that the candidates' rules name. False
// means that every client gets the same Choice. It looks at the settings and
// at who is up, not at every client there could be: under near and distance it
// is false where all candidates are always taken or nothing is known of where
// any of them stands, and true otherwise, even if all of them stand in one place.
func (c *Chooser) PlaceDependent() bool { return c.fixed == nil }

// Choose gives what this client gets, and the length of the prefix around
// Client.Address in which every client gets the very same, as long as
// Client.Bits is right about its Place. The length counts in the address's own
// family. It is 0 if the choice does not depend on who asks, and for the zero
// Address; never 0 otherwise, since caches take 0 for both families. It is at
// least Client.Bits where the place matters, and longer where a network that
// a rule names begins or ends inside of that prefix.
//
// Clients with the same candidates share one *Choice (see Choice.ID).
func (c *Chooser) Choose(client Client) (*Choice, int) {
	if c.fixed != nil {
		return c.fixed, 0
	}
	client = client.normalised()
	k, bits := c.classify(client)
	if choice := c.memo.load(k); choice != nil {
		return choice, bits
	}
	return c.memo.keep(c, k, c.decide(client)), bits
}

// candidatesForCap gives the smallest number of candidates with which no
// share needs to be above maxShare. The margin forgives what a decimal
// fraction or 1/3 loses as a float64.
func candidatesForCap(maxShare float64) int {
	n := int(math.Min(math.Ceil((1-capMargin)/maxShare), math.MaxInt32))
	if !capHolds(n, maxShare) && n < math.MaxInt32 {
		n++ // the division lost its last digit
	}
	return n
}

// capMargin is how much n*max_share may lack of 1 for the cap to hold with n
// candidates.
const capMargin = 1e-9

// capHolds reports whether n shares of at most maxShare can add up to 1.
func capHolds(n int, maxShare float64) bool { return float64(n)*maxShare >= 1-capMargin }
