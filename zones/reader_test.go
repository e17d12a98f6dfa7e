package zones

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// readDraft reads a file of the zone example.org without further checks.
func readDraft(data string) (*draft, []pool.Problem) {
	p := &parser{limit: 1000, reported: map[string]int{}, unlisted: map[string]pool.Problem{}}
	d := p.read(pool.ZoneFile{Path: "zones/example.org.zone", Data: []byte(data)})
	return d, p.problems
}

func TestEntries(t *testing.T) {
	for data, want := range map[string]string{
		"":                            "",
		"\n":                          "1:[]",
		"a A 1":                       "1:[a A 1]",
		"a A 1\r\nb\tA\t2 ; c \"(\n":  "1:[a A 1] 2:[b A 2]",
		"a (\nA;c)\"\n 1) \nb":        "1:[a A 1] 4:[b]",
		"a TXT \"b c\nd\" e\nf":       "1:[a TXT b c\nd e] 3:[f]",
		"a TXT \"b\\\"c\" \\\"d e\nf": "1:[a TXT b\\\"c \\\"d e] 2:[f]",
		"a TXT b\\;c\\(d\\ e\nf":      "1:[a TXT b\\;c\\(d\\ e] 2:[f]",
		"a A 1;c\nb":                  "1:[a A 1] 2:[b]",
		"a TXT (b)(c)\nd":             "1:[a TXT bc] 2:[d]",
		"a ( TXT \"(\" )\nd":          "1:[a TXT (] 2:[d]",
		"a \\\nb":                     "1:[a \\] 2:[b]",
	} {
		var got []string
		r := newEntryReader([]byte(data))
		for e, ok := r.next(); ok; e, ok = r.next() {
			var words []string
			for _, word := range e.tokens {
				words = append(words, e.text(word))
			}
			got = append(got, fmt.Sprintf("%d:%v", e.line, words))
			if wrong := e.form(); wrong != nil {
				t.Errorf("%q: %v", data, *wrong)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", data, got, want)
		}
	}
}

// A line feed within parentheses stands for a blank (RFC 1035, section 5.1).
func TestFoldedLines(t *testing.T) {
	d, problems := readDraft("$TTL 1\n@ SOA ns h (1\n2\n3;three\n4\r\n5)\n")
	if len(problems) > 0 || len(d.records) != 1 {
		t.Fatalf("%d records, %v", len(d.records), problems)
	}
	if got := d.records[0].rr.(*dns.SOA); got.Serial != 1 || got.Refresh != 2 || got.Retry != 3 || got.Expire != 4 || got.Minttl != 5 {
		t.Errorf("read as %v", got)
	}
}

// What stands before a mistake holds for what follows it.
func TestMistakesLeaveTheRest(t *testing.T) {
	const broken = "%s IN A 192.0.2.x\n"
	for file, want := range map[string]string{
		"$TTL 5\na A 127.0.0.1\n" + broken + " A 127.0.0.2\n":                     "a 5, lost 5",
		"a 7 A 127.0.0.1\n" + broken + "c A 127.0.0.2\n":                          "a 7, c 7",
		"$TTL 5\n$ORIGIN sub\n" + broken + "c A 127.0.0.2\n":                      "c.sub 5",
		"$TTL 5\na 7 A 127.0.0.1\n" + broken + "c A 127.0.0.2\n":                  "a 7, c 5",
		"$TTL 5\n" + broken + "$GENERATE 1-2 g$ A 127.0.0.$\n A 127.0.0.3\n":      "g1 5, g2 5, lost 5",
		"$TTL 5\n" + broken + "$GENERATE 1-2 g$ 9 IN A 127.0.0.$\nc TXT a\n":      "g1 9, g2 9, c 5",
		broken + "a 7 IN A 127.0.0.1\n$GENERATE 1-1 g$ A 127.0.0.$\nc TXT a\n":    "a 7, g1 7, c 7",
		"$TTL 5\r\na A 127.0.0.1 \r\n" + broken + " \t A 127.0.0.2\r\n":           "a 5, lost 5",
		"$TTL 5\n" + broken + "x..y A 127.0.0.1\n A 127.0.0.2\nc A 127.0.0.3":     "c 5",
		"$TTL 5\n" + broken + "a 4294967295 A 127.0.0.1\nc A 127.0.0.2\n":         "c 5",
		broken + "a 4294967295 A 127.0.0.1\nc A 127.0.0.2\nd 6 A 127.0.0.2\n":     "c 3600, d 6",
		"$TTL x\n" + broken + "c A 127.0.0.2\nd 6 A 127.0.0.2\ne A 127.0.0.2\n":   "c 3600, d 6, e 3600",
		"$TTL 5\n" + broken + "a TXT ( \"a\"\n  \"b\"\n  c\n; d\nc A 127.0.0.2\n": "c 5",
	} {
		d, problems := readDraft(fmt.Sprintf(file, "lost"))
		if !pool.HasErrors(problems) {
			t.Errorf("%q: no error", file)
		}
		var got []string
		for _, r := range d.records {
			got = append(got, fmt.Sprint(strings.TrimSuffix(r.name, ".example.org."), " ", r.rr.Header().Ttl))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: read as %v, want %s: %v", file, got, want, problems)
		}
	}
}

// TestMistakesAreBounded: a file of mistakes alone costs bounded work.
func TestMistakesAreBounded(t *testing.T) {
	for _, line := range []string{"a A x\n", "a A (\n", "a TXT \"\n", "a TXT ( \"\n", "a \" ( \" \"\n"} {
		started := time.Now()
		d, problems := readDraft(strings.Repeat(line, 1<<20/len(line)))
		if len(problems) > maxProblems || len(problems) == 0 || !d.lostAny {
			t.Errorf("%q: %d problems", line, len(problems))
		}
		if took := time.Since(started); took > time.Minute {
			t.Errorf("%q: %v", line, took)
		}
	}
}

// FuzzMasterFile holds what is read entry by entry against what the zone parser
// makes of the file as a whole.
func FuzzMasterFile(f *testing.F) {
	for _, data := range []string{
		"$TTL 1\n@ SOA . . 1 2 3 4 5\n NS .\n",
		"a 5 A 127.0.0.1\n\tA 127.0.0.2 ; c\n$ORIGIN b\nc TXT \"d\ne\" \\\"f (g) \"\"\r\n",
		"a 1h IN TXT ( \"(\" ;) \"\n \"x\" )\n@ CLASS1 TYPE1 \\# 4 7f000001\n$GENERATE 0-2 h${1,2,x} CNAME $\n b 5 A 127.0.0.1",
		strings.Repeat(";", 256) + "x;\n",
		"a A\n", "a A x\nb A 127.0.0.1\n", "a A 127.0.0.1 \n \\032 5 IN A 127.0.0.1\n", "( a 5 IN\n A 127.0.0.1 )\n(b) 5 A 127.0.0.1",
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, problems := readDraft(string(data))
		mistaken := d.lostAny || len(d.lost) > 0
		for _, problem := range problems {
			mistaken = true
			checkPlace(t, data, problem)
		}
		r := newEntryReader(data)
		for e, ok := r.next(); ok; e, ok = r.next() {
			if len(e.folds) > 0 || slices.Contains(e.data, '$') && e.directive() == "" && mistaken {
				return // read otherwise, on purpose
			}
		}
		var reference []string
		kept, err := readWhole(data, func(record string) { reference = append(reference, record) })
		if !kept {
			return
		}
		directives := bytes.ContainsRune(data, '$')
		if mistaken && err == nil && !directives && len(d.records) < len(reference) && !refusedAlone(problems) {
			t.Fatalf("%v, but the whole can be read: %v", problems, reference)
		}
		if mistaken {
			return
		}
		var got []string
		for _, r := range d.records {
			got = append(got, r.rr.String())
		}
		if err != nil || !slices.Equal(got, reference) {
			t.Fatalf("read as\n%v, and as a whole as\n%v: %v", got, reference, err)
		}
	})
}

