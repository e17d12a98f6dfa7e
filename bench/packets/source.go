package packets

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// Source draws packets without end. It is used by one goroutine at a time.
type Source struct {
	corpus [][]byte
	random *rand.Rand
	room   []byte
}

// NewSource draws from a corpus, which it only reads and which has at least one
// packet. Sources of one seed and one corpus draw the same.
func NewSource(seed uint64, corpus [][]byte) *Source {
	return &Source{corpus: corpus, random: rand.New(rand.NewPCG(seed, 0x6d69_7272_6f72)), room: make([]byte, 0, 4096)}
}

// Next gives a packet of at most limit bytes, which is good until the next call.
// Most are packets of the corpus with up to eight changes; some are such packets
// as they are, which keeps good questions among the bad ones, and some are bytes
// that mean nothing.
func (s *Source) Next(limit int) []byte {
	switch p := s.random.IntN(100); {
	case p < 5:
		s.room = s.noise(s.room[:0], s.random.IntN(600))
	case p < 10: // a header that may be one, and noise behind it
		s.room = append(s.room[:0], s.pick()...)
		s.room = s.noise(s.room[:min(len(s.room), 12)], s.random.IntN(200))
	case p < 20:
		s.room = append(s.room[:0], s.pick()...)
	default:
		s.room = append(s.room[:0], s.pick()...)
		for range 1 + s.random.IntN(1+s.random.IntN(8)) {
			s.change()
		}
	}
	// Each has its ID, so that an answer can be told from another.
	if len(s.room) >= 2 {
		binary.BigEndian.PutUint16(s.room, uint16(s.random.Uint32()))
	}
	return s.room[:min(len(s.room), limit)]
}

func (s *Source) pick() []byte { return s.corpus[s.random.IntN(len(s.corpus))] }

func (s *Source) noise(to []byte, length int) []byte {
	for range length {
		to = append(to, byte(s.random.Uint32()))
	}
	return to
}

// Values at the edges of what a byte or a word of a packet can mean.
var (
	edgeBytes = []byte{0, 1, 2, 8, 10, 12, 41, 63, 64, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xFE, 0xFF}
	edgeWords = []uint16{0, 1, 2, 3, 8, 10, 11, 12, 41, 63, 255, 256, 511, 512, 513, 0x0CC0, 0x7FFF, 0x8000, 0xC000, 0xC00C, 0xFFFE, 0xFFFF}
)

// change changes the packet in one place.
func (s *Source) change() {
	r := s.random
	if len(s.room) == 0 {
		s.room = s.noise(s.room, 1+r.IntN(20))
		return
	}
	at := r.IntN(len(s.room))
	// As often as not, in the header or the question.
	if r.IntN(2) == 0 {
		at = r.IntN(min(len(s.room), 48))
	}
	length := r.IntN(min(len(s.room)-at, 32) + 1)
	switch r.IntN(11) {
	case 0, 1:
		s.room[at] ^= 1 << r.IntN(8)
	case 2:
		s.room[at] = byte(r.Uint32())
	case 3:
		s.room[at] = edgeBytes[r.IntN(len(edgeBytes))]
	case 4, 5:
		if at+2 <= len(s.room) {
			binary.BigEndian.PutUint16(s.room[at:], edgeWords[r.IntN(len(edgeWords))])
		}
	case 6:
		s.room = slices.Delete(s.room, at, at+length)
	case 7: // a part comes twice
		s.insert(at, slices.Clone(s.room[at:at+length]))
	case 8:
		s.insert(at, s.noise(nil, 1+r.IntN(8)))
	case 9: // the rest is another packet's
		other := s.pick()
		s.room = append(s.room[:at], other[r.IntN(len(other)+1):]...)
	case 10:
		s.room = s.room[:at]
	}
}

func (s *Source) insert(at int, bytes []byte) {
	if len(s.room)+len(bytes) <= MaxSize {
		s.room = slices.Insert(s.room, at, bytes...)
	}
}
