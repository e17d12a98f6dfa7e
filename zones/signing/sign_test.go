package signing_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

const twoWeeks = 14 * 24 * time.Hour

// now is a time within the life of every key and signature here.
var now = at("2026-11-23 12:00:00")

// generated makes a key without files.
func generated(t testing.TB, algorithm uint8, entry bool, times signing.Times) *signing.Key {
	t.Helper()
	key, err := signing.Generate("example.test.", algorithm, entry, times)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// planOf is the plan of a zone now, with which nothing may be wrong.
func planOf(t testing.TB, keys ...*signing.Key) *signing.Plan {
	t.Helper()
	plan, _, err := signing.PlanOf("example.test.", keys, now, 3600, twoWeeks)
	if err != nil || plan == nil || len(plan.Warnings) > 0 {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	return plan
}

// records reads records of zone file form, one a line.
func records(t testing.TB, lines ...string) []dns.RR {
	t.Helper()
	var set []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, rr)
	}
	return set
}

// sets are RRsets in which something is to be put into canonical form.
var sets = [][]string{
	{"www.example.test. 60 IN A 127.0.0.9", "www.example.test. 60 IN A 127.0.0.1", "www.example.test. 60 IN A 127.0.0.200"},
	{"*.example.test. 60 IN AAAA ::1"},
	{"*x.example.test. 60 IN AAAA ::1"},
	{`\042.example.test. 60 IN AAAA ::1`},
	{"example.test. 60 IN SOA NS.Example.TEST. Hostmaster.EXAMPLE.test. 1 2 3 4 5"},
	{"example.test. 60 IN NS NS2.Example.TEST.", "example.test. 60 IN NS ns1.example.test."},
	{"a.example.test. 60 IN CNAME WWW.Example.test."},
	{"a.example.test. 60 IN DNAME WWW.Example.test."},
	{"a.example.test. 60 IN PTR WWW.Example.test."},
	{"a.example.test. 60 IN MX 10 B.Example.test.", "a.example.test. 60 IN MX 10 A.example.test.", "a.example.test. 60 IN MX 9 c.example.test."},
	{"a.example.test. 60 IN SRV 1 2 443 B.Example.test."},
	{`a.example.test. 60 IN NAPTR 1 2 "S" "SIP+D2U" "!^.*$!X!" B.Example.test.`},
	{"a.example.test. 60 IN RP Me.Example.test. TXT.Example.test."},
	{"a.example.test. 60 IN MINFO Me.Example.test. TXT.Example.test."},
	{"a.example.test. 60 IN AFSDB 1 B.Example.test."},
	{"a.example.test. 60 IN RT 1 B.Example.test."},
	{"a.example.test. 60 IN KX 1 B.Example.test."},
	{"a.example.test. 60 IN PX 1 A.Example.test. B.Example.test."},
	{`a.example.test. 60 IN TXT "Case Matters" "twice"`, `a.example.test. 60 IN TXT "A"`, `a.example.test. 60 IN TXT "A"`},
	{"a.example.test. 60 IN HINFO CPU OS"},
	{`a.example.test. 60 IN CAA 0 issue "CA.Example"`},
	{"a.example.test. 60 IN HTTPS 1 B.Example.test. alpn=h2"},
	{`a.example.test. 60 IN TYPE65534 \# 3 414243`},
	{"a.example.test. 60 IN NSEC B.Example.test. A RRSIG NSEC"},
	{"a.example.test. 60 IN DS 1 13 2 " + strings.Repeat("AB", 32)},
}

