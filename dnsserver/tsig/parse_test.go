package tsig

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestKeysAreRead(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("a//b++secret of 24 bytes"))
	for name, text := range map[string]string{
		"as tsig-keygen writes":   "key \"One.Example.\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + secret + "\";\n};\n",
		"without quotes":          "key one.example {algorithm hmac-sha256;secret " + secret + ";};",
		"statements turned":       "key one.example { secret \"" + secret + "\"; algorithm \"HMAC-SHA256\"; };",
		"comments of each kind":   "# a\n// b\n/* c\n c */ key /* d */ one.example { # e\n algorithm hmac-sha256; // f\n secret " + secret + "/* g */; }; # end",
		"byte order mark, CR LF":  "\ufeffkey one.example {\r\n algorithm hmac-sha256.;\r\n secret \"" + secret + "\";\r\n};\r\n",
		"secret with white space": "key one.example { algorithm hmac-sha256; secret \"" + secret[:8] + "\n  " + secret[8:] + "\"; };",
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := ParseKeys("tsig.keys", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			key := keys.Find("ONE.example")
			if key == nil || len(keys.Keys()) != 1 || keys.Keys()[0] != key {
				t.Fatalf("found %v among %v", key, keys.Keys())
			}
			if key.Name() != "one.example." || key.Algorithm() != "hmac-sha256" || string(key.secret()) != "a//b++secret of 24 bytes" {
				t.Errorf("read %v with secret %q", key, key.secret())
			}
		})
	}
}

func TestSeveralKeysKeepTheirOrder(t *testing.T) {
	keys, err := ParseKeys("f", []byte(`
		key z { algorithm hmac-sha512; secret AAAA; };
		key a { algorithm hmac-sha384; secret AAAA; };
		key "m.example" { algorithm hmac-sha256-192; secret AAAA; };`))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(keys.Keys()); got != "[z. (hmac-sha512) a. (hmac-sha384) m.example. (hmac-sha256)]" {
		t.Error(got)
	}
	if keys.Find("q") != nil || keys.Find("") != nil || (*Keyring)(nil).Find("z") != nil || (*Keyring)(nil).Keys() != nil {
		t.Error("a key was found that is not there")
	}
	if keys.Keys()[2].least != 24 {
		t.Errorf("192 bits are %d bytes", keys.Keys()[2].least)
	}
}

// secretWord is in files where a secret may stand in a wrong place.
const secretWord = "hunter2hunter2hunter2A=="

func TestMistakesInKeyFiles(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":           {"", "f:1:1: found no key, expected key \"name\" { algorithm hmac-sha256; secret \"base64\"; };"},
		"a comment alone":   {"# none\n", "f:2:1: found no key"},
		"another statement": {"\n  options {", "f:2:3: found something else, expected key, as in"},
		"no name":           {"key {", "f:1:5: found {, expected the key's name"},
		"a bad name":        {"key a..b {", `f:1:5: found "a..b", expected the key's name: a domain name`},
		"an endless name":   {"key " + strings.Repeat("a", 64) + " {", "expected the key's name"},
		"no bracket":        {"key a algorithm", "f:1:7: found algorithm, expected {"},
		"the end":           {"key a {", "f:1:8: found the end of the file, expected algorithm or secret"},
		"md5":               {"key a { algorithm hmac-md5; secret AAAA; };", "f:1:19: found hmac-md5, which is too weak, expected hmac-sha256, hmac-sha384 or hmac-sha512: make another key with `tsig-keygen"},
		"sha1":              {"key a { algorithm HMAC-SHA1; secret AAAA; };", "found hmac-sha1, which is too weak"},
		"unknown algorithm": {"key a { algorithm hmac-sha3; secret AAAA; };", "f:1:19: found hmac-sha3, expected hmac-sha256, hmac-sha384 or hmac-sha512"},
		"few bits":          {"key a { algorithm hmac-sha256-120; secret AAAA; };", "f:1:19: found hmac-sha256-120, expected hmac-sha256 alone or with a number of bits from 128 to 256"},
		"many bits":         {"key a { algorithm hmac-sha512-520; secret AAAA; };", "expected hmac-sha512 alone"},
		"odd bits":          {"key a { algorithm hmac-sha512-257; secret AAAA; };", "expected hmac-sha512 alone"},
		"no bits":           {"key a { algorithm hmac-sha512-; secret AAAA; };", "expected hmac-sha512 alone"},
		"not bits":          {"key a { algorithm hmac-sha5121; secret AAAA; };", "expected hmac-sha512 alone"},
		"no algorithm":      {"key a { secret AAAA; };", "f:1:22: found }, expected algorithm hmac-sha256"},
		"no secret":         {"key a { algorithm hmac-sha256; };", "f:1:32: found }, expected secret"},
		"two algorithms":    {"key a { algorithm hmac-sha256; algorithm hmac-sha256; };", "f:1:32: found a second algorithm, expected one"},
		"two secrets":       {"key a {\n secret AAAA;\n secret AAAA; };", "f:3:2: found a second secret, expected one"},
		"empty secret":      {"key a { algorithm hmac-sha256; secret \"\"; };", "f:1:39: an empty secret"},
		"bad base64":        {"key a { algorithm hmac-sha256; secret " + secretWord + "x; };", "f:1:39: found what is no base64"},
		"secret misplaced":  {"key a { algorithm " + secretWord + "; secret AAAA; };", "f:1:19: found something else, expected hmac-sha256"},
		"secret first":      {secretWord, "f:1:1: found something else"},
		"secret bare":       {"key a { " + secretWord + " };", "f:1:9: found something else, expected algorithm or secret"},
		"secret quoted":     {"key a { \"" + secretWord + "\"; };", "f:1:9: found a text in quotes, expected algorithm or secret"},
		"secret equals":     {"key a { algorithm hmac-sha256; secret = " + secretWord + "; };", "f:1:41: found something else, expected ;"},
		"no semicolon":      {"key a { algorithm hmac-sha256 secret AAAA; };", "f:1:31: found secret, expected ;"},
		"no last semicolon": {"key a { algorithm hmac-sha256; secret AAAA; }", "f:1:46: found the end of the file, expected ;"},
		"open quotes":       {"key \"a {", "f:1:5: found a quotation mark, expected a second one"},
		"open comment":      {"/* a", "f:1:1: found a comment without its end, expected */"},
		"twice": {
			"key a { algorithm hmac-sha256; secret AAAA; };\nkey \"A.\" { algorithm hmac-sha512; secret AAAA; };",
			"f:2:5: found a second key named a., expected each name once: the first is in line 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := ParseKeys("f", []byte(test.text))
			if err == nil || keys != nil {
				t.Fatalf("read %v", keys)
			}
			if !strings.HasPrefix(err.Error(), "f:") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the secret: %q", err)
			}
		})
	}
}

