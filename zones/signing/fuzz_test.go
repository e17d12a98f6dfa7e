package signing_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// FuzzParseKey holds that no file makes trouble, and that a key that is taken can be
// written, read again as the same one, and used.
func FuzzParseKey(f *testing.F) {
	const seeds = "testdata/keys"
	entries, err := os.ReadDir(seeds)
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range entries {
		id, isPublic := strings.CutSuffix(entry.Name(), ".key")
		if !isPublic {
			continue
		}
		public, err := os.ReadFile(filepath.Join(seeds, entry.Name()))
		if err != nil {
			f.Fatal(err)
		}
		private, err := os.ReadFile(filepath.Join(seeds, id+".private"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(id, public, private)
		f.Add("", public, []byte("Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nExternal:\n"))
	}
	f.Fuzz(func(t *testing.T, id string, public, private []byte) {
		key, err := signing.ParseKey(id, public, private)
		if err != nil {
			return
		}
		if id != "" && key.ID() != id {
			t.Fatalf("%s was read as %s", id, key.ID())
		}
		if zone, ok := signing.ZoneOfFile(key.ID()); !ok || zone != key.Zone() {
			t.Fatalf("the file %s tells of zone %q, and the key in it of %q", key.ID(), zone, key.Zone())
		}
		writtenPublic, writtenPrivate, err := signing.Files(key)
		if err != nil {
			t.Fatal(err)
		}
		same(t, key, key.Times, writtenPublic, writtenPrivate)
		times := signing.Times{Publish: at("2027-01-01 00:00:00"), SyncDelete: at("2028-01-01 00:00:00")}
		public, private = signing.FilesWithTimes(public, private, times)
		same(t, key, times, public, private)
		if !key.CanSign() || key.Algorithm() == dns.RSASHA256 || key.Algorithm() == dns.RSASHA512 {
			return // RSA is slow
		}
		set := []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: key.Zone(), Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{127, 0, 0, 1}}}
		signature, err := signing.SignAt(key, set, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := signature.Verify(set); err != nil {
			t.Fatalf("%s: %v", key.ID(), err)
		}
	})
}

func same(t *testing.T, key *signing.Key, times signing.Times, public, private []byte) {
	t.Helper()
	again, err := signing.ParseKey(key.ID(), public, private)
	if err != nil {
		t.Fatalf("%v in\n%s\n%s", err, public, private)
	}
	if !again.Same(key) || !again.Times.Equal(times) || again.CanSign() != key.CanSign() {
		t.Fatalf("%+v became %+v", key, again)
	}
}

// FuzzZoneOfFile holds that a name that tells of a zone is that of its files.
func FuzzZoneOfFile(f *testing.F) {
	for _, seed := range []string{"Kexample.test.+013+12345", "K.+008+00001", "K%2A.a%2Eb._x.test.+015+65535", "K+", "K%", "K%zz.+1+2", "Ka..+013+00000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		zone, ok := signing.ZoneOfFile(id)
		if !ok {
			return
		}
		if _, valid := dns.IsDomainName(zone); !valid || zone == "" {
			t.Fatalf("%q tells of zone %q", id, zone)
		}
	})
}
