package zones

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// The zone parser tells what is wrong in its own terms ("bad A A"). Here that
// becomes what was found and what is expected; its text stays, in parentheses,
// where nothing better is known.

const (
	expectedTTL    = "a TTL of 0 to 2147483647 seconds, as a number or with units such as 1h30m (RFC 2181, section 8)"
	expectedName   = "a domain name: labels of 1 to 63 octets, 255 octets in all"
	expectedRecord = "a record in the form of RFC 1035, section 5"
	expectedEnd    = `the end of the record, or ";" before a comment`
	foundEnd       = "the end of the record"

	number8  = "a whole number from 0 to 255"
	number16 = "a whole number from 0 to 65535"
	textData = "text, in quotes where it has blanks"
)

// expectedData is what the data of a type holds, by the zone parser's reason.
var expectedData = map[string]string{
	"bad A A":                "an IPv4 address such as 192.0.2.1",
	"bad AAAA AAAA":          "an IPv6 address such as 2001:db8::1",
	"bad NS Ns":              expectedName,
	"bad CNAME Target":       expectedName,
	"bad DNAME Target":       expectedName,
	"bad PTR Ptr":            expectedName,
	"bad MX Pref":            "a preference, " + number16 + ", before the name",
	"bad MX Mx":              expectedName,
	"bad SRV Priority":       number16,
	"bad SRV Weight":         number16,
	"bad SRV Port":           number16,
	"bad SRV Target":         expectedName,
	"bad SOA Ns":             expectedName,
	"bad SOA Mbox":           "a mail address in the form of a domain name",
	"bad SOA zone parameter": "serial, refresh, retry, expire and minimum: five numbers, the last four in seconds or with units such as 2h",
	"bad TXT Txt":            textData,
	"bad SPF Txt":            textData,
	"bad HINFO Fields":       textData,
	"bad CAA Flag":           number8,
	"bad CAA Tag":            "a tag such as issue",
	"bad CAA Value":          "a value in quotes",
	"bad TLSA Usage":         number8,
	"bad TLSA Selector":      number8,
	"bad TLSA MatchingType":  number8,
	"bad SSHFP Algorithm":    number8,
	"bad SSHFP Type":         number8,
	"bad NAPTR Order":        number16,
	"bad NAPTR Preference":   number16,
	"bad NAPTR Replacement":  expectedName,
	"bad URI Priority":       number16,
	"bad URI Weight":         number16,
	"bad RFC3597 Rdata":      `\#, the number of octets, and as many in hexadecimal`,
	"bad RFC3597 Rdata ":     `\#, the number of octets, and as many in hexadecimal`,
	"garbage after rdata":    expectedEnd,
}

// beginning is what the data of a type begins with.
var beginning = map[uint16]string{
	dns.TypeA:     expectedData["bad A A"],
	dns.TypeAAAA:  expectedData["bad AAAA AAAA"],
	dns.TypeNS:    expectedName,
	dns.TypeCNAME: expectedName,
	dns.TypeDNAME: expectedName,
	dns.TypePTR:   expectedName,
	dns.TypeMX:    expectedData["bad MX Pref"],
	dns.TypeSRV:   "priority, weight, port and name",
	dns.TypeSOA:   "the name of the first server, a mail address, and five numbers",
	dns.TypeTXT:   textData,
	dns.TypeCAA:   "flags, tag and value",
}

// diagnose words the zone parser's error about an entry.
func (m *masterFile) diagnose(e *entry, h header, err error, generated bool) mistake {
	if generated {
		return e.diagnoseGenerated(h, err)
	}
	if e.directive() != "" {
		return mistake{offset: e.tokens[0].start, what: "directive", found: shown(e.text(e.tokens[0])), expected: "$ORIGIN, $TTL or $GENERATE"}
	}
	if h.owner >= 0 {
		owner := e.tokens[h.owner]
		if _, ok := m.absolute(owner, e); !ok {
			return mistake{offset: owner.start, found: shown(e.text(owner)), expected: expectedName}
		}
	}
	if wrong := e.headMistake(h); wrong != nil {
		return *wrong
	}
	reason, text, line, column, ok := parserError(err)
	if !ok {
		return mistake{offset: e.tokens[0].start, found: err.Error(), expected: expectedRecord}
	}
	wrong := mistake{expected: expectedData[reason]}
	wrong.offset, wrong.found = e.find(h, text, e.offset(line, column))
	if wrong.expected == "" {
		wrong.found += " (" + reason + ")"
		wrong.expected = "data of the type " + dns.Type(h.kind).String()
	}
	return wrong
}

