package geo

import (
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"time"
)

// The compressed country table is a line that says what it is, a line of JSON
// (countryHeader), and a DEFLATE stream (RFC 1951). The stream holds, first
// for IPv4 and then for IPv6, of each range but the first its distance from
// the range before as a power of two (a byte) and what is left of it (a
// variable-length number), and then the countries of all ranges (a byte
// each, an index of the header's codes). Like things stand side by side, so
// that they compress well. The SHA-256 of all that ends the file.
const countryMagic = "mirrorpool country table 1\n"

// countryHeader describes a compressed country table.
type countryHeader struct {
	Generated time.Time `json:"generated"`
	Source    string    `json:"source"`
	Licence   string    `json:"licence"`
	// Entries4 and Entries6 count the ranges of the source, Ranges4 and
	// Ranges6 those that are left when neighbours of one country are merged.
	Entries4 int      `json:"ipv4_entries"`
	Entries6 int      `json:"ipv6_entries"`
	Ranges4  int      `json:"ipv4_ranges"`
	Ranges6  int      `json:"ipv6_ranges"`
	Codes    []string `json:"codes"` // at most 256; the empty one is the unknown country
}

const (
	// maxRanges bounds what a damaged header can make the decoder allocate.
	maxRanges = 1 << 22
	// maxEncoded is the most that one range takes in the stream: two bytes and
	// a number of 128 bits.
	maxEncoded = 2 + 19
)

const (
	countrySource  = "IPFire location database (https://location.ipfire.org/), as built by the Tor project and packaged in Debian's tor-geoipdb"
	countryLicence = "CC BY-SA 4.0"
)

// EncodeCountryData makes the compressed country table that is part of the
// program of the two text files of Debian's tor-geoipdb. The same input gives
// the same bytes, with one version of Go. Both files have to say when they were generated, and under
// the licence that the program names.
func EncodeCountryData(ipv4, ipv6 []byte) ([]byte, Database, error) {
	text4, err := parseCountryText(ipv4, false)
	if err != nil {
		return nil, Database{}, fmt.Errorf("reading the IPv4 ranges: %w", err)
	}
	text6, err := parseCountryText(ipv6, true)
	if err != nil {
		return nil, Database{}, fmt.Errorf("reading the IPv6 ranges: %w", err)
	}
	for _, text := range []*countryText{text4, text6} {
		if text.licence != countryLicence {
			return nil, Database{}, fmt.Errorf("the licence in the file is %q, expected %q: look at it, and change both the constant and the documents", text.licence, countryLicence)
		}
		if text.generated.IsZero() {
			return nil, Database{}, errors.New("the file does not say when it was generated")
		}
	}
	generated := text4.generated
	if text6.generated.Before(generated) {
		generated = text6.generated
	}
	header := countryHeader{
		Generated: generated, Source: countrySource, Licence: countryLicence,
		Entries4: text4.entries, Entries6: text6.entries,
	}
	data, err := encodeCountries(header, text4.table, text6.table)
	if err != nil {
		return nil, Database{}, err
	}
	return data, header.database(), nil
}

func (h *countryHeader) database() Database {
	return Database{
		Kind: KindCountry, Type: "country table", Built: h.Generated, Entries: h.Entries4 + h.Entries6,
		Source: h.Source, Licence: h.Licence, Families: "IPv4, IPv6",
	}
}

// encodeCountries writes the IPv4 ranges of one table and the IPv6 ranges of
// another.
func encodeCountries(header countryHeader, table4, table6 *table) ([]byte, error) {
	starts4, values4 := rangesOf(table4, false)
	starts6, values6 := rangesOf(table6, true)
	header.Ranges4, header.Ranges6 = len(starts4), len(starts6)
	codes, err := rankCountries(values4, values6)
	if err != nil {
		return nil, err
	}
	rows := countries().rows
	byteOf := map[uint16]byte{}
	for i, index := range codes {
		header.Codes = append(header.Codes, rows[index].code)
		byteOf[index] = byte(i)
	}
	plain := encodeFamily(nil, starts4, values4, byteOf)
	plain = encodeFamily(plain, starts6, values6, byteOf)

	var payload bytes.Buffer
	w, err := flate.NewWriter(&payload, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	line, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("writing the header: %w", err)
	}
	data := slices.Concat([]byte(countryMagic), line, []byte("\n"), payload.Bytes())
	sum := sha256.Sum256(data)
	return append(data, sum[:]...), nil
}

