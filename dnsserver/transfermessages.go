package dnsserver

import (
	"encoding/binary"
	"errors"
	"iter"

	"github.com/miekg/dns"
)

// recordReader gives the records of a transfer one by one. Who has one that was not
// read to its end has to stop it.
type recordReader struct {
	pull    func() (dns.RR, bool)
	stop    func()
	waiting dns.RR // was read, and did not fit
}

func newRecordReader(records iter.Seq[dns.RR]) *recordReader {
	r := &recordReader{}
	r.pull, r.stop = iter.Pull(records)
	return r
}

// next gives the next record; nil: there is none.
func (r *recordReader) next() dns.RR {
	if rr := r.waiting; rr != nil {
		r.waiting = nil
		return rr
	}
	rr, _ := r.pull()
	return rr
}

// errTooLong: a record has more bytes than messages have.
var errTooLong = errors.New("a record does not fit into a message")

// next appends the next message to a buffer, which is empty, and reports whether it
// is the last one. The question, and what the OPT says, are in the first alone (RFC
// 5936 section 2.2); where the client wants its messages padded, each has an OPT with
// that (RFC 9103 sections 7.9.1 and 7.10.3).
func (t *zoneTransfer) next(buffer []byte) (message []byte, last bool, err error) {
	first := t.records == nil
	if first {
		var seq iter.Seq[dns.RR]
		seq, t.result = t.plan()
		t.records = newRecordReader(seq)
	}
	message = t.start(buffer, first)
	reserved, least := t.optSize(first)+t.signSize, uint16(1)
	if first {
		least = 2
	}
	if last, err = t.fill(message, least, transferMessage-reserved, maxMessage-reserved); err != nil {
		return nil, false, err
	}
	message = t.finish(first)
	t.sent += len(message)
	return message, last, nil
}

// start writes the header without its counts, and the question if this is the first
// message.
func (t *zoneTransfer) start(buffer []byte, first bool) []byte {
	message := binary.BigEndian.AppendUint16(buffer, t.id)
	message = binary.BigEndian.AppendUint16(message, t.flags)
	message = append(message, 0, 0, 0, 0, 0, 0, 0, 0)
	if first {
		message[5] = 1
		message = append(message, t.question...)
	}
	return message
}

// fill writes records until there are no more, which it reports, or the next would
// make the message longer than limit bytes; but so many at least, for which it may be
// longer. A first message of one record would say that there is nothing new.
func (t *zoneTransfer) fill(message []byte, least uint16, limit, most int) (last bool, err error) {
	t.writer.begin(message)
	for {
		rr := t.records.next()
		if rr == nil {
			return true, nil
		}
		room := limit
		if t.writer.count < least {
			room = most
		}
		ok, err := t.writer.add(rr, room)
		switch {
		case err != nil:
			return false, err
		case !ok && t.writer.count == 0:
			return false, errTooLong
		case !ok:
			t.records.waiting = rr
			return false, nil
		}
	}
}

// hasOPT reports whether a message has an OPT.
func (t *zoneTransfer) hasOPT(first bool) bool {
	return t.edns.present && (first || t.edns.wantsPadding)
}

// optSize is how many bytes of a message its OPT takes at most, without padding.
func (t *zoneTransfer) optSize(first bool) int {
	switch {
	case !t.hasOPT(first):
		return 0
	case first:
		return t.edns.replySize(t.reply.nsid)
	}
	return optFixed
}

// finish writes what belongs before and behind the records.
func (t *zoneTransfer) finish(first bool) []byte {
	message := t.writer.buffer
	binary.BigEndian.PutUint16(message[6:], t.writer.count)
	if t.hasOPT(first) {
		message[11] = 1
		t.optAt = len(message)
		options := reply{bare: true}
		if first {
			options = t.reply
		}
		options.behind = t.signSize
		message = t.edns.appendOPT(message, t.udpSize, dns.RcodeSuccess, options)
	}
	if t.signer != nil {
		message = t.signer.Sign(message, t.now())
	}
	return message
}

// inOne gives all differences in one message of at most limit bytes; nil: there are
// none, or they do not fit.
func (t *zoneTransfer) inOne(limit int) []byte {
	t.brief = true
	seq, result := t.plan()
	if result != transferDifferences {
		return nil
	}
	t.records = newRecordReader(seq)
	defer t.records.stop()
	limit -= t.optSize(true) + t.signSize
	if last, err := t.fill(t.start(nil, true), 0, limit, limit); err != nil || !last {
		return nil
	}
	return t.finish(true)
}
