package zones

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// checkPacked holds that a version's size is that of its records in wire format, and
// that signatures are written as the records that are made of them.
func checkPacked(t testing.TB, v *Version) {
	t.Helper()
	var p RecordPacker
	var want, got []byte
	var err error
	owner, keys := 0, 0
	for rr := range v.Records() {
		signature, ok := rr.(*dns.RRSIG) // the SOA's is held as a record
		if kind := rr.Header().Rrtype; kind == dns.TypeDNSKEY || kind == dns.TypeCDNSKEY || ok && signature.TypeCovered == dns.TypeSOA {
			keys++
		}
		if want, err = p.Append(want, rr); err != nil {
			t.Fatal(err)
		}
	}
	for one := range v.Transferred() {
		if one.Record == nil {
			record, _, ok := CutRecord(string(got[owner:]))
			if !ok || one.Owner() == "" {
				t.Fatalf("a signature of %q behind %x", one.Owner(), got[owner:])
			}
			got = one.AppendRest(append(got, record.Owner()...))
			continue
		}
		owner = len(got)
		if got, err = p.Append(got, one.Record); err != nil {
			t.Fatal(err)
		}
	}
	if over := v.Size() - len(want); over < 0 || over > 2*keys || !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes, and %d as it is sent, expected %d of the same", v.Apex, v.Size(), len(got), len(want))
	}
}

// TestPacked: a difference is the same once it was packed, record by record, and of
// what is not whole nothing more is given.
func TestPacked(t *testing.T) {
	from := testTable(t, "answers-pools.txtar").Version("example.org.")
	newer := *from.SOA
	newer.Serial++
	d := Compare(from, NewVersion(&newer, nil))
	for _, text := range []string{"\\000\\046.example.org. 60 IN TXT \"x\"", "*.example.org. 60 IN TYPE65280 \\# 0"} {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		d.Added = append(d.Added, rr)
	}
	packed, err := d.Pack()
	if err != nil {
		t.Fatal(err)
	}
	again, err := UnpackDifference([]byte(packed.Records))
	if err != nil || differenceText(again) != differenceText(d) || packed.Old != d.Old.Serial || packed.New != newer.Serial {
		t.Fatalf("%v: from %d to %d:\n%s", err, packed.Old, packed.New, differenceText(again))
	}
	records, types := 0, []uint16{}
	for rest := packed.Records; rest != ""; records++ {
		one, behind, ok := CutRecord(rest)
		if !ok || one.Wire+behind != rest || one.Owner()+one.Rest() != one.Wire {
			t.Fatalf("record %d is %q before %q", records, one.Wire, behind)
		}
		for length := range one.Wire {
			if _, _, whole := CutRecord(one.Wire[:length]); whole {
				t.Fatalf("%d bytes of %q are a record", length, one.Wire)
			}
		}
		types, rest = append(types, one.Type()), behind
	}
	if want := 2 + len(d.Deleted) + len(d.Added); records != want || types[0] != dns.TypeSOA || types[want-2] != dns.TypeTXT {
		t.Errorf("%d records, expected %d: %v", records, want, types)
	}
	if _, _, ok := CutName("\x01a\xc0\x0c\x00"); ok {
		t.Error("a compressed name was taken")
	}
}
