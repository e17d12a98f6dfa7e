package packets

import (
	"strings"
)

// extensions ask with an OPT in every form (RFC 6891), and with every option
// that some server knows.
func extensions(name []byte) (all [][]byte) {
	ask := func(extra ...[]byte) {
		all = append(all, question{name: name, kind: typeA, extra: extra}.bytes())
	}
	for _, size := range []uint16{0, 1, 511, 512, 513, 1232, 1400, 4095, 4096, 4097, 32768, 65535} {
		ask(opt(size, 0))
	}
	for _, ttl := range []uint32{
		0x8000, 0x4000, 0xFFFF, 0x7FFF, 1 << 16, 1<<16 | 0x8000, 100 << 16, 255 << 16, 0xFF00_0000, 0xFFFF_FFFF,
	} {
		ask(opt(1232, ttl))
		ask(opt(1232, ttl, option(3, ""), option(65001, "x")))
	}
	for _, options := range everyOption {
		ask(opt(1232, 0, options...))
		ask(opt(512, 0x8000, options...))
	}
	for code := range uint16(24) {
		for _, value := range []string{"", "x", "12345678", strings.Repeat("\x00", 40)} {
			ask(opt(1232, 0, option(code, value)))
		}
	}
	short := []byte{0, 3, 0}
	tooLong := []byte{0, 3, 0, 5, 'a'}
	ask(opt(1232, 0, short))
	ask(opt(1232, 0, tooLong))
	ask(opt(1232, 0, option(10, "12345678"), tooLong))
	ask(opt(1232, 0), opt(1232, 0))
	ask(opt(1232, 0, option(3, "")), opt(512, 1<<16))
	ask(append([]byte{1, 'a'}, opt(1232, 0)...)) // a name that is not the root's
	ask(append([]byte{0xC0, 12}, opt(1232, 0)[1:]...))
	ask(opt(1232, 0)[:10])
	withNoise := record([]byte{0}, typeA, classIN, 0, "\x7f\x00\x00\x01")
	ask(withNoise, opt(1232, 0))
	ask(opt(1232, 0), withNoise)
	for _, section := range []question{{answers: 1}, {authorities: 1}} {
		section.name, section.kind, section.between = name, typeA, opt(1232, 0)
		all = append(all, section.bytes())
	}
	return all
}

// everyOption are lists of options, right and wrong ones.
var everyOption = [][][]byte{
	{option(3, "")},    // NSID (RFC 5001)
	{option(3, "any")}, // with what means nothing
	{option(9, "")},    // EXPIRE (RFC 7314)
	{option(9, "\x00\x00\x0e\x10")},
	{option(11, "")}, // edns-tcp-keepalive (RFC 7828)
	{option(11, "\x00\x64")},
	{option(11, "\x00")},
	{option(12, "")}, // padding (RFC 7830)
	{option(12, strings.Repeat("\x00", 100))},
	{option(12, strings.Repeat("\x00", 100)), option(11, "")},
	{option(5, "\x08\x0d\x0e")}, // DAU (RFC 6975)
	{option(13, "\x04test\x00")},
	{option(14, "\x4f\x66")}, // edns-key-tag (RFC 8145)
	{option(15, "\x00\x12")}, // an extended error (RFC 8914)
	{option(16, ""), option(17, ""), option(18, "\x05agent\x04test\x00")},
	{option(20292, "1234567890"), option(65001, ""), option(65535, "x")},

	// Cookies (RFC 7873): alone, with a server's part that cannot be right, of
	// lengths that are none, twice.
	{option(10, "12345678")},
	{option(10, "1234567812345678")},
	{option(10, "12345678\x01\x00\x00\x00\x65\x53\xf1\x00hashhash")},
	{option(10, "12345678\x02\x00\x00\x00\x65\x53\xf1\x00hashhash")},
	{option(10, "12345678"+strings.Repeat("s", 32))},
	{option(10, "12345678"+strings.Repeat("s", 33))},
	{option(10, "1234567")},
	{option(10, "123456781234567")},
	{option(10, "")},
	{option(10, "12345678"), option(10, "87654321")},
	{option(10, "12345678"), option(8, "\x00\x01\x18\x00\x7f\x01\x02"), option(3, ""), option(12, "\x00")},

	// Client subnets (RFC 7871).
	{option(8, "\x00\x01\x18\x00\x7f\x01\x02")},
	{option(8, "\x00\x01\x20\x00\x7f\x01\x02\x03")},
	{option(8, "\x00\x01\x11\x00\x7f\x01\x80")},
	{option(8, "\x00\x01\x00\x00")},
	{option(8, "\x00\x02\x00\x00")},
	{option(8, "\x00\x00\x00\x00")},
	{option(8, "\x00\x02\x38\x00\xfd\x01\x00\x00\x00\x00\x00")},
	{option(8, "\x00\x02\x80\x00\xfd\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")},
	{option(8, "\x00\x02\x78\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x01\x02")},
	{option(8, "\x00\x01\x18\x18\x7f\x01\x02")},     // a scope
	{option(8, "\x00\x01\x18\x00\x7f\x01\x02\x03")}, // too many bytes
	{option(8, "\x00\x01\x18\x00\x7f\x01")},         // too few
	{option(8, "\x00\x01\x17\x00\x7f\x01\x01")},     // a bit behind the prefix
	{option(8, "\x00\x01\x21\x00\x7f\x01\x02\x03\x00")},
	{option(8, "\x00\x02\x81\x00"+strings.Repeat("\x00", 17))},
	{option(8, "\x00\x03\x08\x00\x7f")}, // a family that nobody knows
	{option(8, "\x00\x00\x08\x00\x7f")},
	{option(8, "\x00\x01\x18")},
	{option(8, "")},
	{option(8, "\x00\x01\x18\x00\x7f\x01\x02"), option(8, "\x00\x01\x18\x00\x7f\x01\x02")},
}

