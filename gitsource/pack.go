package gitsource

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// limits bound what a commit may hold.
type limits struct {
	files    int
	unpacked int64 // bytes
}

// entries is how many objects and tree entries a commit of that many files may
// have: directories count too.
func (l limits) entries() int { return 8*l.files + 100 }

// gitObject is an unpacked object. Its data is never written to.
type gitObject struct {
	kind plumbing.ObjectType
	data []byte
}

// delta is an object that waits for the one that it is a difference to.
type delta struct {
	offset       int64 // its own place in the pack
	instructions []byte
}

// packReader unpacks a pack. Every size is counted before memory is taken for
// it, so that neither compressed data nor deltas can blow up.
type packReader struct {
	limits   limits
	left     int64 // of limits.unpacked
	byHash   map[plumbing.Hash]gitObject
	byOffset map[int64]gitObject
	// Deltas whose base has not come yet, by the base's name and place.
	awaitHash   map[plumbing.Hash][]delta
	awaitOffset map[int64][]delta
	waiting     int
}

// readPack reads a whole pack and checks its checksum. Every object is found
// under the hash that its content has.
func readPack(r io.Reader, bounds limits) (map[plumbing.Hash]gitObject, error) {
	p := &packReader{
		limits:      bounds,
		left:        bounds.unpacked,
		byHash:      make(map[plumbing.Hash]gitObject),
		byOffset:    make(map[int64]gitObject),
		awaitHash:   make(map[plumbing.Hash][]delta),
		awaitOffset: make(map[int64][]delta),
	}
	scanner := packfile.NewScanner(r)
	_, count, err := scanner.Header()
	if err != nil {
		return nil, fmt.Errorf("reading the pack's header: %w", shortened{err})
	}
	if int64(count) > int64(bounds.entries()) {
		return nil, tooLarge("the commit has %d objects, more than the %d that go with the limit of %d files", count, bounds.entries(), bounds.files)
	}
	for number := range count {
		if err := p.next(scanner); err != nil {
			return nil, fmt.Errorf("reading object %d of %d in the pack: %w", number+1, count, err)
		}
	}
	if _, err := scanner.Checksum(); err != nil {
		return nil, fmt.Errorf("checking the pack's checksum: %w", shortened{err})
	}
	if p.waiting > 0 {
		return nil, fmt.Errorf("reading the pack: %d objects are differences to objects that it does not hold", p.waiting)
	}
	return p.byHash, nil
}

// next reads one object.
func (p *packReader) next(scanner *packfile.Scanner) error {
	header, err := scanner.NextObjectHeader()
	if err != nil {
		return shortened{err}
	}
	if err := p.take(header.Length); err != nil {
		return err
	}
	var data bytes.Buffer
	data.Grow(int(header.Length)) // growing by and by would take up to three times as much
	n, _, err := scanner.NextObject(&data)
	if err != nil {
		return shortened{err}
	}
	if n != header.Length {
		return fmt.Errorf("it has %d bytes, and its header says %d", n, header.Length)
	}
	waits := delta{offset: header.Offset, instructions: data.Bytes()}
	switch header.Type {
	case plumbing.OFSDeltaObject:
		if base, found := p.byOffset[header.OffsetReference]; found {
			return p.resolve(base, waits)
		}
		p.awaitOffset[header.OffsetReference] = append(p.awaitOffset[header.OffsetReference], waits)
		p.waiting++
		return nil
	case plumbing.REFDeltaObject:
		if base, found := p.byHash[header.Reference]; found {
			return p.resolve(base, waits)
		}
		p.awaitHash[header.Reference] = append(p.awaitHash[header.Reference], waits)
		p.waiting++
		return nil
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return p.add(header.Offset, gitObject{kind: header.Type, data: data.Bytes()})
	}
	return fmt.Errorf("its kind, %d, is unknown", header.Type)
}

// take counts n bytes that are about to be unpacked.
func (p *packReader) take(n int64) error {
	if n < 0 || n > p.left {
		return tooLarge("the commit unpacks to more than %s", byteCount(p.limits.unpacked))
	}
	p.left -= n
	return nil
}

// resolve makes an object of a delta and its base.
func (p *packReader) resolve(base gitObject, d delta) error {
	object, err := p.apply(base, d)
	if err != nil {
		return err
	}
	return p.add(d.offset, object)
}

func (p *packReader) apply(base gitObject, d delta) (gitObject, error) {
	// A delta begins with the sizes of its base and of its result.
	_, first := binary.Uvarint(d.instructions)
	if first <= 0 {
		return gitObject{}, errors.New("the delta has no size")
	}
	size, second := binary.Uvarint(d.instructions[first:])
	if second <= 0 {
		return gitObject{}, errors.New("the delta has no size")
	}
	if size > uint64(p.limits.unpacked) {
		size = uint64(p.limits.unpacked) + 1
	}
	if err := p.take(int64(size)); err != nil {
		return gitObject{}, err
	}
	data, err := packfile.PatchDelta(base.data, d.instructions)
	if err != nil {
		return gitObject{}, fmt.Errorf("applying the delta: %w", shortened{err})
	}
	return gitObject{kind: base.kind, data: data}, nil
}

// add keeps an object, and then all those that have waited for it, and for
// them.
func (p *packReader) add(offset int64, object gitObject) error {
	type placed struct {
		offset int64
		object gitObject
	}
	for todo := []placed{{offset, object}}; len(todo) > 0; {
		last := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		name := plumbing.ComputeHash(last.object.kind, last.object.data)
		p.byHash[name] = last.object
		p.byOffset[last.offset] = last.object
		waiting := append(p.awaitHash[name], p.awaitOffset[last.offset]...)
		delete(p.awaitHash, name)
		delete(p.awaitOffset, last.offset)
		p.waiting -= len(waiting)
		for _, d := range waiting {
			next, err := p.apply(last.object, d)
			if err != nil {
				return err
			}
			todo = append(todo, placed{d.offset, next})
		}
	}
	return nil
}
