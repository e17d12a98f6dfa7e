package tsig

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var signedAt = time.Unix(1_700_000_000, 0)

func mustKey(t testing.TB, name, algorithmName string) *Key {
	t.Helper()
	key, err := NewKey(name, algorithmName, []byte("a secret for tests"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustRing(t testing.TB, keys ...*Key) *Keyring {
	t.Helper()
	ring, err := NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// question is a packed question with an OPT.
func question(t testing.TB) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("Host.example.", dns.TypeA)
	m.Id = 0x1234
	m.SetEdns0(1232, true)
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// answerTo makes an answer of a question.
func answerTo(message []byte) []byte {
	answer := slices.Clone(message)
	answer[2] |= 0x80
	return answer
}

func TestSignedQuestionIsVerified(t *testing.T) {
	for _, algorithmName := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		t.Run(algorithmName, func(t *testing.T) {
			key := mustKey(t, "Key.example", algorithmName)
			other := mustKey(t, "other.example", algorithmName)
			plain := question(t)
			signed, mac := Sign(slices.Clone(plain), key, nil, signedAt)
			if len(signed) != len(plain)+key.Size() {
				t.Errorf("%d bytes were added, Size says %d", len(signed)-len(plain), key.Size())
			}
			s, err := Verify(signed, mustRing(t, other, key), nil, signedAt.Add(Fudge*time.Second))
			if err != nil || s.Key() != key || !slices.Equal(s.MAC(), mac) || s.Code() != 0 || !s.Present() {
				t.Fatalf("verified %v, error %v", s.Key(), err)
			}
			answer := s.SignAnswer(answerTo(plain), signedAt)
			if len(answer) != len(plain)+s.AnswerSize() {
				t.Errorf("%d bytes were added, AnswerSize says %d", len(answer)-len(plain), s.AnswerSize())
			}
			if _, err := Verify(answer, mustRing(t, key), mac, signedAt); err != nil {
				t.Error(err)
			}
			if _, err := Verify(answer, mustRing(t, key), nil, signedAt); !isCode(err, CodeBadSignature, false) {
				t.Errorf("an answer of another question: %v", err)
			}
		})
	}
}

func isCode(err error, code uint16, remote bool) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code && e.Remote == remote
}

// TestVectorsOfTheLibrary holds both directions against the DNS library's.
func TestVectorsOfTheLibrary(t *testing.T) {
	now := time.Now()
	for _, algorithmName := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		t.Run(algorithmName, func(t *testing.T) {
			key := mustKey(t, "Key.Example", algorithmName)
			secret := base64.StdEncoding.EncodeToString(key.secret())
			plain := question(t)

			ours, mac := Sign(slices.Clone(plain), key, nil, now)
			if err := dns.TsigVerify(slices.Clone(ours), secret, "", false); err != nil {
				t.Errorf("the library refuses our question: %v", err)
			}
			answer, answerMAC := Sign(answerTo(plain), key, mac, now)
			if err := dns.TsigVerify(slices.Clone(answer), secret, hex.EncodeToString(mac), false); err != nil {
				t.Errorf("the library refuses our answer: %v", err)
			}

			m := new(dns.Msg)
			if err := m.Unpack(plain); err != nil {
				t.Fatal(err)
			}
			m.SetTsig("KEY.example.", algorithmName+".", Fudge, now.Unix())
			theirs, theirMAC, err := dns.TsigGenerate(m, secret, "", false)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Verify(theirs, mustRing(t, key), nil, now)
			if err != nil || hex.EncodeToString(s.MAC()) != theirMAC {
				t.Errorf("their question: %v", err)
			}

			signer := NewSigner(key, mac)
			first := signer.Sign(answerTo(plain), now)
			if err := dns.TsigVerify(slices.Clone(first), secret, hex.EncodeToString(mac), false); err != nil {
				t.Errorf("the library refuses the first message: %v", err)
			}
			if got := first[len(first)-len(answerMAC)-6:][:len(answerMAC)]; !slices.Equal(got, answerMAC) {
				t.Error("the first message of many is signed otherwise than an answer")
			}
			before := answerMAC
			for i := range 3 {
				next := signer.Sign(answerTo(plain), now.Add(time.Duration(i)*time.Second))
				if err := dns.TsigVerify(slices.Clone(next), secret, hex.EncodeToString(before), true); err != nil {
					t.Errorf("the library refuses message %d: %v", i+2, err)
				}
				before = next[len(next)-len(answerMAC)-6:][:len(answerMAC)]
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	key := mustKey(t, "key.example", "hmac-sha256")
	long := mustKey(t, "long.example", "hmac-sha512")
	short := mustKey(t, "short.example", "hmac-sha512-256")
	strict := mustKey(t, "strict.example", "hmac-sha256-192")
	ring := mustRing(t, key, long, short, strict)
	stranger := mustKey(t, "stranger.example", "hmac-sha256")
	imposter, _ := NewKey("key.example", "hmac-sha256", []byte("another secret"))
	otherWay := mustKey(t, "key.example", "hmac-sha512")
	signed := func(key *Key) []byte {
		message, _ := Sign(question(t), key, nil, signedAt)
		return message
	}
	code := func(code uint16) func(error) bool {
		return func(err error) bool { return isCode(err, code, false) }
	}
	is := func(want error) func(error) bool {
		return func(err error) bool { return errors.Is(err, want) }
	}
	late := signedAt.Add((Fudge + 1) * time.Second)
	early := signedAt.Add(-(Fudge + 1) * time.Second)
	for name, test := range map[string]struct {
		message []byte
		now     time.Time
		want    func(error) bool
		key     *Key // that is known nevertheless
	}{
		"unsigned":            {question(t), signedAt, is(ErrUnsigned), nil},
		"no header":           {question(t)[:11], signedAt, is(ErrFormat), nil},
		"cut off":             {signed(key)[:60], signedAt, is(ErrFormat), nil},
		"cut off by one":      {signed(key)[:len(signed(key))-1], signedAt, is(ErrFormat), nil},
		"bytes behind":        {append(signed(key), 0), signedAt, is(ErrFormat), nil},
		"unknown key":         {signed(stranger), signedAt, code(CodeBadKey), nil},
		"other algorithm":     {signed(otherWay), signedAt, code(CodeBadKey), nil},
		"other secret":        {signed(imposter), signedAt, code(CodeBadSignature), nil},
		"other secret, late":  {signed(imposter), late, code(CodeBadSignature), nil},
		"another ID":          {changed(signed(key), func(m []byte) { m[0] ^= 1 }), signedAt, func(err error) bool { return err == nil }, key},
		"another original ID": {changed(signed(key), func(m []byte) { m[len(m)-5] ^= 1 }), signedAt, code(CodeBadSignature), nil},
		"another question":    {changed(signed(key), func(m []byte) { m[13] ^= 1 }), signedAt, code(CodeBadSignature), nil},
		"another flag":        {changed(signed(key), func(m []byte) { m[2] ^= 1 }), signedAt, code(CodeBadSignature), nil},
		"late":                {signed(key), late, code(CodeBadTime), key},
		"early":               {signed(key), early, code(CodeBadTime), key},
		"no MAC":              {cutMAC(t, signed(key), 0), signedAt, is(ErrFormat), nil},
		"less than half":      {cutMAC(t, signed(key), 15), signedAt, is(ErrFormat), nil},
		"half":                {cutMAC(t, signed(key), 16), signedAt, code(CodeBadTruncation), key},
		"all but one":         {cutMAC(t, signed(key), 31), signedAt, code(CodeBadTruncation), key},
		"half of another":     {cutMAC(t, signed(imposter), 16), signedAt, code(CodeBadSignature), nil},
		"half, late":          {cutMAC(t, signed(key), 16), late, code(CodeBadTime), key},
		"less than half, 512": {cutMAC(t, signed(long), 31), signedAt, is(ErrFormat), nil},
		"half, 512":           {cutMAC(t, signed(long), 32), signedAt, code(CodeBadTruncation), long},
		"half, allowed":       {cutMAC(t, signed(short), 32), signedAt, func(err error) bool { return err == nil }, short},
		"less, allowed":       {cutMAC(t, signed(short), 31), signedAt, is(ErrFormat), nil},
		"whole, allowed":      {signed(short), signedAt, func(err error) bool { return err == nil }, short},
		"less than asked for": {cutMAC(t, signed(strict), 23), signedAt, code(CodeBadTruncation), strict},
		"as much":             {cutMAC(t, signed(strict), 24), signedAt, func(err error) bool { return err == nil }, strict},
		"more than whole":     {cutMAC(t, signed(key), 33), signedAt, is(ErrFormat), nil},
		"twice": {
			func() []byte { m, _ := Sign(signed(key), key, nil, signedAt); return m }(), signedAt, is(ErrFormat), nil,
		},
		"not last": {
			func() []byte {
				m := append(signed(key), 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)
				m[11]++
				return m
			}(), signedAt, is(ErrFormat), nil,
		},
		"as an answer": {changed(signed(key), func(m []byte) { m[11], m[7] = 0, 2 }), signedAt, is(ErrFormat), nil},
		"class IN":     {changedRecord(t, signed(key), 3, 1), signedAt, is(ErrFormat), nil},
		"a TTL":        {changedRecord(t, signed(key), 7, 1), signedAt, is(ErrFormat), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Verify(test.message, ring, nil, test.now)
			if !test.want(err) {
				t.Fatalf("error %v", err)
			}
			if s.Key() != test.key {
				t.Errorf("key %v, want %v", s.Key(), test.key)
			}
			var e *Error
			if errors.As(err, &e) && (s.Code() != e.Code || strings.Contains(err.Error(), "secret for")) {
				t.Errorf("code %d, error %v", s.Code(), err)
			}
		})
	}
}

func changed(message []byte, change func([]byte)) []byte {
	change(message)
	return message
}

// changedRecord sets a byte behind the name of the TSIG.
func changedRecord(t testing.TB, message []byte, at int, to byte) []byte {
	t.Helper()
	s, err := find(message)
	if err != nil {
		t.Fatal(err)
	}
	message[s.start+len(s.owner)+at] = to
	return message
}

// cutMAC gives a signed message's MAC another length.
func cutMAC(t testing.TB, message []byte, size int) []byte {
	t.Helper()
	s, err := find(message)
	if err != nil {
		t.Fatal(err)
	}
	s.mac = append(s.mac, make([]byte, 64)...)[:size]
	plain := slices.Clone(message[:s.start])
	plain[11]--
	return s.appendTo(plain)
}

func TestAnswersToWhatIsRefused(t *testing.T) {
	key := mustKey(t, "key.example", "hmac-sha256")
	ring := mustRing(t, key)
	late := signedAt.Add(time.Hour)
	imposter, _ := NewKey("key.example", "hmac-sha256", []byte("another secret"))
	for name, test := range map[string]struct {
		key       *Key
		now       time.Time
		code      uint16
		signed    bool
		serverNow time.Time
	}{
		"BADKEY":  {mustKey(t, "Stranger.example", "hmac-sha256"), signedAt, CodeBadKey, false, time.Time{}},
		"BADSIG":  {imposter, signedAt, CodeBadSignature, false, time.Time{}},
		"BADTIME": {key, late, CodeBadTime, true, late},
	} {
		t.Run(name, func(t *testing.T) {
			plain := question(t)
			message, mac := Sign(slices.Clone(plain), test.key, nil, signedAt)
			s, err := Verify(message, ring, nil, test.now)
			if !isCode(err, test.code, false) {
				t.Fatal(err)
			}
			answer := s.SignAnswer(answerTo(plain), test.now)
			if len(answer) != len(plain)+s.AnswerSize() {
				t.Errorf("%d bytes were added, AnswerSize says %d", len(answer)-len(plain), s.AnswerSize())
			}
			var m dns.Msg
			if err := m.Unpack(answer); err != nil {
				t.Fatal(err)
			}
			record := m.IsTsig()
			if record == nil || record.Error != test.code || (record.MACSize > 0) != test.signed ||
				record.TimeSigned != uint64(signedAt.Unix()) || record.Fudge != Fudge || record.OrigId != 0x1234 {
				t.Fatalf("answered %v", record)
			}
			var e *Error
			_, err = Verify(answer, mustRing(t, test.key), mac, signedAt)
			if !errors.As(err, &e) || e.Code != test.code || !e.Remote || !e.Server.Equal(test.serverNow) {
				t.Errorf("read as %v", err)
			}
		})
	}
}

// TestUnsignedRefusalsAreBelievedInAnswersAlone holds that a question cannot pass
// for one of them.
func TestUnsignedRefusalsAreBelievedInAnswersAlone(t *testing.T) {
	key := mustKey(t, "key.example", "hmac-sha256")
	message, _ := Sign(question(t), key, nil, signedAt)
	s, err := find(message)
	if err != nil {
		t.Fatal(err)
	}
	plain := slices.Clone(message[:s.start])
	plain[11]--
	s.mac, s.said = nil, CodeBadKey
	if _, err := Verify(s.appendTo(plain), mustRing(t, key), nil, signedAt); !errors.Is(err, ErrFormat) {
		t.Errorf("error %v", err)
	}
}

func TestCompressedOwner(t *testing.T) {
	key := mustKey(t, "host.example", "hmac-sha256")
	message, _ := Sign(question(t), key, nil, signedAt)
	s, err := find(message)
	if err != nil {
		t.Fatal(err)
	}
	compressed := slices.Concat(message[:s.start], []byte{0xC0, headerSize}, message[s.start+len(s.owner):])
	if _, err := Verify(compressed, mustRing(t, key), nil, signedAt); err != nil {
		t.Error(err)
	}
	for name, pointer := range map[string]uint16{"itself": uint16(s.start), "forwards": uint16(s.start + 2), "header": 0} {
		binary.BigEndian.PutUint16(compressed[s.start:], 0xC000|pointer)
		if _, err := Verify(compressed, mustRing(t, key), nil, signedAt); !errors.Is(err, ErrFormat) {
			t.Errorf("a pointer to %s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	key := mustKey(f, "key.example", "hmac-sha256")
	ring := mustRing(f, key)
	signed, mac := Sign(question(f), key, nil, signedAt)
	answer, _ := Sign(answerTo(question(f)), key, mac, signedAt)
	f.Add(signed, []byte(nil))
	f.Add(answer, mac)
	f.Add(question(f), []byte{1})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xc0\x0c"), []byte(nil))
	f.Fuzz(func(t *testing.T, message, requestMAC []byte) {
		before := slices.Clone(message)
		s, err := Verify(message, ring, requestMAC, signedAt)
		if !slices.Equal(before, message) {
			t.Fatal("the message was changed")
		}
		var e *Error
		switch {
		case err == nil && s.Key() != key, err == nil && !s.Present():
			t.Fatalf("verified without the key: %v", s)
		case err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsigned) && !errors.As(err, &e):
			t.Fatal(err)
		}
		if s.Present() && len(message) < 60000 {
			plain := question(t)
			if got := s.SignAnswer(slices.Clone(plain), signedAt); len(got) != len(plain)+s.AnswerSize() {
				t.Fatalf("%d bytes were added, AnswerSize says %d", len(got)-len(plain), s.AnswerSize())
			}
		}
		v := newVerifier(key, requestMAC)
		if v.Verify(message, signedAt) == nil && v.End() != nil {
			t.Fatal("a first message without a signature")
		}
	})
}
