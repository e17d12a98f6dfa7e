package selection

import (
	"math"
	"net/netip"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

func TestSteps(t *testing.T) {
	europe := country("DE", "EU")
	for _, test := range []struct {
		name        string
		policy      pool.Policy
		whenAllDown pool.WhenAllDown
		candidates  []Candidate
		client      Client
		want        string
	}{
		// Step 1: who is left out.
		{
			name: "weight 0 and unusable", policy: plain,
			candidates: []Candidate{candidate("a", 1), candidate("b", 0), candidate("c", 5, unusableFor("no AAAA address"))},
			want:       "normal a:1.0000",
		},
		{
			name: "exclude by country", policy: plain, client: from(europe),
			candidates: []Candidate{candidate("a", 1, exclude(pool.Rules{Countries: []string{"FR", "DE"}})), candidate("b", 1)},
			want:       "normal b:1.0000",
		},
		{
			name: "exclude by continent", policy: plain, client: from(europe),
			candidates: []Candidate{candidate("a", 1, exclude(pool.Rules{Continents: []string{"EU"}})), candidate("b", 1)},
			want:       "normal b:1.0000",
		},
		{
			name: "exclude by AS", policy: plain, client: from(geo.Place{ASN: 64500}),
			candidates: []Candidate{candidate("a", 1, exclude(pool.Rules{ASNs: []uint32{64500}})), candidate("b", 1)},
			want:       "normal b:1.0000",
		},
		{
			name: "exclude by network", policy: plain, client: from(geo.Place{}),
			candidates: []Candidate{candidate("a", 1, exclude(networks("127.0.0.0/24"))), candidate("b", 1, exclude(networks("127.0.1.0/24")))},
			want:       "normal b:1.0000",
		},
		{
			name: "network of a mapped client", policy: plain,
			client:     Client{Address: netip.MustParseAddr("::ffff:127.0.0.1")},
			candidates: []Candidate{candidate("a", 1, exclude(networks("127.0.0.0/24"))), candidate("b", 1)},
			want:       "normal b:1.0000",
		},
		{
			name: "network written as mapped", policy: plain, client: from(geo.Place{}),
			candidates: []Candidate{candidate("a", 1, exclude(networks("::ffff:127.0.0.0/120"))), candidate("b", 1)},
			want:       "normal b:1.0000",
		},
		{
			name: "address with a zone", policy: plain,
			client:     Client{Address: netip.MustParseAddr("fe80::1%lo")},
			candidates: []Candidate{candidate("a", 1, exclude(networks("fe80::/10"))), candidate("b", 1)},
			want:       "normal b:1.0000",
		},
		{
			name: "only for the client's country", policy: plain, client: from(europe),
			candidates: []Candidate{candidate("a", 1, only(pool.Rules{Countries: []string{"DE"}})), candidate("b", 1, only(pool.Rules{Countries: []string{"JP"}}))},
			want:       "normal a:1.0000",
		},
		{
			name: "rules and a client of unknown place", policy: plain, client: from(geo.Place{}),
			candidates: []Candidate{
				candidate("only", 1, only(pool.Rules{Countries: []string{"DE", ""}, ASNs: []uint32{0}, Continents: []string{""}})),
				candidate("exclude", 1, exclude(pool.Rules{Countries: []string{"DE", ""}, ASNs: []uint32{0}, Continents: []string{""}})),
			},
			want: "normal exclude:1.0000",
		},
		{
			name: "networks and a client that is not located", policy: plain,
			candidates: []Candidate{candidate("only", 1, only(networks("0.0.0.0/0", "::/0"))), candidate("exclude", 1, exclude(networks("0.0.0.0/0", "::/0")))},
			want:       "normal exclude:1.0000",
		},
		{
			name: "place without address is not looked at", policy: plain, client: Client{Place: europe, Bits: 24},
			candidates: []Candidate{candidate("a", 1, exclude(pool.Rules{Countries: []string{"DE"}})), candidate("b", 1)},
			want:       "normal a:0.5000 b:0.5000",
		},
		{
			name: "exclude and only of one candidate", policy: plain, client: from(europe),
			candidates: []Candidate{
				candidate("a", 1, only(pool.Rules{Continents: []string{"EU"}}), exclude(pool.Rules{Countries: []string{"DE"}})),
				candidate("b", 1, only(pool.Rules{Continents: []string{"EU"}}), exclude(pool.Rules{Countries: []string{"FR"}})),
			},
			want: "normal b:1.0000",
		},
		{
			name: "empty rules name nobody", policy: plain, client: from(europe),
			candidates: []Candidate{candidate("a", 1, only(pool.Rules{})), candidate("b", 1, exclude(pool.Rules{}))},
			want:       "normal b:1.0000",
		},

		// Step 2: who is up.
		{
			name: "up and no reserve", policy: plain,
			candidates: []Candidate{candidate("a", 1), candidate("b", 1, isDown), candidate("c", 1, isReserve)},
			want:       "normal a:1.0000",
		},
		{
			name: "reserve", policy: plain,
			candidates: []Candidate{candidate("a", 1, isDown), candidate("b", 1, isReserve), candidate("c", 3, isReserve), candidate("d", 1, isReserve, isDown)},
			want:       "reserve b:0.2500 c:0.7500",
		},
		{
			name: "disabled for now", policy: plain,
			candidates: []Candidate{candidate("a", 1), candidate("b", 1, disabledFor("maintenance")), candidate("c", 1, isDown, disabledFor("maintenance"))},
			want:       "normal a:1.0000",
		},
		{
			name: "all disabled for now", policy: plain, whenAllDown: pool.AnswerAll,
			candidates: []Candidate{candidate("a", 1, disabledFor("maintenance")), candidate("b", 1, isReserve, disabledFor("maintenance"))},
			want:       "empty",
		},
		{
			name: "all down but one that is disabled for now", policy: plain, whenAllDown: pool.AnswerAll,
			candidates: []Candidate{candidate("a", 1, disabledFor("maintenance")), candidate("b", 1, isDown)},
			want:       "all b:1.0000",
		},
		{
			name: "too few are up: those that are kept are given too", policy: plain,
			candidates: []Candidate{candidate("a", 1), candidate("b", 3, isKept), candidate("c", 1, isDown), candidate("d", 1, isReserve), candidate("e", 1, isReserve, isKept)},
			want:       "kept a:0.2500 b:0.7500",
		},
		{
			name: "a reserve that is up goes before those that are kept", policy: plain,
			candidates: []Candidate{candidate("a", 1, isKept), candidate("b", 3, isReserve)},
			want:       "reserve b:1.0000",
		},
		{
			name: "nothing is up: those that are kept stand for all", policy: plain, whenAllDown: pool.AnswerAll,
			candidates: []Candidate{candidate("a", 1, isKept), candidate("b", 1, isDown), candidate("c", 3, isKept)},
			want:       "kept a:0.2500 c:0.7500",
		},
		{
			name: "nothing is up and none to be kept is left: all", policy: plain, whenAllDown: pool.AnswerAll,
			candidates: []Candidate{candidate("a", 1, isKept, unusableFor("no AAAA address")), candidate("b", 1, isDown)},
			want:       "all b:1.0000",
		},
		{
			name: "nothing is up: empty goes before those that are kept", policy: plain, whenAllDown: pool.AnswerEmpty,
			candidates: []Candidate{candidate("a", 1, isKept)}, want: "empty",
		},
		{
			name: "nothing is up: self goes before those that are kept", policy: plain, whenAllDown: pool.AnswerSelf,
			candidates: []Candidate{candidate("a", 1, isKept)}, want: "self",
		},
		{
			name: "one who is up is not kept", policy: plain,
			candidates: []Candidate{candidate("a", 1), candidate("b", 1, func(c *Candidate) { c.Kept = true })},
			want:       "normal a:0.5000 b:0.5000",
		},
		{
			name: "all down: all", policy: plain, whenAllDown: pool.AnswerAll,
			candidates: []Candidate{candidate("a", 1, isDown), candidate("b", 3, isDown), candidate("c", 1, isReserve, isDown), candidate("d", 0)},
			want:       "all a:0.2500 b:0.7500",
		},
		{
			name: "all down, reserves only: all", policy: plain, whenAllDown: pool.AnswerAll,
			candidates: []Candidate{candidate("a", 1, isReserve, isDown), candidate("b", 3, isReserve, isDown)},
			want:       "all a:0.2500 b:0.7500",
		},
		{
			name: "all down: empty", policy: plain, whenAllDown: pool.AnswerEmpty,
			candidates: []Candidate{candidate("a", 1, isDown)}, want: "empty",
		},
		{
			name: "all down: self", policy: plain, whenAllDown: pool.AnswerSelf,
			candidates: []Candidate{candidate("a", 1, isDown)}, want: "self",
		},
		{
			name: "all down does not bring back the excluded", policy: plain, whenAllDown: pool.AnswerAll, client: from(europe),
			candidates: []Candidate{candidate("a", 1, exclude(pool.Rules{Countries: []string{"DE"}})), candidate("b", 1, isDown)},
			want:       "all b:1.0000",
		},
		{
			name: "reserve for those whom a rule leaves none", policy: plain, client: from(europe),
			candidates: []Candidate{candidate("a", 1, exclude(pool.Rules{Countries: []string{"DE"}})), candidate("b", 1, isReserve)},
			want:       "reserve b:1.0000",
		},
		{
			name: "nothing left after step 1", policy: plain, whenAllDown: pool.AnswerSelf,
			candidates: []Candidate{candidate("a", 0), candidate("b", 1, unusableFor("http only"))}, want: "empty",
		},
		{name: "no candidates", policy: plain, whenAllDown: pool.AnswerAll, want: "empty"},

		// Step 3: who is near. Step 4: the cap.
		{
			name: "none takes everybody", policy: plain, client: from(europe),
			candidates: []Candidate{candidate("a", 1, within(country("DE", "EU"))), candidate("b", 3, within(country("JP", "AS")))},
			want:       "normal a:0.2500 b:0.7500",
		},
		{
			name: "near: override network", policy: near1,
			client:     from(geo.Place{Network: netip.MustParsePrefix("127.0.0.0/16"), Country: "DE", ASN: 7}),
			candidates: []Candidate{candidate("a", 1, within(geo.Place{ASN: 7, Country: "DE"})), candidate("b", 1, within(geo.Place{Network: netip.MustParsePrefix("127.0.0.0/16")}))},
			want:       "normal b:1.0000",
		},
		{
			name: "near: AS", policy: near1, client: from(geo.Place{ASN: 7, Country: "DE", Continent: "EU"}),
			candidates: []Candidate{candidate("a", 1, within(geo.Place{ASN: 7, Country: "FR"})), candidate("b", 1, within(europe))},
			want:       "normal a:1.0000",
		},
		{
			name: "near: country", policy: near1, client: from(geo.Place{ASN: 7, Country: "DE", Continent: "EU"}),
			candidates: []Candidate{candidate("a", 1, within(geo.Place{ASN: 8, Country: "FR", Continent: "EU"})), candidate("b", 1, within(europe))},
			want:       "normal b:1.0000",
		},
		{
			name: "near: continent", policy: near1, client: from(europe),
			candidates: []Candidate{candidate("a", 1, within(country("FR", "EU"))), candidate("b", 1, within(country("JP", "AS")))},
			want:       "normal a:1.0000",
		},
		{
			name: "near: whole tiers until there are enough", policy: atLeast(near1, 2), client: from(europe),
			candidates: []Candidate{
				candidate("a", 1, within(europe)), candidate("b", 1, within(country("FR", "EU"))),
				candidate("c", 2, within(country("FR", "EU"))), candidate("d", 1, within(country("JP", "AS"))),
			},
			want: "normal a:0.2500 b:0.2500 c:0.5000",
		},
		{
			name: "near: down ones do not fill a tier", policy: near1, client: from(europe),
			candidates: []Candidate{candidate("a", 1, within(europe), isDown), candidate("b", 1, within(country("FR", "EU")))},
			want:       "normal b:1.0000",
		},
		{
			name: "near: unknown places are not the same", policy: near1, client: from(geo.Place{ASN: 7}),
			candidates: []Candidate{candidate("a", 1), candidate("b", 1, within(country("JP", "AS")))},
			want:       "normal a:0.5000 b:0.5000",
		},
		{
			name: "near: client of unknown place", policy: near1, client: from(geo.Place{}),
			candidates: []Candidate{candidate("a", 1, within(europe)), candidate("b", 3, within(country("JP", "AS")))},
			want:       "normal a:0.2500 b:0.7500",
		},
		{
			name: "near: as many as the cap needs", policy: capped(near1, 0.5), client: from(country("JP", "AS")),
			candidates: []Candidate{
				candidate("asia", 1, within(country("JP", "AS"))),
				candidate("b", 1, within(europe)), candidate("c", 1, within(country("US", "NA"))),
			},
			want: "normal asia:0.3333 b:0.3333 c:0.3333",
		},
		{
			name: "near: reserves by the same tiers", policy: near1, client: from(europe),
			candidates: []Candidate{candidate("a", 1, isReserve, within(europe)), candidate("b", 1, isReserve, within(country("JP", "AS")))},
			want:       "reserve a:1.0000",
		},
		{
			name: "near: all by the same tiers", policy: near1, client: from(europe),
			candidates: []Candidate{candidate("a", 1, isDown, within(europe)), candidate("b", 1, isDown, within(country("JP", "AS")))},
			want:       "all a:1.0000",
		},
		{
			name: "distance: nearest", policy: distance1, client: from(at(50, 10)),
			candidates: []Candidate{candidate("a", 1, within(at(35, 139))), candidate("b", 1, within(at(48, 2))), candidate("c", 1, within(at(40, -74)))},
			want:       "normal b:1.0000",
		},
		{
			name: "distance: across the date line", policy: distance1, client: from(at(0, 179)),
			candidates: []Candidate{candidate("a", 1, within(at(0, 170))), candidate("b", 1, within(at(0, -179)))},
			want:       "normal b:1.0000",
		},
		{
			name: "distance: over the pole", policy: distance1, client: from(at(85, 0)),
			candidates: []Candidate{candidate("a", 1, within(at(60, 0))), candidate("b", 1, within(at(85, 180)))},
			want:       "normal b:1.0000",
		},
		{
			name: "distance: all within 5 % of the last", policy: atLeast(distance1, 2), client: from(at(0, 0)),
			candidates: []Candidate{
				candidate("a", 1, within(at(0, 1))), candidate("b", 1, within(at(0, -10))), candidate("c", 1, within(at(10.49, 0))),
				candidate("d", 1, within(at(0, 10.51))),
			},
			want: "normal a:0.3333 b:0.3333 c:0.3333",
		},
		{
			name: "distance: candidates without coordinates last", policy: atLeast(distance1, 2), client: from(at(0, 0)),
			candidates: []Candidate{candidate("a", 1), candidate("b", 1, within(at(0, 170))), candidate("c", 1, within(at(0, 160)))},
			want:       "normal b:0.5000 c:0.5000",
		},
		{
			name: "distance: candidates without coordinates are equal", policy: atLeast(distance1, 2), client: from(at(0, 0)),
			candidates: []Candidate{candidate("a", 1), candidate("b", 1, within(at(0, 170))), candidate("c", 2, within(at(math.NaN(), 0)))},
			want:       "normal a:0.2500 b:0.2500 c:0.5000",
		},
		{
			name: "distance: client without coordinates", policy: distance1, client: from(europe),
			candidates: []Candidate{candidate("a", 1, within(at(50, 10))), candidate("b", 3, within(at(0, 0)))},
			want:       "normal a:0.2500 b:0.7500",
		},
		{
			name: "distance: as many as the cap needs", policy: capped(distance1, 0.4), client: from(at(0, 0)),
			candidates: []Candidate{candidate("a", 10, within(at(0, 1))), candidate("b", 1, within(at(0, 20))), candidate("c", 1, within(at(0, 40))), candidate("d", 1, within(at(0, 80)))},
			want:       "normal a:0.4000 b:0.3000 c:0.3000",
		},
		{
			name: "too few in the whole world for the cap", policy: capped(near1, 0.3), client: from(europe),
			candidates: []Candidate{candidate("a", 1, within(europe)), candidate("b", 9), candidate("c", 90)},
			want:       "normal a:0.3333 b:0.3333 c:0.3333",
		},
		{
			name: "settings out of range", policy: pool.Policy{Nearness: "nearby", MinCandidates: -3, MaxShare: math.NaN()}, whenAllDown: "none",
			candidates: []Candidate{candidate("a", 1, isDown), candidate("b", 3, isDown)},
			want:       "all a:0.2500 b:0.7500",
		},
		{
			name: "a cap that nothing can hold", policy: pool.Policy{Nearness: pool.Near, MinCandidates: 1, MaxShare: math.SmallestNonzeroFloat64}, client: from(europe),
			candidates: []Candidate{candidate("a", 1, within(europe)), candidate("b", 3)},
			want:       "normal a:0.5000 b:0.5000",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(test.policy, test.whenAllDown, test.candidates)
			for range 2 { // the second time from memory
				choice, _ := c.Choose(test.client)
				if got := show(choice, test.candidates); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
		})
	}
}
