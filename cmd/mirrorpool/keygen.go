package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"mirrorpool/zones/signing"
)

// zoneKeyWait is how long a key for signing zones waits in the DNSKEY RRset of a zone
// that is signed already: until no cache has the RRset without it.
const zoneKeyWait = (maxKeyTTL + 3600) * time.Second

func keygenCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "keygen ZONE [--algorithm NAME] [--role ROLE] [--dir DIR]",
		Short: "Make a key that a zone is signed with, and print the DS record for its parent",
		Long: `keygen makes a key for a zone, writes it into the directory that dns.dnssec_keys
names, in BIND's format and readable by its owner alone, and prints what registrars
ask for: the DS record, its fields one by one, and the key itself. A running server
signs the zone with it a few seconds later; it is not asked.

With --dir it writes into another directory, and needs no configuration.

The zone has one key for all (role csk), which is best for nearly everybody. With
the roles ksk and zsk, made in this order, the former signs the keys and the latter
the rest; the latter waits for a day, so that all caches know it when it signs.

A zone that has a key already gets no other one: mirrorpool rollover replaces keys
so that nobody loses the zone. --another makes one nevertheless.

When it is run by root, the files belong to the owner of the directory.

Exit code 0: made. 1: the zone has a key, or one that cannot be read. 2: the command
line, the configuration or the directory is wrong.`,
		Args: cobra.ExactArgs(1),
		Example: `  mirrorpool keygen example.org
  mirrorpool keygen --algorithm ed25519 --dir /srv/keys example.org
  mirrorpool keygen --json example.org | jq -r '.ds[0].record'`,
	}
	path := configFlag(command)
	flags := command.Flags()
	directory := flags.String("dir", "", "write into `DIR` instead of the directory that the configuration names")
	algorithm := flags.String("algorithm", "ecdsa-p256", "ecdsa-p256 or ed25519; BIND's `NAME`s and numbers are understood")
	role := flags.String("role", "csk", "`ROLE` of the key: csk (one key for all), ksk or zsk")
	another := flags.Bool("another", false, "make a key though the zone has one")
	asJSON := flags.Bool("json", false, "print JSON")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		request, err := newKeyRequest(arguments[0], *algorithm, *role)
		if err != nil {
			return usageError{err}
		}
		request.another, request.directory = *another, *directory
		if request.directory == "" {
			if request.directory, err = configuredKeys(*path); err != nil {
				return err
			}
			request.configured = true
		}
		made, warnings, err := request.make(time.Now())
		for _, warning := range warnings {
			fmt.Fprintln(command.ErrOrStderr(), "warning:", warning)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return made.writeJSON(command.OutOrStdout())
		}
		made.writeText(command.OutOrStdout())
		return nil
	}
	return command
}

// configuredKeys is the directory that the configuration names.
func configuredKeys(path string) (string, error) {
	config, err := loadConfig(path)
	if err != nil {
		return "", err
	}
	if config.DNS.DNSSECKeys == "" {
		return "", usageError{fmt.Errorf("%s: dns.dnssec_keys is not set: name the directory of keys there, or another one with --dir", path)}
	}
	return config.DNS.DNSSECKeys, nil
}

// keyRequest is which key is to be made.
type keyRequest struct {
	zone       string // canonical
	algorithm  uint8
	role       keyRole
	another    bool
	directory  string
	configured bool // the directory is that of the configuration
}

// keyRole is what a key does in its zone.
type keyRole string

const (
	roleCSK keyRole = "csk"
	roleKSK keyRole = "ksk"
	roleZSK keyRole = "zsk"
)

func newKeyRequest(zone, algorithm, role string) (*keyRequest, error) {
	request := &keyRequest{role: keyRole(strings.ToLower(role))}
	if !slices.Contains([]keyRole{roleCSK, roleKSK, roleZSK}, request.role) {
		return nil, fmt.Errorf("--role: found %q, expected csk, ksk or zsk", role)
	}
	var err error
	if request.algorithm, err = signing.AlgorithmNumber(algorithm); err != nil ||
		request.algorithm != dns.ECDSAP256SHA256 && request.algorithm != dns.ED25519 {
		return nil, fmt.Errorf("--algorithm: found %q, expected ecdsa-p256 or ed25519; keys of others, made by dnssec-keygen, are signed with as well", algorithm)
	}
	if request.zone, err = zoneName(zone); err != nil {
		return nil, err
	}
	return request, nil
}

