//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/bench/load"
	"mirrorpool/bench/packets"
)

const (
	// batchOf is how many packets are under way at most. With their answers they
	// fit the smallest receive buffer, so that nothing is lost on the way.
	batchOf = 40
	// answerWithin is when an answer counts as lost: what matters here is that it
	// comes.
	answerWithin = 10 * time.Second
	// largestDatagram leaves room for headers in what IPv4 can carry.
	largestDatagram = 65_507
)

// asking is what came of asking.
type asking struct {
	packets  int // sent, without the good questions
	answered int
	silence  int // answers that nobody can expect, and that did not come
	sockets  int
	asked    int // good questions
	right    int // those that were answered rightly
	wrong    map[string]int
}

func (a *asking) add(more *asking) {
	a.packets += more.packets
	a.answered += more.answered
	a.silence += more.silence
	a.sockets += more.sockets
	a.asked += more.asked
	a.right += more.right
	if a.wrong == nil {
		a.wrong = make(map[string]int)
	}
	for what, times := range more.wrong {
		a.wrong[what] += times
	}
}

func (a *asking) write(out io.Writer, name string) {
	fmt.Fprintf(out, "%-9s %10d %10d %10d %10d %12d %12d\n", name, a.packets, a.answered, a.silence, a.sockets, a.asked, a.right)
}

// asker sends packets over one transport, in batches that end with a good
// question. Each is answered before the next: who asks faster than the server
// answers loses packets in the socket, which tells nothing of the server.
type asker struct {
	asking
	over    string
	most    int
	address string
	node    *robustNode
	good    []load.Question
	source  *packets.Source
	// patience is when an answer counts as lost.
	patience time.Duration

	random     *rand.Rand
	connection net.Conn // nil: none
	next       int      // of the good questions
	batch      [][]byte
	room       []byte
}

// run sends all packets. Its error is what makes going on useless.
func (a *asker) run(ctx context.Context, watch *memoryWatch) error {
	a.random = rand.New(rand.NewPCG(uint64(a.most), 5))
	a.room = make([]byte, largestMessage+2)
	for a.packets < a.most {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := a.packets
		send := a.overStream
		if a.over == "udp" {
			send = a.overDatagrams
		}
		if err := send(min(batchOf, a.most-a.packets)); err != nil {
			return err
		}
		watch.sent.Add(int64(a.packets - before))
	}
	return nil
}

func (a *asker) close() {
	if a.connection != nil {
		if stream, ok := a.connection.(*net.TCPConn); ok {
			// The port is free again at once. That it is closed already is fine.
			_ = stream.SetLinger(0)
		}
		a.connection.Close()
		a.connection = nil
	}
}

func (a *asker) open() error {
	if a.connection != nil {
		return a.connection.SetDeadline(time.Now().Add(a.patience))
	}
	var err error
	if a.over == "udp" {
		a.connection, err = net.Dial("udp", a.address)
	} else {
		a.connection, err = a.node.dial(a.over, a.address)
	}
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	a.sockets++
	return a.connection.SetDeadline(time.Now().Add(a.patience))
}

// draw makes the batch: packets with IDs from 0 on, as far as they have room for
// one.
func (a *asker) draw(count int) {
	a.batch = a.batch[:0]
	for i := range count {
		packet := bytes.Clone(a.source.Next(largestDatagram))
		// Silence ends a connection, so that there is little of it.
		if a.over != "udp" && !isQuestion(packet) && a.random.IntN(20) > 0 {
			packet = append(packet, make([]byte, max(0, 12-len(packet)))...)
			packet[2] &= 0x7F
		}
		if len(packet) >= 2 {
			binary.BigEndian.PutUint16(packet, uint16(i))
		}
		a.batch = append(a.batch, packet)
	}
}

// isQuestion tells whether a packet has to get an answer.
func isQuestion(packet []byte) bool { return len(packet) >= 12 && packet[2]&0x80 == 0 }

// goodQuestion is the next one, with an ID that no packet of the batch has.
func (a *asker) goodQuestion() (load.Question, []byte) {
	q := a.good[a.next%len(a.good)]
	a.next++
	a.asked++
	return q, q.Sample(uint16(batchOf+a.next%1000), uint64(a.next))
}

// judgeGood counts a good question as answered where the answer is right.
func (a *asker) judgeGood(q load.Question, asked, answer []byte) {
	if err := checkWhole(a.node.server, q, asked, answer); err != nil {
		a.blame("%v: %x", err, answer)
		return
	}
	a.right++
}

// blame keeps what is wrong, and of many different things the first ones.
func (a *asker) blame(form string, arguments ...any) {
	const most, longest = 5, 1000
	what := fmt.Sprintf(form, arguments...)
	if len(what) > longest {
		what = what[:longest] + "..."
	}
	if len(a.wrong) >= most && a.wrong[what] == 0 {
		what = "something else"
	}
	a.wrong[what]++
}

