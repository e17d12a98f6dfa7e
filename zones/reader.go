package zones

import "io"

// lineReader gives a zone file to the parser byte by byte. The parser asks for
// no byte beyond a record's last line before it gives the record, and it gives
// no line numbers with good records, so that what was read since the last
// record tells where the record starts.
type lineReader struct {
	data     []byte
	offset   int // the next byte's
	recordAt int // of the first byte after the last record
	line     int // of the byte at recordAt, from 1
	start    int // the line on which the last record starts
	ended    bool
}

func newLineReader(data []byte) *lineReader {
	return &lineReader{data: data, line: 1, start: 1}
}

// ReadByte adds a line feed to a file that ends without one: the parser takes
// "name A" at the very end for a dynamic update without data.
func (r *lineReader) ReadByte() (byte, error) {
	if r.offset < len(r.data) {
		c := r.data[r.offset]
		r.offset++
		return c, nil
	}
	if !r.ended {
		r.ended = true
		return '\n', nil
	}
	return 0, io.EOF
}

// Read is there because the parser asks for an io.Reader; it calls ReadByte.
func (r *lineReader) Read(p []byte) (int, error) {
	for i := range p {
		c, err := r.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = c
	}
	return len(p), nil
}

// recordLine gives the line on which the record that was just parsed starts.
// Records of one $GENERATE all start on its line.
func (r *lineReader) recordLine() int {
	consumed := r.data[r.recordAt:r.offset]
	r.recordAt = r.offset
	found := false
	for len(consumed) > 0 {
		line := consumed
		for i, c := range consumed {
			if c == '\n' {
				line = consumed[:i+1]
				break
			}
		}
		if !found && startsRecord(line) {
			r.start, found = r.line, true
		}
		if line[len(line)-1] == '\n' {
			r.line++
		}
		consumed = consumed[len(line):]
	}
	return r.start
}

// startsRecord reports whether a line is more than blank, comment or directive;
// $GENERATE counts as a record.
func startsRecord(line []byte) bool {
	for i, c := range line {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case ';':
			return false
		case '$':
			return i > 0 || len(line) > 1 && (line[1] == 'G' || line[1] == 'g')
		}
		return true
	}
	return false
}
