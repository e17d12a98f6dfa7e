// Package tsig signs DNS messages with a secret that two sides share, and judges
// such signatures (RFC 8945): of questions, of answers, and of answers of many
// messages.
//
// It imports nothing else of this program. It keeps nothing, opens nothing, and
// takes the time as an argument.
//
// What it promises: what a peer sends costs one walk over the message and one MAC;
// MACs are compared in constant time; and no error, and no way to print a key,
// shows a secret.
package tsig

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Fudge is how many seconds the clocks of two sides may differ (RFC 8945 section
// 10).
const Fudge = 300

// algorithm is a way to make a MAC.
type algorithm struct {
	name string // as key files and errors have it
	wire []byte // as messages have it, in lower case
	size int    // of a whole MAC, in bytes
	hash func() hash.Hash
}

// algorithms are those that are known, the one to use first. HMAC-MD5 is not for
// use any more, and HMAC-SHA1 is not recommended (RFC 8945 section 6).
func algorithms() []algorithm {
	return []algorithm{
		{"hmac-sha256", wireName("hmac-sha256."), sha256.Size, sha256.New},
		{"hmac-sha384", wireName("hmac-sha384."), sha512.Size384, sha512.New384},
		{"hmac-sha512", wireName("hmac-sha512."), sha512.Size, sha512.New},
	}
}

// knownAlgorithms is what errors say that was expected.
const knownAlgorithms = "hmac-sha256, hmac-sha384 or hmac-sha512"

// Key is a secret with its name and what is done with it. It never changes.
// Printing one in any way shows its name and its algorithm alone.
type Key struct {
	name      string // canonical: lower case, with the final dot
	wire      []byte // the same as messages have it
	algorithm algorithm
	least     int // bytes of the shortest MAC that is taken
	// secret gives it. It is in a function because package fmt, asked for a verb
	// that does not fit, prints what pointers in unexported fields lead to.
	secret func() []byte
}

// NewKey makes a key. The name is any domain name, in any case, with its final dot
// or without; the algorithm is hmac-sha256, hmac-sha384 or hmac-sha512, behind
// which a number of bits may follow, as in hmac-sha512-384: truncated MACs are good
// from so many on, half of all at least (RFC 8945 section 5.2.2.1). Without it none
// are, as in BIND, Knot and NSD. What we sign has whole ones.
func NewKey(name, algorithmName string, secret []byte) (*Key, error) {
	canonical, wire, err := readName(name)
	if err != nil {
		return nil, err
	}
	used, least, err := readAlgorithm(algorithmName)
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, errors.New("an empty secret: make a key with tsig-keygen, or keymgr -t")
	}
	secret = slices.Clone(secret)
	return &Key{name: canonical, wire: wire, algorithm: used, least: least, secret: func() []byte { return secret }}, nil
}

// Name is the key's name in lower case with its final dot.
func (k *Key) Name() string { return k.name }

// Algorithm is such as hmac-sha256.
func (k *Key) Algorithm() string { return k.algorithm.name }

// String is fmt.Stringer's.
func (k Key) String() string { return k.name + " (" + k.algorithm.name + ")" }

// Format is fmt.Formatter's: whatever the verb, it shows no secret.
func (k Key) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(k.String())) }

// MarshalText is encoding.TextMarshaler's, for what logs keys as JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// mac starts a MAC of this key.
func (k *Key) mac() hash.Hash { return hmac.New(k.algorithm.hash, k.secret()) }

// Size is how many bytes signing a message with this key adds to it, where the
// answer says nothing about an error.
func (k *Key) Size() int {
	return len(k.wire) + recordFixed + len(k.algorithm.wire) + dataFixed + k.algorithm.size
}

// Keyring is a set of keys with different names. It never changes. A nil one has
// no keys.
type Keyring struct {
	keys   []*Key
	byWire map[string]*Key
}