// overDatagrams sends a batch, and waits for all answers: that of the good
// question, which goes last, comes last, for one worker reads what one socket
// sends.
func (a *asker) overDatagrams(count int) error {
	if err := a.open(); err != nil {
		return err
	}
	a.draw(count)
	for _, packet := range a.batch {
		if _, err := a.connection.Write(packet); err != nil {
			return fmt.Errorf("sending a packet of %d bytes: %w", len(packet), err)
		}
	}
	a.packets += count
	q, asked := a.goodQuestion()
	if _, err := a.connection.Write(asked); err != nil {
		return fmt.Errorf("sending a good question: %w", err)
	}
	var answered [batchOf]bool
	for {
		n, err := a.connection.Read(a.room)
		if err != nil {
			a.blame("a good question gets no answer: %v", reasonOf(err))
			a.close()
			return nil
		}
		answer := a.room[:n]
		if n >= 2 && [2]byte(answer) == [2]byte(asked) {
			a.judgeGood(q, asked, answer)
			break
		}
		at := batchOf
		if n >= 12 {
			at = int(binary.BigEndian.Uint16(answer))
		}
		if at >= count || answered[at] || !isQuestion(a.batch[at]) {
			a.blame("an answer that nobody waits for: %x", answer)
			continue
		}
		answered[at] = true
		a.judge(a.batch[at], answer)
	}
	for i, packet := range a.batch {
		switch {
		case !isQuestion(packet):
			a.silence++
		case !answered[i]:
			a.blame("no answer to %x", packet)
		}
	}
	return nil
}

// overStream sends a batch on a connection, cut anywhere, and reads the answers
// in their order. A packet that gets silence ends the connection.
func (a *asker) overStream(count int) error {
	if err := a.open(); err != nil {
		return err
	}
	a.draw(count)
	var data []byte
	silent := false
	for i, packet := range a.batch {
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(packet))), packet...)
		if silent = !isQuestion(packet); silent {
			a.batch = a.batch[:i+1]
			break
		}
	}
	q, asked := a.goodQuestion()
	if silent {
		a.asked-- // it is asked on the next connection
		a.next--
	} else {
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(asked))), asked...)
	}
	a.packets += len(a.batch)
	if err := a.writeCut(data); err != nil {
		return fmt.Errorf("sending packets: %w", err)
	}
	for _, packet := range a.batch {
		if !isQuestion(packet) {
			a.silence++
			return a.expectEnd()
		}
		answer, err := a.readMessage()
		if err != nil {
			a.blame("no answer to %x: %v", packet, reasonOf(err))
			a.close()
			return nil
		}
		a.judge(packet, answer)
	}
	answer, err := a.readMessage()
	if err != nil {
		a.blame("a good question gets no answer: %v", reasonOf(err))
		a.close()
		return nil
	}
	a.judgeGood(q, asked, answer)
	return a.sometimesLeave()
}

// writeCut writes in up to four pieces.
func (a *asker) writeCut(data []byte) error {
	for range a.random.IntN(4) {
		piece := a.random.IntN(len(data) + 1)
		if _, err := a.connection.Write(data[:piece]); err != nil {
			return err
		}
		data = data[piece:]
	}
	_, err := a.connection.Write(data)
	return err
}

func (a *asker) readMessage() ([]byte, error) {
	if _, err := io.ReadFull(a.connection, a.room[:2]); err != nil {
		return nil, err
	}
	answer := a.room[:binary.BigEndian.Uint16(a.room)]
	_, err := io.ReadFull(a.connection, answer)
	return answer, err
}

// expectEnd holds that a connection ends without another byte.
func (a *asker) expectEnd() error {
	n, err := a.connection.Read(a.room)
	if n > 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		a.blame("a connection goes on after what gets silence: %d bytes, %v", n, reasonOf(err))
	}
	a.close()
	return nil
}

// sometimesLeave ends one connection in thirty as no good client does: in the
// middle of a question, or with bytes that are none.
func (a *asker) sometimesLeave() error {
	if a.random.IntN(30) > 0 {
		return nil
	}
	noise := make([]byte, 1+a.random.IntN(300))
	for i := range noise {
		noise[i] = byte(a.random.Uint32())
	}
	if a.random.IntN(2) == 0 {
		noise[0] = 0xFF // a length that is never reached
	}
	// The server may end it before all is written.
	_, _ = a.connection.Write(noise)
	a.close()
	return nil
}

// judge holds an answer to what each has to be, whatever was asked. The fuzz
// targets look closer.
func (a *asker) judge(packet, answer []byte) {
	a.answered++
	kept := byte(15 << 3) // the opcode
	if packet[2]&kept == 0 {
		kept |= 1 // RD, which means something in a query alone
	}
	limit := largestMessage
	if a.over == "udp" {
		limit = 1232
	}
	var m dns.Msg
	switch {
	case len(answer) < 12 || [2]byte(answer) != [2]byte(packet):
		a.blame("not the answer to %x: %x", packet, answer)
	case answer[2]&0x80 == 0 || answer[2]&kept != packet[2]&kept || answer[3]&0xF0 != 0:
		a.blame("a wrong header: %x is answered with %x", packet, answer)
	case len(answer) > limit:
		a.blame("%d bytes over %s: %x is answered with %x", len(answer), a.over, packet, answer)
	case answer[3]&15 == dns.RcodeServerFailure:
		a.blame("SERVFAIL: %x is answered with %x", packet, answer)
	default:
		if err := m.Unpack(answer); err != nil {
			a.blame("%v: %x is answered with %x", err, packet, answer)
		}
	}
}

// reasonOf leaves out of an error what differs from one socket to another.
func reasonOf(err error) string {
	switch {
	case err == nil:
		return "no error"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing came in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended"
	}
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:])
}
