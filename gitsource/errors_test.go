package gitsource

import (
	"strings"
	"testing"
)

func TestTidy(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äöü…"},
		{"abc  \n", 3, "abc"},
		{" a\r\n\tb\x1b[m ", 10, "a b [m"},
		{"a\xffb\u202ec", 10, "a b c"},
		{"x", 0, "…"},
		{"ab cd", 3, "ab…"},
		{"ab cd", 4, "ab c…"},
		{"ab cd", 5, "ab cd"},
		{strings.Repeat("x", 1000), 200, strings.Repeat("x", 200) + "…"},
	} {
		if got := tidy(test.text, test.limit); got != test.want {
			t.Errorf("tidy(%q, %d) is %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}