// zoneName checks the name of a zone and gives its canonical form.
func zoneName(text string) (string, error) {
	_, valid := dns.IsDomainName(text)
	strange := strings.ContainsFunc(text, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_./", c))
	})
	if text == "" || !valid || strange {
		return "", fmt.Errorf("found zone %q, expected a name such as example.org; international names as they stand in DNS (xn--…)", text)
	}
	return dns.CanonicalName(text), nil
}

// make makes the key and its files.
func (r *keyRequest) make(now time.Time) (made *madeKey, warnings []string, err error) {
	directory, err := signing.ReadDirectory(r.directory)
	if errors.Is(err, fs.ErrNotExist) {
		directory, err = &signing.Directory{}, nil
	}
	if err != nil {
		return nil, nil, usageError{err}
	}
	for _, problem := range directory.Problems {
		warnings = append(warnings, problem.String())
	}
	if directory.Broken(r.zone) {
		return nil, warnings, fmt.Errorf("no key was made: one of %s cannot be read, and might be the one that it is signed with; mend or remove that first", r.zone)
	}
	var known []*signing.Key
	for _, key := range directory.Keys[r.zone] {
		if key.Times.Delete.IsZero() || key.Times.Delete.After(now) {
			known = append(known, key)
		}
	}
	if err := r.mayMake(known); err != nil {
		return nil, warnings, err
	}
	now = now.UTC().Truncate(time.Second)
	times := signing.Times{Created: now, Publish: now, Activate: now}
	if r.role == roleZSK && len(known) > 0 {
		times.Activate = now.Add(zoneKeyWait)
	}
	key, err := signing.GenerateDistinct(r.zone, r.algorithm, r.role != roleZSK, times, directory.Keys[r.zone])
	if err != nil {
		return nil, warnings, err
	}
	if err := signing.WriteKey(r.directory, key); err != nil {
		return nil, warnings, usageError{err}
	}
	return r.describe(key), warnings, nil
}

// mayMake refuses what would not help, or harm a zone that is signed.
func (r *keyRequest) mayMake(known []*signing.Key) error {
	if r.another {
		return nil
	}
	for _, key := range known {
		if r.role == roleZSK && key.Entry() {
			continue // the second of a pair
		}
		return fmt.Errorf("no key was made: zone %s has key %s; `mirrorpool rollover %s` replaces it so that nobody loses the zone, "+
			"and --another makes one more", r.zone, key.ID(), strings.TrimSuffix(r.zone, "."))
	}
	return nil
}

// madeKey is a key as it is told of, in JSON and as text.
type madeKey struct {
	Zone          string    `json:"zone"`
	Role          keyRole   `json:"role"`
	ID            string    `json:"id"`
	PublicFile    string    `json:"public_file"`
	PrivateFile   string    `json:"private_file"`
	SignsFrom     time.Time `json:"signs_from"`
	KeyTag        uint16    `json:"key_tag"`
	Flags         uint16    `json:"flags"`
	Protocol      uint8     `json:"protocol"`
	Algorithm     uint8     `json:"algorithm"`
	AlgorithmName string    `json:"algorithm_name"`
	PublicKey     string    `json:"public_key"`
	DNSKEY        string    `json:"dnskey"`
	DS            []madeDS  `json:"ds"` // none for a key that the parent need not know
	Next          []string  `json:"next"`
}

// madeDS is a DS record of a key.
type madeDS struct {
	Record     string `json:"record"`
	KeyTag     uint16 `json:"key_tag"`
	Algorithm  uint8  `json:"algorithm"`
	DigestType uint8  `json:"digest_type"`
	DigestName string `json:"digest_name"`
	Digest     string `json:"digest"`
}

