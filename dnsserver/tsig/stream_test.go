package tsig

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// unsign takes the signature off.
func unsign(t testing.TB, message []byte) []byte {
	t.Helper()
	s, err := find(message)
	if err != nil {
		t.Fatal(err)
	}
	plain := slices.Clone(message[:s.start])
	plain[11]--
	return plain
}

func TestStreams(t *testing.T) {
	key := mustKey(t, "key.example", "hmac-sha512")
	_, mac := Sign(question(t), key, nil, signedAt)
	make := func(n int) [][]byte {
		signer := NewSigner(key, mac)
		var all [][]byte
		for i := range n {
			all = append(all, signer.Sign(answerTo(question(t)), signedAt.Add(time.Duration(i)*time.Second)))
		}
		return all
	}
	verify := func(all [][]byte) error {
		v := newVerifier(key, mac)
		for _, message := range all {
			if err := v.Verify(message, signedAt); err != nil {
				return err
			}
		}
		return v.End()
	}
	if err := verify(make(5)); err != nil {
		t.Error(err)
	}
	all := make(5)
	if err := verify(slices.Concat(all[:2], all[3:])); !isCode(err, CodeBadSignature, false) {
		t.Errorf("one left out: %v", err)
	}
	all = make(5)
	all[2], all[3] = all[3], all[2]
	if err := verify(all); !isCode(err, CodeBadSignature, false) {
		t.Errorf("two exchanged: %v", err)
	}
	all = make(3)
	all[2][13] ^= 1
	if err := verify(all); !isCode(err, CodeBadSignature, false) {
		t.Errorf("one changed: %v", err)
	}
	all = make(3)
	all[0] = unsign(t, all[0])
	if err := verify(all); !errors.Is(err, ErrUnsigned) {
		t.Errorf("the first without a signature: %v", err)
	}
	all = make(3)
	all[2] = unsign(t, all[2])
	if err := verify(all); !errors.Is(err, ErrUnsigned) {
		t.Errorf("the last without a signature: %v", err)
	}
	if err := verify(nil); !errors.Is(err, ErrUnsigned) {
		t.Errorf("nothing: %v", err)
	}
}

// TestUnsignedMessagesBetween has a signature cover those before it, as other
// servers do.
func TestUnsignedMessagesBetween(t *testing.T) {
	key := mustKey(t, "key.example", "hmac-sha256")
	_, mac := Sign(question(t), key, nil, signedAt)
	between := func(n int, change bool) error {
		v := newVerifier(key, mac)
		first, firstMAC := Sign(answerTo(question(t)), key, mac, signedAt)
		if err := v.Verify(first, signedAt); err != nil {
			t.Fatal(err)
		}
		digest := key.mac()
		writeCounted(digest, firstMAC)
		for i := range n {
			message := answerTo(question(t))
			digest.Write(message)
			if change && i == n-1 {
				message[13] ^= 1
			}
			if err := v.Verify(message, signedAt); err != nil {
				return err
			}
		}
		last := answerTo(question(t))
		s := newSignature(last, key, signedAt)
		digest.Write(last)
		digest.Write(s.timers)
		signed, _ := s.finish(last, digest)
		return errors.Join(v.Verify(signed, signedAt), v.End())
	}
	for _, n := range []int{0, 1, 99} {
		if err := between(n, false); err != nil {
			t.Errorf("%d between: %v", n, err)
		}
	}
	if err := between(100, false); !errors.Is(err, ErrUnsigned) {
		t.Errorf("100 between: %v", err)
	}
	if err := between(3, true); !isCode(err, CodeBadSignature, false) {
		t.Errorf("one of them changed: %v", err)
	}
}
