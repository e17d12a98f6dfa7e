package dnsserver

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// rawData gives the types and the data of the records of an answer, as they are
// in the packet.
func rawData(t *testing.T, message []byte) (types []uint16, data [][]byte) {
	t.Helper()
	end, ok := plainName(message, headerSize)
	if !ok {
		t.Fatalf("no question in %x", message)
	}
	count := 0
	for i := 6; i < headerSize; i += 2 {
		count += int(binary.BigEndian.Uint16(message[i:]))
	}
	offset := end + 4
	for range count {
		_, owner, err := dns.UnpackDomainName(message, offset)
		if err != nil {
			t.Fatal(err)
		}
		offset = owner + recordFixed + int(binary.BigEndian.Uint16(message[owner+8:]))
		types = append(types, binary.BigEndian.Uint16(message[owner:]))
		data = append(data, message[owner+recordFixed:offset])
	}
	return types, data
}

// TestTypesToTheByte holds the data of records, bytes as the RFCs have them.
func TestTypesToTheByte(t *testing.T) {
	a := readTables(t, "testdata/tables/types.txtar")[0]
	s := start(t, Config{Table: func() Answerer { return a.table }})
	const (
		host = "04686f7374"
		zone = "076578616d706c65047465737400"
	)
	for _, c := range []struct {
		name string
		kind uint16
		data string // hexadecimal
	}{
		{
			"svcb", dns.TypeSVCB, "0010" + host + zone + "0000 0004 00030004" + "0001 0006 026832026833" + "0002 0000" + "0003 0002 20fb" +
				"0004 0008 7f0001017f000102" + "0005 0005 0045fe0d00" +
				"0006 0020 fd000000000000000000000000000001fd000000000000000000000000000002" + "029b 0009 68656c6c6fd2716f6f",
		},
		{"svcbalias", dns.TypeSVCB, "0000 09656c7365776865726504746573 7400"},
		{"svcbescape", dns.TypeSVCB, "0001 00 0001 000c 08665c6f6f2c62617202 6832 ff00 0000"},
		{"https", dns.TypeHTTPS, "0001 00 0001 0003 026832"},
		{"tlsa", dns.TypeTLSA, "030101 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		{"loc", dns.TypeLOC, "00 00 16 13 8b3cf018 810cbce0 009895b8"},
		{"sshfp", dns.TypeSSHFP, "0402 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		{"uri", dns.TypeURI, "000a 0001 68747470733a2f2f6578616d706c652e746573742f70617468"},
		{"openpgpkey", dns.TypeOPENPGPKEY, "99020d0456ccdcfd011000b9"},
		{"smimea", dns.TypeSMIMEA, "030000 aabbccdd"},
		{"csync", dns.TypeCSYNC, "00000042 0003 0004 60000008 ff 01 80"},
		{"rp", dns.TypeRP, "046d626f78" + zone + "03747874" + zone},
		{"afsdb", dns.TypeAFSDB, "0001" + host + zone},
		{"eui48", dns.TypeEUI48, "00005e00532a"},
		{"apl", dns.TypeAPL, "0001 15 03 c0a820 0001 1c 83 c0a826"},
		{"unknown2", 65281, ""},
		{"class", 65282, "ff"},
		{"class3", 65282, "ffee"},
		{"known1", dns.TypeA, "7f000109"},
		{"known2", dns.TypeA, "7f000109"},
		{"known28", dns.TypeAAAA, "fd000000000000000000000000000001"},
		{"known64", dns.TypeSVCB, "0001 00"},
		{"known257", dns.TypeCAA, "0005 6973737565 63612e74"},
		{"aaaa", dns.TypeAAAA, "00000000000000000000ffff7f000101"},
		{"txt", dns.TypeTXT, "00 0c74776f3b20737472696e6773 0400ff5c22 08756e71756f746564"},
		{"hinfo", dns.TypeHINFO, "1143505520776974682022717 56f74657322 00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.ReplaceAll(c.data, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			for _, way := range ways {
				answer := ask(t, dial(t, way.network, s.address(way.v6)), query{name: c.name + ".example.test.", qtype: c.kind}.bytes())
				types, data := rawData(t, answer)
				if len(data) == 0 || types[0] != c.kind || !bytes.Equal(data[0], want) {
					t.Errorf("over %s\n%x, expected\n%x", way.name, data, want)
				}
			}
		})
	}
}

// compressible are the types whose data may be compressed: those of RFC 1035
// (RFC 3597, section 4).
var compressible = map[uint16]bool{
	dns.TypeNS: true, dns.TypeMD: true, dns.TypeMF: true, dns.TypeCNAME: true, dns.TypeSOA: true, dns.TypeMB: true,
	dns.TypeMG: true, dns.TypeMR: true, dns.TypePTR: true, dns.TypeMINFO: true, dns.TypeMX: true,
}

// TestDataOfLaterTypesIsNotCompressed asks for all that the archives have.
func TestDataOfLaterTypesIsNotCompressed(t *testing.T) {
	later := make(map[uint16]int)
	for _, path := range []string{"types", "additional", "dname", "wildcards", "zones"} {
		a := readTables(t, "testdata/tables/"+path+".txtar")[0]
		s := start(t, Config{Table: func() Answerer { return a.table }})
		c := dial(t, "tcp", s.address(false))
		c.SetDeadline(time.Now().Add(time.Minute))
		for _, q := range referenceQuestions(a) {
			answer := ask(t, c, query{name: q.Name, qtype: q.Qtype}.bytes())
			m := parse(t, answer)
			types, data := rawData(t, answer)
			for i, rr := range append(append(m.Answer, m.Ns...), m.Extra...) {
				if compressible[types[i]] {
					continue
				}
				later[types[i]]++
				plain := make([]byte, dns.Len(rr)+1)
				n, err := dns.PackRR(rr, plain, 0, nil, false)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.HasSuffix(plain[:n], data[i]) || n != len(wireName(rr.Header().Name))+recordFixed+len(data[i]) {
					t.Errorf("%s %s: the data of %v is %x", q.Name, dns.Type(q.Qtype), rr, data[i])
				}
			}
		}
	}
	for _, kind := range []uint16{dns.TypeSRV, dns.TypeDNAME, dns.TypeNAPTR, dns.TypeSVCB, dns.TypeHTTPS, dns.TypeAFSDB, dns.TypeKX, dns.TypeRP, dns.TypeHIP} {
		if later[kind] == 0 {
			t.Errorf("no %s record was seen", dns.Type(kind))
		}
	}
}
