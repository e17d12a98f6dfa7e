package dnsserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// transferMessage is how long the messages of a transfer are at most, in bytes,
// unless a record alone is longer: so far names can be pointed to (RFC 1035 section
// 4.1.4), and longer ones would save little and let others wait.
const transferMessage = 16 << 10

// transferWriter writes the records of a transfer's message. Names of records are
// compressed against those before them, which share most of their labels, for zones
// are in order; of those in the data of records only a SOA's are, against the zone's,
// because looking for what others share takes longer than sending it.
type transferWriter struct {
	buffer []byte
	count  uint16
	last   writtenName // of the record before
	next   writtenName // of the one that is being written
	inside writtenName // one in its data
}

// writtenName is a name in a message.
type writtenName struct {
	text    string // in presentation form; empty: that is not known
	wire    []byte // without compression
	labels  []int  // where each label begins in it, but for the root's
	offsets []int  // where in the message each of them, or the same ones earlier, do
}

// begin starts a message in a buffer that has its header, and the question if it has
// one, whose name is then the first to point to.
func (w *transferWriter) begin(buffer []byte) {
	w.buffer, w.count = buffer, 0
	w.last.clear()
	if len(buffer) == headerSize {
		return
	}
	if end, ok := plainName(buffer, headerSize); ok {
		w.last.wire = append(w.last.wire, buffer[headerSize:end]...)
		w.last.split()
		for _, at := range w.last.labels {
			w.last.offsets = append(w.last.offsets, headerSize+at)
		}
	}
}

func (n *writtenName) clear() {
	n.text, n.wire, n.labels, n.offsets = "", n.wire[:0], n.labels[:0], n.offsets[:0]
}

// same makes a name that of another, where that is.
func (n *writtenName) same(other *writtenName) {
	n.text = other.text
	n.wire = append(n.wire[:0], other.wire...)
	n.labels = append(n.labels[:0], other.labels...)
	n.offsets = append(n.offsets[:0], other.offsets...)
}

// split finds the labels.
func (n *writtenName) split() {
	for at := 0; n.wire[at] != 0; at += 1 + int(n.wire[at]) {
		n.labels = append(n.labels, at)
	}
}

// read takes a name in presentation form.
func (n *writtenName) read(name string) error {
	n.clear()
	if cap(n.wire) <= maxName {
		n.wire = make([]byte, 0, maxName+1)
	}
	length, err := dns.PackDomainName(name, n.wire[:maxName+1], 0, nil, false)
	if err != nil {
		return fmt.Errorf("packing the name %s: %w", name, err)
	}
	n.text, n.wire = name, n.wire[:length]
	n.split()
	return nil
}

// take takes a name in wire format.
func (n *writtenName) take(wire string) {
	n.clear()
	n.wire = append(n.wire, wire...)
	n.split()
}

// add writes a record if the message is no longer than limit bytes then, and reports
// whether it is.
func (w *transferWriter) add(item transferItem, limit int) (bool, error) {
	start := len(w.buffer)
	if err := w.write(item); err != nil {
		return false, err
	}
	if len(w.buffer) > limit {
		w.buffer = w.buffer[:start]
		return false, nil
	}
	w.count++
	w.last, w.next = w.next, w.last
	return true, nil
}

// write writes a record, in whatever form it is.
func (w *transferWriter) write(item transferItem) error {
	switch {
	case item.Record != nil:
		if err := w.writeOwner(item.Record.Header().Name); err != nil {
			return err
		}
		return w.writeRest(item.Record)
	case item.packed.Wire != "":
		w.next.take(item.packed.Owner())
		w.writeName(&w.next, &w.last)
		w.writePacked(item.packed)
		return nil
	}
	if err := w.writeOwner(item.Owner()); err != nil {
		return err
	}
	w.buffer = item.AppendRest(w.buffer)
	return nil
}

