package geo

import (
	"encoding/binary"
	"math/bits"
)

// packed maps every key to a value, which is at most 2^40-1. It cuts the keys
// into ranges and keeps where each begins, in blocks of blockSize ranges: a
// block has the distances of its ranges from its first one, without the zero
// bits that all of them end with, in as few bytes each as the largest one
// needs, and then the values in the same way. Neighbours differ in value, and
// where there is any range at all the first one begins at 0. A packed table is
// never written after its packer has returned it.
//
// Millions of ranges take 4 to 6 bytes each like this, which is half of what
// plain numbers take, and any of them can be read without those before it.
type packed[K uint32 | uint64] struct {
	count  int // ranges
	starts []K // where blocks begin
	blocks []block
	chunks [][]byte
	// index holds for each value of a key's first bits the last block that
	// begins at or before the first key with these bits. A search has a handful
	// of blocks left.
	index []uint32
	shift uint8 // by which a key becomes an index of index
}

// block is how a block is written.
type block struct {
	place uint32 // the chunk, and the place in it in the lower chunkBits
	// low is how many bits are left out of distances. The widths are in bytes:
	// of a distance, 0 to 8, and of a value, 1 to 5.
	low, distanceWidth, valueWidth uint8
}

const (
	blockSize = 32
	chunkBits = 16
	chunkSize = 1 << chunkBits
	// readAhead is how many bytes there have to be behind a number.
	readAhead = 8
)

// readWidth reads a number of so many bytes.
func readWidth(chunk []byte, place uint, width uint8) uint64 {
	return binary.LittleEndian.Uint64(chunk[place:]) & (1<<(8*width) - 1)
}

// lookup gives the value of a key, and the length of the widest prefix around
// it that lies within its range. There has to be a range.
func (p *packed[K]) lookup(key K) (value uint64, length int) {
	at := p.find(key)
	b := &p.blocks[at]
	chunk, place := p.chunks[b.place>>chunkBits], uint(b.place&(chunkSize-1))
	first := p.starts[at]
	distance := uint64(key-first) >> b.low
	low, high := 0, p.inBlock(at)
	for high-low > 1 {
		middle := int(uint(low+high) >> 1)
		if readWidth(chunk, place+uint(middle)*uint(b.distanceWidth), b.distanceWidth) <= distance {
			low = middle
		} else {
			high = middle
		}
	}
	i := at*blockSize + low
	// A prefix around a key lies within a range as long as it reaches neither the
	// key before the range nor the one after it: it has to be one bit longer than
	// what the key has in common with either.
	if i > 0 {
		length = common(key, p.start(i)-1) + 1
	}
	if i+1 < p.count {
		length = max(length, common(key, p.start(i+1))+1)
	}
	return p.value(i), length
}

