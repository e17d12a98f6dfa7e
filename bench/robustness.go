//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mirrorpool/bench/load"
	"mirrorpool/bench/packets"
)

// robustnessFlags are what a robustness run is told.
type robustnessFlags struct {
	sharedFlags
	packets int
	seed    uint64
	corpus  string
}

// packetsFrom names a directory of packets that are taken into the corpus, as for
// the fuzz targets.
const packetsFrom = "FUZZ_PACKETS"

func robustnessCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	flags := newFlags("robustness", errorOut)
	var f robustnessFlags
	f.defineProgram(flags)
	flags.IntVar(&f.packets, "packets", 10_000_000, "`packets` that are sent")
	flags.Uint64Var(&f.seed, "seed", uint64(time.Now().UnixNano()), "`seed` of what is drawn, which is printed")
	flags.StringVar(&f.corpus, "corpus", os.Getenv(packetsFrom), "`directory` of more packets (*.pkt, *.raw, *.pkts.gz)")
	if err := parseFlags(flags, arguments); err != nil {
		return err
	}
	if f.packets < 1 {
		return usageError{errors.New("expected at least one packet")}
	}
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	fmt.Fprintf(out, "%s; %d packets, seed %d\n", b.heading(), f.packets, f.seed)
	result, err := f.run(ctx, errorOut)
	if err != nil {
		return err
	}
	if err := result.write(out); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	if len(result.wrong) > 0 {
		return errMissed
	}
	return nil
}

// shares tells what part of the packets goes over which transport, and how many
// clients send it at the same time.
var shares = []struct {
	over    string
	percent int
	clients int
}{{"udp", 70, 2}, {"tcp", 25, 2}, {"tls", 5, 1}}

// robustness is what came of a run.
type robustness struct {
	counts  map[string]*asking // by transport
	perEach float64            // microseconds of processor time for each packet
	elapsed time.Duration
	memory  memoryCurve
	wrong   []string
}

// run starts the server, sends it everything, and looks at it.
func (f *robustnessFlags) run(ctx context.Context, progress io.Writer) (result *robustness, err error) {
	corpus := packets.Seeds(robustNames...)
	if f.corpus != "" {
		more, err := packets.Read(f.corpus)
		if err != nil {
			return nil, err
		}
		corpus = append(corpus, more...)
	}
	members, err := listenAsMembers(memberAddresses(5))
	if err != nil {
		return nil, err
	}
	defer members.close()
	node, err := newRobustNode(ctx, f.program, f.directory, members)
	if err != nil {
		return nil, err
	}
	good, err := node.goodQuestions()
	if err != nil {
		return nil, err
	}
	r, err := f.start(ctx, node.server, 0, good, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	before, err := node.metrics(ctx)
	if err != nil {
		return nil, err
	}
	used, err := r.times()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	watch := watchMemory(r.process, f.packets)
	result = &robustness{counts: make(map[string]*asking)}
	askers := f.askers(node, r, corpus, good)
	result.wrong = askAtOnce(ctx, askers, watch, progress)
	result.memory = watch.stop()
	result.elapsed = time.Since(began)
	for _, a := range askers {
		if result.counts[a.over] == nil {
			result.counts[a.over] = &asking{}
		}
		result.counts[a.over].add(&a.asking)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ended := r.hasEnded(); ended != nil {
		result.wrong = append(result.wrong, ended.Error())
		return result, nil
	}
	after, err := r.times()
	if err != nil {
		return nil, err
	}
	spent := after.since(used)
	result.perEach = float64(spent.total().Microseconds()) / float64(f.packets)
	result.wrong = append(result.wrong, wrongInLog(r.said.all())...)
	counted, err := node.metrics(ctx)
	if err != nil {
		result.wrong = append(result.wrong, err.Error())
		return result, nil
	}
	result.judge(before, counted)
	return result, nil
}

// askers share the packets out.
func (f *robustnessFlags) askers(node *robustNode, r *running, corpus [][]byte, good []load.Question) (all []*asker) {
	for _, share := range shares {
		for i := range share.clients {
			most := f.packets * share.percent / 100
			most = most*(i+1)/share.clients - most*i/share.clients
			all = append(all, &asker{
				asking: asking{wrong: make(map[string]int)}, over: share.over, most: most,
				address: r.address.String(), node: node, good: good,
				source: packets.NewSource(f.seed+uint64(len(all)), corpus), patience: answerWithin,
			})
		}
	}
	return all
}

// askAtOnce lets all askers ask at the same time, and tells what stopped them.
func askAtOnce(ctx context.Context, askers []*asker, watch *memoryWatch, progress io.Writer) (wrong []string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	failed := make([]error, len(askers))
	for i, a := range askers {
		all.Go(func() {
			defer a.close()
			if failed[i] = a.run(ctx, watch); failed[i] != nil {
				cancel() // what comes after the first failure tells nothing
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for sleep(ctx, 10*time.Second) {
			fmt.Fprintf(progress, "%d packets\n", watch.sent.Load())
		}
	}()
	all.Wait()
	cancel()
	<-ended
	for i, err := range failed {
		if err != nil && !errors.Is(err, context.Canceled) {
			wrong = append(wrong, fmt.Sprintf("over %s: %v", askers[i].over, err))
		}
	}
	return wrong
}

// judge adds what is wrong with the counts, with the memory and with what the
// server says of itself.
func (r *robustness) judge(before, after map[string]float64) {
	for over, c := range r.counts {
		for what, times := range c.wrong {
			r.wrong = append(r.wrong, fmt.Sprintf("over %s: %d times: %s", over, times, what))
		}
		// Over connections there may be answers that nobody waited for.
		counted := int(after["queries "+over] - before["queries "+over])
		if received := c.answered + c.right; counted < received || over == "udp" && counted > received {
			r.wrong = append(r.wrong, fmt.Sprintf("over %s: %d answers came, the server counts %d", over, received, counted))
		}
	}
	if failures := after["failures"]; failures != 0 {
		r.wrong = append(r.wrong, fmt.Sprintf("mirrorpool_dns_failures_total is %.0f", failures))
	}
	if grown := r.memory.wrong(); grown != "" {
		r.wrong = append(r.wrong, grown)
	}
	slices.Sort(r.wrong)
}

func (r *robustness) write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-9s %10s %10s %10s %10s %12s %12s\n", "", "packets", "answered", "silence", "sockets", "good asked", "good right")
	var total asking
	for _, over := range slices.Sorted(maps.Keys(r.counts)) {
		r.counts[over].write(&b, over)
		total.add(r.counts[over])
	}
	total.write(&b, "all")
	fmt.Fprintf(&b, "\n%.2f us of processor time for each packet, %.0f s in all\n", r.perEach, r.elapsed.Seconds())
	b.WriteString(r.memory.String())
	if len(r.wrong) == 0 {
		b.WriteString("nothing is wrong: every good question was answered rightly, no failure, no error in the log, one process\n")
	}
	for _, wrong := range r.wrong {
		fmt.Fprintf(&b, "wrong: %s\n", wrong)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// wrongInLog finds lines that a server should not have written.
func wrongInLog(log string) (wrong []string) {
	for line := range strings.Lines(log) {
		for _, word := range []string{`"level":"error"`, `"level":"fatal"`, `"level":"panic"`, "panic:", "fatal error:", "DATA RACE"} {
			if strings.Contains(line, word) && len(wrong) < 5 {
				wrong = append(wrong, "in the log: "+strings.TrimSpace(line))
				break
			}
		}
	}
	return wrong
}
