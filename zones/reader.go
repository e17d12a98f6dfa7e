package zones

import (
	"bytes"
	"io"
	"strings"

	"github.com/miekg/dns"
)

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
	// The parser gives 3600 as TTL to what $GENERATE makes without one.
	ttl       string // of the last $TTL
	generated bool   // the last record comes from $GENERATE without a TTL
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
		if !found {
			found = r.look(line)
		}
		if line[len(line)-1] == '\n' {
			r.line++
		}
		consumed = consumed[len(line):]
	}
	return r.start
}

// look reads the beginning of a line, and reports whether a record starts in
// it: whether it is more than blank, comment or directive. $GENERATE counts as
// a record.
func (r *lineReader) look(line []byte) bool {
	if line, _, _ = bytes.Cut(line, []byte(";")); len(bytes.TrimSpace(line)) == 0 {
		return false
	}
	generated := false
	if line[0] == '$' {
		fields := strings.Fields(string(line))
		switch strings.ToUpper(fields[0]) {
		case "$TTL":
			if len(fields) > 1 {
				r.ttl = fields[1]
			}
			return false
		case "$GENERATE":
			generated = !statesTTL(fields)
		default:
			return false
		}
	}
	r.start, r.generated = r.line, generated
	return true
}

// statesTTL reports whether there is a TTL between the owner and the type of
// "$GENERATE range owner [ttl] [class] type data".
func statesTTL(fields []string) bool {
	for _, field := range fields[min(3, len(fields)):] {
		field = strings.ToUpper(field)
		if _, isType := dns.StringToType[field]; isType || strings.HasPrefix(field, "TYPE") {
			return false
		}
		if _, isClass := dns.StringToClass[field]; !isClass && !strings.HasPrefix(field, "CLASS") {
			return true
		}
	}
	return false
}

// generatedTTL gives the TTL for the last record, if it comes from $GENERATE
// and states none: that of the last $TTL, or noTTL.
func (r *lineReader) generatedTTL() (ttl uint32, generated bool) {
	if !r.generated {
		return 0, false
	}
	rr, err := dns.NewRR("$TTL " + r.ttl + "\n. NS .\n")
	if r.ttl == "" || err != nil || rr == nil {
		return noTTL, true
	}
	return rr.Header().Ttl, true
}
