package history

import (
	"testing"
	"time"

	"mirrorpool/pool"
)

func TestQuestionsByEveryName(t *testing.T) {
	definition := definitionOf("wiki", "edge")
	definition.Redirects = []*pool.Redirect{{
		Host:   "download.example.org",
		Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckHTTP, Path: "trace"}, Schedule: pool.Schedule{Interval: time.Minute}},
		List:   &pool.MirrorList{Mirrors: []*pool.Mirror{{URLPrefix: "https://wiki.example.org/tails/", Weight: 5}, {URLPrefix: "http://127.0.0.13:8080/tails/", Weight: 5}, {URLPrefix: "http://[::1]/tails/", Weight: 5}}},
	}}
	w := newWorld(t, definition)
	for name, want := range map[string]int{
		"wiki": 1, "wiki.example.org": 2, "127.0.0.1": 1, "127.0.0.2": 1, "127.0.0.3": 0, "::ffff:127.0.0.2": 1, "127.0.0.*": 3,
		"https://wiki.example.org/tails/": 1, "127.0.0.13": 1, "::1": 1, "*.example.org": 3, "*": 5, "nobody": 0, "": 5, "[0::1]": 1, "WIKI.example.org.": 2, "https://*/tails/": 1,
	} {
		answer, err := w.h.Look(t.Context(), Question{Member: patternOf(t, name)})
		if err != nil || len(answer.Members) != want {
			t.Errorf("%q names %d members, expected %d (%v)", name, len(answer.Members), want, err)
		}
	}
	for at, want := range map[string]int{"dl.example.org": 2, "DOWNLOAD.example.org": 3, "other": 0} {
		if answer, err := w.h.Look(t.Context(), Question{Pool: at}); err != nil || len(answer.Members) != want {
			t.Errorf("%q has %d members, expected %d (%v)", at, len(answer.Members), want, err)
		}
	}
}

func TestAMemberThatIsNotChecked(t *testing.T) {
	definition := definitionOf("wiki")
	definition.Pools[0].Health = pool.Check{Probe: pool.Probe{Kind: pool.CheckNone}}
	w := newWorld(t, definition)
	if got := w.look("wiki"); got.Verdict != "it is not checked: nothing is known of it" || !got.Present || got.Availability[0].Percent != nil {
		t.Errorf("%+v", got)
	}
}

func TestMarks(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.h.Mark(Mark{Time: begin, Kind: "freeze", Words: "of all"})
	w.h.Mark(Mark{Time: begin, Kind: "disable", Pool: testPool, Member: "wiki", Words: "slow\x1b[31m"})
	w.h.Mark(Mark{Time: begin, Kind: "disable", Pool: "other.example.org", Member: "wiki", Words: "elsewhere"})
	got := w.look("wiki").Marks
	if len(got) != 2 || got[0].Words != "slow?[31m" || got[1].Kind != "freeze" {
		t.Errorf("%+v", got)
	}
	if got := w.look("edge").Marks; len(got) != 1 {
		t.Errorf("%+v", got)
	}
}
