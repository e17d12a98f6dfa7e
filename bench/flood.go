//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// floodInside is the argument with which this command starts itself again in a
// network of its own.
const floodInside = "inside-a-network-of-its-own"

const (
	// floodMemory is how much more memory the server may take in a flood.
	floodMemory = 8 << 20
	// floodLarge is from how many packets a second on the answers that the limit
	// lets through are few.
	floodLarge = 10_000
	// floodLost is the part of an honest client's questions that may be lost
	// where the flood is less than the server can answer.
	floodLost = 0.005
)

// floodAddresses are where forged addresses may lie.
var floodAddresses = map[string]func() []uint32{
	"everywhere": addressesEverywhere,
	"networks":   addressesInNetworks,
	"one":        addressesInOne,
}

// flood is one kind of it.
type flood struct {
	where     string
	addresses []uint32
	rate      float64 // packets a second; 0: as many as can be sent
}

// chooseFloods reads the flags: each address with each rate.
func chooseFloods(where, rates string) ([]flood, error) {
	var floods []flood
	for text := range strings.SplitSeq(rates, ",") {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate >= 0 && rate <= 1e7) {
			return nil, usageError{fmt.Errorf("packets a second: found %q, expected numbers to 10,000,000, such as 0,50000", text)}
		}
		for name := range strings.SplitSeq(where, ",") {
			addresses, known := floodAddresses[name]
			if !known {
				return nil, usageError{fmt.Errorf("forged addresses: found %q, expected everywhere, networks or one", name)}
			}
			floods = append(floods, flood{name, addresses(), rate})
		}
	}
	return floods, nil
}

func floodCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	inside := len(arguments) > 0 && arguments[0] == floodInside
	if inside {
		arguments = arguments[1:]
	}
	flags := newFlags("flood", errorOut)
	shared := sharedFlags{seconds: 10}
	shared.define(flags)
	where := flags.String("from", "everywhere,networks,one", "where forged `addresses` lie: a million of them, a million in 4,096 networks, one network")
	rates := flags.String("packets", "0,20000", "forged `packets` a second; 0: as many as can be sent")
	if err := shared.parse(flags, arguments); err != nil {
		return err
	}
	floods, err := chooseFloods(*where, *rates)
	if err != nil {
		return err
	}
	if !inside {
		return floodApart(ctx, arguments, out, errorOut)
	}
	b, err := shared.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	n, err := newFloodNetwork(ctx, &shared)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s; each for %s\n", b.heading(), shared.duration)
	fmt.Fprintf(out, "A resolver in the flooded network looks up %d names a second, a client of another network asks %d.\n", lookUpRate, askRate)
	writeFloodHead(out)
	missed := false
	for round := range shared.rounds {
		for _, f := range floods {
			var without *flooded
			for _, limits := range []bool{false, true} {
				r, err := floodQuietly(ctx, n, f, limits)
				if err != nil {
					return fmt.Errorf("a flood from %s: %w", f.where, err)
				}
				r.Round = round
				if !limits {
					without = r
				}
				if err := r.write(out, without); err != nil {
					return fmt.Errorf("writing a result: %w", err)
				}
				if err := b.keep(r); err != nil {
					return err
				}
				missed = r.missed(out) || missed
			}
		}
	}
	if missed {
		return errMissed
	}
	return nil
}

// floodApart runs the command again where nothing leads out of: forged packets
// and the answers to them stay there.
func floodApart(ctx context.Context, arguments []string, out, errorOut io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	apart := []string{"--net"}
	if os.Geteuid() != 0 {
		apart = append(apart, "--map-root-user")
	}
	for _, tool := range []string{"unshare", "ip", "unbound"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(out, "SKIPPED: %v; on Debian: apt-get install util-linux iproute2 unbound\n", err)
			return nil
		}
	}
	if output, err := exec.CommandContext(ctx, "unshare", append(apart, "ip", "link", "add", "try", "type", "veth")...).CombinedOutput(); err != nil {
		fmt.Fprintf(out, "SKIPPED: a network namespace with its own links cannot be made here (%v): %s", err, output)
		return nil
	}
	command := exec.CommandContext(ctx, "unshare", append(append(apart, self, "flood", floodInside), arguments...)...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, out, errorOut
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	err = command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitNo {
		return errMissed // it has said why
	}
	if err != nil {
		return fmt.Errorf("running in a network of its own: %w", err)
	}
	return nil
}