// headMistake gives what is wrong with TTL, class and type, or that there is
// nothing behind them.
func (e *entry) headMistake(h header) *mistake {
	expected := "a type of records such as A"
	switch {
	case h.ttl < 0 && h.class < 0:
		expected = "a TTL, the class IN, or " + expected
	case h.ttl < 0:
		expected = "a TTL, or " + expected
	case h.class < 0:
		expected = "the class IN, or " + expected
	}
	switch {
	case h.bad >= 0:
		wrong := &mistake{offset: e.tokens[h.bad].start, found: shown(e.text(e.tokens[h.bad])), expected: expected}
		if _, isTTL := parseTTL(e.text(e.tokens[h.bad])); isTTL && h.ttl < 0 && !e.tokens[h.bad].quoted {
			wrong.expected = expectedTTL
		}
		return wrong
	case h.kind == dns.TypeNone && h.data < 0:
		return &mistake{offset: e.end(), found: foundEnd, expected: expected}
	case h.data == len(e.tokens):
		expected, known := beginning[h.kind]
		if !known {
			expected = "data of the type " + dns.Type(h.kind).String()
		}
		return &mistake{offset: e.end(), found: foundEnd, expected: expected}
	}
	return nil
}

// find gives where a token of the data stands that ends near an offset.
func (e *entry) find(h header, text string, near int) (offset int, found string) {
	if strings.TrimSpace(text) == "" {
		return e.end(), foundEnd
	}
	distance := -1
	for _, t := range e.tokens[max(h.data, 0):] {
		if away := max(t.end-near, near-t.end); e.text(t) == text && (distance < 0 || away < distance) {
			offset, distance = t.start, away
		}
	}
	if distance < 0 {
		offset = min(near, e.end())
	}
	return offset, shown(text)
}

// generateRange is the range of a $GENERATE.
var generateRange = regexp.MustCompile(`^([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?$`)

// generateMistake gives what is wrong with the form of a $GENERATE.
func (e *entry) generateMistake(h header) *mistake {
	const (
		form          = "$GENERATE range name [TTL] [class] type data"
		expectedRange = "a range start-stop or start-stop/step, of at most 65536 records"
	)
	if len(e.tokens) < 2 {
		return &mistake{e.end(), "$GENERATE", foundEnd, form}
	}
	text := e.text(e.tokens[1])
	parts := generateRange.FindStringSubmatch(text)
	if parts == nil || e.tokens[1].quoted {
		return &mistake{e.tokens[1].start, "$GENERATE", shown(text), expectedRange}
	}
	number := func(text string) uint64 {
		n, _ := strconv.ParseUint(text, 10, 64) // ten digits at most
		return n
	}
	start, stop, step := number(parts[1]), number(parts[2]), uint64(1)
	if parts[3] != "" {
		step = number(parts[3])
	}
	if step == 0 || stop < start || (stop-start)/step > 65535 {
		return &mistake{e.tokens[1].start, "$GENERATE", shown(text), expectedRange}
	}
	if len(e.tokens) < 5 {
		return &mistake{e.end(), "$GENERATE", foundEnd, form}
	}
	return nil
}

// diagnoseGenerated words an error in what a $GENERATE makes.
func (e *entry) diagnoseGenerated(h header, err error) mistake {
	wrong := mistake{offset: e.tokens[2].start, what: "$GENERATE"}
	reason, text, _, _, ok := parserError(err)
	modifier, modifies := e.tokens[2], false
	for _, t := range e.tokens[2:] {
		if strings.Contains(e.text(t), "${") {
			modifier, modifies = t, true
			break
		}
	}
	switch head := e.headMistake(h); {
	case ok && modifies && strings.HasSuffix(reason, " in $GENERATE"):
		wrong.offset, wrong.found = modifier.start, shown(text)
		wrong.expected = `"$", or "${offset,width,base}" with the base d, o, x or X and an offset with which no number is below 0`
	case head != nil:
		wrong.offset, wrong.found, wrong.expected = head.offset, head.found, head.expected
	case !ok:
		wrong.found, wrong.expected = err.Error(), expectedRecord
	default:
		wrong.expected = expectedData[reason]
		if reason == "bad owner name" {
			wrong.expected = expectedName
		} else {
			wrong.offset = e.tokens[h.data].start
		}
		wrong.found = shown(text) + " in a record that it makes"
		if strings.TrimSpace(text) == "" {
			wrong.found = "the end of a record that it makes"
		}
		if wrong.expected == "" {
			wrong.found += " (" + reason + ")"
			wrong.expected = expectedRecord
		}
	}
	return wrong
}

// parserError takes the zone parser's error apart, which tells token and place
// in its text alone.
func parserError(err error) (reason, token string, line, column int, ok bool) {
	text, place, ok := cutLast(strings.TrimPrefix(err.Error(), "dns: "), " at line: ")
	if !ok {
		return "", "", 0, 0, false
	}
	if _, scanErr := fmt.Sscanf(place, "%d:%d", &line, &column); scanErr != nil {
		return "", "", 0, 0, false
	}
	// The token is quoted, and may hold ": " itself.
	reason, quoted, ok := strings.Cut(text, `: "`)
	if !ok {
		return "", "", 0, 0, false
	}
	token, quoteErr := strconv.Unquote(`"` + quoted)
	return reason, token, line, column, quoteErr == nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

// shown quotes a word of a file, at most the beginning of a long one.
func shown(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(text[:most]) + "..."
	}
	return strconv.Quote(text)
}
