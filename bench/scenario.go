//go:build linux

package main

import (
	"fmt"
	"time"

	"mirrorpool/bench/load"
)

// scenario is one kind of question.
type scenario struct {
	name  string
	title string
	needs string // what a server has to say that it can
	ask   func(*server) ([]load.Question, error)

	tcp           bool
	perConnection int
	rate          bool // asked at the fixed moderate rate

	// extra tells that ours with a city database is measured too.
	extra bool
}

// scenarios are all that there are, in the order in which they are measured.
func scenarios() []scenario {
	return []scenario{
		{name: "pool-a", title: "Pool, A", needs: "pool", ask: poolQuestions(1, 0, load.Form{})},
		{name: "pool-aaaa", title: "Pool, AAAA", needs: "pool", ask: poolQuestions(0, 1, load.Form{})},
		{name: "pool", title: "Pool, four A to one AAAA", needs: "pool", ask: poolQuestions(4, 1, load.Form{}), extra: true},
		{name: "pool-edns", title: "Pool, four A to one AAAA, EDNS", needs: "pool-edns", ask: poolQuestions(4, 1, load.Form{EDNS: true})},
		{
			name: "subnet", title: "Pool, four A to one AAAA, client subnets /24 of all IPv4 unicast", needs: "subnet",
			ask: poolQuestions(4, 1, load.Form{Varying: load.VarySubnet4}), extra: true,
		},
		{
			name: "subnet6", title: "Pool, four A to one AAAA, client subnets /56 of all IPv6 unicast", needs: "subnet",
			ask: poolQuestions(4, 1, load.Form{Varying: load.VarySubnet6}), extra: true,
		},
		{name: "do", title: "Pool, four A to one AAAA, DO", needs: "do", ask: poolQuestions(4, 1, load.Form{DO: true})},
		{name: "pool-do", title: "Signed zone: pool, four A to one AAAA, DO", needs: signed, ask: poolQuestions(4, 1, load.Form{DO: true})},
		{name: "static-do", title: "Signed zone: fifty static names, A, DO", needs: signed, ask: staticQuestions(load.Form{DO: true})},
		{name: "nxdomain-do", title: "Signed zone: random names that do not exist, A, DO", needs: signed, ask: missingQuestions(load.Form{DO: true})},
		{name: "static", title: "Fifty static names, A", needs: "static", ask: staticQuestions(load.Form{})},
		{name: "nxdomain", title: "Random names that do not exist, A", needs: "nxdomain", ask: missingQuestions(load.Form{})},
		{
			name: "tcp", title: "Pool, four A to one AAAA, TCP, 20 pipelined on each connection", needs: "tcp",
			ask: poolQuestions(4, 1, load.Form{}), tcp: true, perConnection: pipelined,
		},
		{
			name: "tcp-kept", title: "Pool, four A to one AAAA, TCP, 20 pipelined, connections kept", needs: "tcp",
			ask: poolQuestions(4, 1, load.Form{}), tcp: true,
		},
		{
			name: "latency", title: "Pool, four A to one AAAA, at a fixed rate", needs: "latency",
			ask: poolQuestions(4, 1, load.Form{}), rate: true, extra: true,
		},
	}
}

// signed is what servers say that have the zone signed.
const signed = "signed"

const (
	staticNames = 50
	pipelined   = 20 // questions on a TCP connection

	// window is how many questions wait at most: more than any server's batch,
	// fewer than a default receive buffer holds. Over few sockets the generator
	// sends more of them at once, which is cheaper for it.
	window          = 160
	sockets         = 4
	connections     = window / pipelined
	giveUp          = time.Second
	rcodeNoSuchName = 3
)

// poolQuestions asks for A and AAAA records of the pool, so many of each.
func poolQuestions(a, aaaa int, form load.Form) func(*server) ([]load.Question, error) {
	return func(s *server) ([]load.Question, error) {
		var questions []load.Question
		for i := range a + aaaa {
			name, recordType := poolName, uint16(load.TypeA)
			if i >= a {
				name, recordType = s.poolAAAA, load.TypeAAAA
			}
			q, err := load.NewQuestion(name, recordType, form)
			if err != nil {
				return nil, err
			}
			q.Records = s.records
			questions = append(questions, q)
		}
		return questions, nil
	}
}

// staticQuestions asks for A records of names that are each another one.
func staticQuestions(form load.Form) func(*server) ([]load.Question, error) {
	return func(s *server) ([]load.Question, error) {
		var questions []load.Question
		for i := range staticNames {
			q, err := load.NewQuestion(fmt.Sprintf(hostForm+".%s", i, zoneName), load.TypeA, form)
			if err != nil {
				return nil, err
			}
			if !s.echo {
				q.Records = 1
			}
			questions = append(questions, q)
		}
		return questions, nil
	}
}

// missingQuestions asks for names that do not exist.
func missingQuestions(form load.Form) func(*server) ([]load.Question, error) {
	form.Varying = load.VaryLabel
	return func(s *server) ([]load.Question, error) {
		q, err := load.NewQuestion(zoneName, load.TypeA, form)
		if err != nil {
			return nil, err
		}
		if !s.echo {
			q.Code = rcodeNoSuchName
		}
		return []load.Question{q}, nil
	}
}

// plan is how a scenario is put to a server.
func (c *scenario) plan(s *server, o *options) (load.Plan, error) {
	questions, err := c.ask(s)
	if err != nil {
		return load.Plan{}, err
	}
	plan := load.Plan{
		Questions: questions, TCP: c.tcp, Sockets: sockets, Window: window, PerConnection: c.perConnection,
		WarmUp: o.warmUp, Duration: o.duration, GiveUp: giveUp,
	}
	if c.tcp {
		plan.Sockets = connections
	}
	if c.rate {
		plan.Rate = o.rate
		plan.Duration = max(plan.Duration, steady)
	}
	return plan, nil
}

// steady is how long a fixed rate is held at least: what a server does once
// after its start, such as collecting garbage, is not to be a hundredth of it.
const steady = 10 * time.Second
