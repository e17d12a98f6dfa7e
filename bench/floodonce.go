//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"mirrorpool/bench/load"
)

// floodQuietly measures again what others disturbed.
func floodQuietly(ctx context.Context, n *floodNetwork, f flood, limits bool) (*flooded, error) {
	var last *flooded
	for range n.shared.tries {
		result, err := floodOnce(ctx, n, f, limits)
		if err != nil {
			return nil, err
		}
		if last = result; result.Other <= n.shared.noise && result.Steal <= n.shared.noise {
			break
		}
	}
	return last, nil
}

// floodOnce measures one server in one flood.
func floodOnce(ctx context.Context, n *floodNetwork, f flood, limits bool) (result *flooded, err error) {
	target, err := n.start(ctx, limits)
	if err != nil {
		return nil, err
	}
	defer target.stop()
	resolver, resolverPort, err := n.startResolver(ctx, target)
	if err != nil {
		return nil, err
	}
	defer resolver.stop()
	question, err := load.NewQuestion(floodName, 16, load.Form{EDNS: true})
	if err != nil {
		return nil, err
	}
	forger, err := newForger(target.address, question.Packet, f.addresses, f.rate)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, forger.close()) }()
	result = &flooded{Where: f.where, Rate: f.rate, Limits: limits, Before: memory(processTree(target.cmd.Process.Pid))}

	flood, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- forger.run(flood) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
		if result != nil {
			result.Sent = forger.sent
		}
	}()
	if !sleep(ctx, n.shared.warmUp) {
		return nil, ctx.Err()
	}
	host := func(from int) func(int) string {
		return func(i int) string { return fmt.Sprintf(hostForm+"."+zoneName, (from+i)%floodHosts) }
	}
	lookUps := honestClient{
		from: resolverPort.Addr(), server: resolverPort, name: host(0),
		rate: lookUpRate, duration: n.shared.duration, patience: 10 * time.Second,
	}
	asks := honestClient{
		from: otherAddress, server: target.address, name: host(floodHosts / 2),
		rate: askRate, duration: n.shared.duration, patience: time.Second,
	}
	return result, target.measure(ctx, n.shared.duration, resolver, lookUps, asks, result)
}

// machineUse is what has been used so far.
type machineUse struct{ server, known, machine processorTimes }

// use reads it; known is what is part of the measurement beside the server.
func (t *floodTarget) use(known ...int) (u machineUse, err error) {
	var errs [3]error
	u.server, errs[0] = t.times()
	u.known, errs[1] = processTimes(known)
	u.machine, errs[2] = machineTimes()
	return u, errors.Join(errs[:]...)
}

// measure reads what a server does while a flood is on and clients ask it.
func (t *floodTarget) measure(ctx context.Context, duration time.Duration, resolver *process, lookUps, asks honestClient, result *flooded) error {
	limitedBefore, tcpBefore, err := t.counted(ctx)
	if err != nil {
		return err
	}
	known := []int{os.Getpid(), resolver.cmd.Process.Pid}
	trafficBefore, trafficErr := t.traffic()
	useBefore, useErr := t.use(known...)
	if err := errors.Join(trafficErr, useErr); err != nil {
		return err
	}
	begin := time.Now()
	var clients sync.WaitGroup
	var lookUpsErr, asksErr error
	clients.Go(func() { result.Resolver, lookUpsErr = lookUps.run(ctx) })
	clients.Go(func() { result.Client, asksErr = asks.run(ctx) })
	defer clients.Wait()
	if !sleep(ctx, duration) {
		return ctx.Err()
	}
	use, useErr := t.use(known...)
	traffic, trafficErr := t.traffic()
	result.Seconds = time.Since(begin).Seconds()
	if err := errors.Join(trafficErr, useErr); err != nil {
		return err
	}
	result.Traffic = traffic.since(trafficBefore)
	server, machine := use.server.since(useBefore.server), use.machine.since(useBefore.machine)
	result.PerQuery = server.total().Seconds() * 1e6 / float64(max(result.Traffic.Read, 1))
	result.Other = max(0, (machine.total()-server.total()-use.known.since(useBefore.known).total()).Seconds()/result.Seconds)
	result.Steal = machine.steal.Seconds() / result.Seconds
	result.After = memory(processTree(t.cmd.Process.Pid))
	// The last answers of the resolver are late ones: the flood goes on meanwhile.
	clients.Wait()
	if err := errors.Join(lookUpsErr, asksErr, t.hasEnded()); err != nil {
		return err
	}
	limited, tcp, err := t.counted(ctx)
	if err != nil {
		return err
	}
	result.Limited, result.ByTCP = limited-limitedBefore, tcp-tcpBefore
	if result.Traffic.Read == 0 {
		return errors.New("the server has read no packet: nothing was measured")
	}
	return nil
}
