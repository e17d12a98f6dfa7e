package selection

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// Explanation is one client's choice with every step that led to it. It is for
// people, as JSON or through String. It holds the client's address, and must
// go to nobody but who asked.
type Explanation struct {
	Client netip.Addr `json:"client"` // an empty string: a client that wants to stay unlocated
	Place  PlaceKnown `json:"place"`
	// SubnetIgnored: the pool does not use the client subnet, so that Client is
	// located like this where it asks itself, as a resolver does. It is no part of
	// the rule: who ignores the subnet sets it.
	SubnetIgnored bool `json:"client_subnet_ignored,omitempty"`
	// Network is the prefix around Client in which all get the same shares;
	// the zero Prefix (an empty string) if the choice does not depend on who
	// asks or the client is not located.
	Network        netip.Prefix    `json:"network"`
	ScopeBits      int             `json:"scope_bits"`
	PlaceDependent bool            `json:"place_dependent"`
	Mode           Mode            `json:"mode"`
	Policy         PolicyExplained `json:"policy"`
	Needed         Needed          `json:"needed"`
	// Tiers are from the client outwards, empty ones too; none in the modes
	// self and empty.
	Tiers []Tier `json:"tiers"`
	// Candidates are those that have a share, in the order given to New.
	Candidates []Candidacy `json:"candidates"`
	LeftOut    []LeftOut   `json:"left_out"`
	// Fallbacks are where a client is sent that gets no candidate, in order of
	// preference. They are no part of the rule: who has some adds them.
	Fallbacks []string `json:"fallbacks,omitempty"`
	// Notes say what else bent the rule, such as a cap that cannot hold.
	Notes []string `json:"notes"`
}

// PlaceKnown is what is known of the client's place.
type PlaceKnown struct {
	Known     bool     `json:"known"`
	Network   string   `json:"network,omitempty"` // the operator's override
	ASN       uint32   `json:"asn,omitempty"`
	Country   string   `json:"country,omitempty"`
	Continent string   `json:"continent,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`  // degrees
	Longitude *float64 `json:"longitude,omitempty"` // degrees
}

// PolicyExplained is the pool's settings as the rule applies them.
type PolicyExplained struct {
	Nearness      pool.Nearness    `json:"policy"`
	MinCandidates int              `json:"min_candidates"`
	MaxShare      float64          `json:"max_share"`
	WhenAllDown   pool.WhenAllDown `json:"when_all_down"`
}

// Needed is how many candidates step 3 takes at least, and why so many.
type Needed struct {
	Number int    `json:"number"`
	From   string `json:"from"`    // "min_candidates" or "max_share"
	ForCap int    `json:"for_cap"` // how many max_share alone needs
}

// Tier is a group of candidates as near as each other.
type Tier struct {
	Name    string       `json:"name"`
	Taken   bool         `json:"taken"`
	Members []TierMember `json:"members"`
}

// TierMember is a candidate in a tier.
type TierMember struct {
	ID string `json:"id"`
	// Kilometres is the distance from the client, under the policy distance.
	Kilometres *float64 `json:"km,omitempty"`
}

// Candidacy is a candidate with its share.
type Candidacy struct {
	ID     string `json:"id"`
	Weight uint32 `json:"weight"`
	Up     bool   `json:"up"`
	Health string `json:"health"`
	Tier   string `json:"tier"`
	// Kept: it is not up, and given because too few are.
	Kept bool `json:"kept,omitempty"`
	// Sixteenths are the part of its weight that counts since it has come back; 0: all
	// of it does.
	Sixteenths uint8 `json:"sixteenths,omitempty"`
	// Proportion is its part of the weights, before the cap.
	Proportion float64 `json:"share_before_cap"`
	Share      float64 `json:"share"`
	Capped     bool    `json:"capped"` // the cap cut it
}

// LeftOut is a candidate without a share.
type LeftOut struct {
	ID     string `json:"id"`
	Weight uint32 `json:"weight"`
	Step   int    `json:"step"` // of the rule: 1, 2 or 3
	Reason string `json:"reason"`
}

// Explain tells what Choose gives this client, and why. It applies the same
// steps by the same code.
func (c *Chooser) Explain(client Client) *Explanation {
	choice, bits := c.Choose(client)
	client = client.normalised()
	d := c.decide(client)
	e := &Explanation{
		Client:         client.Address,
		Place:          describe(client.Place),
		ScopeBits:      bits,
		PlaceDependent: c.PlaceDependent(),
		Mode:           choice.Mode,
		Policy: PolicyExplained{
			Nearness: c.policy.Nearness, MinCandidates: c.policy.MinCandidates,
			MaxShare: c.policy.MaxShare, WhenAllDown: c.whenAllDown,
		},
		Needed:     Needed{Number: c.needed, From: "min_candidates", ForCap: c.capNeeds},
		Tiers:      c.explainTiers(d),
		Candidates: c.explainShares(d, choice),
		LeftOut:    c.explainLeftOut(d),
		Notes:      c.notes(d),
	}
	if c.capNeeds > c.policy.MinCandidates {
		e.Needed.From = "max_share"
	}
	if e.PlaceDependent && client.Address.IsValid() {
		e.Network = netip.PrefixFrom(client.Address, bits).Masked()
	}
	return e
}

