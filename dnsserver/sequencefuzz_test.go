package dnsserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorpool/zones"
)

// sequencer answers sequences of packets as a server does, one after another with
// the same responders, and holds each answer to that of a responder which has
// answered nothing before.
type sequencer struct {
	server  *Server
	udp     *responder
	streams *tcpServer
	drawn   []*rand.PCG // the sources of draws of all responders, in turn
	drawnBy map[*responder]*rand.PCG
	reports []error
	fresh   []*responder // their counters alone are old
	silent  bool         // there is no table
	client  netip.Addr
}

func newSequencer(t testing.TB, a *archived) *sequencer {
	t.Helper()
	s := &sequencer{silent: a == nil, client: netip.MustParseAddr("127.2.0.1"), drawnBy: make(map[*responder]*rand.PCG)}
	var table Answerer
	if a != nil {
		table = a.table
	}
	s.server = unbound(Config{
		Settings: Settings{NSID: "ns1", Version: "1", Identity: "here", Cookies: testSecrets},
		Table:    func() Answerer { return table },
		Workers:  1,
		Random: func() zones.Random {
			s.drawn = append(s.drawn, rand.NewPCG(0, 0))
			return s.drawn[len(s.drawn)-1]
		},
		Report: func(err error) { s.reports = append(s.reports, err) },
		now:    func() time.Time { return testNow },
	}.withDefaults())
	s.server.open = newOpenConnections(s.server.config.Settings.TCP, s.server.metrics.connections)
	s.streams = newTCPServer(s.server)
	t.Cleanup(s.streams.finish)
	s.streams.secure <- s.server.newResponder(overTLS)
	s.udp = s.newResponder(overUDP)
	for _, over := range []transport{overUDP, overTCP, overTLS} {
		s.fresh = append(s.fresh, s.newResponder(over))
	}
	return s
}

func (s *sequencer) newResponder(over transport) *responder {
	r := s.server.newResponder(over)
	s.drawnBy[r] = s.drawn[len(s.drawn)-1]
	return r
}

// seed makes all responders draw the same from here on.
func (s *sequencer) seed(seed uint64) {
	for _, one := range s.drawn {
		one.Seed(seed, 1)
	}
}

// anew answers a packet with a responder that has nothing of any packet before:
// neither what it has read nor what it has written. Behind the packet in its
// buffer is something else than elsewhere.
func (s *sequencer) anew(packet []byte, over transport, room int) []byte {
	old := s.fresh[slices.Index([]transport{overUDP, overTCP, overTLS}, over)]
	r := &responder{
		config: old.config, shared: old.shared, random: old.random, counts: old.counts,
		settings: old.settings, now: old.now, keepalive: old.settings.keepalive,
	}
	buffer := bytes.Repeat([]byte{0x5A}, room)
	r.begin()
	defer r.end()
	return slices.Clone(r.reply(buffer, copy(buffer, packet), s.client, over))
}

// overDatagrams answers all packets in one batch, all in the same room.
func (s *sequencer) overDatagrams(t testing.TB, all [][]byte, seed uint64) {
	t.Helper()
	room := make([]byte, roomSize)
	s.udp.begin()
	defer s.udp.end()
	for i, packet := range all {
		if len(packet) > roomSize {
			continue
		}
		s.drawnBy[s.udp].Seed(seed, uint64(i))
		s.drawnBy[s.fresh[0]].Seed(seed, uint64(i))
		// What is behind the packet is what the answers before have left.
		got := s.udp.reply(room, copy(room, packet), s.client, overUDP)
		checks{over: overUDP, udpSize: DefaultUDPSize, silent: s.silent}.check(t, packet, got)
		if want := s.anew(packet, overUDP, roomSize); !bytes.Equal(got, want) {
			t.Fatalf("packet %d, %x, is answered after others with\n%x, and alone with\n%x", i, packet, got, want)
		}
	}
}

// cutStream is a connection that brings its bytes in pieces, and keeps what is
// sent.
type cutStream struct {
	bytes []byte
	cuts  []byte // pieces are so long, over and over again; none: one piece
	piece int    // bytes of the current one that were not read
	next  int
	dry   bool // nothing is there until somebody waits
	sent  []byte
}

// read gives the bytes of one piece at most. Behind a piece whose cut is even
// there is nothing for now.
func (s *cutStream) read(into []byte) (int, error) {
	if s.dry {
		s.dry = false
		return 0, errNothing
	}
	if len(s.bytes) == 0 {
		return 0, io.EOF
	}
	if s.piece == 0 {
		s.piece = len(s.bytes)
		if len(s.cuts) > 0 {
			cut := int(s.cuts[s.next%len(s.cuts)])
			s.next++
			s.piece = min(1+cut*cut/16, len(s.bytes))
			s.dry = cut%2 == 0
		}
	}
	n := copy(into, s.bytes[:s.piece])
	s.bytes = s.bytes[n:]
	if s.piece -= n; s.piece > 0 {
		s.dry = false
	}
	return n, nil
}

