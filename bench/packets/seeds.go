package packets

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// MaxSize is the longest packet that a length before a message can tell.
const MaxSize = 65535

// Seeds are packets of every kind, most of them about names, which are in
// presentation form without escapes and end in a dot, such as
// "dl.example.test.". The first name is asked in every way, the others in the
// common ones.
func Seeds(names ...string) [][]byte {
	if len(names) == 0 {
		names = []string{"example.test."}
	}
	var all [][]byte
	first := wireName(names[0])
	for _, name := range names {
		for _, kind := range []uint16{typeA, typeAAAA, typeTXT} {
			all = append(all, question{name: wireName(name), kind: kind}.bytes(), question{name: capitals(wireName(name)), kind: kind, extra: [][]byte{opt(1232, 0)}}.bytes())
		}
	}
	for _, kind := range everyType {
		all = append(all, question{name: first, kind: kind}.bytes())
	}
	all = append(all, classes(first)...)
	all = append(all, headers(first)...)
	all = append(all, oddNames(first)...)
	all = append(all, extensions(first)...)
	all = append(all, records(first)...)
	return append(all, operations(first)...)
}

const (
	typeA    = 1
	typeNS   = 2
	typeSOA  = 6
	typeTXT  = 16
	typeAAAA = 28
	typeOPT  = 41
	typeTKEY = 249
	typeTSIG = 250
	typeIXFR = 251
	typeAXFR = 252
	typeANY  = 255

	classIN   = 1
	classCH   = 3
	classNONE = 254
	classANY  = 255
)

// everyType are types that mean something to some server, and some at the edges
// of what is given out.
var everyType = []uint16{
	0, typeA, typeNS, 3, 4, 5, typeSOA, 7, 8, 9, 10, 11, 12, 13, 14, 15, typeTXT, 17, 24, 25, typeAAAA, 29, 33, 35, 36, 37, 38,
	39, typeOPT, 42, 43, 44, 45, 46, 47, 48, 50, 51, 52, 55, 59, 60, 61, 62, 63, 64, 65, 99, 108, 127, 128, typeTKEY, typeTSIG,
	typeIXFR, typeAXFR, 253, 254, typeANY, 256, 257, 258, 32768, 32769, 65280, 65534, 65535,
}

// question is a packet that asks, with whatever is to be wrong with it.
type question struct {
	flags       uint16
	counts      []uint16 // nil: those of what follows
	name        []byte   // nil: no question
	kind, class uint16   // class 0: IN
	between     []byte   // records between the question and the additional ones
	answers     uint16   // that are in there
	authorities uint16
	extra       [][]byte // additional records
	trailing    string
}

func (q question) bytes() []byte {
	counts := q.counts
	if counts == nil {
		counts = []uint16{min(1, uint16(len(q.name))), q.answers, q.authorities, uint16(len(q.extra))}
	}
	b := []byte{0x12, 0x34}
	b = binary.BigEndian.AppendUint16(b, q.flags)
	for _, count := range counts {
		b = binary.BigEndian.AppendUint16(b, count)
	}
	if len(q.name) > 0 {
		b = append(b, q.name...)
		b = binary.BigEndian.AppendUint16(b, q.kind)
		b = binary.BigEndian.AppendUint16(b, max(q.class, classIN))
	}
	b = append(b, q.between...)
	return append(append(b, bytes.Join(q.extra, nil)...), q.trailing...)
}

