package signing_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// bind runs one of BIND's programs and gives what it prints to standard output.
func bind(t *testing.T, directory, program string, arguments ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%v: Debian's bind9-utils and bind9-dnsutils have it", err)
	}
	command := exec.Command(path, arguments...)
	command.Dir = directory
	command.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, arguments, err, output, errors.String())
	}
	return string(output)
}

// only is the only key of a directory, in which nothing is wrong.
func only(t *testing.T, directory, zone string) *signing.Key {
	t.Helper()
	d := read(t, directory)
	if len(d.Problems) > 0 || len(d.Keys) != 1 || len(d.Keys[zone]) != 1 {
		t.Fatalf("found keys %v and problems %v, expected one key of %s", d.Keys, d.Problems, zone)
	}
	return d.Keys[zone][0]
}

func read(t *testing.T, directory string) *signing.Directory {
	t.Helper()
	d, err := signing.ReadDirectory(directory)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var algorithms = []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519}

func at(text string) time.Time {
	moment, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err)
	}
	return moment
}

// What dnssec-keygen writes is read as it was meant, in all algorithms, and what
// dnssec-settime changes of it as well.
func TestReadsWhatBINDWrites(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(signing.AlgorithmName(algorithm), func(t *testing.T) {
			directory := t.TempDir()
			arguments := []string{
				"-q", "-a", signing.AlgorithmName(algorithm), "-f", "KSK",
				"-P", "20270102030405", "-A", "20270103000000", "-I", "20280101000000", "-D", "20280201000000",
				"-P", "sync", "20270104000000", "-D", "sync", "20280102000000",
			}
			if algorithm == dns.RSASHA256 || algorithm == dns.RSASHA512 {
				arguments = append(arguments, "-b", "2048")
			}
			id := strings.TrimSpace(bind(t, directory, "dnssec-keygen", append(arguments, "Example.TEST")...))
			key := only(t, directory, "example.test.")
			if key.ID() != id || key.Algorithm() != algorithm || !key.Entry() || !key.CanSign() {
				t.Errorf("read %s, algorithm %d, entry %v, can sign %v", key.ID(), key.Algorithm(), key.Entry(), key.CanSign())
			}
			if since := time.Since(key.Times.Created); since < -time.Minute || since > 10*time.Minute {
				t.Errorf("created %s ago", since)
			}
			want := signing.Times{
				Created: key.Times.Created, Publish: at("2027-01-02 03:04:05"), Activate: at("2027-01-03 00:00:00"),
				Inactive: at("2028-01-01 00:00:00"), Delete: at("2028-02-01 00:00:00"),
				SyncPublish: at("2027-01-04 00:00:00"), SyncDelete: at("2028-01-02 00:00:00"),
			}
			if !key.Times.Equal(want) {
				t.Errorf("times %v, expected %v", key.Times, want)
			}
			for _, digest := range []struct {
				kind uint8
				name string
			}{{dns.SHA256, "SHA-256"}, {dns.SHA384, "SHA-384"}} {
				theirs := strings.Fields(bind(t, directory, "dnssec-dsfromkey", "-a", digest.name, id))
				ours := strings.Fields(key.DS(digest.kind).String())
				if strings.Join(theirs[3:], " ") != strings.Join(ours[4:], " ") {
					t.Errorf("DS %q, expected %q", ours, theirs)
				}
			}

			bind(t, directory, "dnssec-settime", "-R", "20270601000000", "-D", "none", "-P", "20270102000000", id)
			want.Publish, want.Revoke, want.Delete = at("2027-01-02 00:00:00"), at("2027-06-01 00:00:00"), time.Time{}
			if key = only(t, directory, "example.test."); !key.Times.Equal(want) {
				t.Errorf("after dnssec-settime: times %v, expected %v", key.Times, want)
			}
		})
	}
}

func TestReadsOldAndOddKeysOfBIND(t *testing.T) {
	for _, one := range []struct {
		name      string
		arguments []string
		zone      string
		check     func(*signing.Key) bool
	}{
		{"without times", []string{"-C", "old.test"}, "old.test.", func(k *signing.Key) bool {
			return k.Times == signing.Times{} && !k.Entry()
		}},
		{"made only", []string{"-G", "made.test"}, "made.test.", func(k *signing.Key) bool {
			return k.Times == signing.Times{Created: k.Times.Created} && !k.Times.Created.IsZero()
		}},
		{"with a TTL", []string{"-L", "3600", "ttl.test"}, "ttl.test.", func(k *signing.Key) bool {
			return k.Record.Hdr.Ttl == 0
		}},
		{"revoked", []string{"-f", "KSK", "-f", "REVOKE", "revoked.test"}, "revoked.test.", func(k *signing.Key) bool {
			return k.Record.Flags&dns.REVOKE != 0
		}},
		{"of the root", []string{"."}, ".", (*signing.Key).CanSign},
		{"of an odd name", []string{`a\.b._C-d.*.e/f.\032\255.test`}, `a\.b._c-d.*.e/f.\ \255.test.`, (*signing.Key).CanSign},
	} {
		t.Run(one.name, func(t *testing.T) {
			directory := t.TempDir()
			id := strings.TrimSpace(bind(t, directory, "dnssec-keygen", append([]string{"-q", "-a", "13"}, one.arguments...)...))
			key := only(t, directory, one.zone)
			if key.ID() != id || key.Zone() != one.zone || !one.check(key) {
				t.Errorf("read %s of %s with %+v", key.ID(), key.Zone(), key)
			}
		})
	}
}

