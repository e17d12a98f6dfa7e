package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

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

// appendTo writes the entry behind others.
func (e *entry) appendTo(file []byte) []byte {
	file = binary.BigEndian.AppendUint32(file, uint32(len(e.data)))
	start := len(file)
	file = append(file, e.kind)
	file = binary.BigEndian.AppendUint64(file, e.number)
	file = append(file, e.data...)
	digest := sha256.Sum256(file[start:])
	return append(file, digest[:entryDigest]...)
}

// size is that of the entry in a file.
func (e *entry) size() int64 { return entryHead + int64(len(e.data)) + entryDigest }

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

// packer packs records without writing to them: others may read them meanwhile.
type packer struct {
	message dns.Msg
	buffer  []byte
}

const messageHeader = 12 // bytes (RFC 1035, section 4.1.1)

func (p *packer) append(data []byte, rr dns.RR) ([]byte, error) {
	if p.buffer == nil {
		p.buffer = make([]byte, dns.MaxMsgSize)
		p.message.Answer = make([]dns.RR, 1)
	}
	p.message.Answer[0] = rr
	wire, err := p.message.PackBuffer(p.buffer)
	if err != nil {
		return nil, fmt.Errorf("packing %s %s: %w", rr.Header().Name, dns.Type(rr.Header().Rrtype), err)
	}
	return append(data, wire[messageHeader:]...), nil
}

// snapshotData writes a version whole. It fails beyond a size.
func snapshotData(v *zones.Version, most int64) ([]byte, error) {
	var p packer
	data, err := p.append(nil, v.SOA)
	if err != nil {
		return nil, err
	}
	for rr := range v.Records() {
		if data, err = p.append(data, rr); err != nil {
			return nil, err
		}
		if int64(len(data)) > most {
			return nil, errTooLarge
		}
	}
	return data, nil
}

var errTooLarge = errors.New("the zone is too large to be kept")

func differenceData(d *zones.Difference) ([]byte, error) {
	var p packer
	var data []byte
	var err error
	for _, part := range [][]dns.RR{{d.Old}, d.Deleted, {d.New}, d.Added} {
		for _, rr := range part {
			if data, err = p.append(data, rr); err != nil {
				return nil, err
			}
		}
	}
	return data, nil
}

// records reads the records of an entry.
func records(data []byte) iter.Seq2[dns.RR, error] {
	return func(yield func(dns.RR, error) bool) {
		for offset := 0; offset < len(data); {
			rr, next, err := dns.UnpackRR(data, offset)
			if err == nil && next <= offset {
				err = errors.New("a record that has no end")
			}
			if err != nil {
				yield(nil, fmt.Errorf("reading a record: %w", err))
				return
			}
			if !yield(rr, nil) {
				return
			}
			offset = next
		}
	}
}

func readSnapshot(data []byte) (*zones.Version, error) {
	var soa *dns.SOA
	var rest []dns.RR
	for rr, err := range records(data) {
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

func readDifference(data []byte) (*zones.Difference, error) {
	d := &zones.Difference{}
	for rr, err := range records(data) {
		if err != nil {
			return nil, err
		}
		soa, isSOA := rr.(*dns.SOA)
		switch {
		case isSOA && d.Old == nil:
			d.Old = soa
		case isSOA && d.New == nil:
			d.New = soa
		case isSOA || d.Old == nil:
			return nil, errors.New("a difference does not have its two SOA records where they belong")
		case d.New == nil:
			d.Deleted = append(d.Deleted, rr)
		default:
			d.Added = append(d.Added, rr)
		}
	}
	if d.New == nil {
		return nil, errors.New("a difference lacks its second SOA record")
	}
	return d, nil
}
