package pool

import (
	"strings"
	"testing"
)

// capacity makes a definition of one pool and one redirect host with the weights given.
func capacity(poolWeights, mirrorWeights []uint32) *Definition {
	members := []*Member{{ID: "spare", Weight: 1000, Reserve: true}}
	for _, weight := range poolWeights {
		members = append(members, &Member{Weight: weight})
	}
	list := &MirrorList{Path: MirrorsPath}
	for _, weight := range mirrorWeights {
		list.Mirrors = append(list.Mirrors, &Mirror{Weight: weight})
	}
	return &Definition{
		Pools:       []*Pool{{Name: "dl.example.org", NamePosition: Position{PoolsPath, 5, 15}, Members: members}},
		Redirects:   []*Redirect{{Host: "get.example.org", List: list, Position: Position{PoolsPath, 9, 3}}},
		MirrorLists: []*MirrorList{list},
	}
}

func TestCapacityDrop(t *testing.T) {
	weights := func(list ...uint32) []uint32 { return list }
	tests := []struct {
		name     string
		old, new *Definition
		limit    float64
		want     string
	}{
		{"first", nil, capacity(nil, nil), 0, ""},
		{"nothing new", capacity(weights(1), nil), nil, 0, ""},
		{"same", capacity(weights(10, 10), weights(5)), capacity(weights(10, 10), weights(5)), 0, ""},
		{"more", capacity(weights(10), weights(5)), capacity(weights(20), weights(50)), 0, ""},
		{"exactly the limit", capacity(weights(10, 10), weights(10)), capacity(weights(10, 0), weights(5)), 0.5, ""},
		{"tenths", capacity(weights(10), weights(10)), capacity(weights(7), weights(7)), 0.3, ""},
		{"nothing was there", capacity(nil, nil), &Definition{}, 0, ""},
		{"all of it, limit 1", capacity(weights(1), weights(1)), &Definition{}, 1, ""},
		{
			"both", capacity(weights(10, 20), weights(30)), capacity(weights(10, 0), weights(1, 2)), 0.5,
			"pools.json:5:15: error: pool dl.example.org: found a total weight of 10, down from 30 (66.67 % less), expected a drop of at most 50 % in one commit (git.max_capacity_drop 0.5): go there in several commits, or raise that limit on the nodes first (1: no limit)\n" +
				"pools.json:9:3: error: redirect host get.example.org: found a total weight of 3, down from 30 (90 % less), expected a drop of at most 50 % in one commit (git.max_capacity_drop 0.5): go there in several commits, or raise that limit on the nodes first (1: no limit)\n",
		},
		{
			"gone", capacity(weights(10), weights(30)), &Definition{}, 0.5,
			"pools.json: error: pool dl.example.org: found nothing, where the total weight was 10 (100 % less), expected a drop of at most 50 % in one commit (git.max_capacity_drop 0.5): go there in several commits, or raise that limit on the nodes first (1: no limit)\n" +
				"pools.json: error: redirect host get.example.org: found nothing, where the total weight was 30 (100 % less), expected a drop of at most 50 % in one commit (git.max_capacity_drop 0.5): go there in several commits, or raise that limit on the nodes first (1: no limit)\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := format(CapacityDrop(test.old, test.new, test.limit)); got != test.want {
				t.Errorf("problems:\n%swant:\n%s", got, test.want)
			}
		})
	}
	// The reserve counts for nothing: it does not make up for what is lost.
	if got := CapacityDrop(capacity(weights(1), nil), capacity(weights(0), nil), 0.9); len(got) != 1 || !strings.Contains(got[0].Found, "a total weight of 0") {
		t.Errorf("with a reserve left: %v", got)
	}
}

// What is gone has no line: the file alone is its place.
func TestCapacityDropOfRemovedPool(t *testing.T) {
	old := &Definition{Pools: []*Pool{{Name: "a.example", Members: []*Member{{Weight: 7}}}}}
	problems := CapacityDrop(old, &Definition{}, 0.5)
	const want = "pools.json: error: pool a.example: found nothing, where the total weight was 7 (100 % less), expected a drop of at most 50 %"
	if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) {
		t.Errorf("problems:\n%s", format(problems))
	}
}
