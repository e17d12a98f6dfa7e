package health

import (
	"fmt"
	"testing"
)

func TestContentRange(t *testing.T) {
	for _, test := range []struct {
		text string
		want string // first-last/size, */size, or empty: refused
	}{
		{"bytes 0-99/100", "0-99/100"},
		{"bytes 5-5/6", "5-5/6"},
		{"Bytes 0-99/*", "0-99/-1"},
		{"bytes */100", "*/100"},
		{"bytes */0", "*/0"},
		{"bytes  0-1/2 ", "0-1/2"},
		{"bytes 0-999999999999999998/999999999999999999", "0-999999999999999998/999999999999999999"},
		{"", ""},
		{"bytes", ""},
		{"bytes 0-99", ""},
		{"bytes */*", ""},
		{"bytes -1/100", ""},
		{"bytes 0-/100", ""},
		{"bytes 9-8/100", ""},
		{"bytes 0-100/100", ""},
		{"bytes 0-+9/100", ""},
		{"bytes 0--9/100", ""},
		{"bytes 0x0-9/100", ""},
		{"bytes 0-99/100, 200-299/1000", ""},
		{"bytes=0-99/100", ""},
		{"lines 0-99/100", ""},
		{"bytes 0-9/99999999999999999999", ""},
		{"bytes 0-9/9223372036854775808", ""},
	} {
		part, none, size, err := contentRange(test.text)
		got := fmt.Sprintf("%d-%d/%d", part.first, part.last, size)
		if none {
			got = fmt.Sprintf("*/%d", size)
		}
		if err != nil {
			got = ""
		}
		if got != test.want {
			t.Errorf("%q: %s, %v; want %s", test.text, got, err, test.want)
		}
	}
}

// FuzzContentRange holds that what is read is within the file, and is what the text
// says.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-99/100", "bytes 0-99/*", "bytes */100", "bytes 9-8/7", "lines 0-1/2", "bytes 0-18446744073709551615/*", "bytes 0-0/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		part, none, size, err := contentRange(text)
		switch {
		case err != nil:
			if len(err.Error()) > 600 {
				t.Fatalf("%d bytes of an error", len(err.Error()))
			}
			return
		case none && (size < 0 || part != span{}):
			t.Fatalf("%q: none of %d, %v", text, size, part)
		case !none && (part.first < 0 || part.last < part.first || size != unknown && part.last >= size || size < unknown):
			t.Fatalf("%q: %v of %d", text, part, size)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", part.first, part.last, size)
		switch {
		case none:
			again = fmt.Sprintf("bytes */%d", size)
		case size == unknown:
			again = fmt.Sprintf("bytes %d-%d/*", part.first, part.last)
		}
		if p, n, s, err := contentRange(again); err != nil || p != part || n != none || s != size {
			t.Fatalf("%q was read as %q, and that as %v of %d, %v", text, again, p, s, err)
		}
	})
}
