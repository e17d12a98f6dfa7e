package dnsserver

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/miekg/dns"
)

// transferMessage is how long the messages of a transfer are at most, in bytes,
// unless a record alone is longer: so far names can be pointed to (RFC 1035 section
// 4.1.4), and longer ones would save little and let others wait.
const transferMessage = 16 << 10

// transferWriter writes the records of a transfer's message. Names of records are
// compressed against those before them, which share most of their labels, for zones
// are in order; those in the data of records are not, because looking for what they
// share takes longer than sending it.
type transferWriter struct {
	buffer []byte
	count  uint16
	// The name written last, without compression, where its labels begin in it, and
	// where in the message they, or the same ones before them, do.
	name    []byte
	labels  []int
	offsets []int

	spare        []byte // the next name
	spareLabels  []int
	spareOffsets []int
}

// begin starts a message in a buffer that has its header, and the question if it has
// one, whose name is then the first to point to.
func (w *transferWriter) begin(buffer []byte) {
	w.buffer, w.count = buffer, 0
	w.name, w.labels, w.offsets = w.name[:0], w.labels[:0], w.offsets[:0]
	if len(buffer) == headerSize {
		return
	}
	end, ok := plainName(buffer, headerSize)
	if !ok {
		return
	}
	w.name = append(w.name, buffer[headerSize:end]...)
	w.labels = labelsOf(w.name, w.labels)
	for _, at := range w.labels {
		w.offsets = append(w.offsets, headerSize+at)
	}
}

// labelsOf gives where the labels of a name begin, but for the root's.
func labelsOf(name []byte, into []int) []int {
	for at := 0; name[at] != 0; at += 1 + int(name[at]) {
		into = append(into, at)
	}
	return into
}

// add writes a record if the message is no longer than limit bytes then, and reports
// whether it is.
func (w *transferWriter) add(rr dns.RR, limit int) (bool, error) {
	start := len(w.buffer)
	if err := w.readName(rr.Header().Name); err != nil {
		return false, err
	}
	w.writeName()
	if err := w.writeRest(rr); err != nil {
		return false, err
	}
	if len(w.buffer) > limit {
		w.buffer = w.buffer[:start]
		return false, nil
	}
	w.count++
	w.name, w.spare = w.spare, w.name
	w.labels, w.spareLabels = w.spareLabels, w.labels
	w.offsets, w.spareOffsets = w.spareOffsets, w.offsets
	return true, nil
}

// readName puts a name in presentation form where the next one is.
func (w *transferWriter) readName(name string) error {
	if cap(w.spare) < maxName+1 {
		w.spare = make([]byte, maxName+1)
	}
	n, err := dns.PackDomainName(name, w.spare[:maxName+1], 0, nil, false)
	if err != nil {
		return fmt.Errorf("packing the name %s: %w", name, err)
	}
	w.spare = w.spare[:n]
	w.spareLabels = labelsOf(w.spare, w.spareLabels[:0])
	w.spareOffsets = w.spareOffsets[:0]
	return nil
}

// writeName writes the next name: the labels that it does not share with the last
// one, and a pointer to the others.
func (w *transferWriter) writeName() {
	own := len(w.spareLabels) // labels that are written
	for shared := 1; shared <= min(len(w.labels), len(w.spareLabels)); shared++ {
		last, next := len(w.labels)-shared, len(w.spareLabels)-shared
		if !bytes.Equal(w.name[w.labels[last]:], w.spare[w.spareLabels[next]:]) || w.offsets[last] >= pointerReach {
			break
		}
		own = next
	}
	start := len(w.buffer)
	for i := range w.spareLabels {
		offset := start + w.spareLabels[i]
		if i >= own {
			offset = w.offsets[len(w.labels)-len(w.spareLabels)+i]
		}
		w.spareOffsets = append(w.spareOffsets, offset)
	}
	if own == len(w.spareLabels) {
		w.buffer = append(w.buffer, w.spare...)
		return
	}
	w.buffer = append(w.buffer, w.spare[:w.spareLabels[own]]...)
	w.buffer = binary.BigEndian.AppendUint16(w.buffer, uint16(pointerReach*3|w.spareOffsets[own]))
}

// pointerReach is how far into a message pointers reach.
const pointerReach = 1 << 14

// writeRest writes what follows a record's name.
func (w *transferWriter) writeRest(rr dns.RR) error {
	header := rr.Header()
	var address []byte
	switch rr := rr.(type) {
	case *dns.A:
		address = rr.A.To4()
	case *dns.AAAA:
		address = rr.AAAA
	}
	if len(address) > 0 {
		w.buffer = binary.BigEndian.AppendUint16(w.buffer, header.Rrtype)
		w.buffer = binary.BigEndian.AppendUint16(w.buffer, header.Class)
		w.buffer = binary.BigEndian.AppendUint32(w.buffer, header.Ttl)
		w.buffer = binary.BigEndian.AppendUint16(w.buffer, uint16(len(address)))
		w.buffer = append(w.buffer, address...)
		return nil
	}
	// The library notes the length of what it packed in the record, which belongs to
	// everybody. It writes the name as well: the root's is one byte, which is the
	// last one of the name that is there.
	own := dns.Copy(rr)
	own.Header().Name = "."
	at := len(w.buffer) - 1
	last := w.buffer[at]
	need := at + dns.Len(own) + maxName // the library looks for the end, but not everywhere
	if need > cap(w.buffer) {
		w.buffer = append(make([]byte, 0, 2*need), w.buffer...)
	}
	end, err := dns.PackRR(own, w.buffer[:cap(w.buffer)], at, nil, false)
	if err != nil {
		return fmt.Errorf("packing %s %s: %w", header.Name, dns.TypeToString[header.Rrtype], err)
	}
	w.buffer = w.buffer[:end]
	w.buffer[at] = last
	return nil
}
