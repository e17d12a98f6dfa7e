package pool

import (
	"fmt"
	"net/netip"
	"regexp"
	"time"
)

// seenMembers are the ids, addresses and host names of a pool's members read so far.
type seenMembers struct {
	ids       map[string]Position
	addresses map[netip.Addr]Position
	hosts     map[string]Position
}

func readMembers(v value) []*Member {
	elements, ok := v.elements("an array of members")
	if !ok {
		return nil
	}
	if len(elements) == 0 {
		v.report(Error, "no member", "at least one")
	}
	seen := seenMembers{ids: map[string]Position{}, addresses: map[netip.Addr]Position{}, hosts: map[string]Position{}}
	members := make([]*Member, 0, len(elements))
	for _, element := range elements {
		if member := readMember(element, seen); member != nil {
			members = append(members, member)
		}
	}
	return members
}

func readMember(v value, seen seenMembers) *Member {
	o, ok := v.object("a member, which is an object",
		"id", "mirror", "addresses", "host", "email", "weight", "reserve", "location", "exclude", "only", "notes")
	if !ok {
		return nil
	}
	member := &Member{
		Weight:   readWeight(o),
		Reserve:  o.optionalBool("reserve"),
		Notes:    o.optionalString("notes", "a string"),
		Position: v.position(),
	}
	if field, ok := o.required("id", "the member's id, "+expectedID); ok {
		member.ID = readID(field, seen.ids)
	}
	if field, ok := o.optional("mirror"); ok {
		member.Mirror = readName(field, "the mirror's host name")
	}
	readWhere(o, member, seen)
	if field, ok := o.optional("email"); ok {
		member.Email = readEmail(field)
	}
	if field, ok := o.optional("location"); ok {
		member.Location = readLocation(field)
	}
	if field, ok := o.optional("exclude"); ok {
		member.Exclude = readRules(field)
	}
	if field, ok := o.optional("only"); ok {
		member.Only = readRules(field)
	}
	return member
}

// readWhere reads a member's addresses, or the host name that has them.
func readWhere(o object, member *Member, seen seenMembers) {
	addresses, hasAddresses := o.optional("addresses")
	host, hasHost := o.optional("host")
	switch {
	case hasAddresses && hasHost:
		host.report(Error, `"host" beside "addresses"`, "one of them: the addresses themselves, or a host name that has them")
	case hasHost:
		member.HostName = readHostName(host, seen.hosts)
	case hasAddresses:
		member.Addresses = readAddresses(addresses, seen.addresses)
	default:
		o.missing(Error, "addresses", `an array of addresses, or "host" with the name that has them`)
	}
}

// readHostName reads a name that no other member of the pool has.
func readHostName(v value, first map[string]Position) string {
	const purpose = "the host name that has the member's addresses"
	if text, ok := v.string(purpose + ", " + expectedName); ok {
		if _, err := netip.ParseAddr(text); err == nil {
			v.refuse(purpose + `; addresses themselves stand in "addresses"`)
			return ""
		}
	}
	if v.kind != kindText {
		return "" // reported
	}
	name := readName(v, purpose)
	if other, twice := first[name]; twice && name != "" {
		v.refuse(fmt.Sprintf("a host name that stands once in the pool: line %d has it too", other.Line))
		return ""
	}
	if name != "" {
		first[name] = v.position()
	}
	return name
}

// emailForm is what mail can be sent to: one address without quotes and comments.
var emailForm = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~` + "`" + `-]{1,64}@` + nameLabel + `(?:\.` + nameLabel + `)*$`)

func readEmail(v value) string {
	const expected = "an e-mail address such as noc@mirror.example"
	text, ok := v.string(expected)
	if ok && (len(text) > maxName || !emailForm.MatchString(text)) {
		v.refuse(expected)
		return ""
	}
	return text
}

func readID(v value, first map[string]Position) string {
	text, ok := v.string(expectedID)
	if !ok {
		return ""
	}
	if !shortID.MatchString(text) {
		v.refuse(expectedID)
		return ""
	}
	if other, twice := first[text]; twice {
		v.refuse(fmt.Sprintf("an id that no other member of the pool has: line %d has it too", other.Line))
		return ""
	}
	first[text] = v.position()
	return text
}

// checkWeights warns of pools that cannot give what they seem to.
func checkWeights(v value, pool *Pool) {
	weighted, reserve := 0, 0
	for _, member := range pool.Members {
		if member.Weight > 0 {
			weighted++
			if member.Reserve {
				reserve++
			}
		}
	}
	switch {
	case len(pool.Members) == 0:
	case weighted == 0:
		v.report(Warning, "only members with weight 0", "one with a weight over 0: without any, the answers are empty")
	case weighted == reserve:
		v.report(Warning, "only reserve members", `one without "reserve": true that has a weight over 0`)
	}
}

// counted is how many members with a weight that are no reserve there are, and how many
// of them may have an IPv4 and an IPv6 address: those given by host name may have both.
func counted(pool *Pool) (all, v4, v6 int) {
	for _, member := range pool.Members {
		if member.Weight == 0 || member.Reserve {
			continue
		}
		all++
		if member.HostName != "" || hasAddress(member, netip.Addr.Is4) {
			v4++
		}
		if member.HostName != "" || hasAddress(member, netip.Addr.Is6) {
			v6++
		}
	}
	return all, v4, v6
}

func hasAddress(member *Member, is func(netip.Addr) bool) bool {
	for _, address := range member.Addresses {
		if is(address) {
			return true
		}
	}
	return false
}

// readMinMembers reads how many members have to be up, and tells where so many never are.
func readMinMembers(o object, pool *Pool) {
	pool.MinMembers = int(o.optionalInteger("min_members", 1, maxMinMembers, 0, ""))
	field, ok := o.optional("min_members")
	if !ok || pool.MinMembers == 0 || len(pool.Members) == 0 {
		return
	}
	_, v4, v6 := counted(pool)
	if most := max(v4, v6); pool.MinMembers > most {
		field.refuse(fmt.Sprintf("at most %d, for no more members of one address family have a weight over 0 and are no reserve", most))
		return
	}
	if pool.Health.Kind == CheckNone {
		field.report(Warning, field.describe()+" without a health check", "a health check: without one every member counts as up")
		return
	}
	for _, family := range []struct {
		name  string
		count int
	}{{"IPv4", v4}, {"IPv6", v6}} {
		switch {
		case family.count == 0:
		case pool.MinMembers > family.count:
			field.report(Warning, field.describe(), fmt.Sprintf("at most %d, for so many members have an %s address: of that family there are never enough", family.count, family.name))
		case pool.MinMembers == family.count:
			field.report(Warning, field.describe(), fmt.Sprintf("a smaller number, for no more than %d members have an %s address: one that fails goes on being given", family.count, family.name))
		}
	}
}

// warnShortRamp tells of a ramp that is over before resolvers ask again.
func warnShortRamp(o object, pool *Pool) {
	health, ok := o.optional("health")
	if !ok || health.kind != kindObject || pool.Health.Ramp == 0 || pool.Health.Ramp >= time.Duration(pool.TTL)*time.Second {
		return
	}
	health.report(Warning, "a ramp of "+words(pool.Health.Ramp),
		fmt.Sprintf("at least the pool's ttl of %d s: resolvers keep their answers for so long, and see nothing of a shorter one", pool.TTL))
}
