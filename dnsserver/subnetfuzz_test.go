package dnsserver

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// FuzzSubnet holds the reader of client subnets against what RFC 7871 section 6
// says, written another way, and against the DNS library's reader.
func FuzzSubnet(f *testing.F) {
	for _, value := range []string{
		"\x00\x01\x18\x00\x7f\x01\x02", "\x00\x01\x17\x00\x7f\x01\x02", "\x00\x01\x17\x00\x7f\x01\x03", "\x00\x01\x20\x00\x7f\x01\x02\x03",
		"\x00\x01\x21\x00\x7f\x01\x02\x03\x00", "\x00\x01\x00\x00", "\x00\x02\x00\x00", "\x00\x00\x00\x00", "\x00\x00\x01\x00\x00", "\x00\x03\x00\x00",
		"\x00\x02\x38\x00\xfd\x01\x00\x00\x00\x00\x00", "\x00\x02\x60\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff",
		"\x00\x02\x5f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xfe", "\x00\x01\x18\x18\x7f\x01\x02", "\x00\x01\x18", "",
	} {
		f.Add([]byte(value), uint8(24), true)
	}
	f.Fuzz(func(t *testing.T, value []byte, scopeBits uint8, placed bool) {
		s, ok := parseSubnet(bytes.Clone(value))
		if want := isSubnet(value); ok != want {
			t.Fatalf("%x is a client subnet: %v, expected %v", value, ok, want)
		}
		if !ok {
			return
		}
		source := int(value[2])
		if s.client.IsValid() == (source == 0) || s.client.Is4In6() || s.client.Zone() != "" || !bytes.Equal(s.wire, value) {
			t.Fatalf("%x is read as %+v", value, s)
		}
		scope := int(s.scope(placed, int(scopeBits)))
		most := map[byte]int{0: 0, 1: 32, 2: 128}[value[1]]
		if scope > most || scope > 0 && (!placed || source == 0) {
			t.Fatalf("%x gets the scope %d", value, scope)
		}
		var library dns.EDNS0_SUBNET
		message := append([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), opt(1232, 0, option(8, string(value)))...)
		var m dns.Msg
		if err := m.Unpack(message); err != nil {
			t.Fatalf("%x is none to the DNS library: %v", value, err)
		}
		library = *m.IsEdns0().Option[0].(*dns.EDNS0_SUBNET)
		if address, valid := netip.AddrFromSlice(library.Address); source > 0 && (!valid || address.Unmap() != s.client) {
			t.Fatalf("%x is of %s, and to the DNS library of %s", value, s.client, library.Address)
		}
	})
}

// isSubnet is what a client subnet in a question may be.
func isSubnet(value []byte) bool {
	if len(value) < 4 || value[0] != 0 || value[3] != 0 {
		return false
	}
	source, most := int(value[2]), map[byte]int{0: 0, 1: 32, 2: 128}
	longest, known := most[value[1]]
	if !known || source > longest || len(value)-4 != (source+7)/8 {
		return false
	}
	for bit := source; bit < 8*(len(value)-4); bit++ {
		if value[4+bit/8]&(0x80>>(bit%8)) != 0 {
			return false
		}
	}
	return true
}
