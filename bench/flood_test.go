//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestFloodAddresses(t *testing.T) {
	for where, c := range map[string]struct {
		least, most int // networks
		total       int
		holds       uint32
	}{
		"everywhere": {900_000, 1_000_000, 1_000_000, 0},
		"networks":   {4096, 4096, 1_000_000, floodedNetwork},
		"one":        {1, 1, 256, floodedNetwork},
	} {
		networks, addresses := map[uint32]bool{}, floodAddresses[where]()
		for _, a := range addresses {
			networks[a>>8] = true
			if first := a >> 24; first == 0 || first == 127 || first >= 224 || first == 10 && where == "everywhere" || a>>16 == 10<<8|255 {
				t.Fatalf("%s: %d.%d.%d.%d is among them", where, a>>24, a>>16&255, a>>8&255, a&255)
			}
		}
		if len(addresses) != c.total || len(networks) < c.least || len(networks) > c.most {
			t.Errorf("%s: %d addresses of %d networks, expected %d of %d to %d", where, len(addresses), len(networks), c.total, c.least, c.most)
		}
		if c.holds != 0 && !networks[c.holds>>8] {
			t.Errorf("%s: the resolver's network is not among them", where)
		}
	}
	resolver, other := resolverAddress.As4(), otherAddress.As4()
	if binary.BigEndian.Uint32(resolver[:])&^255 != floodedNetwork {
		t.Error("the resolver is not in the network that is flooded")
	}
	if n := binary.BigEndian.Uint32(other[:]) - 10<<24; n>>8 < forgedNetworks {
		t.Error("the other client is in a network that is flooded")
	}
}

func TestForgedPackets(t *testing.T) {
	question := []byte("0123456789abcdef")
	packet := forgedPacket(netip.MustParseAddrPort("10.255.1.2:53"), question)
	f := &forger{addresses: []uint32{10<<24 | 1, 10<<24 | 2, 10<<24 | 3}, size: len(packet), room: bytes.Repeat(packet, forgedBatch)}
	f.random = newForgerRandom()
	ports := map[uint16]bool{}
	f.forge(forgedBatch)
	for i := range forgedBatch {
		p := f.room[i*f.size:][:f.size]
		source, port := binary.BigEndian.Uint32(p[12:]), binary.BigEndian.Uint16(p[20:])
		if source != 10<<24|uint32(1+i%3) || port < 1<<15 || !bytes.Equal(p[16:20], []byte{10, 255, 1, 2}) ||
			binary.BigEndian.Uint16(p[22:]) != 53 || !bytes.Equal(p[30:], question[2:]) ||
			binary.BigEndian.Uint16(p[2:]) != 44 || binary.BigEndian.Uint16(p[24:]) != 24 {
			t.Fatalf("packet %d is %x", i, p)
		}
		ports[port] = true
	}
	if len(ports) < forgedBatch/2 {
		t.Errorf("%d ports in %d packets, expected about one each", len(ports), forgedBatch)
	}
}

func TestChooseFloods(t *testing.T) {
	floods, err := chooseFloods("one,networks", "0,500")
	if err != nil || len(floods) != 4 || floods[0].where != "one" || floods[3].where != "networks" || floods[3].rate != 500 {
		t.Errorf("got %d floods, error %v", len(floods), err)
	}
	for _, c := range [][2]string{{"nowhere", "0"}, {"one", "-1"}, {"one", "many"}, {"", "0"}, {"one", ""}} {
		var usage usageError
		if _, err := chooseFloods(c[0], c[1]); !errors.As(err, &usage) {
			t.Errorf("%q: error %v, expected one of usage", c, err)
		}
	}
}

func TestParseTraffic(t *testing.T) {
	links := `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
there1: 1140      10    0    0    0     0          0         0      2280      20    0    0    0     0       0          0
`
	protocols := `Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 7 1 3 20 3 0
UdpLite: InDatagrams NoPorts
UdpLite: 0 0
`
	want := trafficCount{PacketsIn: 10, BytesIn: 1000, PacketsOut: 20, BytesOut: 2000, Read: 7, Overflow: 3}
	if got, err := parseTraffic(links, protocols, "there1"); err != nil || got != want {
		t.Errorf("got %+v, %v, expected %+v", got, err, want)
	}
	for _, c := range [][3]string{{links, protocols, "there2"}, {links, "", "there1"}, {"there1: 1 2", protocols, "there1"}, {links, "Udp: a b c d e", "there1"}} {
		if _, err := parseTraffic(c[0], c[1], c[2]); err == nil {
			t.Errorf("%q is read without an error", c)
		}
	}
}