// NewKeyring makes a set of keys, in the order given.
func NewKeyring(keys ...*Key) (*Keyring, error) {
	r := &Keyring{keys: slices.Clone(keys), byWire: make(map[string]*Key, len(keys))}
	for _, key := range keys {
		if r.byWire[string(key.wire)] != nil {
			return nil, fmt.Errorf("two keys named %s: give each a name of its own", key.name)
		}
		r.byWire[string(key.wire)] = key
	}
	return r, nil
}

// Find gives the key of a name, in any case, with its final dot or without; nil:
// there is none.
func (r *Keyring) Find(name string) *Key {
	if r == nil {
		return nil
	}
	_, wire, err := readName(name)
	if err != nil {
		return nil
	}
	return r.byWire[string(wire)]
}

// Keys are all of them, in their order. The slice is the caller's.
func (r *Keyring) Keys() []*Key {
	if r == nil {
		return nil
	}
	return slices.Clone(r.keys)
}

// Equal reports whether two sets have the same keys in the same order.
func (r *Keyring) Equal(other *Keyring) bool {
	return slices.EqualFunc(r.Keys(), other.Keys(), func(a, b *Key) bool {
		return a.name == b.name && a.algorithm.name == b.algorithm.name && a.least == b.least && hmac.Equal(a.secret(), b.secret())
	})
}

// readName gives a domain name as it is compared, and as messages have it.
func readName(name string) (canonical string, wire []byte, err error) {
	if _, valid := dns.IsDomainName(name); !valid || name == "" {
		return "", nil, fmt.Errorf("found %q, expected the key's name: a domain name", name)
	}
	canonical = dns.CanonicalName(name)
	if wire = wireName(canonical); wire == nil {
		return "", nil, fmt.Errorf("found %q, expected the key's name: a domain name", name)
	}
	return canonical, wire, nil
}

// wireName gives a name as messages have it, in lower case, or nil.
func wireName(canonical string) []byte {
	wire := make([]byte, maxName)
	n, err := dns.PackDomainName(canonical, wire, 0, nil, false)
	if err != nil {
		return nil
	}
	return lower(wire[:n:n])
}

// lower puts a name's ASCII letters into lower case, in place. Lengths of labels,
// which are below 64, are no letters.
func lower(wire []byte) []byte {
	for i, c := range wire {
		if 'A' <= c && c <= 'Z' {
			wire[i] = c + 'a' - 'A'
		}
	}
	return wire
}

// readAlgorithm reads a name such as hmac-sha256 or HMAC-SHA256-192.
func readAlgorithm(name string) (used algorithm, least int, err error) {
	text := strings.TrimSuffix(strings.ToLower(name), ".")
	for _, one := range algorithms() {
		rest, found := strings.CutPrefix(text, one.name)
		half := max(one.size/2, minMAC)
		switch {
		case !found:
			continue
		case rest == "":
			return one, one.size, nil
		}
		bits, err := strconv.Atoi(strings.TrimPrefix(rest, "-"))
		if err != nil || rest[0] != '-' || bits%8 != 0 || bits/8 < half || bits/8 > one.size {
			return algorithm{}, 0, fmt.Errorf("found %s, expected %s alone or with a number of bits from %d to %d that is a multiple of 8",
				shown(name), one.name, 8*half, 8*one.size)
		}
		return one, bits / 8, nil
	}
	switch text {
	case "hmac-md5", "hmac-md5.sig-alg.reg.int", "hmac-sha1", "hmac-sha224":
		return algorithm{}, 0, fmt.Errorf("found %s, which is too weak, expected %s: make another key with `tsig-keygen -a hmac-sha256 NAME` for both sides",
			text, knownAlgorithms)
	}
	return algorithm{}, 0, fmt.Errorf("found %s, expected %s", shown(name), knownAlgorithms)
}

// shown is what an error says of a word that may be a secret in a wrong place.
func shown(word string) string {
	harmless := func(c rune) bool {
		return c == '-' || c == '.' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
	}
	lowered := strings.ToLower(word)
	if strings.HasPrefix(lowered, "hmac-") && len(word) <= 24 && strings.IndexFunc(lowered, func(c rune) bool { return !harmless(c) }) < 0 {
		return word
	}
	return "something else"
}
