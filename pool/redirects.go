package pool

import (
	"fmt"
	"slices"
	"strings"
)

// redirectLink is a redirect host with what the rest of the repository has yet
// to be asked for.
type redirectLink struct {
	redirect *Redirect
	path     string // of the mirrors file; empty if that is not known
	place    value  // of the path, or of the redirect host where it gives none
	policy   policyPlaces
	// fallbacks are the places of Redirect.Fallbacks.
	fallbacks []value
}

func (p *parser) readRedirects(v value) {
	elements, _ := v.elements("an array of redirect hosts")
	first := map[string]Position{}
	for _, element := range elements {
		link, ok := readRedirect(element, first)
		if !ok {
			continue
		}
		p.definition.Redirects = append(p.definition.Redirects, link.redirect)
		p.links = append(p.links, link)
	}
}

// readRedirect reads one redirect host. first holds the places of the hosts read so far.
func readRedirect(v value, first map[string]Position) (redirectLink, bool) {
	o, ok := v.object("a redirect host, which is an object",
		"host", "strip_prefix", "mirrors", "geo", "health", "when_all_down", "fallbacks")
	if !ok {
		return redirectLink{}, false
	}
	redirect := &Redirect{
		StripPrefix: readStripPrefix(o),
		WhenAllDown: WhenAllDown(readChoice(o, "when_all_down", string(AnswerAll), "all", "empty")),
		Position:    v.position(),
	}
	link := redirectLink{redirect: redirect, path: MirrorsPath, place: v}
	if field, ok := o.required("host", "the redirect host's name, "+expectedName); ok {
		redirect.Host = readName(field, "the redirect host's name, without scheme and port")
		unique(field, redirect.Host, "redirect host", first)
	}
	redirect.Health = readHealth(o, "", redirectHealth)
	redirect.Policy, link.policy = readPolicy(o)
	if field, ok := o.optional("mirrors"); ok {
		link.place = field
		link.path = readMirrorsPath(field)
	}
	if field, ok := o.optional("fallbacks"); ok {
		redirect.Fallbacks, link.fallbacks = readFallbacks(field)
	}
	return link, true
}

func readStripPrefix(o object) string {
	const without = "/"
	const expected = `a path that begins and ends with "/", without "." and ".."`
	field, ok := o.optional("strip_prefix")
	if !ok {
		return without
	}
	text, ok := field.string(expected)
	if !ok {
		return without
	}
	if !isPath(stripPrefix, text) {
		field.refuse(expected)
		return without
	}
	return text
}

func readMirrorsPath(v value) string {
	const expected = `the path of a mirrors file in the repository that ends with ".json", such as "mirrors.json"`
	text, ok := v.string(expected)
	if !ok {
		return ""
	}
	if !isPath(mirrorsFile, text) || text == PoolsPath {
		v.refuse(expected)
		return ""
	}
	return text
}

func readFallbacks(v value) (prefixes []string, places []value) {
	elements, _ := v.elements("an array of URL prefixes")
	first := map[string]Position{}
	for _, element := range elements {
		if prefix := readURLPrefix(element, first); prefix != "" {
			prefixes = append(prefixes, prefix)
			places = append(places, element)
		}
	}
	return prefixes, places
}

// crossCheck joins what stands in different files and looks at it together.
func (p *parser) crossCheck() {
	for _, link := range p.links {
		p.joinList(link)
	}
	for i, pool := range p.definition.Pools {
		if pool.WhenAllDown == AnswerSelf && pool.Name != "" && p.definition.Redirect(pool.Name) == nil {
			p.problems.add(Problem{
				Position: pool.NamePosition, Severity: Warning, What: fmt.Sprintf("pools[%d].when_all_down", i),
				Found:    `"self" without a redirect host of the pool's name`,
				Expected: fmt.Sprintf("a redirect host %q, so that this node can send on the clients that it takes", pool.Name),
			})
		}
	}
}

// joinList gives a redirect host its mirrors.
func (p *parser) joinList(link redirectLink) {
	if link.path == "" {
		return
	}
	if !p.mirrors(link.path) {
		if link.place.kind == kindText {
			link.place.refuse("a file of the repository: there is none of that path")
			return
		}
		link.place.report(Error, "nothing", fmt.Sprintf("the file %s, or the key \"mirrors\" with the path of another", link.path))
		return
	}
	list := p.lists[link.path]
	if list == nil {
		return // the file has been reported
	}
	link.redirect.List = list
	p.checkLoops(link)
	checkRedirectPolicy(link)
	warnWithoutRsync(link)
}

// checkLoops warns of URL prefixes that lead back to the redirect host itself.
func (p *parser) checkLoops(link redirectLink) {
	warn := func(place Position, what, prefix string) {
		if link.redirect.Host != "" && urlHost(prefix) == link.redirect.Host {
			p.problems.add(Problem{
				Position: place, Severity: Warning, What: what, Found: quote(prefix),
				Expected: "another host: this one is the redirect host itself, so clients may go in circles",
			})
		}
	}
	for _, mirror := range link.redirect.List.Mirrors {
		warn(mirror.Position, "url_prefix", mirror.URLPrefix)
	}
	for i, fallback := range link.redirect.Fallbacks {
		warn(link.fallbacks[i].position(), link.fallbacks[i].path, fallback)
	}
}

// checkRedirectPolicy looks at https clients by themselves, for they are never
// sent to http.
func checkRedirectPolicy(link redirectLink) {
	total, secure := 0, 0
	for _, mirror := range link.redirect.List.Mirrors {
		if mirror.Weight == 0 {
			continue
		}
		total++
		if strings.HasPrefix(mirror.URLPrefix, "https:") {
			secure++
		}
	}
	if total == 0 && len(link.redirect.List.Mirrors) > 0 {
		link.place.report(Warning, "only mirrors with weight 0 in "+link.path, "one with a weight over 0")
	}
	groups := []group{{"mirrors with http or https", total}}
	if total >= needed(link.redirect.Policy.MaxShare) {
		groups = []group{{"mirrors with https", secure}}
	}
	checkPolicy(link.redirect.Policy, link.policy, total, groups)
}

// warnWithoutRsync tells of mirrors that an rsync inspection cannot look at.
func warnWithoutRsync(link redirectLink) {
	inspected := slices.ContainsFunc(link.redirect.Health.Inspections, func(i Inspection) bool { return i.Kind == CheckRsync })
	if !inspected {
		return
	}
	total, without := 0, 0
	for _, mirror := range link.redirect.List.Mirrors {
		if mirror.Weight > 0 {
			total++
			if mirror.RsyncURL == "" {
				without++
			}
		}
	}
	if without > 0 {
		link.place.report(Warning, fmt.Sprintf("%d of %d mirrors without rsync_url in %s", without, total, link.path),
			"rsync_url for each that has a weight: the rsync inspection leaves out those without")
	}
}
