package pool

import (
	"fmt"
	"slices"
	"strings"
)

const expectedWeight = "a whole number from 0 (disabled) to 10000"

// mirrors reads a file in the mirrors.json format, once, and tells whether it
// is there.
func (p *parser) mirrors(name string) (present bool) {
	if _, seen := p.lists[name]; seen {
		return true
	}
	data, present, ok := p.read(name)
	if !present {
		return false
	}
	p.lists[name] = nil
	if !ok {
		return true
	}
	document, root := newDocument(name, data, true, &p.problems)
	if root == nil {
		return true
	}
	list := &MirrorList{Path: name, Data: data, Mirrors: readMirrors(value{root, document, ""})}
	p.lists[name] = list
	p.definition.MirrorLists = append(p.definition.MirrorLists, list)
	slices.SortFunc(p.definition.MirrorLists, func(a, b *MirrorList) int { return strings.Compare(a.Path, b.Path) })
	return true
}

func readMirrors(root value) []*Mirror {
	entries := root
	if root.kind != kindArray {
		const expected = `an object with the array "mirrors", or that array itself`
		o, ok := root.object(expected, "$schema", "version", "mirrors")
		if !ok {
			return nil
		}
		readVersion(o)
		if entries, ok = o.required("mirrors", "an array of mirrors"); !ok {
			return nil
		}
	}
	elements, ok := entries.elements("an array of mirrors")
	if !ok {
		return nil
	}
	if len(elements) == 0 {
		entries.report(Warning, "no mirror", "at least one")
	}
	mirrors := make([]*Mirror, 0, len(elements))
	first := map[string]Position{}
	for _, element := range elements {
		if mirror := readMirror(element, first); mirror != nil {
			mirrors = append(mirrors, mirror)
		}
	}
	return mirrors
}

// readVersion sees to the fields that every file may have: "$schema" is for editors.
func readVersion(o object) {
	o.optionalString("$schema", "a string")
	if version, ok := o.optional("version"); ok {
		version.integer(1, 1, "1, the only version of this format")
	}
}

// readMirror reads one entry. first holds the places of the URL prefixes read so far.
func readMirror(v value, first map[string]Position) *Mirror {
	o, ok := v.object("a mirror, which is an object", "url_prefix", "rsync_url", "weight", "email", "notes")
	if !ok {
		return nil
	}
	mirror := &Mirror{
		Weight:   readWeight(o),
		Email:    o.optionalString("email", "a string"),
		Notes:    o.optionalString("notes", "a string"),
		Position: v.position(),
	}
	if field, ok := o.required("url_prefix", expectedURLPrefix); ok {
		mirror.URLPrefix = readURLPrefix(field, first)
	}
	if field, ok := o.optional("rsync_url"); ok {
		mirror.RsyncURL = readRsyncURL(field)
	}
	return mirror
}

// readURLPrefix reads a URL prefix that no other entry has.
func readURLPrefix(v value, first map[string]Position) string {
	text, ok := v.string(expectedURLPrefix)
	if !ok {
		return ""
	}
	prefix, mistake := parseURLPrefix(text)
	switch {
	case mistake != "":
		v.refuse(mistake)
		return ""
	case !strings.HasSuffix(prefix, "/"):
		prefix += "/"
		if v.document.lenient {
			v.report(Warning, v.describe(), `a final "/", which is added: `+quote(prefix))
		} else {
			v.refuse(`a final "/": ` + quote(prefix))
		}
	}
	key := urlPrefixKey(prefix)
	if other, twice := first[key]; twice {
		v.refuse(fmt.Sprintf("a URL prefix that stands here once: line %d has it too", other.Line))
		return ""
	}
	first[key] = v.position()
	return prefix
}

// readWeight reads the required weight of a mirror or member. A mistaken one is
// taken for some weight, so that no warning of disabled mirrors follows.
func readWeight(o object) uint32 {
	field, ok := o.required("weight", expectedWeight)
	if !ok {
		return 1
	}
	if field.kind == kindNumber {
		if number, ok := wholeNumber(field.text); ok && number > MaxWeight {
			field.refuse(fmt.Sprintf("a weight of at most %d: only the proportions of weights count, so divide all of them by the same number", MaxWeight))
			return MaxWeight
		}
	}
	number, ok := field.integer(0, MaxWeight, expectedWeight)
	if !ok {
		return 1
	}
	return uint32(number)
}
