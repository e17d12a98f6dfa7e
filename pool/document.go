package pool

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// document is a JSON file that is being read: it turns offsets into positions
// and gathers what is wrong.
type document struct {
	path     string
	lines    []int // the offset of each line's first byte
	problems *problemList
	// lenient makes unknown fields warnings.
	lenient bool
}

// newDocument reads the JSON in data. The node is nil if it has none; the
// reason is then among the problems.
func newDocument(path string, data []byte, lenient bool, problems *problemList) (*document, *node) {
	d := &document{path: path, lines: []int{0}, problems: problems, lenient: lenient}
	for i, c := range data {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	root, failure := parseJSON(data)
	if failure != nil {
		d.problems.add(Problem{
			Position: d.position(failure.offset), Severity: Error,
			Found: failure.found, Expected: failure.expected,
		})
		return d, nil
	}
	d.duplicates(root, "")
	return d, root
}

func (d *document) position(offset int) Position {
	line := sort.SearchInts(d.lines, offset+1)
	return Position{File: d.path, Line: line, Column: offset - d.lines[line-1] + 1}
}

func (d *document) report(severity Severity, offset int, what, found, expected string) {
	d.problems.add(Problem{
		Position: d.position(offset), Severity: severity,
		What: what, Found: found, Expected: expected,
	})
}

// duplicates reports every key that an object holds twice, at any depth. Of
// such fields the first is the one that is read.
func (d *document) duplicates(n *node, path string) {
	for i, item := range n.items {
		d.duplicates(item, indexPath(path, i))
	}
	first := make(map[string]int, len(n.fields))
	for _, f := range n.fields {
		fieldPath := keyPath(path, f.key)
		if offset, twice := first[f.key]; twice {
			d.report(Error, f.offset, fieldPath, "the same key again",
				fmt.Sprintf("one value for it: line %d has it too", d.position(offset).Line))
			continue
		}
		first[f.key] = f.offset
		d.duplicates(f.value, fieldPath)
	}
}

// value is a node with the path that leads to it.
type value struct {
	*node
	document *document
	path     string
}

func (v value) report(severity Severity, found, expected string) {
	v.document.report(severity, v.offset, v.path, found, expected)
}

// refuse reports that the value is not what is expected.
func (v value) refuse(expected string) { v.report(Error, v.describe(), expected) }

// position is the value's place.
func (v value) position() Position { return v.document.position(v.offset) }

// describe names the value for people.
func (v value) describe() string {
	switch v.kind {
	case kindNull:
		return "null"
	case kindArray:
		return "an array"
	case kindObject:
		return "an object"
	case kindText:
		return quote(v.text)
	}
	return shorten(v.text)
}

// elements gives the values of an array.
func (v value) elements(expected string) ([]value, bool) {
	if v.kind != kindArray {
		v.refuse(expected)
		return nil, false
	}
	values := make([]value, len(v.items))
	for i, item := range v.items {
		values[i] = value{item, v.document, indexPath(v.path, i)}
	}
	return values, true
}

// elementsOrNone gives the nodes of an array, and none of anything else.
func (v value) elementsOrNone() []*node {
	if v.node == nil {
		return nil
	}
	return v.items
}

// string gives the text of a string.
func (v value) string(expected string) (string, bool) {
	if v.kind != kindText {
		v.refuse(expected)
		return "", false
	}
	return v.text, true
}

// bool gives the truth of a boolean.
func (v value) bool(expected string) (truth, ok bool) {
	if v.kind != kindBool {
		v.refuse(expected)
		return false, false
	}
	return v.text == "true", true
}

// integer gives a whole number from low to high, in whatever way it is written:
// 10, 10.0 and 1e1 are the same, as JSON Schema has it.
func (v value) integer(low, high int64, expected string) (int64, bool) {
	if v.kind == kindNumber {
		if number, ok := wholeNumber(v.text); ok && number >= low && number <= high {
			return number, true
		}
	}
	v.refuse(expected)
	return 0, false
}

// float gives a number from low to high.
func (v value) float(low, high float64, expected string) (float64, bool) {
	if v.kind == kindNumber {
		number, err := strconv.ParseFloat(v.text, 64)
		if err == nil && number >= low && number <= high {
			return number, true
		}
	}
	v.refuse(expected)
	return 0, false
}

// wholeNumber gives the value of a JSON number that is whole. Those outside the
// range of int64 come back as its ends, which no caller's range reaches.
func wholeNumber(text string) (number int64, ok bool) {
	unsigned, negative := strings.CutPrefix(text, "-")
	mantissa, exponentText, _ := strings.Cut(strings.ToLower(unsigned), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return 0, true
	}
	huge := int64(math.MaxInt64)
	if negative {
		huge = math.MinInt64
	}
	exponent := 0
	if exponentText != "" {
		var err error
		if exponent, err = strconv.Atoi(exponentText); err != nil || exponent > 1<<30 || exponent < -1<<30 {
			if strings.HasPrefix(exponentText, "-") {
				return 0, false
			}
			return huge, true
		}
	}
	exponent += len(digits) - len(trimmed) - len(fraction)
	switch {
	case exponent < 0:
		return 0, false
	case len(trimmed)+exponent > 18:
		return huge, true
	}
	number, err := strconv.ParseInt(trimmed+strings.Repeat("0", exponent), 10, 64)
	if err != nil {
		return huge, true
	}
	if negative {
		number = -number
	}
	return number, true
}

// maxFound is how many bytes of a value a problem quotes.
const maxFound = 80

// quote gives text in quotes, with what cannot be printed escaped, cut to a
// length that a line of a log can bear.
func quote(text string) string {
	if len(text) <= maxFound {
		return strconv.Quote(text)
	}
	return strconv.Quote(cut(text)) + "…"
}

// shorten cuts a number or word, which needs no quotes, to the same length.
func shorten(text string) string {
	if len(text) <= maxFound {
		return text
	}
	return cut(text) + "…"
}

// cut gives the first bytes of text, whole characters of it.
func cut(text string) string {
	end := maxFound
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

func indexPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// keyPath gives the path of an object's field; a key that is not a plain word
// stands in quotes.
func keyPath(path, key string) string {
	plain := key != "" && len(key) <= maxFound
	for i := range len(key) {
		plain = plain && isWordByte(key[i])
	}
	switch {
	case !plain:
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}
