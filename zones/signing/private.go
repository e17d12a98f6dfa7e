package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// privateFile is the content of a .private file: fields by their names in lower
// case.
type privateFile struct {
	fields map[string]string
}

const (
	fieldFormat    = "private-key-format"
	fieldAlgorithm = "algorithm"
	fieldExternal  = "external"
)

// oldestMinor is the version 1.2 of the format, which says no times.
const oldestMinor = 2

// parsePrivateFile reads the fields. Those that are not known are left to others.
func parsePrivateFile(data []byte) (*privateFile, error) {
	file := &privateFile{fields: map[string]string{}}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		name, value, found := splitField(line)
		if name == "" && !found {
			continue
		}
		if !found {
			return nil, fmt.Errorf("line %d: expected a field and its value with a colon between them", number)
		}
		if _, twice := file.fields[name]; twice {
			return nil, fmt.Errorf("line %d: %s stands there twice", number, name)
		}
		file.fields[name] = value
	}
	version, found := file.fields[fieldFormat]
	if !found {
		return nil, errors.New("this is no private key: Private-key-format is missing")
	}
	word, isOne := strings.CutPrefix(version, "v1.")
	if minor, err := strconv.Atoi(word); !isOne || err != nil || minor < oldestMinor {
		return nil, fmt.Errorf("found format %q, expected v1.2 or v1.3", version)
	}
	return file, nil
}

// splitField reads a line; found is false where it has no colon. What stands behind
// a semicolon is a comment.
func splitField(line string) (name, value string, found bool) {
	line, _, _ = strings.Cut(line, ";")
	name, value, found = strings.Cut(line, ":")
	return strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value), found
}

// algorithm is the number before the name in brackets.
func (f *privateFile) algorithm() (uint8, error) {
	word, _, _ := strings.Cut(f.fields[fieldAlgorithm], " ")
	number, err := strconv.ParseUint(word, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("found algorithm %q, expected a number such as 13", word)
	}
	return uint8(number), nil
}

func (f *privateFile) times() (Times, error) {
	var times Times
	for _, one := range times.all() {
		text, found := f.fields[strings.ToLower(one.name)]
		if !found {
			continue
		}
		at, err := parseTime(text)
		if err != nil {
			return Times{}, fmt.Errorf("%s: %w", one.name, err)
		}
		*one.at = at
	}
	return times, nil
}

// key reads the private half that belongs to a DNSKEY; nil: it is kept elsewhere.
func (f *privateFile) key(record *dns.DNSKEY, public crypto.PublicKey) (crypto.Signer, error) {
	algorithm, err := f.algorithm()
	if err != nil {
		return nil, err
	}
	if algorithm != record.Algorithm {
		return nil, fmt.Errorf("a private key of %s, the public one is of %s", AlgorithmName(algorithm), AlgorithmName(record.Algorithm))
	}
	if _, elsewhere := f.fields[fieldExternal]; elsewhere {
		return nil, nil
	}
	var private crypto.Signer
	switch public := public.(type) {
	case *rsa.PublicKey:
		private, err = f.keyRSA(public)
	case *ecdsa.PublicKey:
		private, err = f.keyECDSA(public.Curve)
	case ed25519.PublicKey:
		private, err = f.keyEd25519()
	}
	if err != nil {
		return nil, err
	}
	if own, comparable := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !comparable || !own.Equal(public) {
		return nil, errors.New("the private key does not belong to the public one")
	}
	return private, nil
}

func (f *privateFile) keyECDSA(curve elliptic.Curve) (*ecdsa.PrivateKey, error) {
	size := (curve.Params().BitSize + 7) / 8
	data, err := f.bytes("PrivateKey", size)
	if err != nil {
		return nil, err
	}
	scalar := make([]byte, size) // leading zeros may have been left out
	copy(scalar[size-len(data):], data)
	private, err := ecdsa.ParseRawPrivateKey(curve, scalar)
	if err != nil {
		return nil, fmt.Errorf("PrivateKey: %w", err)
	}
	return private, nil
}

func (f *privateFile) keyEd25519() (ed25519.PrivateKey, error) {
	seed, err := f.bytes("PrivateKey", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("PrivateKey: found %d bytes, expected %d", len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func (f *privateFile) keyRSA(public *rsa.PublicKey) (*rsa.PrivateKey, error) {
	numbers := map[string]*big.Int{"Modulus": nil, "PublicExponent": nil, "PrivateExponent": nil, "Prime1": nil, "Prime2": nil}
	for name := range numbers {
		data, err := f.bytes(name, maxRSABits/8)
		if err != nil {
			return nil, err
		}
		numbers[name] = new(big.Int).SetBytes(data)
	}
	if numbers["Modulus"].Cmp(public.N) != 0 || numbers["PublicExponent"].Cmp(big.NewInt(int64(public.E))) != 0 {
		return nil, errors.New("the private key does not belong to the public one")
	}
	private := &rsa.PrivateKey{
		PublicKey: *public,
		D:         numbers["PrivateExponent"],
		Primes:    []*big.Int{numbers["Prime1"], numbers["Prime2"]},
	}
	private.Precompute()
	if err := private.Validate(); err != nil {
		return nil, fmt.Errorf("the private key is damaged: %w", err)
	}
	return private, nil
}

// bytes decodes a field of at most so many bytes.
func (f *privateFile) bytes(name string, most int) ([]byte, error) {
	text, found := f.fields[strings.ToLower(name)]
	if !found {
		return nil, fmt.Errorf("%s is missing", name)
	}
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil { // the error's text has a place in it, and nothing of the key
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for len(data) > most && data[0] == 0 {
		data = data[1:]
	}
	if len(data) == 0 || len(data) > most {
		return nil, fmt.Errorf("%s: found %d bytes, expected 1 to %d", name, len(data), most)
	}
	return data, nil
}

// formatPrivate writes a private key with its times as BIND does. A key whose
// private half is not there is written as one that is kept elsewhere.
func formatPrivate(key *Key) ([]byte, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "Private-key-format: v1.3\nAlgorithm: %d (%s)\n", key.Algorithm(), AlgorithmName(key.Algorithm()))
	field := func(name string, data []byte) {
		fmt.Fprintf(&text, "%s: %s\n", name, base64.StdEncoding.EncodeToString(data))
	}
	switch private := key.private.(type) {
	case nil:
		text.WriteString("External:\n")
	case ed25519.PrivateKey:
		field("PrivateKey", private.Seed())
	case *ecdsa.PrivateKey:
		scalar, err := private.Bytes()
		if err != nil {
			return nil, fmt.Errorf("encoding key %s: %w", key.ID(), err)
		}
		field("PrivateKey", scalar)
	case *rsa.PrivateKey:
		field("Modulus", private.N.Bytes())
		field("PublicExponent", big.NewInt(int64(private.E)).Bytes())
		field("PrivateExponent", private.D.Bytes())
		field("Prime1", private.Primes[0].Bytes())
		field("Prime2", private.Primes[1].Bytes())
		field("Exponent1", private.Precomputed.Dp.Bytes())
		field("Exponent2", private.Precomputed.Dq.Bytes())
		field("Coefficient", private.Precomputed.Qinv.Bytes())
	default:
		return nil, fmt.Errorf("encoding key %s: a private key of type %T cannot be written to a file", key.ID(), private)
	}
	for _, one := range key.Times.all() {
		if !one.at.IsZero() {
			fmt.Fprintf(&text, "%s: %s\n", one.name, one.at.UTC().Format(timeFormat))
		}
	}
	return []byte(text.String()), nil
}
