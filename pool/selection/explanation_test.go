package selection

import (
	"encoding/json"
	"flag"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/testdraw"
)

// Whatever the input, Explain tells what Choose does, and accounts for every
// candidate once.
func TestExplainAgreesWithChoose(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 600)) {
		r := seeded(seed)
		candidates, policy, whenAllDown := r.candidates(), r.policy(), r.whenAllDown()
		c := New(policy, whenAllDown, candidates)
		for range 5 {
			client := r.client()
			e := New(policy, whenAllDown, candidates).Explain(client) // that has seen nobody yet
			choice, bits := c.Choose(client)
			if e.Mode != choice.Mode || e.ScopeBits != bits || e.PlaceDependent != c.PlaceDependent() {
				t.Fatalf("seed %d: explained mode %v, %d bits, dependent %v; chosen %v, %d, %v", seed,
					e.Mode, e.ScopeBits, e.PlaceDependent, choice.Mode, bits, c.PlaceDependent())
			}
			seen := map[string]int{}
			if len(e.Candidates) != len(choice.Shares) {
				t.Fatalf("seed %d: %d explained, %d chosen", seed, len(e.Candidates), len(choice.Shares))
			}
			for i, s := range choice.Shares {
				got, of := e.Candidates[i], candidates[s.Index]
				seen[got.ID]++
				if got.ID != of.ID || got.Share != s.Share || got.Weight != of.Weight || got.Up != of.Up {
					t.Fatalf("seed %d: explained %+v, chosen %+v of %+v", seed, got, s, of)
				}
				if got.Capped != (got.Share < got.Proportion-1e-12) {
					t.Fatalf("seed %d: %+v", seed, got)
				}
			}
			for _, l := range e.LeftOut {
				seen[l.ID]++
				if l.Reason == "" || strings.HasSuffix(l.Reason, " ") || l.Step < 1 || l.Step > 3 {
					t.Fatalf("seed %d: %+v", seed, l)
				}
			}
			for _, of := range candidates {
				if seen[of.ID] != 1 {
					t.Fatalf("seed %d: candidate %s is explained %d times", seed, of.ID, seen[of.ID])
				}
			}
			checkTiers(t, seed, e)
			if _, err := json.Marshal(e); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if e.String() == "" {
				t.Fatal("no text")
			}
		}
	}
}

// checkTiers holds tiers to the rest of an explanation: those taken are what
// has shares, the others are left out in step 3.
func checkTiers(t *testing.T, seed uint64, e *Explanation) {
	t.Helper()
	var taken, given, passed, tooFar []string
	for _, tier := range e.Tiers {
		for _, m := range tier.Members {
			if tier.Taken {
				taken = append(taken, m.ID)
			} else {
				passed = append(passed, m.ID)
			}
		}
	}
	for _, c := range e.Candidates {
		given = append(given, c.ID)
	}
	for _, l := range e.LeftOut {
		if l.Step == 3 {
			tooFar = append(tooFar, l.ID)
		}
	}
	for _, list := range [][]string{taken, given, passed, tooFar} {
		slices.Sort(list)
	}
	if !slices.Equal(taken, given) || !slices.Equal(passed, tooFar) {
		t.Fatalf("seed %d: tiers have %v taken and %v not, shares have %v, too far are %v", seed, taken, passed, given, tooFar)
	}
	if len(passed) > 0 && len(taken) < e.Needed.Number {
		t.Fatalf("seed %d: %d taken of %d needed, though there are more", seed, len(taken), e.Needed.Number)
	}
}

func TestReasons(t *testing.T) {
	german := geo.Place{ASN: 7, Country: "DE", Continent: "EU"}
	c := New(near1, pool.AnswerAll, []Candidate{
		candidate("given", 1, within(german)),
		candidate("disabled", 0),
		candidate("disabled now", 1, isDown, disabledFor("disabled on this node: maintenance")),
		candidate("unusable", 1, unusableFor("no AAAA address")),
		candidate("network", 1, exclude(pool.Rules{Countries: []string{"DE"}, Networks: networks("127.0.0.0/9").Networks})),
		candidate("as", 1, exclude(pool.Rules{ASNs: []uint32{7}})),
		candidate("country", 1, exclude(pool.Rules{Countries: []string{"DE"}})),
		candidate("continent", 1, exclude(pool.Rules{Continents: []string{"EU"}})),
		candidate("only", 1, only(pool.Rules{Countries: []string{"JP"}})),
		candidate("down", 1, isDown, func(c *Candidate) { c.Health = "down since noon: status 503, expected 200" }),
		candidate("down too", 1, isDown, func(c *Candidate) { c.Health = "connection refused" }),
		candidate("down reserve", 1, isDown, isReserve),
		candidate("reserve", 1, isReserve),
		candidate("far", 1, within(country("FR", "EU"))),
	})
	want := map[string]string{
		"disabled":     "disabled by the repository (weight 0)",
		"disabled now": "disabled on this node: maintenance",
		"unusable":     "no AAAA address",
		"network":      "excluded by rule: exclude names network 127.0.0.0/9",
		"as":           "excluded by rule: exclude names AS 7",
		"country":      "excluded by rule: exclude names country DE",
		"continent":    "excluded by rule: exclude names continent EU",
		"only":         "excluded by rule: only does not name the client",
		"down":         "down since noon: status 503, expected 200",
		"down too":     "down: connection refused",
		"down reserve": "down",
		"reserve":      "reserve, not needed while others are up",
		"far":          "outside the tiers taken: same continent",
	}
	expectReasons(t, c.Explain(from(german)), want)
	expectReasons(t, c.Explain(Client{}), map[string]string{"only": "excluded by rule: only does not name a client of unknown place"})

	c = New(distance1, pool.AnswerAll, []Candidate{
		candidate("given", 1, within(at(0, 0))), candidate("far", 1, within(at(0, 90))), candidate("nowhere", 1),
	})
	expectReasons(t, c.Explain(from(at(0, 0))), map[string]string{
		"far": "farther away than those taken: 10008 km", "nowhere": "no coordinates, and those with coordinates suffice",
	})

	c = New(plain, pool.AnswerAll, []Candidate{candidate("a", 1, exclude(networks("fe80::/10"))), candidate("b", 1)})
	expectReasons(t, c.Explain(Client{Address: netip.MustParseAddr("fe80::1%lo")}), map[string]string{
		"a": "excluded by rule: exclude names network fe80::/10",
	})

	allDown := []Candidate{candidate("down", 1, isDown), candidate("reserve", 1, isDown, isReserve)}
	expectReasons(t, New(plain, pool.AnswerAll, allDown).Explain(Client{}), map[string]string{
		"reserve": "reserve, left out while all others are answered as if they were up",
	})
	expectReasons(t, New(plain, pool.AnswerSelf, allDown).Explain(Client{}), map[string]string{"down": "down", "reserve": "down"})
}

