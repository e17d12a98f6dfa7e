package signing_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// keySet are keys under short names: k and l are secure entry points, z and y are
// not, of ECDSA; K and Z are of Ed25519, and e and f are an entry point and another
// whose private halves are elsewhere.
type keySet map[string]*signing.Key

func newKeySet(t *testing.T) keySet {
	set := keySet{}
	for _, name := range []string{"k", "l"} {
		set[name] = generated(t, dns.ECDSAP256SHA256, true, signing.Times{})
	}
	for _, name := range []string{"z", "y"} {
		set[name] = generated(t, dns.ECDSAP256SHA256, false, signing.Times{})
	}
	set["K"], set["Z"] = generated(t, dns.ED25519, true, signing.Times{}), generated(t, dns.ED25519, false, signing.Times{})
	for name, flags := range map[string]string{"e": "257", "f": "256"} {
		public := generated(t, dns.ECDSAP256SHA256, name == "e", signing.Times{}).Record.PublicKey
		key, err := signing.ParseKey("", []byte("example.test. IN DNSKEY "+flags+" 3 13 "+public), nil)
		if err != nil {
			t.Fatal(err)
		}
		set[name] = key
	}
	return set
}

// timed reads words such as "k" or "k:P-1,A+1": a key with its times in hours from
// now. C, P, A, R, I, D, S and T are Created, Publish, Activate, Revoke, Inactive,
// Delete, SyncPublish and SyncDelete.
func (s keySet) timed(t *testing.T, text string) []*signing.Key {
	t.Helper()
	var keys []*signing.Key
	for word := range strings.FieldsSeq(text) {
		name, list, _ := strings.Cut(word, ":")
		var times signing.Times
		fields := map[byte]*time.Time{
			'C': &times.Created, 'P': &times.Publish, 'A': &times.Activate, 'R': &times.Revoke,
			'I': &times.Inactive, 'D': &times.Delete, 'S': &times.SyncPublish, 'T': &times.SyncDelete,
		}
		for one := range strings.SplitSeq(list, ",") {
			if one == "" {
				continue
			}
			var hours int
			if _, err := fmt.Sscanf(one[1:], "%d", &hours); err != nil {
				t.Fatal(err)
			}
			*fields[one[0]] = now.Add(time.Duration(hours) * time.Hour)
		}
		keys = append(keys, s[name].WithTimes(times))
	}
	return keys
}

