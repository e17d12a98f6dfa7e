package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// A file is the magic line and entries: the length of the data, the kind, a number
// that orders the entries of all files, the data, and the first half of the SHA-256
// of kind, number and data. Data is records in wire format, uncompressed:
//
//	snapshot    SOA, then all others
//	difference  the old SOA, what is deleted, the new SOA, what is added
const (
	magic       = "mirrorpool journal 1\n"
	entryHead   = 4 + 1 + 8
	entryDigest = sha256.Size / 2
)

const (
	kindSnapshot   = 'S'
	kindDifference = 'D'
)

// entry is one of a file.
type entry struct {
	kind   byte
	number uint64
	data   []byte
}

// appendEntry writes an entry behind others.
func appendEntry[T string | []byte](file []byte, kind byte, number uint64, data T) []byte {
	file = binary.BigEndian.AppendUint32(file, uint32(len(data)))
	start := len(file)
	file = append(file, kind)
	file = binary.BigEndian.AppendUint64(file, number)
	file = append(file, data...)
	digest := sha256.Sum256(file[start:])
	return append(file, digest[:entryDigest]...)
}

// entrySize is how many bytes of a file an entry takes that has so many of data.
func entrySize(data int) int64 { return entryHead + int64(data) + entryDigest }

// errTorn is what the end of a file gives that was being written.
var errTorn = errors.New("an entry is not whole")

// readEntry reads the entry at the start of what is left of a file.
func readEntry(rest []byte) (e entry, length int, err error) {
	if len(rest) < entryHead {
		return entry{}, 0, errTorn
	}
	size := uint64(binary.BigEndian.Uint32(rest))
	whole := entryHead + size + entryDigest
	if whole > uint64(len(rest)) {
		return entry{}, 0, errTorn
	}
	body, digest := rest[4:whole-entryDigest], rest[whole-entryDigest:whole]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:entryDigest], digest) {
		return entry{}, 0, errors.New("an entry is damaged")
	}
	return entry{kind: body[0], number: binary.BigEndian.Uint64(body[1:]), data: body[9:]}, int(whole), nil
}

// snapshotData writes a version whole. It fails beyond a size.
func snapshotData(v *zones.Version, most int64) ([]byte, error) {
	var p zones.RecordPacker
	data, err := p.Append(nil, v.SOA)
	if err != nil {
		return nil, err
	}
	for rr := range v.Records() {
		if data, err = p.Append(data, rr); err != nil {
			return nil, err
		}
		if int64(len(data)) > most {
			return nil, errTooLarge
		}
	}
	return data, nil
}

var errTooLarge = errors.New("the zone is too large to be kept")

func readSnapshot(data []byte) (*zones.Version, error) {
	var soa *dns.SOA
	var rest []dns.RR
	for rr, err := range zones.Unpack(data) {
		if err != nil {
			return nil, err
		}
		one, isSOA := rr.(*dns.SOA)
		switch {
		case soa == nil && isSOA:
			soa = one
		case soa == nil || isSOA:
			return nil, errors.New("the content of a zone does not begin with its one SOA record")
		default:
			rest = append(rest, rr)
		}
	}
	if soa == nil {
		return nil, errors.New("the content of a zone is empty")
	}
	return zones.NewVersion(soa, rest), nil
}
