package zones

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"":                   ".",
		".":                  ".",
		"org":                "org.",
		"Example.ORG.":       "example.org.",
		`A\.B.Org.`:          `a\.b.org.`,
		`\065\046b.org.`:     `a\.b.org.`,
		`a@b.org.`:           `a\@b.org.`,
		`a\@b.org.`:          `a\@b.org.`,
		"\x00.org.":          `\000.org.`,
		"\xc3\x84.org.":      `\195\132.org.`,
		`\195\132.org`:       `\195\132.org.`,
		`back\\.org.`:        `back\\.org.`,
		`dot\.`:              `dot\..`,
		"*.Org.":             "*.org.",
		`\*.org.`:            "*.org.",
		"a..org.":            "a..org.",
		"_Sip._TCP.org.":     "_sip._tcp.org.",
		"under-score.7.org.": "under-score.7.org.",
	} {
		if got := canonical(name); got != want {
			t.Errorf("canonical(%q) = %q, expected %q", name, got, want)
		}
	}
}

func TestParent(t *testing.T) {
	for name, want := range map[string]string{
		".":              ".",
		"org.":           ".",
		"a.org.":         "org.",
		`a\.b.org.`:      "org.",
		`a\\.b.org.`:     "b.org.",
		`a\\\.b.org.`:    "org.",
		`\046.org.`:      "org.",
		`a.b\.c.d\..e.`:  `b\.c.d\..e.`,
		"not.qualified":  "qualified",
		`ends with a \\`: ".",
	} {
		if got := parent(name); got != want {
			t.Errorf("parent(%q) = %q, expected %q", name, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		name, apex string
		want       bool
	}{
		{"example.org.", "example.org.", true},
		{"a.example.org.", "example.org.", true},
		{"xexample.org.", "example.org.", false},
		{`x\.example.org.`, "example.org.", false},
		{`x\\.example.org.`, "example.org.", true},
		{"org.", "example.org.", false},
		{"example.org.", ".", true},
		{".", ".", true},
		{".", "org.", false},
	} {
		if got := within(c.name, c.apex); got != c.want {
			t.Errorf("within(%q, %q) = %v", c.name, c.apex, got)
		}
	}
}

// FuzzNames holds the functions on names against the DNS library's.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x03www\x07Example\x03org\x00"))
	f.Add([]byte("\x04a.b\\\x02\x00\xff\x03org\x00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		name, _, err := dns.UnpackDomainName(wire, 0)
		if err != nil {
			return
		}
		key := canonical(name)
		if key != dns.CanonicalName(name) {
			t.Fatalf("canonical(%q) = %q, the library says %q", name, key, dns.CanonicalName(name))
		}
		if canonical(key) != key {
			t.Fatalf("canonical(%q) = %q", key, canonical(key))
		}
		labels := dns.SplitDomainName(key)
		want := "."
		if len(labels) > 1 {
			want = strings.Join(labels[1:], ".") + "."
		}
		if got := parent(key); got != want {
			t.Fatalf("parent(%q) = %q, expected %q", key, got, want)
		}
	})
}
