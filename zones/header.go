package zones

import (
	"math"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// header is where the parts before a record's data stand: indices of tokens,
// or -1.
type header struct {
	owner, class, ttl int
	bad               int    // the first that is neither TTL nor class nor type
	data              int    // the first after the type
	kind              uint16 // dns.TypeNone: there is no type
}

// header finds the parts of a record whose owner is a token, or is left out in
// front of that token.
func (e *entry) header(first int) header {
	h := header{owner: -1, class: -1, ttl: -1, bad: -1, data: -1}
	next := first
	if first > 0 || e.hasOwner() {
		h.owner = first
		next++
	}
	for ; next < len(e.tokens); next++ {
		text := e.text(e.tokens[next])
		if e.tokens[next].quoted {
			h.bad = next
			return h
		}
		upper := strings.ToUpper(text)
		ttl, isTTL := parseTTL(text)
		_, isClass := dns.StringToClass[upper]
		if !isClass {
			_, isClass = numbered(upper, "CLASS")
		}
		kind, isType := typeOf(upper)
		switch {
		case h.class < 0 && isClass:
			h.class = next
		case isType:
			h.kind, h.data = kind, next+1
			return h
		case h.ttl < 0 && isTTL && ttl <= math.MaxUint32:
			h.ttl = next
		default:
			h.bad = next
			return h
		}
	}
	return h
}

// typeOf gives the type of a name in upper case, TYPE123 (RFC 3597) included.
func typeOf(upper string) (kind uint16, ok bool) {
	if kind, ok = dns.StringToType[upper]; ok {
		return kind, true
	}
	return numbered(upper, "TYPE")
}

// numbered gives the number of a word such as CLASS1.
func numbered(word, prefix string) (number uint16, ok bool) {
	digits, found := strings.CutPrefix(word, prefix)
	if !found {
		return 0, false
	}
	value, err := strconv.ParseUint(digits, 10, 16)
	return uint16(value), err == nil
}

// maxTTL is the greatest TTL (RFC 2181, section 8).
const maxTTL = 1<<31 - 1

// tooLong reports whether a text is a TTL that is too great.
func tooLong(text string) bool {
	seconds, ok := parseTTL(text)
	return ok && seconds > maxTTL
}

// parseTTL reads seconds, or numbers with units such as 1h30m. What is too
// large comes back as something that is.
func parseTTL(text string) (seconds uint64, ok bool) {
	const tooLarge = 1 << 40
	var number, unit uint64
	for i := range len(text) {
		switch c := text[i]; c {
		case 's', 'S':
			unit = 1
		case 'm', 'M':
			unit = 60
		case 'h', 'H':
			unit = 3600
		case 'd', 'D':
			unit = 86400
		case 'w', 'W':
			unit = 7 * 86400
		default:
			if c < '0' || c > '9' {
				return 0, false
			}
			number = min(number*10+uint64(c-'0'), tooLarge)
			continue
		}
		seconds, number = min(seconds+number*unit, tooLarge), 0
	}
	return min(seconds+number, tooLarge), text != ""
}
