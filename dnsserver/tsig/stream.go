package tsig

import "time"

// Signer signs an answer of many messages, each of them (RFC 8945 section 5.3.1). It
// is one goroutine's.
type Signer struct {
	key  *Key
	mac  []byte // of the message before
	more bool   // it was one of the answer
}

// NewSigner begins the answer to a question with that MAC.
func NewSigner(key *Key, requestMAC []byte) *Signer {
	return &Signer{key: key, mac: requestMAC}
}

// Sign appends the signature to the next message. Its length is that of Key.Size.
func (s *Signer) Sign(message []byte, now time.Time) []byte {
	one := newSignature(message, s.key, now)
	digest := s.key.mac()
	writeCounted(digest, s.mac)
	digest.Write(message)
	if s.more {
		digest.Write(one.timers)
	} else {
		one.writeVariables(digest, s.key)
	}
	s.more = true
	message, s.mac = one.finish(message, digest)
	return message
}
