package signing

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The ends of the names of a key's two files.
const (
	publicSuffix  = ".key"
	privateSuffix = ".private"
)

// maxKeyFile is more bytes than any key's file has.
const maxKeyFile = 16 << 10

// ParseKey reads a key of its two files, as BIND writes them: a DNSKEY record in
// zone file form, and a private key of format v1.2 or v1.3. The private half has to
// belong to the public one, and id, the files' name without its end, to both; an
// empty id is not looked at. Without a private half (nil), or where that says that
// it is kept elsewhere (External), the key cannot sign.
func ParseKey(id string, public, private []byte) (*Key, error) {
	record, err := parsePublicFile(public)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	half, err := publicKey(record)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	var signer crypto.Signer
	var times Times
	if private != nil {
		if signer, times, err = parsePrivate(private, record, half); err != nil {
			return nil, fmt.Errorf("reading the private key: %w", err)
		}
	}
	key, err := newKey(record, signer, times)
	if err != nil {
		return nil, err
	}
	if id != "" && id != key.ID() {
		return nil, fmt.Errorf("the name of the files is not that of the key in them, which is %s: rename both", key.ID())
	}
	return key, nil
}

func parsePrivate(data []byte, record *dns.DNSKEY, public crypto.PublicKey) (crypto.Signer, Times, error) {
	file, err := parsePrivateFile(data)
	if err != nil {
		return nil, Times{}, err
	}
	times, err := file.times()
	if err != nil {
		return nil, Times{}, err
	}
	signer, err := file.key(record, public)
	return signer, times, err
}

// parsePublicFile reads the only record of a .key file.
func parsePublicFile(data []byte) (*dns.DNSKEY, error) {
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("$")) {
			return nil, errors.New("a directive ($) has no place in a key file")
		}
	}
	parser := dns.NewZoneParser(bytes.NewReader(data), "", "")
	parser.SetDefaultTTL(0)
	record, found := parser.Next()
	if err := parser.Err(); err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New("there is no record in it")
	}
	if _, more := parser.Next(); more || parser.Err() != nil {
		return nil, errors.New("there is more than one record in it")
	}
	key, isKey := record.(*dns.DNSKEY)
	switch {
	case !isKey:
		return nil, fmt.Errorf("found a %s record, expected DNSKEY", dns.Type(record.Header().Rrtype))
	case key.Hdr.Class != dns.ClassINET:
		return nil, fmt.Errorf("found class %s, expected IN", dns.Class(key.Hdr.Class))
	case key.Flags&dns.ZONE == 0 || key.Flags&^(dns.ZONE|dns.SEP|dns.REVOKE) != 0:
		return nil, fmt.Errorf("found flags %d, expected 257 or 256: this is no key that a zone is signed with", key.Flags)
	case key.Protocol != 3:
		return nil, fmt.Errorf("found protocol %d, expected 3", key.Protocol)
	}
	return key, nil
}

// formatPublic writes a .key file as BIND does.
func formatPublic(key *Key) []byte {
	var text strings.Builder
	kind := "zone-signing"
	if key.Entry() {
		kind = "key-signing"
	}
	fmt.Fprintf(&text, "; This is a %s key, keyid %d, for %s\n", kind, key.tag, key.Zone())
	text.WriteString(timeComments(key.Times))
	fmt.Fprintf(&text, "%s IN DNSKEY %d %d %d %s\n", key.Zone(), key.Record.Flags, key.Record.Protocol, key.Record.Algorithm, key.Record.PublicKey)
	return []byte(text.String())
}

func timeComments(times Times) string {
	var text strings.Builder
	for _, one := range times.all() {
		if !one.at.IsZero() {
			at := one.at.UTC()
			fmt.Fprintf(&text, "; %s: %s (%s)\n", one.name, at.Format(timeFormat), at.Format("Mon Jan _2 15:04:05 2006"))
		}
	}
	return text.String()
}

// deleteComment is the Delete time in the comments of a .key file; zero: there is
// none that can be read.
func deleteComment(data []byte) (at time.Time) {
	for line := range strings.Lines(string(data)) {
		comment, isComment := strings.CutPrefix(strings.TrimSpace(line), ";")
		name, value, _ := strings.Cut(comment, ":")
		if !isComment || strings.TrimSpace(name) != "Delete" {
			continue
		}
		at, _ = parseTime(strings.TrimSpace(value)) // the zero time where it is none
	}
	return at
}

// zoneOfFile reads the zone's canonical name from the name of a key's files
// without its end, such as Kexample.org.+013+12345; false: it is none.
func zoneOfFile(id string) (string, bool) {
	parts := strings.Split(strings.TrimPrefix(id, "K"), "+")
	if !strings.HasPrefix(id, "K") || len(parts) != 3 || len(parts[1]) != 3 || len(parts[2]) != 5 || !strings.HasSuffix(parts[0], ".") {
		return "", false
	}
	for _, number := range parts[1:] {
		if _, err := strconv.ParseUint(number, 10, 32); err != nil {
			return "", false
		}
	}
	var text strings.Builder
	for rest := parts[0]; rest != ""; {
		if rest[0] != '%' {
			text.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		if len(rest) < 3 {
			return "", false
		}
		code, err := strconv.ParseUint(rest[1:3], 16, 8)
		if err != nil {
			return "", false
		}
		fmt.Fprintf(&text, "\\%03d", code)
		rest = rest[3:]
	}
	_, name, err := canonicalName(text.String())
	return name, err == nil
}
