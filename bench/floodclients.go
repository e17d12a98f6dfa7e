//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"mirrorpool/bench/load"
)

// What honest clients do in a flood, each second. Both are far below the limit.
const (
	lookUpRate = 50
	askRate    = 50
)

// honest is what a client got that forges nothing.
type honest struct {
	Sent      int           `json:"sent"`
	Answered  int           `json:"answered"`  // with records
	Truncated int           `json:"truncated"` // with TC
	Failed    int           `json:"failed"`    // with another response code, or without records
	P50       time.Duration `json:"p50"`       // of those that were answered
	P99       time.Duration `json:"p99"`
}

func (h *honest) share() float64 { return float64(h.Answered) / float64(max(h.Sent, 1)) }

// honestClient is one client: a name each time, and no second try.
type honestClient struct {
	from     netip.Addr
	server   netip.AddrPort
	name     func(int) string
	rate     float64
	duration time.Duration
	patience time.Duration // with an answer
}

// run asks for as long as it is to, and waits for the last answers.
func (a honestClient) run(ctx context.Context) (honest, error) {
	connection, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.from, 0)), net.UDPAddrFromAddrPort(a.server))
	if err != nil {
		return honest{}, fmt.Errorf("asking from %s: %w", a.from, err)
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	var (
		mutex     sync.Mutex
		sent      = map[uint16]time.Time{}
		result    honest
		latencies []time.Duration
		reader    sync.WaitGroup
	)
	if err := connection.SetReadDeadline(time.Now().Add(a.duration + a.patience)); err != nil {
		return honest{}, fmt.Errorf("asking from %s: %w", a.from, cmp.Or(ctx.Err(), err))
	}
	reader.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := connection.Read(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil || n < 12 {
				continue // such as that the server is not there, for a moment
			}
			now := time.Now()
			mutex.Lock()
			begin, asked := sent[binary.BigEndian.Uint16(buffer)]
			delete(sent, binary.BigEndian.Uint16(buffer))
			switch {
			case !asked || now.Sub(begin) > a.patience:
			case buffer[2]&2 != 0:
				result.Truncated++
			case buffer[3]&15 != 0 || binary.BigEndian.Uint16(buffer[6:]) == 0:
				result.Failed++
			default:
				result.Answered++
				latencies = append(latencies, now.Sub(begin))
			}
			last := len(sent) == 0 && result.Sent == int(a.rate*a.duration.Seconds())
			mutex.Unlock()
			if last {
				return
			}
		}
	})
	begin := time.Now()
	for i := range int(a.rate * a.duration.Seconds()) {
		if !sleep(ctx, time.Until(begin.Add(time.Duration(float64(i)/a.rate*1e9)))) {
			return honest{}, ctx.Err()
		}
		question, err := load.NewQuestion(a.name(i), load.TypeA, load.Form{EDNS: true})
		if err != nil {
			return honest{}, err
		}
		question.Packet[2] |= 1 // recursion desired
		binary.BigEndian.PutUint16(question.Packet, uint16(i))
		mutex.Lock()
		sent[uint16(i)] = time.Now()
		result.Sent++
		mutex.Unlock()
		// One that cannot be sent is one without an answer.
		_, _ = connection.Write(question.Packet)
	}
	reader.Wait()
	if ctx.Err() != nil {
		return honest{}, ctx.Err()
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		result.P50, result.P99 = latencies[n/2], latencies[min(n-1, n*99/100)]
	}
	return result, nil
}
