package signing

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestPlanNeedsTheEntry: where the private half of the only secure entry point is
// elsewhere, nobody can make the signature that the parent's DS asks for.
func TestPlanNeedsTheEntry(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	times := Times{Created: now, Publish: now, Activate: now}
	var keys []*Key
	for _, entry := range []bool{true, false} {
		key, err := GenerateDistinct("example.org.", dns.ECDSAP256SHA256, entry, times, keys)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if _, _, err := PlanOf("example.org.", keys, now, 3600, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	keys[0].private = nil
	if plan, _, err := PlanOf("example.org.", keys, now, 3600, 24*time.Hour); err == nil || !strings.Contains(err.Error(), keys[0].ID()) {
		t.Errorf("planned %+v, %v: expected an error that names %s", plan, err, keys[0].ID())
	}
}

// TestChildIsNotOlder: signatures of CDS and CDNSKEY do not begin before what they
// name; all others do as before.
func TestChildIsNotOlder(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	plan := Plan{Apex: "example.org.", Lifetime: 336 * time.Hour, Now: now}
	for _, since := range []time.Time{{}, now.Add(-time.Minute), now.Add(-400 * time.Hour), now.Add(time.Minute)} {
		with := plan
		with.ChildSince = since
		for _, kind := range []uint16{dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeDNSKEY, dns.TypeA} {
			before, end, renew := plan.Window("example.org.", kind)
			got, gotEnd, gotRenew := with.Window("example.org.", kind)
			want := before
			if child := kind == dns.TypeCDS || kind == dns.TypeCDNSKEY; child && !since.IsZero() && !since.After(now) {
				want = max(before, uint32(since.Unix()))
			}
			if got != want || gotEnd != end || !gotRenew.Equal(renew) {
				t.Errorf("%s since %v: begins %d, ends %d, expected %d, %d", dns.Type(kind), since, got, gotEnd, want, end)
			}
		}
	}
}