// records ask with records in sections where a question has none, and some that
// are not what their length says.
func records(name []byte) (all [][]byte) {
	pointer := []byte{0xC0, 12}
	address := record(pointer, typeA, classIN, 60, "\x7f\x00\x00\x01")
	for _, q := range []question{
		{answers: 1, between: address},
		{authorities: 1, between: address},
		{extra: [][]byte{address}},
		{extra: [][]byte{address, opt(1232, 0)}},
		{extra: [][]byte{record([]byte{0xC0, 0xFF}, typeA, classIN, 60, "\x7f\x00\x00\x01")}},
		{extra: [][]byte{address[:len(address)-1]}},
		{extra: [][]byte{append(address[:10:10], 0xFF, 0xFF)}},
		{extra: [][]byte{record(name, typeTSIG, classANY, 0, "\x08hmac-md5\x07sig-alg\x03reg\x03int\x00"+strings.Repeat("\x00", 26))}},
		{extra: [][]byte{record([]byte{0}, 24, classANY, 0, strings.Repeat("\x00", 40))}}, // SIG(0)
		{extra: [][]byte{record(name, typeTKEY, classANY, 0, strings.Repeat("\x00", 30))}},
	} {
		q.name, q.kind = name, typeA
		all = append(all, q.bytes())
	}
	return all
}

// operations are packets that are no questions, or questions for more than one
// answer.
func operations(name []byte) [][]byte {
	soa := record([]byte{0xC0, 12}, typeSOA, classIN, 60, "\x00\x00\x00\x00\x00\x07\x00\x00\x1c\x20\x00\x00\x03\x84\x00\x12\x75\x00\x00\x00\x00\x3c")
	tsig := record(wireName("key."), typeTSIG, classANY, 0, "\x0bhmac-sha256\x00\x00\x00\x65\x53\xf1\x00\x01\x2c\x00\x20"+strings.Repeat("m", 32)+"\x12\x34\x00\x00\x00\x00")
	const (
		aa     = 1 << 10
		notify = 4 << 11
		update = 5 << 11
		dso    = 6 << 11
	)
	keepalive := "\x00\x01\x00\x08\x00\x00\x3a\x98\x00\x00\x3a\x98" // RFC 8490 section 7.1
	return [][]byte{
		question{name: name, kind: typeAXFR}.bytes(),
		question{name: name, kind: typeAXFR, extra: [][]byte{tsig}}.bytes(),
		question{name: name, kind: typeIXFR, authorities: 1, between: soa}.bytes(),
		question{name: name, kind: typeIXFR, authorities: 1, between: soa, extra: [][]byte{opt(1232, 0), tsig}}.bytes(),
		question{name: name, kind: typeIXFR}.bytes(),
		question{name: name, kind: typeTKEY, extra: [][]byte{record(name, typeTKEY, classANY, 0, "\x00")}}.bytes(),
		question{flags: notify | aa, name: name, kind: typeSOA}.bytes(),
		question{flags: notify | aa, name: name, kind: typeSOA, answers: 1, between: soa}.bytes(),
		question{flags: update, name: name, kind: typeSOA, authorities: 1, between: record(name, typeA, classIN, 60, "\x7f\x00\x00\x01")}.bytes(),
		question{flags: update, name: name, kind: typeSOA, answers: 1, between: record(name, typeANY, classNONE, 0, "")}.bytes(),
		question{flags: dso, trailing: keepalive}.bytes(),
		question{flags: dso, trailing: "\x00\x02\x00\x00"}.bytes(),
		question{flags: dso}.bytes(),
		question{flags: 1 << 15, name: name, kind: typeA}.bytes(), // a response
		question{flags: 1<<15 | aa, name: name, kind: typeA, answers: 1, between: record([]byte{0xC0, 12}, typeA, classIN, 60, "\x7f\x00\x00\x01")}.bytes(),
	}
}
