package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counting is all that a server counts, by the names of metrics without what all
// begin and end with, and the values of their labels, but for the transport that
// is given. Gauges are left out.
func counting(t testing.TB, s *Server, over transport) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, family := range families {
		name := strings.TrimSuffix(strings.TrimPrefix(family.GetName(), "mirrorpool_dns_"), "_total")
		for _, metric := range family.Metric {
			words := []string{name}
			for _, label := range metric.Label {
				if value := label.GetValue(); value != "" && (label.GetName() != "transport" || value != string(over)) {
					words = append(words, value)
				}
			}
			all[strings.Join(words, " ")] += metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// countedSince tells what was counted from one time to another, sorted, apart from
// other things that were.
func countedSince(before, after, other map[string]float64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		switch n := after[name] - before[name] - other[name]; n {
		case 0:
		case 1:
			all = append(all, name)
		default:
			all = append(all, fmt.Sprintf("%s ×%v", name, n))
		}
	}
	return strings.Join(all, ", ")
}

// asker asks one server over one way, and looks at what it counts.
type asker struct {
	test   testing.TB // at whose end connections are closed
	server *secureServer
	over   transport
	v6     bool
	conn   net.Conn
	plain  []byte             // a question that is always answered
	cost   map[string]float64 // what is counted for it
}

func newAsker(t testing.TB, s *secureServer, over transport, v6 bool) *asker {
	t.Helper()
	a := &asker{test: t, server: s, over: over, v6: v6, plain: query{id: 0xFFFE, name: "txt.example.test.", qtype: typeTXT}.bytes()}
	a.connect()
	before := counting(t, s.Server, over)
	a.mustAnswer(t)
	a.cost = counting(t, s.Server, over)
	for name := range a.cost {
		a.cost[name] -= before[name]
	}
	return a
}

func (a *asker) connect() {
	t := a.test
	t.Helper()
	switch {
	case a.over == overTLS && a.v6:
		c, err := a.server.shake(t, a.server.TLSAddresses()[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		a.conn = c
	case a.over == overTLS:
		a.conn = a.server.dialTLS(t, nil)
	default:
		a.conn = dial(t, string(a.over), a.server.address(a.v6))
	}
	a.conn.SetDeadline(time.Now().Add(10 * patience))
	a.mustAnswer(t)
}

func (a *asker) mustAnswer(t testing.TB) {
	t.Helper()
	if answer := ask(t, a.conn, a.plain); len(answer) < 2 || binary.BigEndian.Uint16(answer) != 0xFFFE {
		t.Fatalf("answered to the plain question: %x", answer)
	}
}

// ask gives what comes back, and what was counted for it.
func (a *asker) ask(t testing.TB, packet []byte) (got, counts string) {
	t.Helper()
	before := counting(t, a.server.Server, a.over)
	send(t, a.conn, packet)
	got, other, reconnect := "", map[string]float64(nil), false
	if a.over == overUDP {
		// Packets of one socket reach one worker, in order: what is answered
		// first tells whether there was silence.
		send(t, a.conn, a.plain)
		other = a.cost
	}
	answer, err := receive(a.conn)
	switch {
	case err != nil && a.over != overUDP && !errors.Is(err, os.ErrDeadlineExceeded):
		got, reconnect = end, true
	case err != nil:
		t.Fatalf("receiving: %v", err)
	case len(answer) >= 2 && binary.BigEndian.Uint16(answer) == 0xFFFE:
		got = silence
	default:
		got = inWords(packet, answer)
		if a.over == overUDP {
			if answer, err = receive(a.conn); err != nil || len(answer) < 2 || binary.BigEndian.Uint16(answer) != 0xFFFE {
				t.Fatalf("the plain question got %x, %v", answer, err)
			}
		}
	}
	counts = countedSince(before, counting(t, a.server.Server, a.over), other)
	if reconnect {
		a.connect()
	}
	return got, counts
}