// Every signature is one that the DNS library takes, and the same again.
func TestSignaturesAreGoodAndTheSameAgain(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(signing.AlgorithmName(algorithm), func(t *testing.T) {
			key := generated(t, algorithm, true, signing.Times{})
			plan := planOf(t, key)
			for _, lines := range sets {
				set := records(t, lines...)
				signatures, err := plan.Sign(set)
				if err != nil {
					t.Fatalf("%s: %v", lines[0], err)
				}
				slices.Reverse(set)
				again, err := planOf(t, key).Sign(set)
				if err != nil || !reflect.DeepEqual(signatures, again) {
					t.Errorf("%s: signed twice: %v and %v, %v", lines[0], signatures, again, err)
				}
				if len(signatures) != 1 || signatures[0].TTL != 60 || signatures[0].Covered != set[0].Header().Rrtype {
					t.Errorf("%s: signatures %+v", lines[0], signatures)
				}
				if strings.HasPrefix(lines[0], "*x.") || strings.HasPrefix(lines[0], `\`) {
					continue // a label that begins with a star: the library takes it for a wildcard
				}
				if err := signatures[0].Verify(set); err != nil {
					t.Errorf("%s: %v", lines[0], err)
				}
				if len(set) > 1 {
					if err := signatures[0].Verify(set[1:]); err == nil && set[0].String() != set[1].String() {
						t.Errorf("%s: a part of the set is verified as well", lines[0])
					}
				}
			}
		})
	}
}

// The labels of a wildcard do not count (RFC 4034, section 3.1.3), and those of a
// name that only looks like one do.
func TestLabels(t *testing.T) {
	plan := planOf(t, generated(t, dns.ED25519, true, signing.Times{}))
	for owner, want := range map[string]uint8{
		"*.example.test.": 2, "*x.example.test.": 3, "a.*.example.test.": 4, `\042.example.test.`: 2, "example.test.": 2, ".": 0,
	} {
		signatures, err := plan.Sign(records(t, owner+" 60 IN A 127.0.0.1"))
		if err != nil || signatures[0].Labels != want {
			t.Errorf("%s: %+v, %v, expected %d labels", owner, signatures, err, want)
		}
	}
}

// Records of one set may come with several TTLs: the first one's counts.
func TestOneTTL(t *testing.T) {
	plan := planOf(t, generated(t, dns.ED25519, true, signing.Times{}))
	mixed, err := plan.Sign(records(t, "a.example.test. 60 IN A 127.0.0.1", "a.example.test. 600 IN A 127.0.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	same, err := plan.Sign(records(t, "a.example.test. 60 IN A 127.0.0.1", "a.example.test. 60 IN A 127.0.0.2"))
	if err != nil || !reflect.DeepEqual(mixed, same) {
		t.Errorf("signed as %v, expected %v, %v", mixed, same, err)
	}
}

// Each number of a signature has its full length, however small it is.
func TestNumbersOfASignature(t *testing.T) {
	for _, one := range []struct {
		encoded []byte
		want    []byte
	}{
		{[]byte{0x30, 6, 2, 1, 5, 2, 1, 7}, []byte{0, 5, 0, 7}},
		{[]byte{0x30, 8, 2, 2, 1, 2, 2, 2, 3, 4}, []byte{1, 2, 3, 4}},
		{[]byte{0x30, 8, 2, 3, 0, 0xff, 1, 2, 1, 4}, []byte{0xff, 1, 0, 4}},
		{[]byte{0x30, 8, 2, 3, 1, 2, 3, 2, 1, 4}, nil},
		{[]byte{0x30, 3, 2, 1, 5}, nil},
		{[]byte{0x30, 6, 2, 1, 0x85, 2, 1, 7}, nil},
		{nil, nil},
	} {
		got, err := signing.PlainECDSA(one.encoded, 2)
		if !bytes.Equal(got, one.want) || (err == nil) != (one.want != nil) {
			t.Errorf("%x: got %x, %v, expected %x", one.encoded, got, err, one.want)
		}
	}
}

func TestRecordInWireFormat(t *testing.T) {
	plan := planOf(t, generated(t, dns.ECDSAP256SHA256, true, signing.Times{}))
	signatures, err := plan.Sign(records(t, "*.example.test. 60 IN A 127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	rr := signatures[0].RR("a.example.test.")
	packed := make([]byte, 512)
	length, err := dns.PackRR(rr, packed, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	owner := packed[:len("\x01a\x07example\x04test\x00")]
	if got := signatures[0].AppendRecord(slices.Clone(owner)); !bytes.Equal(got, packed[:length]) {
		t.Errorf("got  %x\nwant %x", got, packed[:length])
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	plan := planOf(t, generated(t, dns.ECDSAP256SHA256, true, signing.Times{}))
	if _, err := plan.Sign(nil); err == nil {
		t.Error("nothing was signed")
	}
	if _, err := plan.Sign([]dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: "a..b.", Rrtype: dns.TypeTXT, Class: dns.ClassINET},
	}}); err == nil || !strings.Contains(err.Error(), "signing a..b. TXT") {
		t.Errorf("a record without a name: %v", err)
	}
	empty := &signing.Plan{Apex: "example.test.", Lifetime: twoWeeks, Now: now}
	if _, err := empty.Sign(records(t, "example.test. 60 IN A 127.0.0.1")); err == nil || !strings.Contains(err.Error(), "there is no key for it") {
		t.Errorf("signed without keys: %v", err)
	}
}

// A small zone that is signed by hand is one that BIND's checker takes, with the
// records that the plan puts at its apex.
func TestBINDVerifiesASignedZone(t *testing.T) {
	for name, keys := range map[string][]*signing.Key{
		"one key":   {generated(t, dns.ECDSAP256SHA256, true, signing.Times{})},
		"ed25519":   {generated(t, dns.ED25519, true, signing.Times{})},
		"two roles": {generated(t, dns.RSASHA256, true, signing.Times{}), generated(t, dns.RSASHA256, false, signing.Times{})},
		"two algorithms": {
			generated(t, dns.ECDSAP384SHA384, true, signing.Times{}), generated(t, dns.RSASHA512, true, signing.Times{}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan := planOf(t, keys...)
			plan.Now = time.Now() // the checker looks at its clock
			zone := append(plan.Records(),
				records(t, "example.test. 300 IN SOA ns.example.test. hostmaster.example.test. 1 7200 900 1209600 300"),
				records(t, "example.test. 300 IN NS NS.example.test.", "example.test. 300 IN NS a.example.test."),
				records(t, "a.example.test. 300 IN A 127.0.0.1"), records(t, "ns.example.test. 300 IN A 127.0.0.1"),
				records(t, "*.ns.example.test. 300 IN MX 10 A.example.test."),
				records(t, "example.test. 300 IN NSEC a.example.test. NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY"),
				records(t, "a.example.test. 300 IN NSEC ns.example.test. A RRSIG NSEC"),
				records(t, "ns.example.test. 300 IN NSEC *.ns.example.test. A RRSIG NSEC"),
				records(t, "*.ns.example.test. 300 IN NSEC example.test. MX RRSIG NSEC"),
			)
			var text strings.Builder
			for _, set := range zone {
				signatures, err := plan.Sign(set)
				if err != nil {
					t.Fatal(err)
				}
				for _, rr := range set {
					fmt.Fprintln(&text, rr)
				}
				for i := range signatures {
					fmt.Fprintln(&text, signatures[i].RR(set[0].Header().Name))
				}
			}
			directory := t.TempDir()
			if err := os.WriteFile(filepath.Join(directory, "zone"), []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			options := []string{"-o", "example.test", "zone"}
			if !slices.ContainsFunc(keys, func(key *signing.Key) bool { return !key.Entry() }) {
				options = append([]string{"-z"}, options...)
			}
			bind(t, directory, "dnssec-verify", options...)
		})
	}
}

func TestRecordsOfThePlan(t *testing.T) {
	entry, zone := generated(t, dns.ECDSAP256SHA256, true, signing.Times{}), generated(t, dns.ECDSAP256SHA256, false, signing.Times{})
	plan := planOf(t, entry, zone)
	var lines []string
	for _, set := range plan.Records() {
		for _, rr := range set {
			lines = append(lines, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	want := []string{
		"example.test. 3600 IN DNSKEY 257 3 13 " + entry.Record.PublicKey,
		"example.test. 3600 IN DNSKEY 256 3 13 " + zone.Record.PublicKey,
		"example.test. 3600 IN CDNSKEY 257 3 13 " + entry.Record.PublicKey,
		fmt.Sprintf("example.test. 3600 IN CDS %d 13 2 %s", entry.Tag(), entry.DS(dns.SHA256).Digest),
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// A request to delete the DS records is what RFC 8078, section 4, says, byte by byte.
func TestRecordsThatWithdraw(t *testing.T) {
	plan := *planOf(t, generated(t, dns.ECDSAP256SHA256, true, signing.Times{}))
	plan.Withdraw = true
	sets := plan.Records()
	if len(sets) != 3 || len(sets[1]) != 1 || len(sets[2]) != 1 {
		t.Fatalf("got %v", sets)
	}
	for i, want := range []struct {
		text string
		data []byte
	}{
		{"example.test. 3600 IN CDNSKEY 0 3 0 AA==", []byte{0, 0, 3, 0, 0}},
		{"example.test. 3600 IN CDS 0 0 0 00", []byte{0, 0, 0, 0, 0}},
	} {
		rr := sets[i+1][0]
		if got := strings.ReplaceAll(rr.String(), "\t", " "); got != want.text {
			t.Errorf("got %q, want %q", got, want.text)
		}
		packed := make([]byte, 100)
		length, err := dns.PackRR(rr, packed, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := packed[length-7 : length]; !bytes.Equal(got, append([]byte{0, 5}, want.data...)) {
			t.Errorf("%s: packed as %x", want.text, got)
		}
		if signatures, err := plan.Sign(sets[i+1]); err != nil || signatures[0].Verify(sets[i+1]) != nil {
			t.Errorf("%s: %v, %v", want.text, signatures, err)
		}
	}
}

// The example of RFC 8080, section 6.1, comes out as it stands there: the canonical
// form and all that is signed before it.
func TestSignaturesOfRFC8080(t *testing.T) {
	public := "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="
	private := "Private-key-format: v1.2\nAlgorithm: 15 (ED25519)\nPrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n"
	key, err := signing.ParseKey("Kexample.com.+015+03613", []byte(public), []byte(private))
	if err != nil {
		t.Fatal(err)
	}
	want := "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="
	signature, err := signing.SignAt(key, records(t, "example.com. 3600 IN MX 10 mail.example.com."), 1438207200, 1440021600)
	if err != nil || base64.StdEncoding.EncodeToString(signature.Data) != want {
		t.Errorf("got %x, %v", signature.Data, err)
	}
}

func BenchmarkSign(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(signing.AlgorithmName(algorithm), func(b *testing.B) {
			plan := planOf(b, generated(b, algorithm, true, signing.Times{}))
			set := records(b, "dl.example.test. 60 IN A 127.0.0.1", "dl.example.test. 60 IN A 127.0.0.2",
				"dl.example.test. 60 IN A 127.0.0.3", "dl.example.test. 60 IN A 127.0.0.4")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Sign(set); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
