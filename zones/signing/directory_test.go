package signing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// newKey makes a key and its files.
func newKey(t *testing.T, directory, zone string) *signing.Key {
	t.Helper()
	var others []*signing.Key
	if d, err := signing.ReadDirectory(directory); err == nil {
		others = d.Keys[dns.Fqdn(zone)]
	}
	key, err := signing.GenerateDistinct(zone, dns.ECDSAP256SHA256, true, signing.Times{}, others)
	if err != nil {
		t.Fatal(err)
	}
	if err := signing.WriteKey(directory, key); err != nil {
		t.Fatal(err)
	}
	return key
}

// change rewrites a file.
func change(t *testing.T, path string, edit func(string) string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(edit(string(data))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(old, replacement string) func(string) string {
	return func(text string) string { return strings.Replace(text, old, replacement, 1) }
}

// One bad key is named with the way out, marks its zone, and leaves the other
// zones their keys.
func TestABadKeyHarmsItsZoneAlone(t *testing.T) {
	for _, one := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  string
	}{
		{"no public half", func(t *testing.T, path string) {
			if err := os.Remove(path + ".key"); err != nil {
				t.Fatal(err)
			}
		}, "bring it back, or remove the private one"},
		{"no private half", func(t *testing.T, path string) {
			if err := os.Remove(path + ".private"); err != nil {
				t.Fatal(err)
			}
		}, "bring it back, or remove the public one"},
		{"another key's private half", func(t *testing.T, path string) {
			other := newKey(t, t.TempDir(), "example.test")
			directory := t.TempDir()
			if err := signing.WriteKey(directory, other); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(directory, other.ID()+".private"))
			if err != nil {
				t.Fatal(err)
			}
			change(t, path+".private", func(string) string { return string(data) })
		}, "the private key does not belong to the public one"},
		{"another tag", func(t *testing.T, path string) {
			change(t, path+".key", replace("DNSKEY 257", "DNSKEY 256"))
		}, "the name of the files is not that of the key in them"},
		{"another zone", func(t *testing.T, path string) {
			change(t, path+".key", replace("\nexample.test.", "\nother.test."))
		}, "which is Kother.test.+013+"},
		{"another algorithm", func(t *testing.T, path string) {
			change(t, path+".private", replace("Algorithm: 13", "Algorithm: 15"))
		}, "a private key of ED25519, the public one is of ECDSAP256SHA256"},
		{"an algorithm that nobody should use", func(t *testing.T, path string) {
			change(t, path+".key", replace("257 3 13", "257 3 5"))
		}, "algorithm 5 is none"},
		{"a point off the curve", func(t *testing.T, path string) {
			change(t, path+".key", func(string) string {
				return "example.test. IN DNSKEY 257 3 13 " + strings.Repeat("A", 85) + "Q=="
			})
		}, "no point of P-256"},
		{"a public key cut off", func(t *testing.T, path string) {
			change(t, path+".key", replace("==", ""))
		}, "public key"},
		{"a private key cut off", func(t *testing.T, path string) {
			change(t, path+".private", replace("PrivateKey: ", "PrivateKey: AQAA"))
		}, "PrivateKey: found 35 bytes"},
		{"no private key", func(t *testing.T, path string) {
			change(t, path+".private", func(string) string { return "-----BEGIN PRIVATE KEY-----\n" })
		}, "line 1: expected a field"},
		{"a format of the future", func(t *testing.T, path string) {
			change(t, path+".private", replace("v1.3", "v2.0"))
		}, `found format "v2.0"`},
		{"a time that is none", func(t *testing.T, path string) {
			change(t, path+".private", func(text string) string { return text + "Activate: tomorrow\n" })
		}, `Activate: found "tomorrow"`},
		{"a time twice", func(t *testing.T, path string) {
			change(t, path+".private", func(text string) string {
				return text + "Activate: 20270101000000\nActivate: 20280101000000\n"
			})
		}, "activate stands there twice"},
		{"an empty file", func(t *testing.T, path string) {
			change(t, path+".key", func(string) string { return "" })
		}, "there is no record in it"},
		{"two records", func(t *testing.T, path string) {
			change(t, path+".key", func(text string) string { return text + text })
		}, "there is more than one record in it"},
		{"another type", func(t *testing.T, path string) {
			change(t, path+".key", func(string) string { return "example.test. IN A 127.0.0.1" })
		}, "found a A record"},
		{"a directive", func(t *testing.T, path string) {
			change(t, path+".key", func(string) string { return "$GENERATE 1-60000 x$ A 127.0.0.1" })
		}, "a directive ($)"},
		{"a key of a host", func(t *testing.T, path string) {
			change(t, path+".key", replace("DNSKEY 257", "DNSKEY 0"))
		}, "found flags 0"},
		{"a very large file", func(t *testing.T, path string) {
			change(t, path+".key", func(string) string { return strings.Repeat(";\n", 100_000) })
		}, "larger than"},
		{"a directory", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path+".key"), os.Mkdir(path+".key", 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "it is not a file"},
		{"a pipe that nobody writes to", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path+".key"), syscall.Mkfifo(path+".key", 0o600)); err != nil {
				t.Fatal(err)
			}
		}, "it is not a file"},
	} {
		t.Run(one.name, func(t *testing.T) {
			directory := t.TempDir()
			good, bad, other := newKey(t, directory, "example.test"), newKey(t, directory, "example.test"), newKey(t, directory, "good.test")
			one.spoil(t, filepath.Join(directory, bad.ID()))
			d := read(t, directory)
			if len(d.Problems) != 1 || d.Problems[0].Zone != "example.test." || d.Problems[0].Warning ||
				!strings.HasPrefix(d.Problems[0].String(), filepath.Join(directory, bad.ID())) ||
				!strings.Contains(d.Problems[0].String(), one.want) {
				t.Errorf("problems %v, expected one with %q", d.Problems, one.want)
			}
			if !d.Broken("example.test.") || d.Broken("good.test.") {
				t.Error("the wrong zone is said to be broken")
			}
			if len(d.Keys["example.test."]) != 1 || !d.Keys["example.test."][0].Same(good) ||
				len(d.Keys["good.test."]) != 1 || !d.Keys["good.test."][0].Same(other) {
				t.Errorf("keys %v", d.Keys)
			}
		})
	}
}

