package pool

import "fmt"

// Defaults of pools.json.
const (
	DefaultTTL           = 60 // seconds
	DefaultAnswers       = 4
	DefaultMinCandidates = 3
	DefaultMaxShare      = 1.0

	maxTTL           = 86400
	maxAnswers       = 32
	maxMinCandidates = 1000
	maxMinMembers    = 1000
)

// pools reads pools.json and tells whether it is there.
func (p *parser) pools() (present bool) {
	data, present, ok := p.read(PoolsPath)
	if !ok {
		return present
	}
	document, root := newDocument(PoolsPath, data, false, &p.problems)
	if root == nil {
		return true
	}
	o, ok := value{root, document, ""}.object(`an object with "pools" and "redirects"`, "$schema", "version", "pools", "redirects")
	if !ok {
		return true
	}
	readVersion(o)
	pools, hasPools := o.optional("pools")
	if hasPools {
		p.readPools(pools)
	}
	redirects, hasRedirects := o.optional("redirects")
	if hasRedirects {
		p.readRedirects(redirects)
	}
	if len(pools.elementsOrNone())+len(redirects.elementsOrNone()) == 0 {
		o.report(Warning, "neither a pool nor a redirect host", `at least one in "pools" or "redirects"`)
	}
	return true
}

func (p *parser) readPools(v value) {
	elements, _ := v.elements("an array of pools")
	first := map[string]Position{}
	for _, element := range elements {
		if pool := readPool(element, first); pool != nil {
			p.definition.Pools = append(p.definition.Pools, pool)
		}
	}
	for i, pool := range p.definition.Pools {
		for j, member := range pool.Members {
			if other, ours := first[member.HostName]; ours {
				p.problems.add(Problem{
					Position: member.Position, Severity: Error, What: fmt.Sprintf("pools[%d].members[%d].host", i, j),
					Found:    fmt.Sprintf("%q, the pool of line %d", member.HostName, other.Line),
					Expected: "the host name of one machine: the addresses of a pool are those of its members",
				})
			}
		}
	}
}

// readPool reads one pool. first holds the places of the names read so far.
func readPool(v value, first map[string]Position) *Pool {
	o, ok := v.object("a pool, which is an object",
		"name", "ttl", "answers", "geo", "health", "when_all_down", "min_members", "members")
	if !ok {
		return nil
	}
	pool := &Pool{
		TTL:         uint32(o.optionalInteger("ttl", 1, maxTTL, DefaultTTL, " of seconds")),
		Answers:     int(o.optionalInteger("answers", 1, maxAnswers, DefaultAnswers, "")),
		WhenAllDown: WhenAllDown(readChoice(o, "when_all_down", string(AnswerAll), "all", "empty", "self")),
	}
	if field, ok := o.required("name", "the pool's name, "+expectedName); ok {
		pool.NamePosition = field.position()
		pool.Name = readName(field, "the pool's name")
		if !unique(field, pool.Name, "pool", first) {
			pool.Name = "" // so that what is checked later does not report it again
		}
	}
	pool.Health = readHealth(o, pool.Name, poolHealth)
	if field, ok := o.required("members", "an array of members"); ok {
		pool.Members = readMembers(field)
		checkWeights(field, pool)
	}
	readMinMembers(o, pool)
	warnShortRamp(o, pool)
	policy, places := readPolicy(o, clientSubnet)
	pool.Policy = policy
	checkPoolPolicy(pool, places)
	return pool
}

// unique reports a name that something before it has already.
func unique(v value, name, kind string, first map[string]Position) bool {
	if name == "" {
		return true
	}
	if other, twice := first[name]; twice {
		v.refuse(fmt.Sprintf("a name that no other %s has: line %d has it too", kind, other.Line))
		return false
	}
	first[name] = v.position()
	return true
}

// readChoice reads one of a few words.
func readChoice(o object, key, without string, words ...string) string {
	field, ok := o.optional(key)
	if !ok {
		return without
	}
	return readWord(field, without, words...)
}

func readWord(v value, without string, words ...string) string {
	expected := "one of"
	for i, word := range words {
		if i > 0 {
			expected += ","
		}
		expected += fmt.Sprintf(" %q", word)
	}
	text, ok := v.string(expected)
	if !ok {
		return without
	}
	for _, word := range words {
		if text == word {
			return word
		}
	}
	if near := nearest(text, words); near != "" {
		expected += fmt.Sprintf(": did you mean %q?", near)
	}
	v.refuse(expected)
	return without
}
