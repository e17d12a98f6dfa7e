package rollover

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// TestChildSince: CDS is signed as of the step that changed it, so that parents take it.
func TestChildSince(t *testing.T) {
	begin := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var keys []*signing.Key
	for range 2 {
		key, err := signing.GenerateDistinct("example.org.", dns.ECDSAP256SHA256, true, signing.Times{Created: begin, Publish: begin, Activate: begin}, keys)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	base, _, err := signing.PlanOf("example.org.", keys[:1], begin, 300, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := State{}.Start(Wanted{Kind: CSK, Algorithm: dns.ECDSAP256SHA256, Entry: true}, base, keys[1], begin.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Plan(base, keys).ChildSince; !got.Equal(begin) {
		t.Errorf("before CDS changes it is since %v, expected %v", got, begin)
	}
	s = s.enter(StepParent, begin.Add(2*time.Hour))
	s = s.enter(StepParentCaches, begin.Add(3*time.Hour))
	if got := s.Plan(base, keys).ChildSince; !got.Equal(begin.Add(2 * time.Hour)) {
		t.Errorf("CDS is since %v, expected %v", got, begin.Add(2*time.Hour))
	}
}
