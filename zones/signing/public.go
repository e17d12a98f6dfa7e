package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/miekg/dns"
)

// The sizes of RSA keys that are taken, in bits (RFC 5702, section 2, and what the
// Go library signs with).
const (
	minRSABits = 1024
	maxRSABits = 4096
)

// AlgorithmName is an algorithm's mnemonic as IANA has it, such as ECDSAP256SHA256,
// or its number where it is none of those that zones are signed with.
func AlgorithmName(algorithm uint8) string {
	if _, known := algorithmSizes[algorithm]; known {
		return dns.AlgorithmToString[algorithm]
	}
	return fmt.Sprintf("algorithm %d", algorithm)
}

// algorithmSizes are the algorithms that zones are signed with, each with the size
// of its public key in bytes; 0: it varies.
var algorithmSizes = map[uint8]int{
	dns.RSASHA256:       0,
	dns.RSASHA512:       0,
	dns.ECDSAP256SHA256: 64,
	dns.ECDSAP384SHA384: 96,
	dns.ED25519:         ed25519.PublicKeySize,
}

// AlgorithmNumber reads an algorithm by mnemonic, in any case and with or without
// hyphens, by number, or by the curve's everyday name (ecdsa-p256).
func AlgorithmNumber(text string) (uint8, error) {
	plain := strings.ToUpper(strings.ReplaceAll(text, "-", ""))
	for number := range algorithmSizes {
		name := dns.AlgorithmToString[number]
		if plain == name || plain == fmt.Sprint(number) || strings.HasPrefix(plain, "ECDSA") && len(plain) == len("ECDSAP256") && strings.HasPrefix(name, plain) {
			return number, nil
		}
	}
	return 0, fmt.Errorf("found algorithm %q, expected one of ecdsa-p256 (ECDSAP256SHA256, 13), ed25519 (15), "+
		"ecdsa-p384 (ECDSAP384SHA384, 14), RSASHA256 (8), RSASHA512 (10)", text)
}

// publicKey reads the public half of a DNSKEY.
func publicKey(record *dns.DNSKEY) (crypto.PublicKey, error) {
	size, known := algorithmSizes[record.Algorithm]
	if !known {
		return nil, fmt.Errorf("algorithm %d is none that zones are signed with here: 8, 10, 13, 14 or 15", record.Algorithm)
	}
	data, err := base64.StdEncoding.DecodeString(record.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("decoding the public key: %w", err)
	}
	if size != 0 && len(data) != size {
		return nil, fmt.Errorf("a public key of %d bytes, expected %d for %s", len(data), size, AlgorithmName(record.Algorithm))
	}
	switch record.Algorithm {
	case dns.ECDSAP256SHA256:
		return pointOn(elliptic.P256(), data)
	case dns.ECDSAP384SHA384:
		return pointOn(elliptic.P384(), data)
	case dns.ED25519:
		return ed25519.PublicKey(data), nil
	}
	return publicRSA(data)
}

// pointOn reads a point as a DNSKEY has it (RFC 6605, section 4): both coordinates,
// and nothing before them.
func pointOn(curve elliptic.Curve, data []byte) (*ecdsa.PublicKey, error) {
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, data...))
	if err != nil {
		return nil, fmt.Errorf("the public key is no point of %s: %w", curve.Params().Name, err)
	}
	return public, nil
}

// publicRSA reads an RSA key as a DNSKEY has it (RFC 3110, section 2).
func publicRSA(data []byte) (*rsa.PublicKey, error) {
	if len(data) < 3 {
		return nil, errors.New("the public key is too short for RSA")
	}
	length, rest := int(data[0]), data[1:]
	if length == 0 {
		length, rest = int(binary.BigEndian.Uint16(data[1:])), data[3:]
	}
	if length == 0 || length >= len(rest) {
		return nil, errors.New("the public key ends before its modulus")
	}
	exponent, err := smallExponent(rest[:length])
	if err != nil {
		return nil, err
	}
	modulus := new(big.Int).SetBytes(rest[length:])
	if bits := modulus.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("an RSA key of %d bits, expected %d to %d", bits, minRSABits, maxRSABits)
	}
	return &rsa.PublicKey{N: modulus, E: exponent}, nil
}

// smallExponent reads a public exponent: an odd number of at most 31 bits, as the
// Go library takes it.
func smallExponent(data []byte) (int, error) {
	data = bytes.TrimLeft(data, "\x00")
	if len(data) > 4 {
		return 0, errors.New("an RSA exponent of more than 31 bits")
	}
	var four [4]byte
	copy(four[4-len(data):], data)
	exponent := binary.BigEndian.Uint32(four[:])
	if exponent < 3 || exponent > 1<<31-1 || exponent%2 == 0 {
		return 0, fmt.Errorf("an RSA exponent of %d, expected an odd number from 3 to 2147483647", exponent)
	}
	return int(exponent), nil
}

// encodePublic writes a public key as a DNSKEY has it.
func encodePublic(public crypto.PublicKey) (string, error) {
	switch public := public.(type) {
	case ed25519.PublicKey:
		return base64.StdEncoding.EncodeToString(public), nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return "", fmt.Errorf("encoding the public key: %w", err)
		}
		return base64.StdEncoding.EncodeToString(point[1:]), nil
	case *rsa.PublicKey:
		exponent := big.NewInt(int64(public.E)).Bytes()
		return base64.StdEncoding.EncodeToString(append(append([]byte{byte(len(exponent))}, exponent...), public.N.Bytes()...)), nil
	}
	return "", fmt.Errorf("encoding a public key of type %T: unknown", public)
}
