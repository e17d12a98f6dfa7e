package load

import (
	"bytes"
	"encoding/binary"
)

// verdict is what is wrong with an answer; 0: nothing.
type verdict int

const (
	right verdict = iota
	wrongHeader
	wrongCode
	wrongQuestion
	wrongRecords
	unexpected // nothing was asked with this id, or long ago
	verdicts
)

// String says it in words.
func (v verdict) String() string {
	return [verdicts]string{
		"right", "no header of an answer", "another response code", "another question",
		"too few answer records", "nothing was asked with its id",
	}[v]
}

// prepared is a question made ready to be compared with answers.
type prepared struct {
	Question
	end int // of the question section
}

// check tells what is wrong with an answer whose id is right. written is what
// vary returned for the question.
func (q *prepared) check(answer []byte, written uint64) verdict {
	if len(answer) < headerSize || answer[2]&0x80 == 0 {
		return wrongHeader
	}
	if int(answer[3]&15) != q.Code {
		return wrongCode
	}
	if len(answer) < q.end || answer[4] != 0 || answer[5] != 1 {
		return wrongQuestion
	}
	asked, echoed := q.Packet[headerSize:q.end], answer[headerSize:q.end]
	if q.Varying == VaryLabel {
		after := q.At + labelSize
		if answer[headerSize] != labelSize || binary.LittleEndian.Uint64(answer[q.At:]) != written {
			return wrongQuestion
		}
		asked, echoed = q.Packet[after:q.end], answer[after:q.end]
	}
	if !bytes.Equal(asked, echoed) {
		return wrongQuestion
	}
	if int(answer[6])<<8|int(answer[7]) < q.Records {
		return wrongRecords
	}
	return right
}
