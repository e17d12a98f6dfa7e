package pool

import (
	"fmt"
	"math"
)

// clientSubnet is a key of "geo" that pools alone have: redirect hosts see their
// clients themselves.
const clientSubnet = "client_subnet"

// policyPlaces are where a policy's settings stand, for what can only be said
// once the candidates are known; nil for those that are not given.
type policyPlaces struct {
	minCandidates, maxShare *value
}

// readPolicy reads the "geo" of a pool or redirect host. Those of pools have
// more keys.
func readPolicy(owner object, more ...string) (Policy, policyPlaces) {
	policy := Policy{Nearness: None, MinCandidates: DefaultMinCandidates, MaxShare: DefaultMaxShare}
	field, ok := owner.optional("geo")
	if !ok {
		return policy, policyPlaces{}
	}
	o, ok := field.object("the rule of choice, which is an object", append(more, "policy", "min_candidates", "max_share")...)
	if !ok {
		return policy, policyPlaces{}
	}
	var places policyPlaces
	if field, ok := o.optional(clientSubnet); ok {
		used, ok := field.bool("true or false")
		policy.IgnoreClientSubnet = ok && !used
	}
	if field, ok := o.required("policy", `one of "near", "distance", "none"`); ok {
		policy.Nearness = Nearness(readWord(field, string(None), "near", "distance", "none"))
	}
	policy.MinCandidates = int(o.optionalInteger("min_candidates", 1, maxMinCandidates, DefaultMinCandidates, ""))
	if field, ok := o.optional("min_candidates"); ok {
		places.minCandidates = &field
	}
	if field, ok := o.optional("max_share"); ok {
		const expected = "a number over 0 and at most 1"
		if share, ok := field.float(math.SmallestNonzeroFloat64, 1, expected); ok {
			policy.MaxShare = share
			places.maxShare = &field
		}
	}
	return policy, places
}

// needed is how many candidates a cap takes to hold.
func needed(maxShare float64) int {
	// The slack is for shares such as 0.1, ten of which are a little less than 1.
	return int(min(math.Ceil(1/maxShare-1e-9), math.MaxInt32))
}

// group is a set of candidates among which one client's answer is drawn.
type group struct {
	name  string // such as "members with an IPv4 address"
	count int
}

// checkPolicy warns of settings that the candidates cannot fulfil.
func checkPolicy(policy Policy, places policyPlaces, total int, groups []group) {
	if v := places.minCandidates; v != nil && total > 0 && total < policy.MinCandidates {
		v.report(Warning, v.describe(),
			fmt.Sprintf("at most %d, for there are no more candidates with a weight over 0: every client gets all of them", total))
	}
	v := places.maxShare
	if v == nil {
		return
	}
	least := needed(policy.MaxShare)
	for _, g := range groups {
		if g.count > 0 && g.count < least {
			v.report(Warning, v.describe(),
				fmt.Sprintf("at least %d %s and a weight over 0, of which there %s: the cap cannot hold, and they get even shares",
					least, g.name, count(g.count)))
		}
	}
}

func count(n int) string {
	if n == 1 {
		return "is 1"
	}
	return fmt.Sprintf("are %d", n)
}

// checkPoolPolicy looks at each address family by itself, as answers do.
func checkPoolPolicy(pool *Pool, places policyPlaces) {
	total, v4, v6 := counted(pool)
	checkPolicy(pool.Policy, places, total, []group{
		{"members with an IPv4 address", v4},
		{"members with an IPv6 address", v6},
	})
}
