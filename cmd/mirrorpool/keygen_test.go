package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// What keygen prints for scripts is of the key that it has written.
func TestKeygenTellsOfTheKeyThatItWrote(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "keys")
	var out, errors bytes.Buffer
	if code := run(t.Context(), []string{"keygen", "--json", "--dir", directory, "--algorithm", "ed25519", "Example.TEST"}, &out, &errors); code != exitDone {
		t.Fatalf("exit code %d: %s", code, errors.String())
	}
	var made madeKey
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&made); err != nil {
		t.Fatal(err)
	}
	read, err := signing.ReadDirectory(directory)
	if err != nil || len(read.Problems) > 0 || len(read.Keys["example.test."]) != 1 {
		t.Fatalf("read %+v, %v", read, err)
	}
	key := read.Keys["example.test."][0]
	if made.ID != key.ID() || made.PublicFile != filepath.Join(directory, key.ID()+".key") || made.PrivateFile != filepath.Join(directory, key.ID()+".private") ||
		made.KeyTag != key.Tag() || made.Flags != 257 || made.Protocol != 3 || made.Algorithm != 15 || made.Zone != "example.test." ||
		made.PublicKey != key.Record.PublicKey || !made.SignsFrom.Equal(key.Times.Activate) {
		t.Errorf("told of %+v, wrote %+v", made, key)
	}
	record, err := dns.NewRR(made.DNSKEY)
	if dnskey, ok := record.(*dns.DNSKEY); err != nil || !ok || dnskey.PublicKey != key.Record.PublicKey || dnskey.KeyTag() != key.Tag() {
		t.Errorf("%q: %v", made.DNSKEY, err)
	}
	if len(made.DS) != 2 || len(made.Next) < 4 {
		t.Fatalf("told of %+v", made)
	}
	for i, digest := range []uint8{dns.SHA256, dns.SHA384} {
		ds, record := made.DS[i], key.Record.ToDS(digest)
		parsed, err := dns.NewRR(ds.Record)
		if err != nil {
			t.Fatal(err)
		}
		record.Hdr.Ttl, record.Digest = parsed.Header().Ttl, strings.ToUpper(record.Digest)
		if parsed.String() != record.String() || ds.KeyTag != record.KeyTag || ds.Algorithm != 15 || ds.DigestType != digest || ds.Digest != record.Digest {
			t.Errorf("told of %+v, expected %s", ds, record)
		}
	}
}

// The second key of a pair signs when no cache has the DNSKEY RRset without it.
func TestKeygenZoneKeyWaits(t *testing.T) {
	directory, now := t.TempDir(), time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	for _, role := range []string{"ksk", "zsk"} {
		request, err := newKeyRequest("example.test", "13", role)
		if err != nil {
			t.Fatal(err)
		}
		request.directory = directory
		if _, warnings, err := request.make(now); err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v, %v", role, warnings, err)
		}
	}
	read, err := signing.ReadDirectory(directory)
	if err != nil {
		t.Fatal(err)
	}
	keys := read.Keys["example.test."]
	for _, one := range []struct {
		after time.Duration
		entry bool // signs the zone
	}{{0, true}, {maxKeyTTL * time.Second, true}, {zoneKeyWait, false}} {
		plan, _, err := signing.PlanOf("example.test.", keys, now.Add(one.after), maxKeyTTL, time.Hour)
		if err != nil || len(plan.Published) != 2 || len(plan.Zone) != 1 || plan.Zone[0].Entry() != one.entry ||
			len(plan.Entry) != 1 || !plan.Entry[0].Entry() || len(plan.Warnings) > 0 {
			t.Errorf("after %s: %+v, %v", one.after, plan, err)
		}
	}
}