func (s *cutStream) write(from []byte) error {
	s.sent = append(s.sent, from...)
	return nil
}

// overStream sends the bytes on one connection, in pieces.
func (s *sequencer) overStream(t testing.TB, data, cuts []byte, seed uint64, over transport) {
	t.Helper()
	s.seed(seed)
	stream := &cutStream{bytes: slices.Clone(data), cuts: cuts}
	c := &connection{tcp: s.streams, over: over, client: s.client, socket: new(net.TCPConn)}
	s.streams.open.join(c)
	for rounds := 0; !c.serve(stream); rounds++ {
		if rounds > len(data) {
			t.Fatal("the connection does not end")
		}
		if c.rest != nil && len(c.rest) == 0 {
			t.Fatal("room is kept for nothing")
		}
	}
	s.streams.open.leave(c)
	s.seed(seed)
	var want []byte
	silence := false
	for rest := data; len(rest) >= prefixSize && !silence; {
		length := int(binary.BigEndian.Uint16(rest))
		if prefixSize+length > len(rest) {
			break
		}
		packet := rest[prefixSize:][:length]
		rest = rest[prefixSize+length:]
		answer := s.anew(packet, over, max(length, replyRoom))
		checks{over: over, udpSize: DefaultUDPSize, silent: s.silent}.check(t, packet, answer)
		if silence = answer == nil; !silence {
			want = append(binary.BigEndian.AppendUint16(want, uint16(len(answer))), answer...)
		}
	}
	if !bytes.Equal(stream.sent, want) {
		t.Fatalf("%x over %s, cut by %x, is answered with\n%x, and each question alone with\n%x", data, over, cuts, stream.sent, want)
	}
}

// splitPackets takes packets apart that have their lengths before them. What is
// left in the end is a packet too.
func splitPackets(data []byte) (all [][]byte) {
	for len(data) >= prefixSize && len(all) < 64 {
		end := min(prefixSize+int(binary.BigEndian.Uint16(data)), len(data))
		all = append(all, data[prefixSize:end])
		data = data[end:]
	}
	return all
}

// FuzzSequence gives the server several packets one after another, over UDP in one
// batch, and over TCP and TLS on one connection that brings them cut anywhere:
// nothing of one shows in the answer to another.
func FuzzSequence(f *testing.F) {
	tables := fuzzTables()
	all := fuzzPackets(f, "dl.example.test.", "www.example.test.")
	for _, c := range common {
		all = append(all, c.q.bytes())
	}
	random := rand.New(rand.NewPCG(1, 1))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i := 0; i < len(all); i += 8 {
		var data []byte
		for _, packet := range all[i:min(i+8, len(all))] {
			data = append(binary.BigEndian.AppendUint16(data, uint16(len(packet))), packet...)
		}
		cuts := make([]byte, random.IntN(6))
		for k := range cuts {
			cuts[k] = byte(random.IntN(60))
		}
		f.Add(data, cuts, uint64(i), byte(i/8))
	}
	// Questions longer than a connection's room, whole and without their end.
	long := framed(query{name: "dl.example.test.", qtype: 1, trailing: strings.Repeat("\x00", 20_000)}.bytes())
	f.Add(slices.Concat(long, framed(all[0])), []byte{200, 255, 121}, uint64(1), byte(0))
	f.Add(slices.Concat(framed(all[0]), long[:19_000]), []byte{250}, uint64(2), byte(1))
	sequencers := make([]*sequencer, len(tables))
	for i := range tables {
		sequencers[i] = newSequencer(f, tables[i])
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, seed uint64, choice byte) {
		s := sequencers[int(choice)%len(tables)]
		s.overDatagrams(t, splitPackets(data), seed)
		data = data[:min(len(data), 32<<10)]
		s.overStream(t, data, cuts, seed, overTCP)
		s.overStream(t, data, cuts, seed, overTLS)
		if len(s.reports) > 0 {
			t.Fatalf("reported: %v", s.reports)
		}
	})
}

// TestCutStreamsBringAll holds that no byte is lost however they are cut.
func TestCutStreamsBringAll(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		data := []byte(strings.Repeat("0123456789", random.IntN(500)))
		cuts := make([]byte, random.IntN(5))
		for i := range cuts {
			cuts[i] = byte(random.Uint32())
		}
		s := &cutStream{bytes: slices.Clone(data), cuts: cuts}
		var got []byte
		into, dry := make([]byte, 1+random.IntN(900)), 0
		for {
			n, err := s.read(into)
			if err == io.EOF {
				break
			}
			if errors.Is(err, errNothing) {
				dry++
			}
			got = append(got, into[:n]...)
		}
		if !bytes.Equal(got, data) || dry > len(data) {
			t.Fatalf("%d bytes cut by %x: %d came, nothing was there %d times", len(data), cuts, len(got), dry)
		}
	}
}
