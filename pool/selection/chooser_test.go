package selection

import (
	"math"
	"sync"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

func TestCandidatesForCap(t *testing.T) {
	for _, test := range []struct {
		maxShare float64
		want     int
	}{
		{1, 1},
		{0.99, 2},
		{0.5, 2},
		{0.49, 3},
		{1. / 3, 3},
		{0.333, 4},
		{0.25, 4},
		{0.2, 5},
		{1. / 7, 7},
		{0.1, 10},
		{1. / 49, 49},
		{0.01, 100},
		{0.001, 1000},
		{0.3, 4},
		{0.7, 2},
		{math.SmallestNonzeroFloat64, math.MaxInt32},
	} {
		if got := candidatesForCap(test.maxShare); got != test.want {
			t.Errorf("max_share %v: got %d, want %d", test.maxShare, got, test.want)
		}
	}
	for n := 1; n <= 10_000; n++ {
		if got := candidatesForCap(1 / float64(n)); got != n {
			t.Errorf("max_share 1/%d: got %d", n, got)
		}
	}
}

// Tails' report to the redirector of before: the one mirror in Asia must not
// get every request from Asia.
func TestOneMirrorInAsia(t *testing.T) {
	candidates := []Candidate{
		candidate("tokyo", 100, within(country("JP", "AS"))),
		candidate("berlin", 1, within(country("DE", "EU"))),
		candidate("paris", 1, within(country("FR", "EU"))),
		candidate("york", 1, within(country("US", "NA"))),
	}
	for _, test := range []struct {
		maxShare float64
		want     string
	}{
		{0.5, "normal tokyo:0.5000 berlin:0.1667 paris:0.1667 york:0.1667"},
		{1, "normal tokyo:1.0000"},
	} {
		c := New(capped(near1, test.maxShare), pool.AnswerAll, candidates)
		for _, asian := range []geo.Place{country("JP", "AS"), country("IN", "AS"), {Continent: "AS"}, {ASN: 7, Country: "JP", Continent: "AS"}} {
			choice, _ := c.Choose(from(asian))
			if got := show(choice, candidates); got != test.want {
				t.Errorf("max_share %v: %+v: got %s, want %s", test.maxShare, asian, got, test.want)
			}
		}
	}
}

func TestOneChoiceForTheSameCandidates(t *testing.T) {
	c := New(atLeast(near1, 2), pool.AnswerAll, []Candidate{
		candidate("a", 1, within(country("DE", "EU"))), candidate("b", 1, within(country("FR", "EU"))),
		candidate("c", 1, within(country("JP", "AS"))),
	})
	german, _ := c.Choose(from(country("DE", "EU")))
	french, _ := c.Choose(from(country("FR", "EU")))
	italian, _ := c.Choose(from(country("IT", "EU")))
	japanese, _ := c.Choose(from(country("JP", "AS")))
	unknown, _ := c.Choose(Client{})
	if german != french || german != italian {
		t.Error("three European clients, same candidates: different choices")
	}
	if japanese != unknown {
		t.Error("two clients with the whole world: different choices")
	}
	if german == japanese || german.ID == japanese.ID {
		t.Error("different candidates: the same choice")
	}
	if max(german.ID, japanese.ID) != 1 || min(german.ID, japanese.ID) != 0 {
		t.Errorf("IDs %d and %d, want 0 and 1", german.ID, japanese.ID)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := seeded(1)
	candidates := make([]Candidate, 40)
	for i := range candidates {
		candidates[i] = candidate("m", uint32(1+i), within(at(float64(r.IntN(180)-90), float64(r.IntN(360)-180))))
	}
	c := New(atLeast(distance1, 3), pool.AnswerAll, candidates)
	clients := make([]Client, 300)
	for i := range clients {
		clients[i] = from(at(float64(r.IntN(180)-90), float64(r.IntN(360)-180)))
	}
	got := make([][]*Choice, 8)
	var group sync.WaitGroup
	for g := range got {
		group.Go(func() {
			for i := range clients {
				choice, _ := c.Choose(clients[(i*(g+1))%len(clients)])
				c.Explain(clients[i])
				choice.Draw(seeded(uint64(i)), 4, nil)
			}
			for _, client := range clients {
				choice, _ := c.Choose(client)
				got[g] = append(got[g], choice)
			}
		})
	}
	group.Wait()
	for g := range got {
		for i := range clients {
			if got[g][i] != got[0][i] {
				t.Fatalf("client %d: goroutines 0 and %d got different choices", i, g)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	candidates := make([]Candidate, 20)
	for i := range candidates {
		candidates[i] = candidate("m", 1, within(at(0, float64(i))))
	}
	c := New(distance1, pool.AnswerAll, candidates)
	const seen, over = 2000, 100
	for i := range seen {
		c.Choose(from(at(1, float64(i)/1000)))
	}
	if c.memo.entries != seen {
		t.Errorf("%d classes are kept, want %d", c.memo.entries, seen)
	}
	c.memo.entries = maxClasses - over/2 // as if so many had come
	for i := range over {
		c.Choose(from(at(2, float64(i)/1000)))
	}
	if c.memo.entries != maxClasses {
		t.Errorf("%d classes are kept, want %d", c.memo.entries, maxClasses)
	}
	fresh := New(distance1, pool.AnswerAll, candidates)
	client := from(at(-1, 7.3))
	got, _ := c.Choose(client)
	want, _ := fresh.Choose(client)
	if show(got, candidates) != show(want, candidates) {
		t.Errorf("with a full memory got %s, want %s", show(got, candidates), show(want, candidates))
	}

	c.memo.shares = maxShares
	c.memo.choices = map[string]*Choice{}
	got, _ = c.Choose(client)
	if got.ID != -1 || show(got, candidates) != show(want, candidates) {
		t.Errorf("without room for shares got ID %d, %s; want ID -1, %s", got.ID, show(got, candidates), show(want, candidates))
	}
}
