package tsig

import (
	"encoding/binary"
	"hash"
	"time"

	"github.com/miekg/dns"
)

// Sign appends a signature to a message, and gives the longer message and the MAC:
// of a question, with no requestMAC, or of its answer, with that of the question. The
// message is one whose length with Key.Size is below 65,536, and is not signed yet.
func Sign(message []byte, key *Key, requestMAC []byte, now time.Time) (signed, mac []byte) {
	s := newSignature(message, key, now)
	return s.sign(message, requestMAC)
}

// newSignature is of a message that says nothing about an error.
func newSignature(message []byte, key *Key, now time.Time) *Signature {
	return &Signature{
		start: len(message), owner: key.wire, algorithm: key.algorithm.wire, key: key,
		timers: binary.BigEndian.AppendUint16(appendTime(nil, now), Fudge), original: binary.BigEndian.Uint16(message),
	}
}

// sign makes the MAC and appends the record.
func (s *Signature) sign(message, requestMAC []byte) (signed, mac []byte) {
	digest := s.key.mac()
	writeCounted(digest, requestMAC)
	digest.Write(message)
	s.writeVariables(digest, s.key)
	return s.finish(message, digest)
}

func (s *Signature) finish(message []byte, digest hash.Hash) (signed, mac []byte) {
	s.mac = digest.Sum(nil)
	return s.appendTo(message), s.mac
}

// appendTo appends the record and counts it.
func (s *Signature) appendTo(message []byte) []byte {
	message = append(message, s.owner...)
	message = binary.BigEndian.AppendUint16(message, dns.TypeTSIG)
	message = binary.BigEndian.AppendUint16(message, dns.ClassANY)
	message = binary.BigEndian.AppendUint32(message, 0)
	message = binary.BigEndian.AppendUint16(message, uint16(len(s.algorithm)+dataFixed+len(s.mac)+len(s.other)))
	message = append(message, s.algorithm...)
	message = append(message, s.timers...)
	message = binary.BigEndian.AppendUint16(message, uint16(len(s.mac)))
	message = append(message, s.mac...)
	message = binary.BigEndian.AppendUint16(message, s.original)
	message = binary.BigEndian.AppendUint16(message, s.said)
	message = binary.BigEndian.AppendUint16(message, uint16(len(s.other)))
	message = append(message, s.other...)
	binary.BigEndian.PutUint16(message[10:], binary.BigEndian.Uint16(message[10:])+1)
	return message
}

// AnswerSize is how many bytes SignAnswer appends.
func (s *Signature) AnswerSize() int {
	size := len(s.owner) + recordFixed + len(s.algorithm) + dataFixed
	if s.key != nil {
		size += s.key.algorithm.size
	}
	if s.code == CodeBadTime {
		size += timeSize
	}
	return size
}

// SignAnswer appends to the answer of a question what its signature deserves: a
// signature; or, where the question's was not taken, the record that says so, which
// is signed in turn where the key has proved to be known to who asks (RFC 8945
// sections 5.2 and 5.3.2). The answer's response code, NOTAUTH then, is the caller's.
func (s *Signature) SignAnswer(message []byte, now time.Time) []byte {
	var answer *Signature
	if s.code == 0 && s.key != nil {
		answer = newSignature(message, s.key, now)
	} else {
		answer = &Signature{
			owner: s.owner, algorithm: s.algorithm, key: s.key, said: s.code,
			timers: s.timers, original: binary.BigEndian.Uint16(message),
		}
	}
	if s.code == CodeBadTime {
		answer.other = appendTime(nil, now)
	}
	if answer.key == nil {
		return answer.appendTo(message)
	}
	signed, _ := answer.sign(message, s.mac)
	return signed
}
