package dnsserver

import (
	"errors"

	"mirrorpool/dnsserver/tsig"
)

// authenticate judges the request's signature (RFC 8945 section 5.2). Whoever signs
// wants no answer that is not signed; so where the signature is good, every answer is,
// errors too; and where it is not, NOTAUTH says why, if nothing is wrong that comes
// before it: see verdict.
func (r *responder) authenticate(q *request, packet []byte) {
	if !q.signature.Present() {
		return
	}
	err := q.signature.Verify(packet, r.settings.Transfer.Keys, nil, r.now)
	if errors.Is(err, tsig.ErrFormat) {
		q.blame(faultTSIG)
		return
	}
	q.signs = err == nil
	if q.fault == faultNone {
		r.counts.signature(q.signature.Code())
	}
}

// signedBy is the key that has signed the request; nil: none that is known, or not
// as it should be.
func (q *request) signedBy() *tsig.Key {
	if q.signature.Code() != 0 {
		return nil
	}
	return q.signature.Key()
}

// signatureSize is how many bytes the answer has to keep free behind its OPT.
func (q *request) signatureSize() int {
	if !q.signs {
		return 0
	}
	return q.signature.AnswerSize()
}

// sign appends to an answer of at most limit bytes what belongs to its question's
// signature. It is the last record, behind the OPT with its padding. Where it does not
// fit, there is none: a name, a key's name and 512 bytes may not go together.
func (r *responder) sign(q *request, answer []byte, limit int) []byte {
	if !q.signs || len(answer)+q.signatureSize() > limit {
		return answer
	}
	r.signs, r.signature = true, q.signature
	return q.signature.SignAnswer(answer, r.now)
}

// Results of judging signatures, as values of a label.
var signatureResults = map[uint16]string{
	0:                      "good",
	tsig.CodeBadKey:        "badkey",
	tsig.CodeBadSignature:  "badsig",
	tsig.CodeBadTime:       "badtime",
	tsig.CodeBadTruncation: "badtrunc",
}
