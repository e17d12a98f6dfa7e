package administrative

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func word(action Action, pool, member string, length time.Duration) Word {
	w := Word{Action: action, Pool: pool, Member: member, Reason: "maintenance", Since: start}
	if length > 0 {
		w.Until = start.Add(length)
	}
	return w
}

func TestWordsHoldUntilTheirEnd(t *testing.T) {
	s := NewState([]Word{
		word(Disable, "b.test", "one", time.Hour), word(Disable, "a.test", "two", 0),
		word(Disable, "a.test", "one", 3*time.Hour), word(ForceUp, "a.test", "one", 2*time.Hour),
	})
	cases := []struct {
		pool, member string
		after        time.Duration
		want         Action // empty: nothing
	}{
		{"b.test", "one", 0, Disable},
		{"b.test", "one", time.Hour - 1, Disable},
		{"b.test", "one", time.Hour, ""},
		{"a.test", "one", 0, ForceUp}, // the later word takes the place of the one before
		{"a.test", "one", 2 * time.Hour, ""},
		{"a.test", "two", 10000 * time.Hour, Disable},
		{"a.test", "three", 0, ""},
		{"c.test", "one", 0, ""},
	}
	for _, c := range cases {
		got := s.Of(c.pool, c.member, start.Add(c.after))
		if (got == nil) != (c.want == "") || got != nil && got.Action != c.want {
			t.Errorf("%s of %s after %s: %+v, want %q", c.member, c.pool, c.after, got, c.want)
		}
	}
	for after, want := range map[time.Duration]time.Duration{0: time.Hour, time.Hour: 2 * time.Hour, 2 * time.Hour: -1} {
		next := s.Next(start.Add(after))
		if want < 0 && !next.IsZero() || want >= 0 && !next.Equal(start.Add(want)) {
			t.Errorf("after %s the next end is %s, want %s", after, next, want)
		}
	}
	if left := s.Words(start.Add(time.Hour)); len(left) != 2 || left[0].Member != "one" || left[1].Member != "two" {
		t.Errorf("words after an hour: %+v", left)
	}
}

func TestWordsComeAndGo(t *testing.T) {
	var none *State
	if none.Of("a.test", "one", start) != nil || none.Words(start) != nil || !none.Next(start).IsZero() {
		t.Error("nil says something")
	}
	s := none.With(start, word(Disable, "a.test", "one", time.Hour), word(Disable, "a.test", "two", 0))
	more := s.With(start.Add(time.Hour), word(ForceUp, "a.test", "two", 0))
	if got := more.Words(start); len(got) != 1 || got[0].Action != ForceUp {
		t.Errorf("what expired or was replaced is still there: %+v", got)
	}
	if len(s.Words(start)) != 2 {
		t.Error("the state before has changed")
	}
	rest, dropped := s.Without(start, func(_, member string) bool { return member == "one" })
	if diff := cmp.Diff([]Word{word(Disable, "a.test", "one", time.Hour)}, dropped); diff != "" {
		t.Error(diff)
	}
	if rest.Of("a.test", "one", start) != nil || rest.Of("a.test", "two", start) == nil {
		t.Errorf("left: %+v", rest.Words(start))
	}
}

func TestWordsAreValid(t *testing.T) {
	good := word(Disable, "a.test", "one", time.Hour)
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Word){
		"action":      func(w *Word) { w.Action = "remove" },
		"pool":        func(w *Word) { w.Pool = "" },
		"member":      func(w *Word) { w.Member = "" },
		"since":       func(w *Word) { w.Since = time.Time{} },
		"end":         func(w *Word) { w.Until = w.Since },
		"reason":      func(w *Word) { w.Reason = " " },
		"two lines":   func(w *Word) { w.Reason = "a\nb" },
		"long reason": func(w *Word) { w.Reason = strings.Repeat("ä", MaxReason+1) },
		"terminal":    func(w *Word) { w.By = "\x1b[31m" },
	} {
		bad := good
		if change(&bad); bad.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestPatterns(t *testing.T) {
	const mirror = "https://mirror.example.org:8443/pub/tails/"
	cases := []struct {
		pattern, member string
		want            bool
	}{
		{"wiki", "wiki", true},
		{"WIKI", "wiki", true},
		{"wiki", "wiki2", false},
		{"edge-*", "edge-eu", true},
		{"edge-*", "hedge-eu", false},
		{"edge-[eu]?", "edge-eu", true},
		{"*", "anything", true},
		{"*", mirror, true},
		{mirror, mirror, true},
		{"https://mirror.example.org:8443/pub/tails", mirror, true},
		{"mirror.example.org", mirror, true},
		{"mirror.example.org:8443", mirror, true},
		{"*.example.org", mirror, true},
		{"https://*/tails/", mirror, true},
		{"example.org", mirror, false},
		{"pub", mirror, false},
		{"http://*", mirror, false},
		{"2001:db8::1", "http://[2001:db8::1]:80/x/", true},
		{"2001:db8::1", "http://[2001:db8::1]/x/", true},
		{"[2001:DB8:0::1]", "http://[2001:db8::1]/x/", true},
		{"2001:db8::1", "http://[2001:db8::2]/x/", false},
		{"mirror.example.org.", mirror, true},
		{"*.example.org.", mirror, true},
		{"mirror.example.org", "https://mirror.example.org./x/", true},
		{"mirror.example.org.", "https://mirror.example.org./x/", true},
		{"*.example.org.", "https://mirror.example.org.:8443/x/", true},
		{"mirror.example.org:8443", "https://mirror.example.org.:8443/x/", true},
		{"https://mirror.example.org./x/", "https://mirror.example.org./x/", true},
		{"mirror.example.org", "mirror.example.org.", true},
		{"2001:db8:0::1", "http://[2001:db8:0::1]/x/", true},
		{"[2001:db8:0::1]", "http://[2001:db8:0::1]:8080/x/", true},
		{"http://[2001:db8:0::1]/x/", "http://[2001:db8:0::1]/x/", true},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"2001:db8::1", "wiki", false},
		{"*", "", false},
	}
	for _, c := range cases {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if got := p.Matches(c.member); got != c.want {
			t.Errorf("%q names %q: %v, want %v", c.pattern, c.member, got, c.want)
		}
	}
	for _, bad := range []string{"", ".", "[a", `a\`} {
		if _, err := ParsePattern(bad); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}