// refusedAlone reports whether a record was read and refused for what it says.
func refusedAlone(problems []pool.Problem) bool {
	return slices.ContainsFunc(problems, func(p pool.Problem) bool {
		return !strings.HasPrefix(p.Found, `"`) && p.Found != foundEnd || p.Expected == expectedTTL || p.Expected == expectedName
	})
}

// checkPlace: a place is in the file.
func checkPlace(t *testing.T, data []byte, problem pool.Problem) {
	t.Helper()
	lines := bytes.Split(data, []byte("\n"))
	if problem.Line < 1 || problem.Line > len(lines) || problem.Column < 1 || problem.Column > len(lines[problem.Line-1])+1 {
		t.Fatalf("%v is not in the file", problem)
	}
}

// readWhole reads a file with the zone parser alone. It gives false where the
// parser fails, or what it reads cannot be compared.
func readWhole(data []byte, take func(string)) (ok bool, err error) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	zp := dns.NewZoneParser(bytes.NewReader(append(slices.Clone(data), "\n\n"...)), "example.org.", "")
	zp.SetDefaultTTL(noTTL)
	var buffer [dns.MaxMsgSize]byte
	for rr, more := zp.Next(); more; rr, more = zp.Next() {
		r := record{kind: rr.Header().Rrtype, name: rr.Header().Name, noTTL: rr.Header().Ttl == noTTL}
		if found, _ := r.check(rr, buffer[:]); found != "" {
			return false, nil
		}
		if rr.Header().Ttl == 3600 && bytes.ContainsRune(data, '$') {
			return false, nil // what $GENERATE makes
		}
		take(r.rr.String())
	}
	// It refuses some rows of semicolons, also in lines that have nothing else and
	// that it is never shown here.
	if err := zp.Err(); err != nil && strings.Contains(err.Error(), "comment length") {
		return false, nil
	}
	return true, zp.Err()
}