func (r *keyRequest) describe(key *signing.Key) *madeKey {
	path := filepath.Join(r.directory, key.ID())
	made := &madeKey{
		Zone: r.zone, Role: r.role, ID: key.ID(), PublicFile: path + ".key", PrivateFile: path + ".private",
		SignsFrom: key.Times.Activate, KeyTag: key.Tag(), Flags: key.Record.Flags, Protocol: key.Record.Protocol,
		Algorithm: key.Algorithm(), AlgorithmName: signing.AlgorithmName(key.Algorithm()), PublicKey: key.Record.PublicKey,
		DNSKEY: fmt.Sprintf("%s IN DNSKEY %d %d %d %s", r.zone, key.Record.Flags, key.Record.Protocol, key.Algorithm(), key.Record.PublicKey),
		DS:     []madeDS{},
	}
	if r.role != roleZSK {
		made.DS = append(made.DS, describeDS(key, dns.SHA256, "SHA-256"), describeDS(key, dns.SHA384, "SHA-384"))
	}
	made.Next = r.next(made)
	return made
}

func describeDS(key *signing.Key, digestType uint8, name string) madeDS {
	ds := key.DS(digestType)
	return madeDS{
		Record: fmt.Sprintf("%s IN DS %d %d %d %s", key.Zone(), ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest),
		KeyTag: ds.KeyTag, Algorithm: ds.Algorithm, DigestType: ds.DigestType, DigestName: name, Digest: ds.Digest,
	}
}

// next is what is to be done with a key that was made.
func (r *keyRequest) next(made *madeKey) []string {
	name := cmp.Or(strings.TrimSuffix(r.zone, "."), r.zone)
	var steps []string
	if r.configured {
		steps = append(steps, "Where the server runs, it signs with the key within some seconds. Every other node of the zone needs both files.")
	} else {
		steps = append(steps, "Copy both files into the directory that dns.dnssec_keys names, on every node of the zone.")
	}
	steps = append(steps, "Keep a copy of both files where nobody else reads it.")
	if r.role == roleZSK {
		return append(steps, fmt.Sprintf("The parent need not know this key. It signs from %s on.", made.SignsFrom.Format(time.RFC3339)))
	}
	return append(steps,
		fmt.Sprintf("See that every name server of the zone, the secondaries too, gives signatures: dig +dnssec %s SOA @SERVER", name),
		"Wait for as long as the longest TTL in the zone, so that no cache has answers without signatures.",
		"Then give the DS record to the registrar, and not before: with a DS, validators take unsigned answers for forged. "+
			"A parent that reads CDS records (RFC 8078) may do so by itself.",
	)
}

func (m *madeKey) writeJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(m)
}

// writeText prints the key for people.
func (m *madeKey) writeText(out io.Writer) {
	fmt.Fprintf(out, "Made key %s (%s, %s) of zone %s:\n\n  %s\n  %s\n", m.ID, m.Role, m.AlgorithmName, m.Zone, m.PublicFile, m.PrivateFile)
	if len(m.DS) > 0 {
		fmt.Fprintf(out, "\nRegistrars ask for one of these. A DS record, by SHA-256 where both are taken:\n\n")
		for _, ds := range m.DS {
			fmt.Fprintf(out, "  %s\n", ds.Record)
		}
		fmt.Fprintf(out, "\nThe DS record field by field:\n\n")
		for _, ds := range m.DS {
			fmt.Fprintf(out, "  key tag      %d\n  algorithm    %d (%s)\n  digest type  %d (%s)\n  digest       %s\n\n",
				ds.KeyTag, ds.Algorithm, m.AlgorithmName, ds.DigestType, ds.DigestName, ds.Digest)
		}
		fmt.Fprintf(out, "The key itself, of which they make the DS:\n\n  %s\n\n", m.DNSKEY)
		fmt.Fprintf(out, "  flags        %d (KSK)\n  protocol     %d\n  algorithm    %d (%s)\n  public key   %s\n",
			m.Flags, m.Protocol, m.Algorithm, m.AlgorithmName, m.PublicKey)
	}
	fmt.Fprintf(out, "\nWhat to do next:\n\n")
	for i, step := range m.Next {
		fmt.Fprintf(out, "  %d. %s\n", i+1, step)
	}
}
