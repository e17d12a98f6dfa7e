package pool

import (
	"fmt"
	"slices"
)

// object is a JSON object, the fields of which are known by name.
type object struct {
	value
	fields map[string]value
}

// object gives the value as an object that may have the given keys. Others are
// reported with the nearest of those that are known.
func (v value) object(expected string, known ...string) (object, bool) {
	if v.kind != kindObject {
		v.refuse(expected)
		return object{}, false
	}
	o := object{value: v, fields: make(map[string]value, len(v.node.fields))}
	for _, f := range v.node.fields {
		if _, twice := o.fields[f.key]; twice {
			continue // reported by duplicates
		}
		o.fields[f.key] = value{f.value, v.document, keyPath(v.path, f.key)}
		if !slices.Contains(known, f.key) {
			o.unknown(f, known)
		}
	}
	return o, true
}

func (o object) unknown(f field, known []string) {
	severity, expected := Error, "a known key"
	if o.document.lenient {
		severity, expected = Warning, "a known key; it is kept, and not used"
	}
	// The hints take time, and nobody sees those of problems that are not kept.
	if !o.document.problems.full(severity) {
		if near := nearest(f.key, known); near != "" {
			expected = fmt.Sprintf("a known key: did you mean %q?", near)
		}
	}
	o.document.report(severity, f.offset, keyPath(o.path, f.key), "an unknown key", expected)
}

// optional gives a field that need not be there.
func (o object) optional(key string) (value, bool) {
	field, ok := o.fields[key]
	return field, ok
}

// required gives a field, and reports its absence.
func (o object) required(key, expected string) (value, bool) {
	field, ok := o.fields[key]
	if !ok {
		o.missing(Error, key, expected)
	}
	return field, ok
}

// missing reports that a field is not there, at the object's own place.
func (o object) missing(severity Severity, key, expected string) {
	o.document.report(severity, o.offset, keyPath(o.path, key), "nothing", expected)
}

// optionalString gives a field's text, and the empty string where there is none.
func (o object) optionalString(key, expected string) string {
	if field, ok := o.optional(key); ok {
		text, _ := field.string(expected)
		return text
	}
	return ""
}

// optionalInteger gives a field's whole number, or what it is without the field.
func (o object) optionalInteger(key string, low, high, without int64, unit string) int64 {
	field, ok := o.optional(key)
	if !ok {
		return without
	}
	number, ok := field.integer(low, high, fmt.Sprintf("a whole number%s from %d to %d", unit, low, high))
	if !ok {
		return without
	}
	return number
}

// optionalBool gives a field's truth, and false where there is none.
func (o object) optionalBool(key string) bool {
	if field, ok := o.optional(key); ok {
		truth, _ := field.bool("true or false")
		return truth
	}
	return false
}

// nearest gives the known key that the unknown one is a slip of, or nothing.
func nearest(key string, known []string) string {
	const maxKey = 40
	if len(key) > maxKey {
		return ""
	}
	best, bestDistance := "", 3
	for _, candidate := range known {
		if distance := editDistance(key, candidate); distance < bestDistance && distance*2 < len(candidate) {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete, change or swap with their
// neighbour on the shortest way from a to b (optimal string alignment). Case,
// hyphens and spaces count as nothing against lower case and underscores.
func editDistance(a, b string) int {
	a, b = foldKey(a), foldKey(b)
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			now[j+1] = min(change, last[j+1]+1, now[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}

func foldKey(key string) string {
	folded := []byte(key)
	for i, c := range folded {
		switch {
		case c >= 'A' && c <= 'Z':
			folded[i] = c + 'a' - 'A'
		case c == '-' || c == ' ':
			folded[i] = '_'
		}
	}
	return string(folded)
}
