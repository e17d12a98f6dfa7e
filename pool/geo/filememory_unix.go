//go:build unix

package geo

import "syscall"

// fileMemory gives memory for a file's content, and what gives it back. Large
// files stay out of the heap: a database is read for seconds, and the collector
// would let the heap grow to twice its size for that.
func fileMemory(size int) (data []byte, release func()) {
	if size >= largeFile {
		data, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err == nil {
			return data, func() { _ = syscall.Munmap(data) } // fails for no memory that Mmap gave
		}
	}
	return make([]byte, size), func() {}
}

// largeFile is from which size on memory is taken from the system, in bytes.
const largeFile = 1 << 20