func TestSumMetric(t *testing.T) {
	text := strings.Join([]string{
		"# HELP mirrorpool_dns_queries_total x",
		`mirrorpool_dns_queries_total{pool="",rcode="NOERROR",transport="tcp"} 3`,
		`mirrorpool_dns_queries_total{pool="a b",rcode="NOERROR",transport="tcp"} 1e+03`,
		`mirrorpool_dns_queries_total{pool="",rcode="NOERROR",transport="udp"} 5`,
	}, "\n")
	if got := sumMetric(text, "mirrorpool_dns_queries_total{", `transport="tcp"`); got != 1003 {
		t.Errorf("got %v, expected 1003", got)
	}
}

// TestHonestClient asks a server that answers each fourth question rightly, and the
// others with TC, with an error, and not at all.
func TestHonestClient(t *testing.T) {
	t.Parallel() // it waits
	server, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		packet := make([]byte, 512)
		for i := 0; ; i++ {
			n, from, err := server.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			packet[2] |= 0x80
			switch i % 4 {
			case 0:
				packet[7] = 1
			case 1:
				packet[2] |= 2
			case 2:
				packet[3] |= 2
			case 3:
				continue
			}
			server.WriteToUDPAddrPort(packet[:n], from)
			packet[2], packet[3], packet[7] = 0, 0, 0
		}
	}()
	client := honestClient{
		from: netip.MustParseAddr("127.0.0.1"), server: server.LocalAddr().(*net.UDPAddr).AddrPort(),
		name: func(int) string { return "a.test" }, rate: 400, duration: 100 * time.Millisecond, patience: 3 * time.Second,
	}
	got, err := client.run(context.Background())
	if err != nil || got.Sent != 40 || got.Answered != 10 || got.Truncated != 10 || got.Failed != 10 || got.P50 <= 0 || got.P99 < got.P50 || got.share() != 0.25 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestHonestClientEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	client := honestClient{
		from: netip.MustParseAddr("127.0.0.1"), server: netip.MustParseAddrPort("127.0.0.1:9"),
		name: func(int) string { return "a.test" }, rate: 1, duration: time.Hour, patience: time.Hour,
	}
	if _, err := client.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected that of the context", err)
	}
}

func TestFloodMissed(t *testing.T) {
	good := flooded{
		Where: "one", Rate: floodLarge, Limits: true, Before: 30e6, After: 31e6, Client: honest{Sent: 100, Answered: 100},
		Traffic: trafficCount{PacketsIn: 100, BytesIn: 10_000, PacketsOut: 60, BytesOut: 5_000, Read: 100},
	}
	for what, c := range map[string]struct {
		change func(*flooded)
		want   bool
	}{
		"good":                   {func(*flooded) {}, false},
		"memory":                 {func(f *flooded) { f.After = 50e6 }, true},
		"amplification":          {func(f *flooded) { f.Traffic.BytesOut = 11_000 }, true},
		"of what was read":       {func(f *flooded) { f.Traffic.Read = 40 }, true},
		"in a small flood":       {func(f *flooded) { f.Traffic.BytesOut = 11_000; f.Rate = 100 }, false},
		"elsewhere":              {func(f *flooded) { f.Traffic.BytesOut = 11_000; f.Where = "networks" }, false},
		"without limits":         {func(f *flooded) { f.Traffic.BytesOut = 11_000; f.Limits = false }, false},
		"a client":               {func(f *flooded) { f.Client.Answered = 99 }, true},
		"a client, at full rate": {func(f *flooded) { f.Client.Answered = 10; f.Rate = 0 }, false},
	} {
		f := good
		c.change(&f)
		var out bytes.Buffer
		if got := f.missed(&out); got != c.want || (out.Len() > 0) != c.want {
			t.Errorf("%s: missed %v: %s", what, got, &out)
		}
	}
}
