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
	pull    func() (transferItem, bool)
	stop    func()
	waiting transferItem // was read, and did not fit
	waits   bool
}

func newRecordReader(items iter.Seq[transferItem]) *recordReader {
	r := &recordReader{}
	r.pull, r.stop = iter.Pull(items)
	return r
}

// next gives the next item; not ok: there is none.
func (r *recordReader) next() (item transferItem, ok bool) {
	if r.waits {
		r.waits = false
		return r.waiting, true
	}
	return r.pull()
}

// keep makes an item the next one again.
func (r *recordReader) keep(item transferItem) { r.waiting, r.waits = item, true }

// errTooLong: a record has more bytes than messages have.
var errTooLong = errors.New("a record does not fit into a message")

// ready works on what is before the first record for a turn, and reports whether that
// is done and next may be called.
func (t *zoneTransfer) ready() bool {
	if t.records == nil {
		t.records = newRecordReader(t.items())
	}
	item, ok := t.records.next()
	if ok && item.pause {
		return false
	}
	if ok {
		t.records.keep(item)
	}
	return true
}

// next appends the next message to a buffer, which is empty, and reports whether it
// is the last one; none: there is more to do before it, and others have their turn. The
// question, and what the OPT says, are in the first alone (RFC 5936 section 2.2); where
// the client wants its messages padded, each has an OPT with that (RFC 9103 sections
// 7.9.1 and 7.10.3).
func (t *zoneTransfer) next(buffer []byte) (message []byte, last bool, err error) {
	first := !t.begun
	if first {
		if !t.ready() {
			return nil, false, nil
		}
		t.begun = true
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
		item, more := t.records.next()
		switch {
		case !more:
			return true, nil
		case item.err != nil:
			return false, item.err
		}
		room := limit
		if t.writer.count < least {
			room = most
		}
		ok, err := t.writer.add(item, room)
		switch {
		case err != nil:
			return false, err
		case !ok && t.writer.count == 0:
			return false, errTooLong
		case !ok:
			t.records.keep(item)
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
	t.ready() // at once, for it is brief
	defer t.records.stop()
	if t.result != transferDifferences {
		return nil
	}
	limit -= t.optSize(true) + t.signSize
	if last, err := t.fill(t.start(nil, true), 0, limit, limit); err != nil || !last {
		return nil
	}
	return t.finish(true)
}