// flooded is one measurement.
type flooded struct {
	Round  int     `json:"round"`
	Where  string  `json:"where"`
	Rate   float64 `json:"rate"` // of the flood; 0: flat out
	Limits bool    `json:"limits"`

	Other   float64      `json:"other"` // processors that were busy with what is no part of it
	Steal   float64      `json:"steal"`
	Seconds float64      `json:"seconds"`
	Sent    uint64       `json:"sent"` // forged packets
	Traffic trafficCount `json:"traffic"`
	// PerQuery is the server's processor time for each packet that it read, in
	// microseconds.
	PerQuery float64 `json:"us_per_query"`
	Before   int64   `json:"memory_before_bytes"`
	After    int64   `json:"memory_after_bytes"`
	Limited  float64 `json:"limited"` // as the server counts it

	Resolver honest  `json:"resolver"` // look-ups through it
	ByTCP    float64 `json:"by_tcp"`   // questions that the server got over TCP
	Client   honest  `json:"client"`   // of another network
}

// amplification is bytes out for each byte in of what the server has read.
func (f *flooded) amplification() float64 {
	read := float64(f.Traffic.Read) / float64(max(f.Traffic.PacketsIn, 1)) * float64(f.Traffic.BytesIn)
	return float64(f.Traffic.BytesOut) / max(read, 1)
}

func writeFloodHead(out io.Writer) {
	fmt.Fprintf(out, "\n%-14s %-8s %-6s %8s %8s %8s %7s %7s %6s %6s %5s %6s %6s | %6s %7s %7s %6s | %6s %7s %7s | %5s %5s\n",
		"forged", "sent", "limits", "in k/s", "read k/s", "out k/s", "in MB/s", "out", "amp", "us/q", "ratio", "MB", "after",
		"res ok%", "p50 ms", "p99 ms", "tcp%", "cl ok%", "p50 ms", "p99 ms", "other", "steal")
}

func (f *flooded) write(out io.Writer, without *flooded) error {
	rate, limits, ratio := "flat out", "off", ""
	if f.Rate > 0 {
		rate = fmt.Sprintf("%.0fk/s", f.Rate/1e3)
	}
	if f.Limits {
		limits, ratio = "on", fmt.Sprintf("%.2f", f.PerQuery/without.PerQuery)
	}
	thousands := func(n uint64) float64 { return float64(n) / f.Seconds / 1e3 }
	mega := func(n uint64) float64 { return float64(n) / f.Seconds / 1e6 }
	milliseconds := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	_, err := fmt.Fprintf(out, "%-14s %-8s %-6s %8.1f %8.1f %8.1f %7.2f %7.2f %6.2f %6.2f %5s %6.1f %6.1f | %6.2f %7.2f %7.1f %6.1f | %6.2f %7.2f %7.1f | %5.2f %5.2f\n",
		f.Where, rate, limits, thousands(f.Traffic.PacketsIn), thousands(f.Traffic.Read), thousands(f.Traffic.PacketsOut),
		mega(f.Traffic.BytesIn), mega(f.Traffic.BytesOut), f.amplification(), f.PerQuery, ratio,
		float64(f.Before)/1e6, float64(f.After)/1e6,
		100*f.Resolver.share(), milliseconds(f.Resolver.P50), milliseconds(f.Resolver.P99), 100*f.ByTCP/float64(max(f.Resolver.Sent, 1)),
		100*f.Client.share(), milliseconds(f.Client.P50), milliseconds(f.Client.P99), f.Other, f.Steal)
	return err
}

// missed tells what is not as it should be.
func (f *flooded) missed(out io.Writer) bool {
	missed := false
	miss := func(format string, values ...any) {
		fmt.Fprintf(out, "missed: "+format+"\n", values...)
		missed = true
	}
	if f.After-f.Before > floodMemory {
		miss("the server took %d bytes more in the flood, expected at most %d", f.After-f.Before, floodMemory)
	}
	if f.Limits && f.Where == "one" && (f.Rate == 0 || f.Rate >= floodLarge) && f.amplification() > 1 {
		miss("%.2f bytes out for each byte in, expected at most 1", f.amplification())
	}
	// Flat out, packets are lost before anyone reads them.
	if f.Rate > 0 && f.Client.share() < 1-floodLost {
		miss("a client of another network got %.2f %% of its answers, expected %.2f", 100*f.Client.share(), 100*(1-floodLost))
	}
	return missed
}
