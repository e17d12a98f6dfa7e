//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Types of the data section.
const (
	typePointer = 1
	typeString  = 2
	typeDouble  = 3
	typeUint16  = 5
	typeUint32  = 6
	typeMap     = 7
	typeUint64  = 9
	typeArray   = 11
)

func (d *cityDatabase) control(kind, size int) {
	first := kind << 5
	if kind > 7 {
		first = 0
	}
	switch {
	case size < 29:
		d.data = append(d.data, byte(first|size))
	default: // up to 284
		d.data = append(d.data, byte(first|29))
	}
	if kind > 7 {
		d.data = append(d.data, byte(kind-7))
	}
	if size >= 29 {
		d.data = append(d.data, byte(size-29))
	}
}

func (d *cityDatabase) startMap(entries int) { d.control(typeMap, entries) }

func (d *cityDatabase) text(s string) {
	d.control(typeString, len(s))
	d.data = append(d.data, s...)
}

func (d *cityDatabase) number(kind int, value uint64) {
	sizes := map[int]int{typeUint16: 2, typeUint32: 4, typeUint64: 8}
	size := sizes[kind]
	d.control(kind, size)
	d.data = append(d.data, binary.BigEndian.AppendUint64(nil, value)[8-size:]...)
}

func (d *cityDatabase) double(value float64) {
	d.control(typeDouble, 8)
	d.data = binary.BigEndian.AppendUint64(d.data, math.Float64bits(value))
}

// pointer points to an earlier value, in the form with four bytes.
func (d *cityDatabase) pointer(to uint32) {
	d.data = append(d.data, typePointer<<5|3<<3)
	d.data = binary.BigEndian.AppendUint32(d.data, to)
}

const (
	recordBits   = 28
	separation   = 16 // zero bytes between tree and data
	metadataMark = "\xab\xcd\xefMaxMind.com"
)

// write writes the tree, the data and the metadata.
func (d *cityDatabase) write(out io.Writer) error {
	if most := len(d.nodes) + separation + len(d.data); most >= 1<<recordBits {
		return fmt.Errorf("%d nodes and %d bytes are too many for records of %d bits", len(d.nodes), len(d.data), recordBits)
	}
	value := func(record uint32) uint32 {
		switch {
		case record == emptyRecord:
			return uint32(len(d.nodes))
		case record&dataRecord != 0:
			return uint32(len(d.nodes)) + separation + record&^dataRecord
		}
		return record
	}
	for _, node := range d.nodes {
		left, right := value(node[0]), value(node[1])
		if _, err := out.Write([]byte{
			byte(left >> 16), byte(left >> 8), byte(left),
			byte(left>>24<<4 | right>>24),
			byte(right >> 16), byte(right >> 8), byte(right),
		}); err != nil {
			return err
		}
	}
	if _, err := out.Write(make([]byte, separation)); err != nil {
		return err
	}
	if _, err := out.Write(d.data); err != nil {
		return err
	}
	_, err := out.Write(d.metadata())
	return err
}

func (d *cityDatabase) metadata() []byte {
	m := &cityDatabase{data: []byte(metadataMark)}
	m.startMap(9)
	m.text("binary_format_major_version")
	m.number(typeUint16, 2)
	m.text("binary_format_minor_version")
	m.number(typeUint16, 0)
	m.text("build_epoch")
	m.number(typeUint64, 1_700_000_000)
	m.text("database_type")
	m.text("Invented-City")
	m.text("description")
	m.startMap(1)
	m.text("en")
	m.text("Invented cities, to measure with")
	m.text("ip_version")
	m.number(typeUint16, 6)
	m.text("languages")
	m.control(typeArray, 2)
	m.text("de")
	m.text("en")
	m.text("node_count")
	m.number(typeUint32, uint64(len(d.nodes)))
	m.text("record_size")
	m.number(typeUint16, recordBits)
	return m.data
}
