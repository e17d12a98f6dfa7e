package dnsserver

import "net/netip"

// Numbers of queues: which of a connection's places is that in a queue.
const (
	queueOfAll = iota
	queueOfNetwork
	queuesPerConnection
)

// queue is a list of connections that live in it themselves: nothing is
// allocated for an element.
type queue struct {
	number      int
	network     netip.Prefix // what all of them are from; none: anywhere
	front, back *connection
	length      int
}

// place is between whom a connection is in a queue.
type place struct{ before, after *connection }

func (q *queue) push(c *connection) {
	c.places[q.number] = place{before: q.back}
	if q.back == nil {
		q.front = c
	} else {
		q.back.places[q.number].after = c
	}
	q.back = c
	q.length++
}

func (q *queue) remove(c *connection) {
	p := c.places[q.number]
	if p.before == nil {
		q.front = p.after
	} else {
		p.before.places[q.number].after = p.after
	}
	if p.after == nil {
		q.back = p.before
	} else {
		p.after.places[q.number].before = p.before
	}
	c.places[q.number] = place{}
	q.length--
}

func (q *queue) toBack(c *connection) {
	if q.back != c {
		q.remove(c)
		q.push(c)
	}
}
