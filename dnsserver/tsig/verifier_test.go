package tsig

import (
	"errors"
	"hash"
	"slices"
	"time"
)

// maxUnsigned is how many messages may stand between two that are signed.
const maxUnsigned = 99

// verifier judges an answer of many messages, the first and the last of which are
// signed, and of the others at least each hundredth. It is one goroutine's.
type verifier struct {
	keys     *Keyring
	key      *Key      // of the first message
	mac      []byte    // of the message that was signed last
	digest   hash.Hash // of that and of what came since
	unsigned int       // messages since
}

// newVerifier begins with the answer to a question that was signed with that key
// and had that MAC.
func newVerifier(key *Key, requestMAC []byte) *verifier {
	keys, _ := NewKeyring(key) // one key alone has no like
	return &verifier{keys: keys, mac: slices.Clone(requestMAC)}
}

// Verify judges the next message. What it was given is not to be used before a
// message that is signed has followed; see End.
func (v *verifier) Verify(message []byte, now time.Time) error {
	s, err := find(message)
	first := v.key == nil
	switch {
	case errors.Is(err, ErrUnsigned) && !first && v.unsigned < maxUnsigned:
		v.unsigned++
		v.digest.Write(message)
		return nil
	case err != nil:
		return err
	}
	err = s.verify(message, v.keys, now, func(key *Key) hash.Hash {
		if first {
			v.digest = key.mac()
			writeCounted(v.digest, v.mac)
		}
		s.writeMessage(v.digest, message)
		if first {
			s.writeVariables(v.digest, key)
		} else {
			v.digest.Write(s.timers)
		}
		return v.digest
	})
	if err != nil {
		return err
	}
	v.key, v.mac, v.unsigned = s.key, s.mac, 0
	v.digest = v.key.mac()
	writeCounted(v.digest, v.mac)
	return nil
}

// End reports whether the last message was signed.
func (v *verifier) End() error {
	if v.key == nil || v.unsigned > 0 {
		return ErrUnsigned
	}
	return nil
}
