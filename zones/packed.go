package zones

import (
	"errors"
	"fmt"
	"iter"

	"github.com/miekg/dns"
)

// Packed is a Difference as it is kept and sent: many may have it at a time, and none
// of them needs all of its records in memory.
type Packed struct {
	Old, New uint32 // serials
	// Records are in wire format, one behind the other, without compression: the old
	// SOA, what is deleted, the new SOA, and what is added. CutRecord reads them.
	Records string
}

// Pack packs a difference. It fails where one of its records cannot be packed.
func (d *Difference) Pack() (Packed, error) {
	var p RecordPacker
	var data []byte
	var err error
	for _, part := range [][]dns.RR{{d.Old}, d.Deleted, {d.New}, d.Added} {
		for _, rr := range part {
			if data, err = p.Append(data, rr); err != nil {
				return Packed{}, err
			}
		}
	}
	return Packed{Old: d.Old.Serial, New: d.New.Serial, Records: string(data)}, nil
}

// UnpackDifference reads the records of one, and fails where they are not that.
func UnpackDifference(records []byte) (*Difference, error) {
	d := &Difference{}
	for rr, err := range Unpack(records) {
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

// RecordPacker packs records without writing to them: others may read them meanwhile. Its
// zero value is ready, and one goroutine's.
type RecordPacker struct {
	message dns.Msg
	buffer  []byte
}

// Append appends a record in wire format, without compression.
func (p *RecordPacker) Append(data []byte, rr dns.RR) ([]byte, error) {
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

// Unpack reads records that were packed one behind the other. After an error there are
// no more.
func Unpack(data []byte) iter.Seq2[dns.RR, error] {
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

// PackedRecord is a record in wire format, without compression.
type PackedRecord struct {
	Wire string
	name int // bytes of the name, which comes first
}

// CutRecord gives the first of packed records, and what is behind it. It is not ok
// where there is no whole record.
func CutRecord(packed string) (record PackedRecord, behind string, ok bool) {
	name, _, ok := CutName(packed)
	data := len(name) + recordFixed
	if !ok || data > len(packed) {
		return PackedRecord{}, packed, false
	}
	end := data + int(packed[data-2])<<8 + int(packed[data-1])
	if end > len(packed) {
		return PackedRecord{}, packed, false
	}
	return PackedRecord{Wire: packed[:end], name: len(name)}, packed[end:], true
}

// maxLabel is how many bytes a label has at most (RFC 1035, section 2.3.4).
const maxLabel = 63

// CutName gives the name that packed bytes begin with, in wire format, and what is
// behind it. It is not ok where there is no whole name, or it is compressed.
func CutName(packed string) (name, behind string, ok bool) {
	end := 0
	for end < len(packed) && packed[end] != 0 && packed[end] <= maxLabel {
		end += 1 + int(packed[end])
	}
	if end >= len(packed) || packed[end] != 0 {
		return "", packed, false
	}
	return packed[:end+1], packed[end+1:], true
}

// Owner is the name, in wire format.
func (r PackedRecord) Owner() string { return r.Wire[:r.name] }

// Type is the record's.
func (r PackedRecord) Type() uint16 { return uint16(r.Wire[r.name])<<8 | uint16(r.Wire[r.name+1]) }

// Rest is what is behind the name: type, class, TTL, the length of the data, and the
// data.
func (r PackedRecord) Rest() string { return r.Wire[r.name:] }