// A key that others sign with is published by us.
func TestReadsTheKeyOfAnotherSigner(t *testing.T) {
	theirs, ours := t.TempDir(), t.TempDir()
	id := strings.TrimSpace(bind(t, theirs, "dnssec-keygen", "-q", "-a", "13", "example.test"))
	bind(t, theirs, "dnssec-importkey", "-P", "20270102000000", "-K", ours, id+".key")
	if key := only(t, ours, "example.test."); key.CanSign() || !key.Times.Publish.Equal(at("2027-01-02 00:00:00")) {
		t.Errorf("read %+v", key)
	}
}

// BIND takes what we write, and what we change.
func TestBINDReadsWhatIsWritten(t *testing.T) {
	times := signing.Times{
		Created: at("2026-11-01 00:00:00"), Publish: at("2026-11-02 03:04:05"), Activate: at("2026-11-03 00:00:00"),
		Inactive: at("2056-12-01 00:00:00"), Delete: at("2057-01-01 00:00:00"), SyncPublish: at("2026-11-04 00:00:00"),
	}
	for _, algorithm := range algorithms {
		t.Run(signing.AlgorithmName(algorithm), func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "keys")
			key, err := signing.Generate("example.test", algorithm, true, times)
			if err != nil {
				t.Fatal(err)
			}
			if err := signing.WriteKey(directory, key); err != nil {
				t.Fatal(err)
			}
			checkTimes(t, directory, key, times)

			theirs := strings.Fields(bind(t, directory, "dnssec-dsfromkey", "-2", key.ID()))
			if ours := strings.Fields(key.DS(dns.SHA256).String()); strings.Join(theirs[3:], " ") != strings.Join(ours[4:], " ") {
				t.Errorf("DS %q, expected %q", ours, theirs)
			}

			changed := times
			changed.Activate, changed.Inactive, changed.SyncDelete = time.Time{}, at("2055-01-01 00:00:00"), at("2054-01-01 00:00:00")
			key, err = signing.WriteTimes(directory, key, changed)
			if err != nil {
				t.Fatal(err)
			}
			if again := only(t, directory, "example.test."); !again.Times.Equal(changed) || !again.Same(key) || !key.Times.Equal(changed) {
				t.Errorf("read %+v, wrote %+v", again, key)
			}
			checkTimes(t, directory, key, changed)

			zone := "example.test. 300 IN SOA ns.example.test. hostmaster.example.test. 1 2 3 4 5\n" +
				"example.test. 300 IN NS ns.example.test.\nns.example.test. 300 IN A 192.0.2.1\n$TTL 300\n$INCLUDE " + key.ID() + ".key\n"
			if err := os.WriteFile(filepath.Join(directory, "zone"), []byte(zone), 0o600); err != nil {
				t.Fatal(err)
			}
			bind(t, directory, "dnssec-signzone", "-q", "-z", "-o", "example.test", "-f", "signed", "zone", key.ID())
			bind(t, directory, "dnssec-verify", "-q", "-z", "-o", "example.test", "signed")
		})
	}
}

// checkTimes compares with what dnssec-settime prints.
func checkTimes(t *testing.T, directory string, key *signing.Key, times signing.Times) {
	t.Helper()
	printed := bind(t, directory, "dnssec-settime", "-p", "all", key.ID())
	for _, one := range []struct {
		name string
		at   time.Time
	}{
		{"Created", times.Created},
		{"Publish", times.Publish},
		{"Activate", times.Activate},
		{"Revoke", times.Revoke},
		{"Inactive", times.Inactive},
		{"Delete", times.Delete},
		{"SYNC Publish", times.SyncPublish},
		{"SYNC Delete", times.SyncDelete},
	} {
		want := "UNSET"
		if !one.at.IsZero() {
			want = one.at.Format("Mon Jan _2 15:04:05 2006")
		}
		if !strings.Contains("\n"+printed, "\n"+one.name+": "+want+"\n") {
			t.Errorf("dnssec-settime prints\n%s, expected %s: %s", printed, one.name, want)
		}
	}
}