func expectReasons(t *testing.T, e *Explanation, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, l := range e.LeftOut {
		got[l.ID] = l.Reason
	}
	for id, reason := range want {
		if got[id] != reason {
			t.Errorf("%s: got %q, want %q", id, got[id], reason)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// explained is a choice in which every step has something to say.
func explained() *Explanation {
	c := New(capped(atLeast(near1, 2), 0.4), pool.AnswerAll, []Candidate{
		candidate("berlin", 100, within(country("DE", "EU")), func(c *Candidate) { c.Health = "status 200" }),
		candidate("paris", 20, within(country("FR", "EU"))),
		candidate("rome", 10, within(country("IT", "EU"))),
		candidate("kyoto", 10, within(country("JP", "AS"))),
		candidate("oslo", 10, within(country("NO", "EU")), isDown, func(c *Candidate) { c.Health = "connection refused" }),
		candidate("old", 0),
		candidate("campus", 5, only(networks("127.7.0.0/16"))),
	})
	return c.Explain(Client{Address: netip.MustParseAddr("127.0.0.1"), Place: country("DE", "EU"), Bits: 5})
}

func TestExplanationAsText(t *testing.T) {
	for _, test := range []struct {
		file string
		e    *Explanation
	}{
		{"testdata/near.txt", explained()},
		{"testdata/distance.txt", New(atLeast(distance1, 2), pool.AnswerAll, []Candidate{
			candidate("a", 1, within(at(52.5, 13.4))), candidate("b", 2, within(at(48.9, 2.3))),
			candidate("c", 3, within(at(35.7, 139.7))), candidate("d", 4),
		}).Explain(from(at(50.1, 8.7)))},
		{"testdata/unknown.txt", New(capped(near1, 0.3), pool.AnswerAll, []Candidate{
			candidate("a", 1, within(country("DE", "EU")), isDown), candidate("b", 2, isDown),
		}).Explain(Client{})},
		{"testdata/kept.txt", New(plain, pool.AnswerAll, []Candidate{
			candidate("a", 10), candidate("b", 20, isKept, func(c *Candidate) { c.Health = "status 503" }),
			candidate("c", 30, isDown), candidate("d", 5, isReserve),
		}).Explain(Client{})},
		{"testdata/back.txt", New(plain, pool.AnswerAll, []Candidate{
			candidate("a", 10), candidate("b", 20, back(3), func(c *Candidate) { c.Health = "status 200" }),
		}).Explain(Client{})},
		{"testdata/self.txt", New(plain, pool.AnswerSelf, []Candidate{candidate("a", 1, isDown)}).Explain(Client{})},
	} {
		if *update {
			if err := os.WriteFile(test.file, []byte(test.e.String()), 0o644); err != nil {
				t.Error(err)
			}
		}
		want, err := os.ReadFile(test.file)
		if err != nil {
			t.Error(err)
		}
		if got := test.e.String(); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", test.file, got, want)
		}
	}
}

func TestExplanationAsJSON(t *testing.T) {
	data, err := json.Marshal(explained())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range regexp.MustCompile(`"([^"]*)":`).FindAllStringSubmatch(string(data), -1) {
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(key[1]) {
			t.Errorf("key %q is not in snake_case", key[1])
		}
	}
	var back Explanation
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.String() != explained().String() {
		t.Errorf("read back, the text is\n%s\nwant\n%s", back.String(), explained().String())
	}
	// Lists are lists even when empty, and numbers that are no numbers do not
	// get in the way.
	data, err = json.Marshal(New(distance1, pool.AnswerSelf, nil).Explain(from(at(math.NaN(), math.Inf(1)))))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "null") {
		t.Errorf("null in %s", data)
	}
}

func TestModeAsText(t *testing.T) {
	for _, m := range []Mode{Normal, Kept, Reserve, All, Self, Empty} {
		text, err := m.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Mode
		if err := back.UnmarshalText(text); err != nil || back != m {
			t.Errorf("%s: got %v back, %v", text, back, err)
		}
	}
	var m Mode
	if err := m.UnmarshalText([]byte("some")); err == nil {
		t.Error("an unknown mode was read")
	}
	if got := Mode(9).String(); got != "mode 9" {
		t.Errorf("got %q", got)
	}
}
