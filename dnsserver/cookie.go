package dnsserver

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/dchest/siphash"
)

// Lengths in bytes (RFC 7873 section 4). A server cookie of ours has 16 bytes
// (RFC 9018 section 4): version, reserved, timestamp, hash.
const (
	clientCookieSize   = 8
	minServerCookie    = 8
	maxServerCookie    = 32
	serverCookieSize   = 16
	wholeCookieSize    = clientCookieSize + serverCookieSize
	cookieHashAt       = wholeCookieSize - 8
	cookieTimestampAt  = clientCookieSize + 4
	cookieVersion      = 1
	cookieSecretDigits = 32
)

// How long a server cookie is good for, how far ahead the clock of another
// server that shares the secret may be, and the age from which a client gets a
// fresh one, in seconds (RFC 9018 section 4.3).
const (
	cookieLifetime = 60 * 60
	cookieAhead    = 5 * 60
	cookieRenewal  = 30 * 60
)

// cookieState is what a question says of its client by a COOKIE option.
type cookieState uint8

const (
	// cookieAbsent: there is no option.
	cookieAbsent cookieState = iota
	// cookieNew: the client's part alone.
	cookieNew
	// cookieGood: the server's part is ours, for this client, and in time. The
	// client is at the address that the packet came from.
	cookieGood
	// cookieBad: the server's part is anything else.
	cookieBad
)

// CookieSecrets are the secrets by which server cookies (RFC 7873, RFC 9018) are
// made and known again: a current one, and possibly another one by which they
// are only known. Name servers that share an address, or between which clients
// move, share the secrets. The value is immutable and comparable; the zero value
// has none.
type CookieSecrets struct {
	current, other cookieSecret
	count          uint8
}

// cookieSecret is the key of SipHash: its 16 bytes as two numbers, least
// significant byte first.
type cookieSecret [2]uint64

// NewCookieSecrets draws a secret, for a server that shares none.
func NewCookieSecrets() CookieSecrets {
	var drawn [16]byte
	_, _ = rand.Read(drawn[:]) // never fails, by its contract
	return CookieSecrets{current: newCookieSecret(drawn), count: 1}
}

// Roll draws another current secret. Cookies that were made with the one before
// it stay good; those of the one before that do not.
func (s CookieSecrets) Roll() CookieSecrets {
	next := NewCookieSecrets()
	if s.count > 0 {
		next.other, next.count = s.current, 2
	}
	return next
}

// ParseCookieSecrets reads a file of secrets: the current one in its first line,
// and possibly another one in its second, each of 32 hexadecimal digits, as NSD
// keeps them. BIND's form, `cookie-secret "…";`, is read as well. Blank lines
// and comments from # on are passed over. The error names the line and what is
// expected there, and never what is secret.
func ParseCookieSecrets(data []byte) (CookieSecrets, error) {
	var s CookieSecrets
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		secret, err := parseCookieSecret(text)
		if err != nil {
			return CookieSecrets{}, fmt.Errorf("line %d: %w", number, err)
		}
		switch s.count {
		case 0:
			s.current = secret
		case 1:
			s.other = secret
		default:
			return CookieSecrets{}, fmt.Errorf("line %d: a third secret: expected the current one and at most one other", number)
		}
		s.count++
	}
	if s.count == 0 {
		return CookieSecrets{}, fmt.Errorf("no secret in it: expected a line of %d hexadecimal digits, such as `openssl rand -hex 16` prints", cookieSecretDigits)
	}
	return s, nil
}

