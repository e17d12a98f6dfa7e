package tsig

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"hash"
	"time"

	"github.com/miekg/dns"
)

// Verify judges the signature of a message: of a question, with no requestMAC, or
// of its answer, with that of the question. What is wrong is found in the order of
// RFC 8945 section 5.2: form, key, MAC, time, truncation.
//
// Without an error the message is what the owner of the key has sent. The error is
// ErrUnsigned, ErrFormat, or an *Error, which is one as well where an answer says
// that its question's signature was not taken.
func Verify(message []byte, keys *Keyring, requestMAC []byte, now time.Time) (Signature, error) {
	s, err := find(message)
	if err != nil {
		return Signature{}, err
	}
	err = s.Verify(message, keys, requestMAC, now)
	return s, err
}

// Verify judges a signature that was read from message.
func (s *Signature) Verify(message []byte, keys *Keyring, requestMAC []byte, now time.Time) error {
	return s.verify(message, keys, now, func(key *Key) hash.Hash {
		mac := key.mac()
		writeCounted(mac, requestMAC)
		s.writeMessage(mac, message)
		s.writeVariables(mac, key)
		return mac
	})
}

// verify judges a signature by the MAC that digest begins and fills.
func (s *Signature) verify(message []byte, keys *Keyring, now time.Time, digest func(*Key) hash.Hash) error {
	if s.refusedUnsigned(message) {
		return &Error{Code: s.said, Key: s.keyName(), Remote: true}
	}
	key := keys.find(s)
	if key == nil {
		return s.wrong(CodeBadKey)
	}
	size := len(s.mac)
	if size > key.algorithm.size || size < max(key.algorithm.size/2, minMAC) {
		return ErrFormat // RFC 8945 section 5.2.2.1
	}
	if !hmac.Equal(digest(key).Sum(nil)[:size], s.mac) {
		return s.wrong(CodeBadSignature)
	}
	s.key = key
	switch {
	case !s.inTime(now):
		return s.wrong(CodeBadTime)
	case size < key.least:
		return s.wrong(CodeBadTruncation)
	case isAnswer(message) && s.said != dns.RcodeSuccess:
		return &Error{Code: s.said, Key: key.name, Remote: true, Server: s.serverTime()}
	}
	return nil
}

func (s *Signature) wrong(code uint16) error {
	s.code = code
	return &Error{Code: code, Key: s.keyName()}
}

// refusedUnsigned tells an answer by who could not sign it, because it does not
// have the key or would sign something for anybody.
func (s *Signature) refusedUnsigned(message []byte) bool {
	return isAnswer(message) && len(s.mac) == 0 && (s.said == CodeBadKey || s.said == CodeBadSignature)
}

func isAnswer(message []byte) bool { return message[2]&0x80 != 0 }

// find gives the key that a signature names, if it is of the same algorithm.
func (r *Keyring) find(s *Signature) *Key {
	if r == nil {
		return nil
	}
	key := r.byWire[string(lower(bytes.Clone(s.owner)))]
	if key == nil || !bytes.Equal(lower(bytes.Clone(s.algorithm)), key.algorithm.wire) {
		return nil
	}
	return key
}

// keyName is the key's name as the message has it.
func (s *Signature) keyName() string {
	name, _, err := dns.UnpackDomainName(s.owner, 0)
	if err != nil {
		return "?"
	}
	return dns.CanonicalName(name)
}

// inTime reports whether the clocks differ by no more than the fudge.
func (s *Signature) inTime(now time.Time) bool {
	apart := now.Unix() - int64(readTime(s.timers))
	return max(apart, -apart) <= int64(binary.BigEndian.Uint16(s.timers[timeSize:]))
}

func (s *Signature) serverTime() time.Time {
	if s.said != CodeBadTime || len(s.other) != timeSize {
		return time.Time{}
	}
	return time.Unix(int64(readTime(s.other)), 0)
}

// writeMessage writes the message as it was before it was signed.
func (s *Signature) writeMessage(mac hash.Hash, message []byte) {
	var header [headerSize]byte
	copy(header[:], message)
	binary.BigEndian.PutUint16(header[:], s.original)
	binary.BigEndian.PutUint16(header[10:], binary.BigEndian.Uint16(header[10:])-1)
	mac.Write(header[:])
	mac.Write(message[headerSize:s.start])
}

// writeVariables writes the record but for what is not covered (RFC 8945 section
// 4.3.3).
func (s *Signature) writeVariables(mac hash.Hash, key *Key) {
	mac.Write(key.wire)
	mac.Write([]byte{0, byte(dns.ClassANY), 0, 0, 0, 0})
	mac.Write(key.algorithm.wire)
	mac.Write(s.timers)
	mac.Write([]byte{byte(s.said >> 8), byte(s.said)})
	writeSized(mac, s.other)
}

// writeCounted writes a MAC that came before, if there is one.
func writeCounted(mac hash.Hash, before []byte) {
	if len(before) > 0 {
		writeSized(mac, before)
	}
}

func writeSized(mac hash.Hash, data []byte) {
	mac.Write([]byte{byte(len(data) >> 8), byte(len(data))})
	mac.Write(data)
}

// readTime reads seconds since 1970 from six bytes.
func readTime(data []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(data))<<32 | uint64(binary.BigEndian.Uint32(data[2:]))
}

func appendTime(data []byte, at time.Time) []byte {
	seconds := uint64(at.Unix())
	data = binary.BigEndian.AppendUint16(data, uint16(seconds>>32))
	return binary.BigEndian.AppendUint32(data, uint32(seconds))
}