func TestKeysAreNotPrintedWithTheirSecrets(t *testing.T) {
	key, err := NewKey("a", "hmac-sha256", []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	marshaled, err := json.Marshal(map[string]any{"key": key, "keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	holder := struct{ Key *Key }{key}
	all := string(marshaled)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{key, *key, keys, holder, []*Key{key}, []Key{*key}, struct{ keys *Keyring }{keys}} {
			all += fmt.Sprintf(verb, value)
		}
	}
	for _, shown := range []string{"hunter2", "68756e746572", "104 117 110", "0x68, 0x75"} {
		if strings.Contains(all, shown) {
			t.Errorf("%q is in %q", shown, all)
		}
	}
}

func TestKeyringRefusesTwoOfAName(t *testing.T) {
	a, _ := NewKey("a", "hmac-sha256", []byte("x"))
	b, _ := NewKey("A.", "hmac-sha512", []byte("y"))
	if _, err := NewKeyring(a, b); err == nil {
		t.Error("two keys of a name")
	}
	one, _ := NewKeyring(a)
	again, _ := NewKey("a", "hmac-sha256", []byte("z"))
	other, _ := NewKeyring(again)
	if one.Equal(other) || !one.Equal(one) || one.Equal(nil) || !(*Keyring)(nil).Equal(nil) {
		t.Error("Equal is wrong")
	}
}

// needTool skips where a Debian package is missing; in CI that is a failure.
func needTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

func TestKeysOfTools(t *testing.T) {
	for _, algorithmName := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		for _, command := range [][]string{
			{"tsig-keygen", "-a", algorithmName, "two.example"},
			{"keymgr", "-t", "two.example", algorithmName},
		} {
			t.Run(command[0]+" "+algorithmName, func(t *testing.T) {
				output, err := exec.Command(needTool(t, command[0]), command[1:]...).Output()
				if err != nil {
					t.Fatal(err)
				}
				if command[0] == "keymgr" { // which writes Knot's form, with algorithm, name and secret in a comment before
					fields := strings.Split(strings.Fields(string(output))[1], ":")
					output = []byte("key " + fields[1] + " { algorithm " + fields[0] + "; secret " + fields[2] + "; };")
				}
				keys, err := ParseKeys("f", output)
				if err != nil {
					t.Fatal(err)
				}
				if keys.Find("two.example") == nil {
					t.Errorf("read %v", keys.Keys())
				}
			})
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("key \"a\" { algorithm hmac-sha256; secret \"AAAA\"; };\n"))
	f.Add([]byte("# c\nkey a { secret AAAA; algorithm hmac-sha512-384; }; /* */ key b {"))
	f.Add([]byte("key \"\xff\x00\" { /"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseKeys("f", data)
		if (err == nil) != (keys != nil) {
			t.Fatalf("keys %v, error %v", keys, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("no place in %q", err)
		}
		for _, key := range keys.Keys() {
			if keys.Find(key.Name()) != key {
				t.Errorf("%v is not found by its name", key)
			}
		}
	})
}