func rangesOf(t *table, ipv6 bool) (starts []wide, values []uint16) {
	for start, value := range t.all(ipv6) {
		starts, values = append(starts, start), append(values, uint16(value))
	}
	return starts, values
}

// rankCountries lists the countries that occur, the frequent ones first.
func rankCountries(lists ...[]uint16) ([]uint16, error) {
	counts := map[uint16]int{}
	for _, list := range lists {
		for _, index := range list {
			counts[index]++
		}
	}
	ranked := make([]uint16, 0, len(counts))
	for index := range counts {
		ranked = append(ranked, index)
	}
	slices.SortFunc(ranked, func(a, b uint16) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	if len(ranked) > 256 {
		return nil, fmt.Errorf("there are %d countries, and the format has room for 256", len(ranked))
	}
	return ranked, nil
}

func encodeFamily(out []byte, starts []wide, values []uint16, byteOf map[uint16]byte) []byte {
	var powers, numbers []byte
	for i := 1; i < len(starts); i++ {
		distance := starts[i].minus(starts[i-1])
		power := distance.trailingZeros()
		powers = append(powers, byte(power))
		// The lowest bit that is set needs no writing.
		numbers = appendNumber(numbers, distance.shiftRight(power+1))
	}
	out = append(out, powers...)
	out = append(out, numbers...)
	for _, value := range values {
		out = append(out, byteOf[value])
	}
	return out
}

// cutHeader splits a compressed country table; the check sum stays behind the
// payload.
func cutHeader(data []byte) (*countryHeader, []byte, error) {
	rest, ok := bytes.CutPrefix(data, []byte(countryMagic))
	if !ok {
		return nil, nil, fmt.Errorf("it does not begin with %q", countryMagic)
	}
	line, payload, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return nil, nil, errors.New("it ends within the header")
	}
	var header countryHeader
	if err := json.Unmarshal(line, &header); err != nil {
		return nil, nil, fmt.Errorf("reading the header: %w", err)
	}
	if header.Ranges4 < 0 || header.Ranges4 > maxRanges || header.Ranges6 < 0 || header.Ranges6 > maxRanges {
		return nil, nil, fmt.Errorf("the header counts %d and %d ranges, expected at most %d", header.Ranges4, header.Ranges6, maxRanges)
	}
	return &header, payload, nil
}

// decodeCountries reads a compressed country table.
func decodeCountries(data []byte) (*countryHeader, *table, error) {
	end := len(data) - sha256.Size
	if end < 0 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	if sha256.Sum256(data[:end]) != [sha256.Size]byte(data[end:]) {
		return nil, nil, errors.New("the check sum does not fit")
	}
	header, payload, err := cutHeader(data[:end])
	if err != nil {
		return nil, nil, err
	}
	t, err := decodePayload(header, payload)
	return header, t, err
}

