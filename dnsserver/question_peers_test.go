package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// apart are the questions to which BIND, Knot and NSD give one answer, and this
// server another, each with the reason.
var apart = map[string]string{
	"version 1 twice":                       whyOPT,
	"DO in FORMERR":                         whyOPT,
	"two OPTs":                              whyOPT,
	"two OPTs, the first with DO":           whyOPT,
	"three OPTs":                            whyOPT,
	"two OPTs apart":                        whyOPT,
	"OPT in all sections":                   whyOPT,
	"an option's code without its length":   whyOPT,
	"three bytes of an option":              whyOPT,
	"an option longer than the OPT":         whyOPT,
	"an unknown option longer than the OPT": whyOPT,
	"a good option, and half of another":    whyOPT,
	"TSIG before the OPT":                   whyOPT,
	"keepalive with a value":                whyKeepalive,
	"keepalive with half a value":           whyKeepalive,
	"subnet twice":                          "which of the two was meant nobody knows; Knot and NSD read none",
	"opcode 4, header":                      "NOTIFY is not there at all, whatever it says",
	"opcode 4, all flags, header":           "NOTIFY is not there at all, whatever it says",
}

const (
	whyOPT       = "RFC 6891 section 7: a FORMERR that is about the OPT has one"
	whyKeepalive = "RFC 7828 section 3.2.1: the time-out is the server's to give, and a client MUST leave it out"
)

// TestQuestionsAtPeers sends the tables of packets to other servers, with the
// same zone, and holds this server to what they agree about: response code, flags,
// whether there are records and an OPT, and DO.
func TestQuestionsAtPeers(t *testing.T) {
	a := readTables(t, "testdata/tables/questions.txtar")[0]
	programs := make([]string, len(peers))
	for i := range peers {
		programs[i] = peers[i].find(t)
	}
	addresses := make([]string, len(peers))
	for i, p := range peers {
		addresses[i] = startPeer(t, p, programs[i], a).RemoteAddr().String()
	}
	s := startQuestions(t, told)
	for _, over := range []transport{overUDP, overTCP} {
		ours := newAsker(t, s, over, false)
		differ, agreed := make(map[string]bool), 0
		for i, c := range peerCases() {
			packet := slices.Clone(c.packet)
			if len(packet) >= 2 {
				binary.BigEndian.PutUint16(packet, uint16(0x8100+i))
			}
			got, _ := ours.ask(t, packet)
			got = essence(got)
			wait := 200 * time.Millisecond
			if got == silence {
				wait /= 10 // nothing is held against them if they only seem to be silent
			}
			said := askPeers(t, over, addresses, packet, wait)
			if got != silence && len(said) == 1 && said[0] == silence {
				said = askPeers(t, over, addresses, packet, patience/5)
			}
			if len(said) > 1 {
				continue
			}
			agreed++
			if got == said[0] {
				continue
			}
			differ[c.name] = true
			if apart[c.name] == "" {
				t.Errorf("%s over %s: ours %q, all others %q", c.name, over, got, said[0])
			}
		}
		t.Logf("over %s: of %d questions the others agree about %d, and this server differs for %d", over, len(peerCases()), agreed, len(differ))
	}
}

// peerCases are those of all tables, and opcodes.
func peerCases() []questionCase {
	var all []questionCase
	for _, table := range questionTables {
		all = append(all, table.cases...)
	}
	for opcode := uint16(1); opcode < 16; opcode++ {
		for name, flags := range map[string]uint16{"": 0, ", all flags": 0x07F0} {
			flags |= opcode << 11
			all = append(all, questionCase{name: fmt.Sprintf("opcode %d%s, header", opcode, name), packet: query{flags: flags, counts: &[4]uint16{}}.bytes()},
				questionCase{name: fmt.Sprintf("opcode %d%s", opcode, name), packet: soaOf(flags)},
				questionCase{name: fmt.Sprintf("opcode %d%s, OPT", opcode, name), packet: soaOf(flags, opt(4096, 0xFFFF))})
		}
	}
	return all
}

// essence leaves of an answer in words what servers can be held to together.
func essence(words string) string {
	if words == end {
		return silence
	}
	var kept []string
	fields := strings.Fields(words)
	for i, word := range fields {
		switch word {
		case "q", "another", "question", "ID", "badkey", "authority", "additional", "whole":
		case "answer":
			kept = append(kept, "answer")
		case "opcode", "version":
			kept = append(kept, word+fields[i+1])
		case "opt", "aa", "tc", "rd", "ra", "z", "ad", "cd", "do", "tsig", "flags", silence:
			kept = append(kept, word)
		default:
			if i == 0 {
				kept = append(kept, word)
			}
		}
	}
	return strings.Join(kept, " ")
}

// askPeers gives what other servers say to a packet, each answer once.
func askPeers(t *testing.T, over transport, addresses []string, packet []byte, wait time.Duration) []string {
	t.Helper()
	var said []string
	for _, address := range addresses {
		if one := askPeer(t, over, address, packet, wait); !slices.Contains(said, one) {
			said = append(said, one)
		}
	}
	return said
}

func askPeer(t *testing.T, over transport, address string, packet []byte, wait time.Duration) string {
	t.Helper()
	c, err := net.Dial(string(over), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	send(t, c, packet)
	answer, err := receive(c)
	if err != nil {
		return silence
	}
	return essence(inWords(packet, answer))
}