// writeOwner writes a name in presentation form, which is often that of the record
// before.
func (w *transferWriter) writeOwner(name string) error {
	if name == w.last.text && len(w.last.labels) > 0 && w.last.offsets[0] < pointerReach {
		w.next.same(&w.last)
		w.buffer = binary.BigEndian.AppendUint16(w.buffer, uint16(pointerReach*3|w.last.offsets[0]))
		return nil
	}
	if err := w.next.read(name); err != nil {
		return err
	}
	w.writeName(&w.next, &w.last)
	return nil
}

// writeName writes the labels of a name that it does not share with one before it, and
// a pointer to the others.
func (w *transferWriter) writeName(n, before *writtenName) {
	own := len(n.labels) // labels that are written
	for shared := 1; shared <= min(len(before.labels), len(n.labels)); shared++ {
		there, here := len(before.labels)-shared, len(n.labels)-shared
		if !bytes.Equal(before.wire[before.labels[there]:], n.wire[n.labels[here]:]) || before.offsets[there] >= pointerReach {
			break
		}
		own = here
	}
	start := len(w.buffer)
	for i, at := range n.labels {
		offset := start + at
		if i >= own {
			offset = before.offsets[len(before.labels)-len(n.labels)+i]
		}
		n.offsets = append(n.offsets, offset)
	}
	if own == len(n.labels) {
		w.buffer = append(w.buffer, n.wire...)
		return
	}
	w.buffer = append(w.buffer, n.wire[:n.labels[own]]...)
	w.buffer = binary.BigEndian.AppendUint16(w.buffer, uint16(pointerReach*3|n.offsets[own]))
}

// pointerReach is how far into a message pointers reach.
const pointerReach = 1 << 14

// writeRest writes what follows a record's name.
func (w *transferWriter) writeRest(rr dns.RR) error {
	header := rr.Header()
	switch rr := rr.(type) {
	case *dns.SOA:
		return w.writeSOA(rr)
	case *dns.A:
		if address := rr.A.To4(); address != nil {
			w.buffer = append(w.writeFixed(header, len(address)), address...)
			return nil
		}
	case *dns.AAAA:
		if len(rr.AAAA) == net.IPv6len {
			w.buffer = append(w.writeFixed(header, len(rr.AAAA)), rr.AAAA...)
			return nil
		}
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

// writeFixed appends type, class, TTL and the length of the data.
func (w *transferWriter) writeFixed(header *dns.RR_Header, length int) []byte {
	b := binary.BigEndian.AppendUint16(w.buffer, header.Rrtype)
	b = binary.BigEndian.AppendUint16(b, header.Class)
	b = binary.BigEndian.AppendUint32(b, header.Ttl)
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

// writeSOA writes the record that small transfers consist of for the most part.
func (w *transferWriter) writeSOA(soa *dns.SOA) error {
	w.buffer = w.writeFixed(&soa.Hdr, 0)
	start := len(w.buffer)
	for _, name := range []string{soa.Ns, soa.Mbox} {
		if err := w.inside.read(name); err != nil {
			return err
		}
		w.writeName(&w.inside, &w.next)
	}
	for _, number := range []uint32{soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minttl} {
		w.buffer = binary.BigEndian.AppendUint32(w.buffer, number)
	}
	w.setLength(start)
	return nil
}

// setLength notes the length of data that begins there.
func (w *transferWriter) setLength(start int) {
	binary.BigEndian.PutUint16(w.buffer[start-2:], uint16(len(w.buffer)-start))
}

// writePacked writes what follows the name of a packed record.
func (w *transferWriter) writePacked(record zones.PackedRecord) {
	rest := record.Rest()
	if record.Type() != dns.TypeSOA {
		w.buffer = append(w.buffer, rest...)
		return
	}
	w.buffer = append(w.buffer, rest[:recordFixed]...)
	start := len(w.buffer)
	data := rest[recordFixed:]
	for range 2 {
		name, behind, ok := zones.CutName(data)
		if !ok {
			break // it is written as it is
		}
		w.inside.take(name)
		w.writeName(&w.inside, &w.next)
		data = behind
	}
	w.buffer = append(w.buffer, data...)
	w.setLength(start)
}
