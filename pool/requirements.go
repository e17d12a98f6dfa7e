package pool

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Requirement is a file that a mirror has to have.
type Requirement struct {
	Path string // as Probe.Path is
	Size int64  // bytes; negative: any
}

// Requirements are files that a mirror has to have, in one comparable value: a line for
// each, with its size, or "-" for any, and its path, which has no line breaks.
type Requirements string

// NewRequirements puts them together, in their order.
func NewRequirements(files []Requirement) Requirements {
	var b strings.Builder
	for _, file := range files {
		size := "-"
		if file.Size >= 0 {
			size = strconv.FormatInt(file.Size, 10)
		}
		fmt.Fprintf(&b, "%s %s\n", size, file.Path)
	}
	return Requirements(b.String())
}

// All yields them in their order. Lines that NewRequirements has not written are passed
// over.
func (r Requirements) All() iter.Seq[Requirement] {
	return func(yield func(Requirement) bool) {
		for line := range strings.Lines(string(r)) {
			size, path, found := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if !found {
				continue
			}
			file := Requirement{Path: path, Size: -1}
			if size != "-" {
				var err error
				if file.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
					continue
				}
			}
			if !yield(file) {
				return
			}
		}
	}
}
