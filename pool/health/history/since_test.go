package history

import (
	"testing"
	"time"
)

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"48h": "2026-08-29", "30d": "2026-08-01", "12w": "2026-06-08", "6mo": "2026-03-03", "1y": "2025-08-31", "10y": "2016-08-31",
		"": "", "6": "", "mo": "", "0d": "", "-1d": "", "1.5d": "", "6m": "", "11y": "", "99999w": "", "100000d": "", "6mo ": "", "1y6mo": "",
	} {
		got, err := ParseSince(text, now)
		if want == "" {
			if err == nil {
				t.Errorf("%q: %s, expected an error", text, got)
			}
		} else if err != nil || got.Format(dateForm) != want {
			t.Errorf("%q: %s %v, expected %s", text, got.Format(dateForm), err, want)
		}
	}
}

func FuzzParseSince(f *testing.F) {
	now := time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC)
	for _, seed := range []string{"6mo", "30d", "1y", "0h", "99999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if from, err := ParseSince(text, now); err == nil && (!from.Before(now) || from.Before(now.AddDate(-10, 0, 0))) {
			t.Errorf("%q goes back to %s", text, from)
		}
	})
}
