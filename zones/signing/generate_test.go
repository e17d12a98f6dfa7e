package signing_test

import (
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// A key whose tag another one has, or would have once it is revoked, is drawn anew.
func TestDrawsTagsThatDiffer(t *testing.T) {
	var others []*signing.Key
	taken, whenRevoked := map[uint16]bool{}, map[uint16]bool{}
	for range 2000 { // one draw in 11 or more collides at the end
		key, err := signing.GenerateDistinct("example.test.", dns.ED25519, true, signing.Times{}, others)
		if err != nil {
			t.Fatal(err)
		}
		revoked := *key.Record
		revoked.Flags |= dns.REVOKE
		if taken[key.Tag()] || taken[revoked.KeyTag()] || whenRevoked[key.Tag()] {
			t.Fatalf("a key has tag %d, %d when it is revoked, and another one has one of them", key.Tag(), revoked.KeyTag())
		}
		taken[key.Tag()], whenRevoked[revoked.KeyTag()] = true, true
		others = append(others, key)
	}
}

func TestGeneratesNoOtherKeys(t *testing.T) {
	for _, one := range []struct {
		zone      string
		algorithm uint8
	}{{"example.test.", dns.RSASHA1}, {"example.test.", 16}, {"example.test.", 0}, {"a..b", dns.ED25519}, {"", dns.ED25519}} {
		if key, err := signing.Generate(one.zone, one.algorithm, true, signing.Times{}); err == nil {
			t.Errorf("%+v: %s", one, key.ID())
		}
	}
}
