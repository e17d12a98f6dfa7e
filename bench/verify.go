//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/bench/load"
)

// verifyRounds is how often each question of a scenario is asked before the
// measurement, so that rotating and drawn answers are seen.
const (
	verifyRounds   = 3
	verifyAtMost   = 30 // questions
	answerTimeout  = time.Second
	betweenTries   = 20 * time.Millisecond
	largestMessage = 65535
)

// verify asks a scenario's questions and reads every answer whole. It returns
// the mean size of an answer less that of its question.
func verify(s *server, questions []load.Question, address string, tcp bool) (pad int, err error) {
	asked, more := 0, 0
	for round := range verifyRounds {
		for i, q := range questions {
			if asked == verifyAtMost {
				return more / asked, nil
			}
			packet := q.Sample(uint16(1000+asked), uint64(round*len(questions)+i))
			answer, err := exchange(address, packet, tcp)
			if err != nil {
				return 0, err
			}
			if err := checkWhole(s, q, packet, answer); err != nil {
				return 0, err
			}
			asked++
			more += len(answer) - len(packet)
		}
	}
	return more / asked, nil
}

// waitUntilRight waits until a server that has just been started answers.
func waitUntilRight(ctx context.Context, within time.Duration, p *process, s *server, questions []load.Question, address string, tcp bool) error {
	deadline := time.Now().Add(within)
	for {
		_, err := verify(s, questions[:1], address, tcp)
		if err == nil {
			return nil
		}
		if ended := p.hasEnded(); ended != nil {
			return ended
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s gives no right answer: %w; it said: %s", s.name, err, p.said.last())
		}
		if !sleep(ctx, betweenTries) {
			return ctx.Err()
		}
	}
}

// exchange sends one message and reads one.
func exchange(address string, packet []byte, tcp bool) ([]byte, error) {
	network := "udp"
	if tcp {
		network = "tcp"
	}
	connection, err := net.DialTimeout(network, address, answerTimeout)
	if err != nil {
		return nil, fmt.Errorf("asking a question: %w", err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, fmt.Errorf("asking a question: %w", err)
	}
	if tcp {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	if _, err := connection.Write(packet); err != nil {
		return nil, fmt.Errorf("asking a question: %w", err)
	}
	answer := make([]byte, largestMessage)
	if !tcp {
		n, err := connection.Read(answer)
		if err != nil {
			return nil, fmt.Errorf("reading an answer: %w", err)
		}
		return answer[:n], nil
	}
	if _, err := io.ReadFull(connection, answer[:2]); err != nil {
		return nil, fmt.Errorf("reading an answer: %w", err)
	}
	answer = answer[:binary.BigEndian.Uint16(answer)]
	if _, err := io.ReadFull(connection, answer); err != nil {
		return nil, fmt.Errorf("reading an answer: %w", err)
	}
	return answer, nil
}

// checkWhole reads all of an answer; the generator, which has no time for it,
// looks at parts.
func checkWhole(s *server, q load.Question, packet, answer []byte) error {
	if s.echo {
		if len(answer) < len(packet) || answer[2]&0x80 == 0 {
			return errors.New("the echo is not what was sent")
		}
		return nil
	}
	var asked, got dns.Msg
	if err := asked.Unpack(packet); err != nil {
		return fmt.Errorf("reading the question: %w", err)
	}
	if err := got.Unpack(answer); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	question := asked.Question[0]
	wrong := func(what string, arguments ...any) error {
		return fmt.Errorf("the answer to %s %s is wrong: %s", question.Name, dns.TypeToString[question.Qtype], fmt.Sprintf(what, arguments...))
	}
	switch {
	case got.Id != asked.Id || !got.Response || got.Truncated || !got.Authoritative:
		return wrong("its header is %v", got.MsgHdr)
	case got.Rcode != q.Code:
		return wrong("its code is %s, expected %s", dns.RcodeToString[got.Rcode], dns.RcodeToString[q.Code])
	case len(got.Question) != 1 || got.Question[0] != question:
		return wrong("its question is %v", got.Question)
	case q.Code == dns.RcodeNameError && len(got.Ns) == 0:
		return wrong("it has no SOA record")
	}
	seen := map[string]bool{}
	for _, record := range got.Answer {
		if record.Header().Rrtype == question.Qtype {
			seen[record.String()] = true
		}
	}
	if asked.IsEdns0() != nil && asked.IsEdns0().Do() && s.is(signed) && !hasSignature(append(got.Answer, got.Ns...)) {
		return wrong("it is not signed")
	}
	if len(seen) < q.Records {
		return wrong("it has %d different records, expected %d", len(seen), q.Records)
	}
	return checkEDNS(&asked, &got, wrong)
}

func hasSignature(records []dns.RR) bool {
	return slices.ContainsFunc(records, func(record dns.RR) bool { return record.Header().Rrtype == dns.TypeRRSIG })
}

func checkEDNS(asked, got *dns.Msg, wrong func(string, ...any) error) error {
	theirs, ours := got.IsEdns0(), asked.IsEdns0()
	if ours == nil {
		return nil
	}
	if theirs == nil {
		return wrong("it has no OPT record")
	}
	sent := findSubnet(ours)
	if sent == nil {
		return nil
	}
	echoed := findSubnet(theirs)
	if echoed == nil {
		return wrong("it has no client subnet")
	}
	if echoed.Family != sent.Family || echoed.SourceNetmask != sent.SourceNetmask || !echoed.Address.Equal(sent.Address) {
		return wrong("its client subnet is %s, expected %s", echoed, sent)
	}
	return nil
}

func findSubnet(opt *dns.OPT) *dns.EDNS0_SUBNET {
	for _, option := range opt.Option {
		if subnet, is := option.(*dns.EDNS0_SUBNET); is {
			return subnet
		}
	}
	return nil
}

// sleep waits, and reports whether ctx is still alive.
func sleep(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
