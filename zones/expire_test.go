package zones

import (
	"testing"
	"time"

	"mirrorpool/zones/signing"
)

// TestExpireIsTheFirst: no signature, also of what pools give, ends before the time that
// is told.
func TestExpireIsTheFirst(t *testing.T) {
	in := wideInput(t, 6)
	worst := time.Duration(0)
	now := signingTime
	var table *Table
	base := in.Signing["example.org."]
	for range 200 {
		now = now.Add(3 * time.Hour)
		plan := *base
		plan.Now = now
		in.Now, in.Previous = now, table
		in.Signing = map[string]*signing.Plan{"example.org.": &plan}
		table = compiled(t, in)
		signed, _ := table.Signed("example.org.")
		z := table.zones["example.org."].signed
		first := signed.Expire
		for _, set := range z.families[0][0].ahead {
			if at := time.Unix(int64(set.signatures[0].Expiration), 0); at.Before(first) {
				first = at
			}
		}
		for _, link := range z.pools {
			if at := time.Unix(int64(link.denial.signatures[0].Expiration), 0); at.Before(first) {
				first = at
			}
		}
		worst = max(worst, signed.Expire.Sub(first))
	}
	if worst > 0 {
		t.Errorf("what is told is up to %v later than the end of a pool's signature", worst)
	}
}
