package zones

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// FuzzWireName holds the reader of names against the DNS library's. The name is
// read from an offset, by a WireName that held another one before.
func FuzzWireName(f *testing.F) {
	for _, wire := range []string{
		"\x00", "\x03www\x07Example\x03org\x00", "\x04a.b\\\x02\x00\xff\x03ORG\x00", "\x01a\xc0\x00", "\x40", "\x3f", "",
		"\x01@\x01[\x01`\x01{\x01A\x01Z\x01a\x01z\x01\xc1\x01\xda\x00rest",
	} {
		f.Add([]byte("\x03old\x00"), []byte(wire))
	}
	for length := 250; length < 258; length++ {
		f.Add([]byte{}, longName(length))
	}
	for _, length := range []byte{63, 64, 128, 192} {
		f.Add([]byte{}, append(append([]byte{length}, bytes.Repeat([]byte{'A'}, int(length))...), 0))
	}
	f.Add([]byte{}, bytes.Repeat([]byte("\x01A"), 128))
	f.Add([]byte{}, append(bytes.Repeat([]byte("\x01A"), 127), 0))
	var name, again WireName
	f.Fuzz(func(t *testing.T, before, wire []byte) {
		message := append(bytes.Clone(before), wire...)
		end, ok := name.Read(message, len(before))
		text, after, err := dns.UnpackDomainName(message, len(before))
		compressed := false
		for i := len(before); err == nil && i < len(message) && message[i] != 0; i += 1 + int(message[i]) {
			if compressed = message[i] >= 0xC0; compressed {
				break
			}
		}
		if want := err == nil && !compressed; ok != want {
			t.Fatalf("%x is a name: %v; the library says %q, %v", message[len(before):], ok, text, err)
		}
		if !ok {
			return
		}
		if end != after {
			t.Fatalf("%x ends at %d, the library says %d", message, end, after)
		}
		if name.labels != dns.CountLabel(text) {
			t.Fatalf("%q has %d labels, the library says %d", text, name.labels, dns.CountLabel(text))
		}
		for key, label := canonical(text), 0; ; key, label = parent(key), label+1 {
			var want [maxName + 1]byte
			length, err := dns.PackDomainName(key, want[:], 0, nil, false)
			if err != nil {
				t.Fatalf("packing %q: %v", key, err)
			}
			if !bytes.Equal(name.from(label), want[:length]) {
				t.Fatalf("%q from label %d is %x, expected %x", text, label, name.from(label), want[:length])
			}
			if label == name.labels {
				break
			}
		}
		if !again.set(text) || !bytes.Equal(again.from(0), name.from(0)) {
			t.Fatalf("set(%q) is %x, expected %x", text, again.from(0), name.from(0))
		}
	})
}

// longName makes a name of so many bytes.
func longName(length int) (wire []byte) {
	for left := length - 1; left > 0; {
		label := min(left-1, 63)
		wire = append(append(wire, byte(label)), bytes.Repeat([]byte{'L'}, label)...)
		left -= 1 + label
	}
	return append(wire, 0)
}

// Every byte, at each of the eight places that are worked on at once, and beside
// every other.
func TestLowerEight(t *testing.T) {
	lowered := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}
	var name WireName
	for c := range 256 {
		for place := range 8 {
			for _, beside := range []byte{0x00, 'A', 'Z', '@', '[', 0x7f, 0x80, 0xff, byte(c)} {
				label := bytes.Repeat([]byte{beside}, 16)
				label[place] = byte(c)
				if _, ok := name.Read(append(append([]byte{16}, label...), 0), 0); !ok {
					t.Fatalf("%x is no label", label)
				}
				for i, c := range label {
					if got := name.from(0)[1+i]; got != lowered(c) {
						t.Fatalf("%#x at %d of %x became %#x, expected %#x", c, i, label, got, lowered(c))
					}
				}
			}
		}
	}
}

// A name that another one was read over before is no longer or shorter for it.
func TestWireNameAgain(t *testing.T) {
	var name WireName
	for _, wire := range [][]byte{longName(255), {0}, []byte("\x01A\x00"), longName(254), append(bytes.Repeat([]byte("\x01B"), 127), 0), {0}} {
		if _, ok := name.Read(wire, 0); !ok {
			t.Fatalf("%x is no name", wire)
		}
		want := []byte(lower(string(wire)))
		if !bytes.Equal(name.from(0), want) || !bytes.Equal(name.from(name.labels), []byte{0}) {
			t.Errorf("%x was read as %x, and its root as %x", wire, name.from(0), name.from(name.labels))
		}
	}
}

// BenchmarkWireName is the reading of a question's name.
func BenchmarkWireName(b *testing.B) {
	for _, name := range []string{"dl.example.org.", "DL.eXample.ORG.", "a.very.much.longer.name.with.eleven.labels.below.example.org."} {
		b.Run(name, func(b *testing.B) {
			var wire [256]byte
			length, err := dns.PackDomainName(name, wire[:], 0, nil, false)
			if err != nil {
				b.Fatal(err)
			}
			var n WireName
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := n.Read(wire[:length], 0); !ok {
					b.Fatal("not read")
				}
			}
		})
	}
}