// ExplainNow is Explain with newer words for the candidates' health, by index.
// What is chosen stays as it is.
func (c *Chooser) ExplainNow(client Client, health func(index int) string) *Explanation {
	now := *c
	now.candidates = slices.Clone(c.candidates)
	for i := range now.candidates {
		now.candidates[i].Health = health(i)
	}
	return now.Explain(client)
}

func describe(p geo.Place) PlaceKnown {
	known := PlaceKnown{Known: p.Known(), ASN: p.ASN, Country: p.Country, Continent: p.Continent}
	if p.Network.IsValid() {
		known.Network = p.Network.String()
	}
	if p.HasCoordinates && finite(p.Latitude) && finite(p.Longitude) {
		known.Latitude, known.Longitude = &p.Latitude, &p.Longitude
	}
	return known
}

func (c *Chooser) explainTiers(d *decision) []Tier {
	tiers := make([]Tier, len(d.tiers))
	for k, t := range d.tiers {
		tiers[k] = Tier{Name: t.tier.String(), Taken: t.taken, Members: []TierMember{}}
		for _, i := range d.field {
			f := &d.fates[i]
			if f.tier != t.tier {
				continue
			}
			member := TierMember{ID: c.candidates[i].ID}
			if (t.tier == nearest || t.tier == withinMargin || t.tier == farther) && f.distance >= 0 {
				member.Kilometres = &f.distance
			}
			tiers[k].Members = append(tiers[k].Members, member)
		}
	}
	return tiers
}

func (c *Chooser) explainShares(d *decision, choice *Choice) []Candidacy {
	chosen := make([]int, len(choice.Shares))
	for k, share := range choice.Shares {
		chosen[k] = share.Index
	}
	var all float64
	weights := c.weights(choice.Mode, chosen)
	for _, weight := range weights {
		all += float64(weight)
	}
	candidacies := make([]Candidacy, len(choice.Shares))
	for k, share := range choice.Shares {
		candidate := &c.candidates[share.Index]
		proportion := float64(weights[k]) / all
		candidacies[k] = Candidacy{
			ID: candidate.ID, Weight: candidate.Weight, Up: candidate.Up, Health: candidate.Health,
			Tier:       d.fates[share.Index].tier.String(),
			Kept:       choice.Mode == Kept && !candidate.Up,
			Sixteenths: uint8(candidate.sixteenths(choice.Mode) % wholeWeight),
			Proportion: proportion,
			Share:      share.Share,
			Capped:     share.Share < proportion*(1-capMargin),
		}
	}
	return candidacies
}

func (c *Chooser) explainLeftOut(d *decision) []LeftOut {
	out := []LeftOut{}
	for i := range c.candidates {
		if d.fates[i].step != hasShare {
			candidate := &c.candidates[i]
			out = append(out, LeftOut{candidate.ID, candidate.Weight, int(d.fates[i].step), c.reason(d, i)})
		}
	}
	return out
}

// reason says in words why a candidate was left out.
func (c *Chooser) reason(d *decision, i int) string {
	candidate, f := &c.candidates[i], &d.fates[i]
	switch f.cause {
	case unusable:
		return candidate.Unusable
	case disabled:
		return "disabled by the repository (weight 0)"
	case disabledNow:
		return candidate.Disabled
	case excluded:
		return "excluded by rule: exclude names " + whatNames(candidate.Exclude, d.client)
	case notIncluded:
		if !d.client.Place.Known() {
			return "excluded by rule: only does not name a client of unknown place"
		}
		return "excluded by rule: only does not name the client"
	case down:
		return health(false, candidate.Health)
	case reserveNotNeeded:
		return "reserve, not needed while others are up"
	case reserveOfAll:
		return "reserve, left out while all others are answered as if they were up"
	case tooFar:
		switch {
		case f.tier == farther:
			return fmt.Sprintf("farther away than those taken: %.0f km", f.distance)
		case f.tier == unlocated:
			return "no coordinates, and those with coordinates suffice"
		}
		return "outside the tiers taken: " + f.tier.String()
	}
	return ""
}

// health puts a verdict before its words, unless they begin with it.
func health(up bool, words string) string {
	verdict := "down"
	if up {
		verdict = "up"
	}
	switch {
	case words == "":
		return verdict
	case strings.HasPrefix(words, verdict):
		return words
	}
	return verdict + ": " + words
}

func (c *Chooser) notes(d *decision) []string {
	notes := []string{}
	if d.reason != "" {
		notes = append(notes, "everybody is taken, by weight: "+d.reason)
	}
	if n := len(d.chosen); n > 0 && !capHolds(n, c.policy.MaxShare) {
		notes = append(notes, fmt.Sprintf(
			"max_share %v cannot hold with %d candidates, it needs %d: shares are as even as can be",
			c.policy.MaxShare, n, c.capNeeds))
	}
	return notes
}
