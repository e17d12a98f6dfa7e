package packets

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

var testNames = []string{"dl.example.test.", "www.example.test.", "."}

// TestSeedsAreOfEveryKind asks the DNS library, which is another reader than the
// server's, what is among them.
func TestSeedsAreOfEveryKind(t *testing.T) {
	types, classes, opcodes, options, versions := map[uint16]bool{}, map[uint16]bool{}, map[int]bool{}, map[uint16]bool{}, map[uint8]bool{}
	seen, bad := map[string]bool{}, 0
	all := Seeds(testNames...)
	for _, packet := range all {
		if len(packet) > MaxSize {
			t.Errorf("a packet of %d bytes", len(packet))
		}
		seen[string(packet)] = true
		var m dns.Msg
		if m.Unpack(packet) != nil {
			bad++
			continue
		}
		opcodes[m.Opcode] = true
		for _, q := range m.Question {
			types[q.Qtype], classes[q.Qclass] = true, true
		}
		if o := m.IsEdns0(); o != nil {
			versions[o.Version()] = true
			for _, one := range o.Option {
				options[one.Option()] = true
			}
		}
	}
	if len(types) < len(everyType) || len(classes) < 6 || len(opcodes) != 16 || len(options) < 20 || len(versions) < 4 {
		t.Errorf("%d types, %d classes, %d opcodes, %d options, %d versions", len(types), len(classes), len(opcodes), len(options), len(versions))
	}
	if good := len(all) - bad; good < 200 || bad < 50 || len(seen) < 400 {
		t.Errorf("%d that can be read, %d that cannot, %d different ones of %d", good, bad, len(seen), len(all))
	}
	if len(Seeds()) == 0 {
		t.Error("none without a name")
	}
}

func TestSourcesDrawTheSameAgain(t *testing.T) {
	corpus := Seeds(testNames...)
	before := slices.Clone(corpus)
	for i := range before {
		before[i] = bytes.Clone(before[i])
	}
	one, same, other := NewSource(1, corpus), NewSource(1, corpus), NewSource(2, corpus)
	differ, unread, longest := 0, 0, 0
	seen := map[string]bool{}
	for range 20000 {
		packet := bytes.Clone(one.Next(1400))
		if !bytes.Equal(packet, same.Next(1400)) {
			t.Fatal("two sources of one seed draw different packets")
		}
		if !bytes.Equal(packet, other.Next(1400)) {
			differ++
		}
		if new(dns.Msg).Unpack(packet) != nil {
			unread++
		}
		seen[string(packet)] = true
		longest = max(longest, len(packet))
	}
	if differ < 19000 || len(seen) < 19000 {
		t.Errorf("%d of another seed differ, %d are different", differ, len(seen))
	}
	if unread < 4000 || unread > 18000 {
		t.Errorf("%d of 20000 cannot be read: expected a good part, and not all", unread)
	}
	if longest > 1400 {
		t.Errorf("a packet of %d bytes, over the limit", longest)
	}
	if !slices.EqualFunc(corpus, before, bytes.Equal) {
		t.Error("the corpus was written to")
	}
}

// TestASourceOfNothing: packets without a byte can be changed too.
func TestASourceOfNothing(t *testing.T) {
	s := NewSource(1, [][]byte{{}, {1}})
	longest := 0
	for range 1000 {
		longest = max(longest, len(s.Next(MaxSize)))
	}
	if longest == 0 {
		t.Error("nothing became of nothing")
	}
}

func TestPacketsAreReadFromFiles(t *testing.T) {
	directory := t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(directory); err == nil || !strings.Contains(err.Error(), "has none") {
		t.Errorf("of an empty directory: %v", err)
	}
	write("README.md", []byte("no packet"))
	write("a/one.pkt", []byte("first"))
	write("b/two.raw", []byte("second"))
	write("c/many.pkts.gz", packed(t, []byte("third"), nil, []byte("fourth")))
	got, err := Read(directory)
	want := [][]byte{[]byte("first"), []byte("second"), []byte("third"), {}, []byte("fourth")}
	if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("read %q, %v", got, err)
	}

	for name, content := range map[string][]byte{
		"cut.pkts.gz":  packed(t, []byte("third"))[:20],
		"none.pkts.gz": []byte("no gzip"),
		"long.pkt":     make([]byte, MaxSize+1),
	} {
		write(name, content)
		if _, err := Read(directory); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if err := os.Remove(filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(filepath.Join(directory, "nothing here")); err == nil {
		t.Error("a directory that is not there is read")
	}
}

func packed(t *testing.T, all ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for _, one := range all {
		if _, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(one))), one...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzReadFramed holds that what was read is what was there.
func FuzzReadFramed(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x00\x00\x01d"))
	f.Add([]byte("\x00\x03ab"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := readFramed(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again []byte
		for _, one := range all {
			again = append(binary.BigEndian.AppendUint16(again, uint16(len(one))), one...)
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%x was read as %x", data, again)
		}
	})
}