func TestWarnsOfFilesThatOthersMayRead(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	private := filepath.Join(directory, key.ID()+".private")
	if err := errors.Join(os.Chmod(private, 0o640), os.Chmod(directory, 0o777)); err != nil {
		t.Fatal(err)
	}
	d := read(t, directory)
	if len(d.Problems) != 2 || !d.Problems[0].Warning || !d.Problems[1].Warning || d.Problems[1].File != private ||
		!strings.Contains(d.Problems[1].String(), "mode 0640") {
		t.Errorf("problems %v", d.Problems)
	}
	if d.Broken("example.test.") || len(d.Keys["example.test."]) != 1 {
		t.Error("the key is not used")
	}
}

func TestLeavesOtherFilesAlone(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	for _, name := range []string{"README", "dsset-example.test.", key.ID() + ".state", ".new-1", "example.key", "K.private"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte("not a key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := read(t, directory)
	if len(d.Keys) != 1 || len(d.Problems) != 1 || !d.Problems[0].Warning || filepath.Base(d.Problems[0].File) != "K.private" {
		t.Errorf("keys %v, problems %v", d.Keys, d.Problems)
	}
}

func TestNoDirectory(t *testing.T) {
	if _, err := signing.ReadDirectory(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Small numbers may stand in files without their leading zeros, or with more.
func TestSmallPrivateKeys(t *testing.T) {
	scalar := append(make([]byte, 31), 5)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := "example.test. IN DNSKEY 257 3 13 " + base64.StdEncoding.EncodeToString(point[1:])
	for _, data := range [][]byte{{5}, {0, 5}, scalar, append([]byte{0, 0}, scalar...)} {
		file := "Private-key-format: v1.3\nAlgorithm: 13\nPrivateKey: " + base64.StdEncoding.EncodeToString(data)
		if key, err := signing.ParseKey("", []byte(public), []byte(file)); err != nil || !key.CanSign() {
			t.Errorf("%x: %v", data, err)
		}
	}
}

// Keys of ldns are of format v1.2, and have a comment behind the record.
func TestReadsWhatLDNSWrites(t *testing.T) {
	public := "example.org.\tIN\tDNSKEY\t257 3 13 " +
		"WlxOposBz8r0o444Y03I9QcSCdbYTh1qQJBGqXntVyr52VBkz01iEpn8aZvx/npTPfnZXkY0Kw1yDxkwJrD3dQ== ;{id = 13175 (ksk), size = 256b}\n"
	private := "Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: /ofTEAnKZ1sCC4eMREGLQRn6QdtAk6yNTOg5yatCorM=\n"
	key, err := signing.ParseKey("Kexample.org.+013+13175", []byte(public), []byte(private))
	if err != nil || !key.CanSign() || key.Times != (signing.Times{}) {
		t.Errorf("%+v, %v", key, err)
	}
	// It writes the name into that of the files as it was given.
	if _, err := signing.ParseKey("KExample.org.+013+13175", []byte(public), []byte(private)); err == nil ||
		!strings.Contains(err.Error(), "which is Kexample.org.+013+13175: rename both") {
		t.Errorf("got %v", err)
	}
}

func TestAlgorithmNames(t *testing.T) {
	for text, want := range map[string]uint8{
		"ecdsa-p256": 13, "ECDSAP256SHA256": 13, "13": 13, "ecdsap256sha256": 13, "ed25519": 15, "ED25519": 15, "15": 15,
		"ecdsa-p384": 14, "RSASHA256": 8, "RSA-SHA512": 10,
	} {
		if got, err := signing.AlgorithmNumber(text); got != want || err != nil {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "RSASHA1", "ECDSAP", "ecdsa", "16", "ECDSAP521"} {
		if got, err := signing.AlgorithmNumber(text); err == nil {
			t.Errorf("%s: got %d", text, got)
		}
	}
}