// find gives the block of a key.
func (p *packed[K]) find(key K) int {
	bucket := key >> p.shift
	low, high := int(p.index[bucket]), int(p.index[bucket+1])+1
	for high-low > 1 {
		middle := int(uint(low+high) >> 1)
		if p.starts[middle] <= key {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// inBlock is how many ranges a block has.
func (p *packed[K]) inBlock(at int) int { return min(p.count-at*blockSize, blockSize) }

// start is where range i begins.
func (p *packed[K]) start(i int) K {
	b := &p.blocks[i/blockSize]
	place := uint(b.place&(chunkSize-1)) + uint(i%blockSize)*uint(b.distanceWidth)
	return p.starts[i/blockSize] + K(readWidth(p.chunks[b.place>>chunkBits], place, b.distanceWidth)<<b.low)
}

// value is that of range i.
func (p *packed[K]) value(i int) uint64 {
	b := &p.blocks[i/blockSize]
	place := uint(b.place&(chunkSize-1)) + uint(p.inBlock(i/blockSize))*uint(b.distanceWidth)
	return readWidth(p.chunks[b.place>>chunkBits], place+uint(i%blockSize)*uint(b.valueWidth), b.valueWidth)
}

// ranges are those of one block.
type ranges[K uint32 | uint64] struct {
	starts [blockSize]K
	values [blockSize]uint64
}

// read reads all ranges of a block, and gives how many there are.
func (p *packed[K]) read(at int, into *ranges[K]) int {
	b, count, first := p.blocks[at], p.inBlock(at), p.starts[at]
	chunk := p.chunks[b.place>>chunkBits][b.place&(chunkSize-1):]
	width, mask := int(b.distanceWidth), uint64(1)<<(8*b.distanceWidth)-1
	for i := range count {
		into.starts[i] = first + K((binary.LittleEndian.Uint64(chunk[i*width:])&mask)<<b.low)
	}
	chunk = chunk[count*width:]
	width, mask = int(b.valueWidth), uint64(1)<<(8*b.valueWidth)-1
	for i := range count {
		into.values[i] = binary.LittleEndian.Uint64(chunk[i*width:]) & mask
	}
	return count
}

// packer makes a packed table of ranges that are put in ascending order.
type packer[K uint32 | uint64] struct {
	packed[K]
	// keys and values are those of the block that is not yet written.
	keys   [blockSize]K
	values [blockSize]uint64
	length int
}

// put adds a range, or changes the value of the last one. What has the value of
// the range before it is a part of that.
func (p *packer[K]) put(key K, value uint64) {
	if n := p.length; n > 0 && p.keys[n-1] == key {
		p.values[n-1] = value
		return
	}
	if n := p.length; n > 0 && p.values[n-1] == value {
		return
	}
	if p.length == blockSize {
		p.flush()
	}
	p.keys[p.length], p.values[p.length] = key, value
	p.length++
	p.count++
}

// flush writes the block.
func (p *packer[K]) flush() {
	var distances, values uint64
	for i := range p.length {
		distances |= uint64(p.keys[i] - p.keys[0])
		values |= p.values[i]
	}
	b := block{valueWidth: uint8(bits.Len64(values|1)+7) / 8}
	if distances != 0 {
		b.low = uint8(bits.TrailingZeros64(distances))
		b.distanceWidth = uint8(bits.Len64(distances>>b.low)+7) / 8
	}
	length := p.length * int(b.distanceWidth+b.valueWidth)
	last := len(p.chunks) - 1
	if last < 0 || len(p.chunks[last])+length+readAhead > chunkSize {
		var chunk []byte // the first one grows, for most tables are small
		if last >= 0 {
			p.clip()
			chunk = make([]byte, 0, chunkSize)
		}
		p.chunks = append(p.chunks, chunk)
		last++
	}
	chunk := p.chunks[last]
	b.place = uint32(last<<chunkBits | len(chunk))
	for i := range p.length {
		chunk = appendWidth(chunk, uint64(p.keys[i]-p.keys[0])>>b.low, b.distanceWidth)
	}
	for i := range p.length {
		chunk = appendWidth(chunk, p.values[i], b.valueWidth)
	}
	p.chunks[last] = chunk
	p.starts, p.blocks = append(p.starts, p.keys[0]), append(p.blocks, b)
	p.length = 0
}

func appendWidth(chunk []byte, number uint64, width uint8) []byte {
	var little [8]byte
	binary.LittleEndian.PutUint64(little[:], number)
	return append(chunk, little[:width]...)
}

// clip ends the last chunk.
func (p *packer[K]) clip() {
	if last := len(p.chunks) - 1; last >= 0 {
		p.chunks[last] = append(p.chunks[last], make([]byte, readAhead)...)
	}
}

// finish gives the table and ends the packer.
func (p *packer[K]) finish() packed[K] {
	if p.length > 0 {
		p.flush()
	}
	p.clip()
	if last := len(p.chunks) - 1; last >= 0 {
		p.chunks[last] = exactly(p.chunks[last])
	}
	p.chunks, p.starts, p.blocks = exactly(p.chunks), exactly(p.starts), exactly(p.blocks)
	p.indexStarts()
	return p.packed
}

// exactly copies a slice to one without spare capacity.
func exactly[T any](s []T) []T {
	if len(s) == cap(s) {
		return s
	}
	exact := make([]T, len(s))
	copy(exact, s)
	return exact
}

// indexStarts makes index of as many entries as there are blocks, within a
// factor of four, and at most of 2^16, and one more for the end.
func (p *packed[K]) indexStarts() {
	if len(p.starts) == 0 {
		return
	}
	size := min(max(bits.Len(uint(len(p.starts)))-2, 0), 16)
	p.shift = uint8(int(sizeOf[K]()) - size)
	p.index = make([]uint32, 1<<size+1)
	last := 0
	for bucket := range 1 << size {
		first := K(bucket) << p.shift
		for last+1 < len(p.starts) && p.starts[last+1] <= first {
			last++
		}
		p.index[bucket] = uint32(last)
	}
	p.index[1<<size] = uint32(len(p.starts) - 1)
}

// common is how many leading bits two keys share.
func common[K uint32 | uint64](a, b K) int { return bits.LeadingZeros64(upper(a ^ b)) }
