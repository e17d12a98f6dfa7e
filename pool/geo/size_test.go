package geo

import "unsafe"

// size is the memory that the table takes, in bytes.
func (t *table) size() int {
	return t.ipv4.size() + t.ipv6.size() + cap(t.deep.starts)*16 + cap(t.deep.values)*4
}

// ranges is the number of ranges of both families.
func (t *table) ranges() (count int) {
	for _, ipv6 := range []bool{false, true} {
		for range t.all(ipv6) {
			count++
		}
	}
	return count
}

// size is the memory that the table takes, in bytes.
func (p *packed[K]) size() int {
	size := cap(p.starts)*int(unsafe.Sizeof(K(0))) + cap(p.blocks)*int(unsafe.Sizeof(block{})) + cap(p.index)*4
	for _, chunk := range p.chunks {
		size += cap(chunk) + int(unsafe.Sizeof(chunk))
	}
	return size
}
