package signing_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mirrorpool/zones/signing"
)

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "deep", "keys")
	key := newKey(t, directory, "example.test")
	if _, err := signing.WriteTimes(directory, key, signing.Times{Activate: at("2027-01-01 00:00:00")}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", entry.Name(), info.Mode(), err)
		}
		names = append(names, entry.Name())
	}
	if want := []string{key.ID() + ".key", key.ID() + ".private"}; !slices.Equal(names, want) {
		t.Errorf("found %q, expected %q", names, want)
	}
	if info, err := os.Stat(directory); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
}

func TestWritesOverNoKey(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	if err := signing.WriteKey(directory, key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
}

// What stands in a key's files beside its times stays there.
func TestChangedTimesKeepTheRest(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	path := filepath.Join(directory, key.ID())
	change(t, path+".key", func(text string) string {
		return "; ours since the move\n; Publish: 20200101000000 (Wed Jan  1 00:00:00 2020)\n" +
			strings.Replace(text, " IN DNSKEY", " 7200 IN DNSKEY", 1)
	})
	change(t, path+".private", func(text string) string {
		return strings.Replace(text, "v1.3", "v1.2", 1) + "Publish: 20200101000000\nSuccessor: 4711\nMaxTTL: 60"
	})
	changed, err := signing.WriteTimes(directory, key, signing.Times{Activate: at("2027-01-01 00:00:00")})
	if err != nil || !changed.Same(key) {
		t.Fatalf("%v, %v", changed, err)
	}
	public, _ := os.ReadFile(path + ".key")
	private, _ := os.ReadFile(path + ".private")
	for _, want := range []string{"; ours since the move\n", "\n; Activate: 20270101000000 (Fri Jan  1 00:00:00 2027)\n", " 7200 IN DNSKEY 257 3 13 "} {
		if !strings.Contains(string(public), want) {
			t.Errorf("%q is missing in\n%s", want, public)
		}
	}
	for _, want := range []string{"Private-key-format: v1.3\n", "\nSuccessor: 4711\nMaxTTL: 60\nActivate: 20270101000000\n"} {
		if !strings.Contains(string(private), want) {
			t.Errorf("%q is missing in the private file", want)
		}
	}
	if strings.Contains(string(public)+string(private), "Publish") {
		t.Error("the time that was before is still there")
	}
}

func TestAnotherKeyOfTheNameKeepsItsTimes(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	change(t, filepath.Join(directory, key.ID()+".key"), replace("DNSKEY 257", "DNSKEY 256"))
	if _, err := signing.WriteTimes(directory, key, signing.Times{}); err == nil {
		t.Error("a key was changed that is not the one meant")
	}
}

// Two keys may have one tag, and then files of one name.
func TestAnotherKeyOfTheTagKeepsItsTimes(t *testing.T) {
	external := []byte("Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nExternal:\n")
	var keys []*signing.Key
	// The tag is a sum of pairs of bytes, in which their order does not show.
	for _, public := range []string{"AAAAAQAC" + strings.Repeat("A", 35) + "=", "AAAAAgAB" + strings.Repeat("A", 35) + "="} {
		key, err := signing.ParseKey("", []byte("example.test. IN DNSKEY 257 3 15 "+public), external)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if keys[0].ID() != keys[1].ID() || keys[0].Same(keys[1]) {
		t.Fatalf("keys %s and %s", keys[0].ID(), keys[1].ID())
	}
	directory := t.TempDir()
	if err := signing.WriteKey(directory, keys[0]); err != nil {
		t.Fatal(err)
	}
	times := signing.Times{Publish: at("2027-01-01 00:00:00")}
	if _, err := signing.WriteTimes(directory, keys[1], times); err == nil || !strings.Contains(err.Error(), "is another key") {
		t.Errorf("got %v", err)
	}
	if _, err := signing.WriteTimes(directory, keys[0], times); err != nil {
		t.Error(err)
	}
}

// Who reads while times are written finds those before or those after.
func TestTimesChangeAtOnce(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	first := signing.Times{Activate: at("2027-01-01 00:00:00")}
	second := signing.Times{Publish: at("2027-01-01 00:00:00"), Delete: at("2028-01-01 00:00:00")}
	if _, err := signing.WriteTimes(directory, key, first); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() {
		var failed error
		for i := range 40 {
			_, err := signing.WriteTimes(directory, key, []signing.Times{second, first}[i%2])
			failed = errors.Join(failed, err)
		}
		written <- failed
	}()
	for {
		if now := only(t, directory, "example.test.").Times; !now.Equal(first) && !now.Equal(second) {
			t.Errorf("read %v", now)
		}
		select {
		case err := <-written:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// What root makes for the server belongs to who the directory belongs to.
func TestRootGivesKeysToTheDirectorysOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone gives files away")
	}
	const owner = 65534
	parent := t.TempDir()
	if err := os.Chown(parent, owner, owner); err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(parent, "keys")
	key := newKey(t, directory, "example.test")
	if _, err := signing.WriteTimes(directory, key, signing.Times{Activate: at("2027-01-01 00:00:00")}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{directory, filepath.Join(directory, key.ID()+".key"), filepath.Join(directory, key.ID()+".private")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if system, ok := info.Sys().(*syscall.Stat_t); !ok || system.Uid != owner || system.Gid != owner {
			t.Errorf("%s belongs to %+v", path, info.Sys())
		}
	}
}

// What a crash has left of a file is taken over, and not written through.
func TestTakesOverWhatACrashHasLeft(t *testing.T) {
	directory := t.TempDir()
	key := newKey(t, directory, "example.test")
	private := filepath.Join(directory, key.ID()+".private")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("as it was"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func() error{
		"a file for all to read": func() error { return os.WriteFile(private+".new", []byte("half of it"), 0o644) },
		"a link":                 func() error { return os.Symlink(elsewhere, private+".new") },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		if problems := read(t, directory).Problems; len(problems) > 0 {
			t.Errorf("%s: problems %v", name, problems)
		}
		if _, err := signing.WriteTimes(directory, key, signing.Times{Activate: at("2027-01-01 00:00:00")}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if info, err := os.Lstat(private); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: the file is %v, %v", name, info, err)
		}
		if entries, err := os.ReadDir(directory); err != nil || len(entries) != 2 {
			t.Errorf("%s: found %v, %v", name, entries, err)
		}
	}
	if data, err := os.ReadFile(elsewhere); err != nil || string(data) != "as it was" {
		t.Errorf("elsewhere: %q, %v", data, err)
	}
}
