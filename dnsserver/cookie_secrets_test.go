package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseCookieSecrets(t *testing.T) {
	one := mustSecrets(t, secretOne)
	both := mustSecrets(t, secretNew, secretOld)
	if one == both || one == (CookieSecrets{}) {
		t.Fatal("different files give equal secrets")
	}
	for _, test := range []struct {
		name, file string
		want       CookieSecrets
		err        string
	}{
		{"one", secretOne, one, ""},
		{"one with a line's end", secretOne + "\n", one, ""},
		{"capitals", strings.ToUpper(secretOne), one, ""},
		{"two", secretNew + "\n" + secretOld + "\n", both, ""},
		{"comments, blank lines, carriage returns", "# ours\r\n\r\n\t" + secretNew + " # since Monday\r\n\n" + secretOld, both, ""},
		{"BIND's form", "cookie-secret \"" + secretNew + "\";\n cookie-secret  \"" + secretOld + "\" ; # old", both, ""},
		{"empty", "", CookieSecrets{}, "no secret"},
		{"nothing but comments", "# " + secretOne + "\n", CookieSecrets{}, "`openssl rand -hex 16`"},
		{"three", secretNew + "\n" + secretOld + "\n\n" + secretOne, CookieSecrets{}, "line 4: a third secret"},
		{"short", "#\n" + secretNew[1:], CookieSecrets{}, "line 2: a secret of 31 characters: expected 32 hexadecimal digits"},
		{"long", secretNew + "0", CookieSecrets{}, "line 1: a secret of 33 characters"},
		{"no digit", "x" + secretNew[1:], CookieSecrets{}, "line 1: a secret with other characters than"},
		{"BIND's form without quotes", "cookie-secret " + secretNew + ";", CookieSecrets{}, "line 1: expected a statement of the form `cookie-secret"},
		{"BIND's form without its end", "cookie-secret \"" + secretNew + "\"", CookieSecrets{}, "line 1: expected a statement"},
		{"BIND's form without anything", "cookie-secret", CookieSecrets{}, "line 1: expected a statement"},
		{"BIND's form with one quote", "cookie-secret \";", CookieSecrets{}, "line 1: expected a statement"},
		{"BIND's form, short", "cookie-secret \"00\";", CookieSecrets{}, "line 1: a secret of 2 characters"},
		{"not a text", "\xff\x00\x01", CookieSecrets{}, "line 1: a secret of 3 characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseCookieSecrets([]byte(test.file))
			switch {
			case test.err == "" && err != nil:
				t.Fatal(err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Fatalf("error %v, want one with %q", err, test.err)
			case got != test.want:
				t.Error("got other secrets")
			}
			if err != nil && strings.Contains(err.Error(), secretNew[1:20]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// TestCookieSecretsAreNotShown holds that no way of printing a configuration
// shows what is secret.
func TestCookieSecretsAreNotShown(t *testing.T) {
	secrets := mustSecrets(t, secretOne)
	printed := fmt.Sprintf("%v %+v %#v %s %v", secrets, secrets, secrets, &secrets, struct{ Cookies CookieSecrets }{secrets})
	for _, part := range []string{secretOne, fmt.Sprint(secrets.current[0]), fmt.Sprintf("%x", secrets.current[1])} {
		if strings.Contains(printed, part) {
			t.Errorf("%s shows %s", printed, part)
		}
	}
}

// TestRolledCookieSecrets holds that cookies of before a roll are good, and get
// one of after it, and that those of before the roll before are not.
func TestRolledCookieSecrets(t *testing.T) {
	now := time.Unix(1700000000, 0)
	first := mustSecrets(t, secretOne)
	second := first.Roll()
	third := second.Roll()
	client := netip.MustParseAddr("127.0.0.7")
	var got [wholeCookieSize]byte
	for _, test := range []struct {
		name        string
		made, asked CookieSecrets
		want        cookieState
	}{
		{"of before", first, second, cookieGood},
		{"of after", second, second, cookieGood},
		{"of before the second", second, third, cookieGood},
		{"of before both", first, third, cookieBad},
		{"of after, at one that has not rolled", second, first, cookieBad},
	} {
		state, _ := test.asked.answer(&got, cookieAt(t, test.made, "127.0.0.7", now), client, now)
		if state != test.want || string(got[:]) != string(cookieAt(t, test.asked, "127.0.0.7", now)) {
			t.Errorf("%s: %v, want %v", test.name, state, test.want)
		}
	}
	none := CookieSecrets{}.Roll()
	if state, _ := none.answer(&got, cookieAt(t, CookieSecrets{count: 1}, "127.0.0.7", now), client, now); state != cookieBad {
		t.Errorf("of no secret: %v, want bad", state)
	}
}

func TestNewCookieSecretsDiffer(t *testing.T) {
	a, b := NewCookieSecrets(), NewCookieSecrets()
	if a == b || a == (CookieSecrets{}) {
		t.Error("two drawn secrets are equal")
	}
	now := time.Unix(1700000000, 0)
	var got [wholeCookieSize]byte
	if state, _ := a.answer(&got, cookieAt(t, b, "127.0.0.7", now), netip.MustParseAddr("127.0.0.7"), now); state != cookieBad {
		t.Errorf("a cookie by another secret is %v, want bad", state)
	}
}

// FuzzParseCookieSecrets holds that no file is read as less than it says, and
// that errors do not show lines.
func FuzzParseCookieSecrets(f *testing.F) {
	f.Add(secretOne)
	f.Add(secretNew + "\n" + secretOld + "\n")
	f.Add("cookie-secret \"" + secretNew + "\"; # BIND's\n")
	f.Add("# nothing\n\n")
	f.Fuzz(func(t *testing.T, file string) {
		got, err := ParseCookieSecrets([]byte(file))
		if (err == nil) == (got == CookieSecrets{}) {
			t.Fatalf("secrets %v with error %v", got, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Fatalf("a long error: %v", err)
		}
	})
}
