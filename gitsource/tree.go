package gitsource

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
)

// entryKind is what a directory's entry is, by its mode.
type entryKind int

const (
	entryFile entryKind = iota
	entryDirectory
	entryOther // a symbolic link, a submodule
)

// treeEntry is one entry of a directory.
type treeEntry struct {
	kind entryKind
	name []byte // part of the tree's own bytes, and as long as these please
	hash plumbing.Hash
}

const (
	modeDigits    = 11         // of an entry's mode, at most; 6 are usual, and some programs write zeros before them
	modeTypes     = 0o17 << 12 // the bits of a mode that tell the kind
	modeDirectory = 0o04 << 12
	modeRegular   = 0o10 << 12
)

// cutEntry takes the first entry off a tree object:
//
//	MODE-IN-OCTAL SPACE NAME NUL 20-BYTES-OF-HASH
//
// Entries are read one by one, and not all at once, so that a tree of millions
// takes no more memory than its bytes.
func cutEntry(tree []byte) (entry treeEntry, rest []byte, err error) {
	space := bytes.IndexByte(tree[:min(len(tree), modeDigits+1)], ' ')
	if space < 0 {
		return treeEntry{}, nil, errors.New("an entry has no mode")
	}
	mode, err := strconv.ParseUint(string(tree[:space]), 8, 32)
	if err != nil {
		return treeEntry{}, nil, errors.New("an entry's mode is no number")
	}
	name, rest, found := bytes.Cut(tree[space+1:], []byte{0})
	if !found || len(name) == 0 {
		return treeEntry{}, nil, errors.New("an entry has no name")
	}
	if len(rest) < len(entry.hash) {
		return treeEntry{}, nil, errors.New("it ends within an entry")
	}
	entry.name = name
	copy(entry.hash[:], rest)
	switch mode & modeTypes {
	case modeRegular:
		entry.kind = entryFile
	case modeDirectory:
		entry.kind = entryDirectory
	default:
		entry.kind = entryOther
	}
	return entry, rest[len(entry.hash):], nil
}
