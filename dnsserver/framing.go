package dnsserver

import (
	"encoding/binary"
	"slices"
)

const (
	prefixSize = 2 // the length before each message over TCP (RFC 1035 section 4.2.2)
	// replyRoom is what an answer gets at least to be written in where the
	// question stands.
	replyRoom = 4096
)

// room is what a connection borrows while there is something to read. A client
// that does not take its answers keeps one until its time is over.
type room struct {
	in  [16 << 10]byte
	out [32 << 10]byte
}

// wholeQuestions gives the length of the questions in data, each with its length
// before it, that are there to their end.
func wholeQuestions(data []byte) int {
	end := 0
	for end+prefixSize <= len(data) {
		next := end + prefixSize + int(binary.BigEndian.Uint16(data[end:]))
		if next > len(data) {
			break
		}
		end = next
	}
	return end
}

// answer appends to out, which is empty, the answers to as many questions as it
// has room for, at least one, and gives the questions that are left. Silence
// ends the connection, after the answers before it.
//
// The answers are made between two system calls and without waiting for
// anything, so that responders, of which there are few, are not held.
func (t *tcpServer) answer(out, questions []byte, c *connection, keepalive uint16) (answers, left []byte, silence bool) {
	responders := t.responders
	if c.over == overTLS {
		responders = t.secure
	}
	r := <-responders
	defer func() { responders <- r }()
	r.keepalive, r.private = keepalive, c.secure != nil && c.secure.private
	r.begin()
	defer r.end()
	size := cap(out)
	for len(questions) > 0 {
		length := int(binary.BigEndian.Uint16(questions))
		start := len(out)
		need := prefixSize + max(length, replyRoom)
		if start+need > size && start > 0 {
			break
		}
		out = slices.Grow(out, need)
		// The room ends where the longest message does.
		buffer := out[start+prefixSize : min(cap(out), start+prefixSize+maxMessage)]
		copy(buffer, questions[prefixSize:prefixSize+length])
		questions = questions[prefixSize+length:]
		r.going = len(c.transfers)
		answer := r.reply(buffer, length, c.client, c.over)
		if r.begun != nil {
			c.transfers = append(c.transfers, r.begun)
			r.begun = nil
			continue
		}
		if answer == nil {
			return out, nil, true
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(answer)))
		if &answer[0] == &buffer[0] {
			out = out[:len(out)+len(answer)]
		} else {
			out = append(out, answer...)
		}
	}
	return out, questions, false
}