// wireName writes a name (RFC 1035 section 3.1).
func wireName(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

// capitals is a name with every second letter in upper case.
func capitals(name []byte) []byte {
	name = slices.Clone(name)
	for i, c := range name {
		if i%2 == 0 && 'a' <= c && c <= 'z' {
			name[i] = c - 'a' + 'A'
		}
	}
	return name
}

func record(owner []byte, kind, class uint16, ttl uint32, data string) []byte {
	b := slices.Clone(owner)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// opt is an OPT (RFC 6891); ttl holds extended response code, version and flags.
func opt(size uint16, ttl uint32, options ...[]byte) []byte {
	return record([]byte{0}, typeOPT, size, ttl, string(bytes.Join(options, nil)))
}

func option(code uint16, value string) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

func classes(name []byte) (all [][]byte) {
	for _, class := range []uint16{2, classCH, 4, classNONE, classANY, 65535} {
		all = append(all, question{name: name, kind: typeA, class: class}.bytes())
	}
	for _, special := range []string{"version.bind.", "version.server.", "id.server.", "hostname.bind.", "authors.bind."} {
		for _, kind := range []uint16{typeTXT, typeANY, typeA} {
			all = append(all, question{name: wireName(special), kind: kind, class: classCH}.bytes(), question{name: wireName(special), kind: kind}.bytes())
		}
	}
	return all
}

// headers are headers that say what they should not, or what nothing follows.
func headers(name []byte) (all [][]byte) {
	for bit := range 16 {
		all = append(all, question{flags: 1 << bit, name: name, kind: typeA}.bytes())
	}
	all = append(all, question{flags: 0x7FFF &^ (15 << 11), name: name, kind: typeA}.bytes())
	for opcode := range uint16(16) {
		all = append(all,
			question{flags: opcode << 11, name: name, kind: typeSOA}.bytes(),
			question{flags: opcode << 11, name: name, kind: typeA, extra: [][]byte{opt(1232, 0x8000, option(3, ""))}}.bytes(),
			question{flags: opcode << 11}.bytes())
	}
	for _, counts := range [][]uint16{
		{0, 0, 0, 0},
		{2, 0, 0, 0},
		{1, 1, 0, 0},
		{1, 0, 1, 0},
		{1, 0, 0, 1},
		{1, 0, 0, 2},
		{65535, 0, 0, 0},
		{1, 65535, 65535, 65535},
		{65535, 65535, 65535, 65535},
		{0, 0, 0, 1},
		{256, 0, 0, 0},
	} {
		all = append(all,
			question{counts: counts}.bytes(),
			question{counts: counts, name: name, kind: typeA}.bytes(),
			question{counts: counts, name: name, kind: typeA, extra: [][]byte{opt(1232, 0)}}.bytes())
	}
	whole := question{name: name, kind: typeA, extra: [][]byte{opt(1232, 0, option(8, "\x00\x01\x18\x00\x7f\x01\x02"))}}.bytes()
	for size := 0; size < len(whole); size += 1 + size/8 {
		all = append(all, whole[:size:size])
	}
	for _, trailing := range []string{"\x00", "rest", strings.Repeat("\x00", 1000)} {
		all = append(all, question{name: name, kind: typeA, trailing: trailing}.bytes())
	}
	cookieOnly := question{extra: [][]byte{opt(1232, 0, option(10, "12345678"))}}.bytes()
	return append(all, cookieOnly, nil)
}

// oddNames are names in a question that are at the limits or beyond them.
func oddNames(name []byte) (all [][]byte) {
	label := func(length int) []byte { return append([]byte{byte(length)}, bytes.Repeat([]byte{'l'}, length)...) }
	longest := slices.Concat(label(63), label(63), label(63), label(61))
	pointerHere := []byte{0xC0, 12}
	for _, odd := range [][]byte{
		{0}, // the root
		append(label(63), name...),
		append(longest, 0),
		append(slices.Concat(longest, []byte{1, 'x'}), 0),    // 257 bytes
		append(bytes.Repeat([]byte{1, 'a'}, 127), 0),         // as many labels as there can be
		append(bytes.Repeat([]byte{1, 'a'}, 128), 0),         // and one more
		append([]byte{1, 0}, name...),                        // NUL
		append([]byte{3, 'a', '.', 'b'}, name...),            // a dot in a label
		append([]byte{4, 0xff, 0x80, ' ', '\\'}, name...),    // no text at all
		append([]byte{1, '*'}, name...),                      // an asterisk
		append([]byte{3, '*', '.', '*'}, name...),            // no wildcard
		append([]byte{64}, bytes.Repeat([]byte{'a'}, 64)...), // a label of 64
		append([]byte{0x41, 'b'}, name...),                   // an extended label (RFC 2673)
		append([]byte{0x80}, name...),
		pointerHere,
		{0xC0, 0},
		{0xC0, 14},
		{0xC0, 0xFF},
		{0xFF, 0xFF},
		{0xC0},
		append([]byte{1, 'a'}, pointerHere...),
		slices.Concat([]byte{1, 'a'}, name[:len(name)-1], pointerHere),
		name[:len(name)-1], // without its end
	} {
		all = append(all, question{name: odd, kind: typeA}.bytes(), question{name: odd, kind: typeTXT, extra: [][]byte{opt(4096, 0)}}.bytes())
	}
	return all
}
