package zones

import (
	"encoding/binary"
	"fmt"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// denial is the NSEC record of a link, with its signatures.
type denial struct {
	records    []dns.RR // one
	signatures []signing.Signature
	wire       wireDenial
}

// wireDenial is a denial in wire format: the owner's name in full, the NSEC record
// behind it, and its signatures, each without its owner.
type wireDenial struct {
	bytes      []byte
	owner      uint8  // the length of the owner's name
	signatures uint16 // where the first starts
	records    uint16
}

func newDenial(nsec *dns.NSEC, signatures []signing.Signature) (*denial, error) {
	d := &denial{records: []dns.RR{nsec}, signatures: signatures}
	wire := make([]byte, dns.Len(nsec)+1)
	owner, err := dns.PackDomainName(nsec.Hdr.Name, wire, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("packing NSEC of %s: %w", nsec.Hdr.Name, err)
	}
	length, err := dns.PackRR(nsec, wire, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("packing NSEC of %s: %w", nsec.Hdr.Name, err)
	}
	d.wire = wireDenial{bytes: wire[:length:length], owner: uint8(owner), signatures: uint16(length), records: uint16(1 + len(signatures))}
	for i := range signatures {
		d.wire.bytes = signatures[i].AppendRecord(d.wire.bytes)
	}
	return d, nil
}

// placed is a denial as it stands in an answer: of the owner's name, the first bytes
// are written, and what is left is a pointer into the question.
type placed struct {
	*wireDenial
	kept    uint8
	pointer uint16 // 0: the name ends with the root
	size    int    // in the answer, in bytes
}

// place compresses the owner's name against that of the question, and no other: so
// does the Packer.
func (d *denial) place(name *WireName) (p placed) {
	w := &d.wire
	owner := w.bytes[:w.owner]
	var starts [maxName/2 + 1]uint8
	labels := 0
	for at := 0; owner[at] != 0; at += 1 + int(owner[at]) {
		starts[labels] = uint8(at)
		labels++
	}
	end := len(owner) - 1 // of what is not shared
	mine, theirs, theirEnd := labels-1, name.labels-1, name.length-1
	for mine >= 0 && theirs >= 0 && equal(owner[starts[mine]:end], name.wire[name.starts[theirs]:theirEnd]) {
		end, theirEnd = int(starts[mine]), int(name.starts[theirs])
		mine, theirs = mine-1, theirs-1
	}
	p = placed{wireDenial: w, kept: uint8(end)}
	ownerSize, again := end+1, 2
	if theirEnd < name.length-1 {
		p.pointer = questionPointer + uint16(theirEnd)
		ownerSize++
	} else if end == 0 {
		again = 1 // the root
	}
	p.size = ownerSize + len(w.bytes) - len(owner) + int(w.records-1)*again
	return p
}

// appendTo writes the records. The owner of the signatures points to the first.
func (p *placed) appendTo(message []byte) []byte {
	start := len(message)
	owner := p.pointer
	message = append(message, p.bytes[:p.kept]...)
	if p.pointer != 0 {
		message = binary.BigEndian.AppendUint16(message, p.pointer)
	} else {
		message = append(message, 0)
	}
	if p.kept > 0 {
		owner = pointerFlags + uint16(start)
	}
	message = append(message, p.bytes[p.owner:p.signatures]...)
	for rest := p.bytes[p.signatures:]; len(rest) > 0; {
		if owner != 0 {
			message = binary.BigEndian.AppendUint16(message, owner)
		} else {
			message = append(message, 0)
		}
		length := recordFixed + int(binary.BigEndian.Uint16(rest[recordFixed-2:]))
		message = append(message, rest[:length]...)
		rest = rest[length:]
	}
	return message
}