// parseCookieSecret reads one line without its comment.
func parseCookieSecret(text string) (cookieSecret, error) {
	if value, ok := strings.CutPrefix(text, "cookie-secret"); ok {
		value, ok = strings.CutSuffix(strings.TrimSpace(value), ";")
		value = strings.TrimSpace(value)
		if !ok || len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
			return cookieSecret{}, fmt.Errorf("expected a statement of the form `cookie-secret \"%d hexadecimal digits\";`", cookieSecretDigits)
		}
		text = value[1 : len(value)-1]
	}
	var secret [16]byte
	if len(text) != cookieSecretDigits {
		return cookieSecret{}, fmt.Errorf("a secret of %d characters: expected %d hexadecimal digits (128 bits)", len(text), cookieSecretDigits)
	}
	if _, err := hex.Decode(secret[:], []byte(text)); err != nil {
		// The library's error shows the character that it stumbled over.
		return cookieSecret{}, fmt.Errorf("a secret with other characters than digits and a to f: expected %d hexadecimal digits (128 bits)", cookieSecretDigits)
	}
	return newCookieSecret(secret), nil
}

func newCookieSecret(bytes [16]byte) cookieSecret {
	return cookieSecret{binary.LittleEndian.Uint64(bytes[:]), binary.LittleEndian.Uint64(bytes[8:])}
}

// String says that there are secrets, so that no log or error shows them.
func (s CookieSecrets) String() string { return fmt.Sprintf("%d cookie secret(s)", s.count) }

// GoString is String for the verb %#v.
func (s CookieSecrets) GoString() string { return s.String() }

// answer judges the value of a question's COOKIE option, and writes the value of
// the answer's: the client's part, and the server cookie that the client is to
// send from now on. It is not ok where the length makes the question malformed
// (RFC 7873 section 5.2.2), and then nothing is written. The value and the room
// for it may overlap.
func (s *CookieSecrets) answer(to *[wholeCookieSize]byte, option []byte, client netip.Addr, now time.Time) (state cookieState, ok bool) {
	server := len(option) - clientCookieSize
	if server != 0 && (server < minServerCookie || server > maxServerCookie) {
		return cookieAbsent, false
	}
	state = cookieNew
	if server > 0 {
		state = cookieBad
	}
	at := uint32(now.Unix())
	copy(to[:], option)
	if server == serverCookieSize && to[clientCookieSize] == cookieVersion {
		// In the arithmetic of serial numbers (RFC 1982) the counter of seconds
		// may wrap.
		age := int32(at - binary.BigEndian.Uint32(to[cookieTimestampAt:]))
		if age >= -cookieAhead && age <= cookieLifetime {
			switch {
			case s.current.made(to, client):
				if age <= cookieRenewal {
					return cookieGood, true
				}
				state = cookieGood
			case s.count > 1 && s.other.made(to, client):
				state = cookieGood
			}
		}
	}
	to[clientCookieSize], to[clientCookieSize+1], to[clientCookieSize+2], to[clientCookieSize+3] = cookieVersion, 0, 0, 0
	binary.BigEndian.PutUint32(to[cookieTimestampAt:], at)
	binary.LittleEndian.PutUint64(to[cookieHashAt:], s.current.hash(to, client))
	return state, true
}

// made reports whether a cookie's hash was made by this secret for this client,
// and takes as long for any hash.
func (k *cookieSecret) made(cookie *[wholeCookieSize]byte, client netip.Addr) bool {
	var hash [8]byte
	binary.LittleEndian.PutUint64(hash[:], k.hash(cookie, client))
	return subtle.ConstantTimeCompare(hash[:], cookie[cookieHashAt:]) == 1
}

// hash is that of the cookie's other parts and the client's address (RFC 9018
// section 4.4). An IPv4 address is hashed as such also where it came in IPv6's
// clothes, which depends on the socket.
func (k *cookieSecret) hash(cookie *[wholeCookieSize]byte, client netip.Addr) uint64 {
	var input [cookieHashAt + 16]byte
	length := copy(input[:], cookie[:cookieHashAt])
	if client.Is4() || client.Is4In6() {
		address := client.As4()
		length += copy(input[length:], address[:])
	} else {
		address := client.As16()
		length += copy(input[length:], address[:])
	}
	return siphash.Hash(k[0], k[1], input[:length])
}
