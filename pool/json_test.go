package pool

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// Every syntax error with its place, as people see it.
func TestSyntaxErrors(t *testing.T) {
	tests := []struct{ data, want string }{
		{"", `1:1: error: found nothing but white space, expected a JSON value`},
		{" \n\t ", `2:3: error: found nothing but white space, expected a JSON value`},
		{"{\n  \"a\": 1,\n}", `3:1: error: found '}', expected a key: no comma may stand after the last field`},
		{"[1,\r\n 2,]", `2:4: error: found ']', expected a value: no comma may stand after the last one`},
		{"[1, 2", `1:6: error: found the end of the file, expected "," or "]" after the value`},
		{"[1 2]", `1:4: error: found '2', expected "," or "]" after the value`},
		{"[,1]", `1:2: error: found ',', expected a value`},
		{`{"a" 1}`, `1:6: error: found '1', expected ":" after the key`},
		{`{"a": }`, `1:7: error: found '}', expected a value`},
		{`{"a": 1 "b": 2}`, `1:9: error: found '"', expected "," or "}" after the field`},
		{`{a: 1}`, `1:2: error: found 'a', expected a key in " quotes`},
		{`{'a': 1}`, `1:2: error: found '\'', expected a key in " quotes (JSON's quotes are ")`},
		{"[] // comment", `1:4: error: found '/', expected the end of the file: one JSON value is all that it may hold (JSON has no comments)`},
		{"# comment\n[]", `1:1: error: found '#', expected a value (JSON has no comments)`},
		{"[]\n[]", `2:1: error: found '[', expected the end of the file: one JSON value is all that it may hold`},
		{"[é, yes]", `1:2: error: found 'é', expected a value`},
		{"[\"é\", yes]", `1:8: error: found yes, expected a value: text stands in " quotes, and the only words are true, false and null`},
		{"[True]", `1:2: error: found True, expected a value: text stands in " quotes, and the only words are true, false and null`},
		{"[NaN]", `1:2: error: found NaN, expected a value: text stands in " quotes, and the only words are true, false and null`},
		{"[01]", `1:2: error: found 01, expected a number without leading zeros`},
		{"[+1]", `1:2: error: found '+', expected a value`},
		{"[-]", `1:3: error: found ']', expected a digit`},
		{"[1.]", `1:4: error: found ']', expected a digit after the decimal point`},
		{"[.5]", `1:2: error: found '.', expected a value`},
		{"[1e]", `1:4: error: found ']', expected a digit in the exponent`},
		{"[0x10]", `1:3: error: found 'x', expected "," or "]" after the value`},
		{"[\"a\nb\"]", `1:4: error: found the end of the line, expected the closing " of the text (a line break inside is written \n)`},
		{"[\"a\tb\"]", `1:4: error: found the control character 0x09, expected the escape \u0009`},
		{"[\"a\x00b\"]", `1:4: error: found the control character 0x00, expected the escape \u0000`},
		{`["a`, `1:4: error: found the end of the file, expected the closing " of the text`},
		{`["a\`, `1:5: error: found the end of the file, expected one of " \ / b f n r t u after the backslash`},
		{`["\x41"]`, `1:4: error: found 'x', expected one of " \ / b f n r t u after the backslash`},
		{`["\u12g4"]`, `1:7: error: found 'g', expected four hexadecimal digits after \u`},
		{`["\u12`, `1:7: error: found the end of the file, expected four hexadecimal digits after \u`},
		{`["a\ud800b"]`, `1:4: error: found half of a surrogate pair, expected a whole character`},
		{`["\ud800\u0041"]`, `1:3: error: found half of a surrogate pair, expected a whole character`},
		{"\ufeff[]", `1:1: error: found a byte order mark, expected UTF-8 without one`},
		{"[\n\"a\xff\"]", `2:3: error: found the byte 0xff, expected UTF-8`},
		{"\xff\xfe[\x00]\x00", `1:1: error: found the byte 0xff, expected UTF-8`},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), `1:65: error: found nesting deeper than 64 levels, expected less`},
		{strings.Repeat(`{"a":`, 1_000_000), `1:321: error: found nesting deeper than 64 levels, expected less`},
	}
	for _, test := range tests {
		for _, path := range []string{MirrorsPath, PoolsPath} {
			definition, problems := Parse(fstest.MapFS{path: {Data: []byte(test.data)}})
			want := path + ":" + test.want + "\n"
			if got := format(problems); definition != nil || got != want {
				t.Errorf("%.60q:\n%swant:\n%s", test.data, got, want)
			}
		}
	}
	if _, failure := parseJSON([]byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))); failure != nil {
		t.Errorf("64 levels: %+v", failure)
	}
}