func decodePayload(header *countryHeader, payload []byte) (*table, error) {
	indices := make([]uint32, len(header.Codes))
	for i, code := range header.Codes {
		indices[i] = uint32(countries().canonical(code))
	}
	ranges := int64(header.Ranges4 + header.Ranges6)
	// What the program has takes under 5 bytes a range: nothing has to grow.
	plain := bytes.NewBuffer(make([]byte, 0, min(5*ranges, 100*int64(len(payload)))+bytes.MinRead))
	if _, err := plain.ReadFrom(io.LimitReader(flate.NewReader(bytes.NewReader(payload)), ranges*maxEncoded+1)); err != nil {
		return nil, fmt.Errorf("decompressing: %w", err)
	}
	if int64(plain.Len()) > ranges*maxEncoded {
		return nil, errors.New("there is more data than the header says")
	}
	var b builder
	rest, err := decodeFamily(plain.Bytes(), header.Ranges4, 32, indices, func(start wide, value uint32) {
		b.put4(uint32(start.low), value)
		b.next4 = math.MaxUint32 + 1
	})
	if err != nil {
		return nil, fmt.Errorf("decoding the IPv4 ranges: %w", err)
	}
	rest, err = decodeFamily(rest, header.Ranges6, 128, indices, func(start wide, value uint32) {
		b.put6(start, value)
		b.full6 = true
	})
	if err != nil {
		return nil, fmt.Errorf("decoding the IPv6 ranges: %w", err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes are left over", len(rest))
	}
	return b.finish(), nil
}

// decodeFamily reads the ranges of one family with addresses of the given
// width in bits, puts them, and gives what follows them.
func decodeFamily(plain []byte, count, width int, indices []uint32, put func(start wide, value uint32)) (rest []byte, err error) {
	if count == 0 {
		return plain, nil
	}
	if len(plain) < count-1 {
		return nil, io.ErrUnexpectedEOF
	}
	powers, numbers := plain[:count-1], plain[count-1:]
	values, err := skipNumbers(numbers, count-1)
	if err != nil {
		return nil, err
	}
	if len(values) < count {
		return nil, io.ErrUnexpectedEOF
	}
	var start wide
	for i, value := range values[:count] {
		if i > 0 {
			number, rest, err := cutNumber(numbers)
			if err != nil {
				return nil, err
			}
			numbers = rest
			distance, ok := number.timesTwoPlusOne(int(powers[i-1]))
			sum, overflow := start.plus(distance)
			if !ok || overflow || sum.length() > width {
				return nil, fmt.Errorf("range %d begins behind the last address", i)
			}
			start = sum
		}
		if int(value) >= len(indices) {
			return nil, fmt.Errorf("range %d has country %d of %d", i, value, len(indices))
		}
		put(start, indices[value])
	}
	return values[count:], nil
}

// skipNumbers gives what is behind so many numbers.
func skipNumbers(data []byte, count int) (rest []byte, err error) {
	for i, b := range data {
		if count == 0 {
			return data[i:], nil
		}
		if b < 0x80 {
			count--
		}
	}
	if count > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return nil, nil
}

// appendNumber writes seven bits a byte, the lowest first; the last byte has
// its highest bit clear.
func appendNumber(out []byte, number wide) []byte {
	for number.high != 0 || number.low >= 0x80 {
		out = append(out, byte(number.low)|0x80)
		number = number.shiftRight(7)
	}
	return append(out, byte(number.low))
}

// cutNumber reads what appendNumber wrote.
func cutNumber(data []byte) (number wide, rest []byte, err error) {
	for i, b := range data {
		part, ok := wide{low: uint64(b & 0x7f)}.shiftLeft(7 * i)
		if !ok {
			return wide{}, nil, errors.New("a number has more than 128 bits")
		}
		number.high |= part.high
		number.low |= part.low
		if b < 0x80 {
			return number, data[i+1:], nil
		}
	}
	return wide{}, nil, io.ErrUnexpectedEOF
}

func (w wide) trailingZeros() int {
	if w.low != 0 {
		return bits.TrailingZeros64(w.low)
	}
	return 64 + bits.TrailingZeros64(w.high)
}

// length is the number of bits that the number takes.
func (w wide) length() int {
	if w.high != 0 {
		return 64 + bits.Len64(w.high)
	}
	return bits.Len64(w.low)
}

func (w wide) shiftRight(n int) wide {
	if n >= 64 {
		return wide{0, w.high >> (n - 64)}
	}
	return wide{w.high >> n, w.low>>n | w.high<<(64-n)}
}

// shiftLeft tells whether nothing was lost.
func (w wide) shiftLeft(n int) (shifted wide, ok bool) {
	if w.length() > 0 && w.length()+n > 128 {
		return wide{}, false
	}
	if n >= 64 {
		return wide{w.low << (n - 64), 0}, true
	}
	return wide{w.high<<n | w.low>>(64-n), w.low << n}, true
}

// timesTwoPlusOne is (2*w+1) << power.
func (w wide) timesTwoPlusOne(power int) (product wide, ok bool) {
	odd, ok := w.shiftLeft(1)
	if !ok {
		return wide{}, false
	}
	odd.low |= 1
	return odd.shiftLeft(power)
}
