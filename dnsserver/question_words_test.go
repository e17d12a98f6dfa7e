package dnsserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// questionCase is one packet, what comes back, and all that is counted for it.
type questionCase struct {
	name   string
	packet []byte
	// want is the answer as inWords puts it, and counts what counting counts.
	// Over TCP and over TLS they are the same where nothing else is said.
	want, counts       string
	wantTCP, countsTCP string
	wantTLS, countsTLS string
}

// expected are the answer and the counts over a transport.
func (c *questionCase) expected(over transport) (want, counts string) {
	want, counts = c.want, c.counts
	if over != overUDP && c.wantTCP != "" {
		want = c.wantTCP
	}
	if over != overUDP && c.countsTCP != "" {
		counts = c.countsTCP
	}
	if over == overTLS && c.wantTLS != "" {
		want = c.wantTLS
	}
	if over == overTLS && c.countsTLS != "" {
		counts = c.countsTLS
	}
	return want, counts
}

// What comes back where no answer does.
const (
	silence = "silence"
	end     = "end" // of the connection
)

// inWords puts an answer into words: response code, flags of the header, what is
// in the sections, and the OPT with its options.
//
// The question is "q" where it came back byte for byte. Of sections with records
// the number and the types are told; a TSIG is "tsig badkey" where it is the right
// one for a key that is not known.
func inWords(packet, answer []byte) string {
	if len(answer) < headerSize {
		return fmt.Sprintf("%d bytes", len(answer))
	}
	m := new(dns.Msg)
	if err := m.Unpack(answer); err != nil {
		return fmt.Sprintf("unreadable: %v: %x", err, answer)
	}
	words := []string{rcodeName(m.Rcode)}
	if m.Rcode == dns.RcodeNotAuth {
		words[0] = "NOTAUTH"
	}
	flags := binary.BigEndian.Uint16(answer[2:])
	for bit, name := range headerFlags {
		if name != "" && flags&(1<<(15-bit)) != 0 {
			words = append(words, name)
		}
	}
	if flags&flagQR == 0 {
		words = append(words, "no qr")
	}
	if opcode := m.Opcode; opcode != 0 {
		words = append(words, fmt.Sprintf("opcode %d", opcode))
	}
	if binary.BigEndian.Uint16(answer) != binary.BigEndian.Uint16(packet) {
		words = append(words, "another ID")
	}
	if len(m.Question) > 0 {
		words = append(words, readQuestion(packet, answer))
	}
	for _, section := range []struct {
		name string
		rrs  []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		words = append(words, typesInWords(section.name, section.rrs)...)
	}
	if o := m.IsEdns0(); o != nil {
		words = append(words, optInWords(o, answer)...)
	}
	if s := m.IsTsig(); s != nil {
		words = append(words, "tsig")
		if asked := new(dns.Msg); asked.Unpack(packet) == nil && asked.IsTsig() != nil && s.Hdr.Name == asked.IsTsig().Hdr.Name &&
			s.Algorithm == asked.IsTsig().Algorithm && s.Error == dns.RcodeBadKey && s.MACSize == 0 && s.OrigId == m.Id {
			words = append(words, "badkey")
		}
	}
	return strings.Join(words, " ")
}

// typesInWords tells how many records of which types a section has, but for OPT
// and TSIG.
func typesInWords(section string, rrs []dns.RR) []string {
	var types []string
	count := 0
	for _, rr := range rrs {
		kind := rr.Header().Rrtype
		if kind == dns.TypeOPT || kind == dns.TypeTSIG {
			continue
		}
		count++
		if name := dns.Type(kind).String(); !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	if count == 0 {
		return nil
	}
	return append([]string{section, fmt.Sprint(count)}, types...)
}

// headerFlags are flags by their places in the header's second word.
var headerFlags = [16]string{5: "aa", 6: "tc", 7: "rd", 8: "ra", 9: "z", 10: "ad", 11: "cd"}

func readQuestion(packet, answer []byte) string {
	if binary.BigEndian.Uint16(answer[4:]) != 1 {
		return "questions"
	}
	end, ok := plainName(answer, headerSize)
	if end += 4; !ok || end > len(packet) || string(packet[headerSize:end]) != string(answer[headerSize:end]) {
		return "another question"
	}
	return "q"
}

var optionNames = map[uint16]string{3: "nsid", 8: "subnet", 9: "expire", 10: "cookie", 11: "keepalive", 12: "padding", 15: "ede"}

func optInWords(o *dns.OPT, answer []byte) []string {
	words := []string{fmt.Sprintf("opt %d", o.UDPSize())}
	if o.Version() != 0 {
		words = append(words, fmt.Sprintf("version %d", o.Version()))
	}
	if o.Do() {
		words = append(words, "do")
	}
	if flags := o.Hdr.Ttl & 0x7FFF; flags != 0 {
		words = append(words, fmt.Sprintf("flags %04x", flags))
	}
	for b := optionsOf(answer); len(b) >= 4; {
		code, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		name, known := optionNames[code]
		if !known {
			name = fmt.Sprintf("option%d", code)
		}
		switch value := b[4 : 4+length]; code {
		case optionCookie, optionPadding:
			words = append(words, name)
		case optionNSID:
			words = append(words, name+"="+string(value))
		default:
			words = append(words, name+"="+hex.EncodeToString(value))
		}
		b = b[4+length:]
	}
	if len(answer)%paddingBlock == 0 {
		words = append(words, "whole")
	}
	return words
}

// optionsOf gives the data of an answer's OPT.
func optionsOf(answer []byte) []byte {
	offset := headerSize
	if binary.BigEndian.Uint16(answer[4:]) > 0 {
		offset, _ = plainName(answer, offset)
		offset += 4
	}
	steps := maxMessage
	for {
		fixed, ok := recordName(answer, offset, &steps)
		if !ok || fixed+recordFixed > len(answer) {
			return nil
		}
		offset = fixed + recordFixed + int(binary.BigEndian.Uint16(answer[fixed+8:]))
		if binary.BigEndian.Uint16(answer[fixed:]) == dns.TypeOPT {
			return answer[fixed+recordFixed : offset]
		}
	}
}