func TestWholeNumber(t *testing.T) {
	tests := []struct {
		text   string
		number int64
		ok     bool
	}{
		{"0", 0, true},
		{"-0", 0, true},
		{"0.000", 0, true},
		{"0e99999999999999999999", 0, true},
		{"10", 10, true},
		{"10.0", 10, true},
		{"1e1", 10, true},
		{"1E+1", 10, true},
		{"100e-1", 10, true},
		{"0.001e4", 10, true},
		{"-2.50e1", -25, true},
		{"1.5", 0, false},
		{"1e-1", 0, false},
		{"10.00000000000000000000000000001", 0, false},
		{"0.1e-99999999999999999999", 0, false},
		{"123456789012345678", 123456789012345678, true},
		{"1e18", math.MaxInt64, true},
		{"-1e18", math.MinInt64, true},
		{"1e99999999999999999999", math.MaxInt64, true},
		{"-1e2000000000", math.MinInt64, true},
		{"99999999999999999999999999", math.MaxInt64, true},
	}
	for _, test := range tests {
		if number, ok := wholeNumber(test.text); number != test.number || ok != test.ok {
			t.Errorf("%s: %d, %v, want %d, %v", test.text, number, ok, test.number, test.ok)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"check", "port", "interval", "down_after", "follow_redirects", "id"}
	for key, want := range map[string]string{
		"chekc": "check", "Check": "check", "prot": "port", "down-after": "down_after", "downAfter": "down_after",
		"followRedirects": "follow_redirects", "intervall": "interval", "timeout": "", "x": "", "": "",
		strings.Repeat("interval", 10): "",
	} {
		if got := nearest(key, known); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func TestQuoteIsShortAndPrintable(t *testing.T) {
	long := strings.Repeat("é", 100)
	for text, want := range map[string]string{
		"a\x1b[31m\u202eb": `"a\x1b[31m\u202eb"`,
		long:               `"` + long[:80] + `"…`,
		"a" + long:         `"a` + long[:78] + `"…`,
	} {
		if got := quote(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// plain gives a node as encoding/json would.
func plain(n *node) any {
	switch n.kind {
	case kindBool:
		return n.text == "true"
	case kindNumber:
		return json.Number(n.text)
	case kindText:
		return n.text
	case kindArray:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = plain(item)
		}
		return list
	case kindObject:
		object := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			object[f.key] = plain(f.value)
		}
		return object
	}
	return nil
}

// checkOffsets sees that every value and key stands where it is said to stand.
func checkOffsets(n *node, data []byte) error {
	starts := map[kind]string{
		kindNull: "n", kindBool: "tf", kindNumber: "-0123456789", kindText: `"`, kindArray: "[", kindObject: "{",
	}
	if !strings.ContainsRune(starts[n.kind], rune(data[n.offset])) {
		return fmt.Errorf("a value of kind %d at %d, where %q stands", n.kind, n.offset, data[n.offset])
	}
	for _, item := range n.items {
		if err := checkOffsets(item, data); err != nil {
			return err
		}
	}
	for _, f := range n.fields {
		if data[f.offset] != '"' {
			return fmt.Errorf("the key %q at %d, where %q stands", f.key, f.offset, data[f.offset])
		}
		if err := checkOffsets(f.value, data); err != nil {
			return err
		}
	}
	return nil
}

// FuzzJSON holds the JSON reader to encoding/json: what the one reads the other
// reads as well, to the same values. It may refuse more: bad UTF-8, half
// characters and depth.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, -2.5e+3, true, null, "x\n\u00e9\ud83d\ude00"], "a": {}}`, `[]`, ` "\\\/" `, `[1,]`, `-`, `"\ud800"`, "\ufeff1", `0e0`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, failure := parseJSON(data)
		if failure != nil {
			if failure.offset < 0 || failure.offset > len(data) || failure.found == "" || failure.expected == "" {
				t.Fatalf("failure %+v in %d bytes", failure, len(data))
			}
			stricter := !utf8.Valid(data) || strings.Contains(failure.found, "surrogate") || strings.Contains(failure.found, "nesting")
			if json.Valid(data) && !stricter {
				t.Fatalf("%q refused: %+v", data, failure)
			}
			return
		}
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil || !json.Valid(data) {
			t.Fatalf("%q accepted: %v", data, err)
		}
		if got := plain(root); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q read as %#v, want %#v", data, got, want)
		}
		if err := checkOffsets(root, data); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
	})
}