// names gives the short names of keys, in order.
func (s keySet) names(keys []*signing.Key) string {
	var names []string
	for _, key := range keys {
		for name, known := range s {
			if known.Same(key) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

func TestRolesByTimes(t *testing.T) {
	set := newKeySet(t)
	for _, one := range []struct {
		name, keys                    string
		published, zone, entry, child string
		next                          int // hours; 0: never
		warning                       string
	}{
		{name: "one key without times", keys: "k", published: "k", zone: "k", entry: "k", child: "k"},
		{name: "one key of BIND", keys: "k:C0,P0,A0", published: "k", zone: "k", entry: "k", child: "k"},
		{name: "two roles", keys: "k z", published: "kz", zone: "z", entry: "k", child: "k"},
		{name: "no entry point", keys: "z", published: "z", zone: "z", entry: "z"},
		{
			name: "prepublished", keys: "k:P-9,A-9 z:P-9,A-9,I+5,D+9 y:P-1,A+5",
			published: "kyz", zone: "z", entry: "k", child: "k", next: 5,
		},
		{
			name: "the other one signs now", keys: "k:P-9,A-9 z:P-9,A-9,I-1,D+9 y:P-5,A-1",
			published: "kyz", zone: "y", entry: "k", child: "k", next: 9,
		},
		{
			name: "and the first one has gone", keys: "k:P-9,A-9 z:P-9,A-9,I-2,D-1 y:P-5,A-2",
			published: "ky", zone: "y", entry: "k", child: "k",
		},
		{name: "still to come", keys: "k:P-9,A-9 l:P+3,A+4", published: "k", zone: "k", entry: "k", child: "k", next: 3},
		{name: "in reserve", keys: "k:P-9,A-9 l:P-9", published: "kl", zone: "k", entry: "k", child: "k"},
		{name: "made and not used", keys: "k:P-9,A-9 l:C-9", published: "k", zone: "k", entry: "k", child: "k"},
		{name: "activation alone publishes", keys: "k:P-9,A-9 l:A+2", published: "kl", zone: "k", entry: "k", child: "k", next: 2},
		{
			name: "double signature", keys: "k:P-9,A-9,S-9,T-1 l:P-5,A-5,S-1",
			published: "kl", zone: "kl", entry: "kl", child: "l",
		},
		{
			name: "synchronisation to come", keys: "k:P-9,A-9,S-9,T+1 l:P-5,A-5,S+1",
			published: "kl", zone: "kl", entry: "kl", child: "k", next: 1,
		},
		{name: "synchronisation is over", keys: "k:P-9,A-9,S-9,T-1", published: "k", zone: "k", entry: "k"},
		{
			name: "synchronisation with a key that does not sign", keys: "k:P-9,A-9 l:P-9,S-9",
			published: "kl", zone: "k", entry: "k", warning: "CDS and CDNSKEY of zone example.test. are left out",
		},
		{name: "no CDS for a key that is no entry point", keys: "k z:P-9,A-9,S-9", published: "kz", zone: "z", entry: "k"},
		{name: "two algorithms", keys: "k z K", published: "Kkz", zone: "Kz", entry: "Kk", child: "Kk"},
		{
			name: "an algorithm comes: signatures first", keys: "k K:P+5,A-1",
			published: "k", zone: "Kk", entry: "Kk", child: "k", next: 5,
		},
		{
			name: "a key of a known algorithm signs when it is published", keys: "k z:P-9,A-9 y:P+5,A-1",
			published: "kz", zone: "z", entry: "k", child: "k", next: 5,
		},
		{
			name: "an algorithm that would not sign does", keys: "k K:P-1,A+5",
			published: "Kk", zone: "Kk", entry: "Kk", child: "k", next: 5, warning: "no other key of ED25519 would",
		},
		{
			name: "the only key is to sign no more", keys: "k:P-9,A-9,I-1",
			published: "k", zone: "k", entry: "k", warning: "no other key of ECDSAP256SHA256 would",
		},
		{
			name: "the only entry point is to sign no more", keys: "k:P-9,A-9,I-1 z",
			published: "kz", zone: "z", entry: "kz", warning: "no other secure entry point of ECDSAP256SHA256 would",
		},
		{name: "revoked", keys: "k l:P-9,A-9,R-1", published: "k", zone: "k", entry: "k", child: "k", warning: "is revoked and not used"},
		{name: "to be revoked", keys: "k l:P-9,A-9,R+1", published: "kl", zone: "kl", entry: "kl", child: "kl", next: 1},
		{name: "the keys of another signer", keys: "k z e f", published: "efkz", zone: "z", entry: "k", child: "ek"},
		{name: "not yet", keys: "k:P+1,A+1", next: 1},
		{name: "not any more", keys: "k:P-9,A-9,D-1"},
		{name: "no keys", keys: ""},
	} {
		t.Run(one.name, func(t *testing.T) {
			plan, next, err := signing.PlanOf("example.test.", set.timed(t, one.keys), now, 3600, twoWeeks)
			if err != nil {
				t.Fatal(err)
			}
			if want := now.Add(time.Duration(one.next) * time.Hour); one.next != 0 && !next.Equal(want) || one.next == 0 && !next.IsZero() {
				t.Errorf("next at %s, expected %d hours from now", next, one.next)
			}
			if (plan == nil) != (one.published == "") {
				t.Fatalf("plan %+v", plan)
			}
			if plan == nil {
				return
			}
			got := []string{set.names(plan.Published), set.names(plan.Zone), set.names(plan.Entry), set.names(plan.Child)}
			if want := []string{one.published, one.zone, one.entry, one.child}; !slices.Equal(got, want) {
				t.Errorf("published, zone, entry, child: got %q, expected %q", got, want)
			}
			if warnings := strings.Join(plan.Warnings, "\n"); (warnings == "") != (one.warning == "") || !strings.Contains(warnings, one.warning) {
				t.Errorf("warnings %q, expected %q", warnings, one.warning)
			}
			if plan.TTL != 3600 || plan.Lifetime != twoWeeks || !plan.Now.Equal(now) || plan.Apex != "example.test." || plan.Withdraw {
				t.Errorf("plan %+v", plan)
			}
		})
	}
}

func TestNobodyCanSign(t *testing.T) {
	set := newKeySet(t)
	for _, one := range []struct{ keys, want string }{
		{"e:P-9,A-9,D+7 f", "zone example.test. cannot be signed with ECDSAP256SHA256: the private half of key " + set["e"].ID()},
		{"K e:P-9,A-9,D+7", "zone example.test. cannot be signed with ECDSAP256SHA256"},
	} {
		plan, next, err := signing.PlanOf("example.test.", set.timed(t, one.keys), now, 3600, twoWeeks)
		if plan != nil || err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: plan %+v, %v", one.keys, plan, err)
		}
		if !next.Equal(now.Add(7 * time.Hour)) {
			t.Errorf("%s: next at %s", one.keys, next)
		}
	}
	if _, _, err := signing.PlanOf("other.test.", set.timed(t, "k"), now, 3600, twoWeeks); err == nil {
		t.Error("a zone was signed with the key of another")
	}
	for _, lifetime := range []time.Duration{0, time.Second, 50 * 366 * 24 * time.Hour} {
		if _, _, err := signing.PlanOf("example.test.", set.timed(t, "k"), now, 3600, lifetime); err == nil {
			t.Errorf("signatures of %s", lifetime)
		}
	}
}

// Between now and next the same keys give the same plan, and a key that can sign
// never leaves a zone unsigned that has one published.
func TestRolesStayUntilNext(t *testing.T) {
	set := newKeySet(t)
	random := rand.New(rand.NewPCG(8, 5))
	for range 2000 {
		var words []string
		for _, name := range []string{"k", "l", "z", "y", "K", "Z"} {
			if random.IntN(2) == 0 {
				continue
			}
			var times []string
			for _, field := range "CPARIDST" {
				if random.IntN(2) == 0 {
					times = append(times, fmt.Sprintf("%c%+d", field, random.IntN(20)-10))
				}
			}
			words = append(words, name+":"+strings.Join(times, ","))
		}
		keys := set.timed(t, strings.Join(words, " "))
		plan, next, err := signing.PlanOf("example.test.", keys, now, 3600, twoWeeks)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		later := next.Add(-time.Second)
		if next.IsZero() {
			later = now.Add(1000 * time.Hour)
		}
		then, _, err := signing.PlanOf("example.test.", keys, later, 3600, twoWeeks)
		if err != nil || !plan.SameAs(then) {
			t.Fatalf("%q: %+v, and at %s %+v, %v", words, plan, later, then, err)
		}
		if plan != nil {
			checkPlan(t, words, plan)
		}
	}
}

// checkPlan holds that every published algorithm signs everything, and that CDS
// leaves the zone a key that validators find.
func checkPlan(t *testing.T, words []string, plan *signing.Plan) {
	t.Helper()
	for _, published := range plan.Published {
		for name, signers := range map[string][]*signing.Key{"zone": plan.Zone, "entry": plan.Entry} {
			if !slices.ContainsFunc(signers, func(key *signing.Key) bool {
				return key.Algorithm() == published.Algorithm() && slices.Contains(plan.Published, key)
			}) {
				t.Errorf("%q: no published key of %s signs as %s", words, signing.AlgorithmName(published.Algorithm()), name)
			}
		}
	}
	if len(plan.Child) > 0 && !slices.ContainsFunc(plan.Child, func(key *signing.Key) bool { return slices.Contains(plan.Entry, key) }) {
		t.Errorf("%q: CDS names keys that do not sign", words)
	}
}

// A signature's window covers now with room on both sides, and is the same until it
// is renewed.
func TestWindow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		lifetime := 4*time.Second + time.Duration(random.Int64N(int64(400*24*time.Hour)))
		moment := now.Add(time.Duration(random.Int64N(int64(100 * 365 * 24 * time.Hour))))
		plan := signing.Plan{Lifetime: lifetime, Now: moment}
		owner := fmt.Sprintf("host%d.example.test.", random.IntN(1000))
		inception, expiration, renew := plan.Window(owner, dns.TypeA)
		// Times in RRSIG are numbers of 32 bits that go round: differences are what counts.
		before := time.Duration(int32(uint32(moment.Unix())-inception)) * time.Second
		after := time.Duration(int32(expiration-uint32(moment.Unix()))) * time.Second
		if before < signing.Backdate || before > signing.Backdate+lifetime/4+time.Second {
			t.Fatalf("%s of %s at %s: begins %s before", owner, lifetime, moment, before)
		}
		if after < lifetime*3/4-time.Second || after > lifetime {
			t.Fatalf("%s of %s at %s: ends %s after", owner, lifetime, moment, after)
		}
		if !renew.After(moment) || renew.Sub(moment) > lifetime/4+time.Second {
			t.Fatalf("%s of %s at %s: is renewed %s after", owner, lifetime, moment, renew.Sub(moment))
		}
		plan.Now = renew.Add(-time.Nanosecond)
		if again, end, when := plan.Window(owner, dns.TypeA); again != inception || end != expiration || !when.Equal(renew) {
			t.Fatalf("%s of %s: another window before it is renewed", owner, lifetime)
		}
		plan.Now = renew
		if again, _, _ := plan.Window(owner, dns.TypeA); again == inception {
			t.Fatalf("%s of %s: the same window when it is renewed", owner, lifetime)
		}
	}
}

// Not everything is renewed at once.
func TestWindowsAreSpread(t *testing.T) {
	plan := signing.Plan{Lifetime: twoWeeks, Now: now}
	counts := map[uint32]int{}
	for i := range 6400 {
		inception, _, _ := plan.Window(fmt.Sprintf("host%d.example.test.", i), dns.TypeA)
		counts[inception]++
	}
	if len(counts) < 60 || len(counts) > 66 {
		t.Errorf("%d different windows, expected 64", len(counts))
	}
	for inception, count := range counts {
		if count > 200 {
			t.Errorf("%d of 6400 signatures begin at %d", count, inception)
		}
	}
}
