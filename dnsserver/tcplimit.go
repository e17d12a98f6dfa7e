package dnsserver

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// shortestIdle is the idle time-out where all places are taken: a question that
// was lost on its way still gets here, because TCP sends it again after 200 ms
// and the way around the world and back.
const shortestIdle = 500 * time.Millisecond

// idleTimeout is how long a connection may be quiet while so many places of
// most are used: full up to the half of them, and from there on less with
// each, down to shortestIdle.
func idleTimeout(full time.Duration, used, most int) time.Duration {
	if used <= most/2 {
		return full
	}
	floor := min(full, shortestIdle)
	spare := float64(max(most-used, 0)) / float64(most-most/2)
	return floor + time.Duration(spare*float64(full-floor))
}

// networkOf is what is taken for one client's: whoever has one address of it can
// mostly have all.
func networkOf(client netip.Addr) netip.Prefix {
	bits := 24
	if client.Is6() {
		bits = 56
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address at all: all of these are one network
	}
	return network
}

// openConnections holds the connections of all addresses to their number and to
// their time. Each is in two queues, that of all and that of its client's
// network, and at the back of both whenever its clock is set anew: those in
// front are next to end. So every operation takes the same time, however many
// there are, and one timer serves for all. The lock is taken once for what may
// be many questions.
type openConnections struct {
	metrics *tcpMetrics
	began   time.Time // clocks are durations since then

	mu     sync.Mutex
	limits TCPLimits // with their defaults
	all    queue
	// networks are forgotten with their last connection.
	networks map[netip.Prefix]*queue
	timer    *time.Timer   // runs expire
	fires    time.Duration // when timer does; never: it is not set
	// drained is when the last question is taken, once the server ends.
	drained time.Time
}

const (
	never = time.Duration(math.MaxInt64)
	// timerSlack is how much too late a connection may end because setting the
	// timer for less would not pay.
	timerSlack = 10 * time.Millisecond
)

func newOpenConnections(limits TCPLimits, m *tcpMetrics) *openConnections {
	o := &openConnections{
		limits:   limits,
		metrics:  m,
		began:    time.Now(),
		all:      queue{number: queueOfAll},
		networks: make(map[netip.Prefix]*queue),
		fires:    never,
	}
	o.timer = time.AfterFunc(time.Hour, o.expire)
	o.timer.Stop()
	return o
}

// join takes a connection in. Where its network has no place left, that one
// of the network which was quiet the longest makes room, and where there is none
// at all, that one of all.
func (o *openConnections) join(c *connection) {
	network := networkOf(c.client)
	var evicted []*connection // mostly one or none
	o.mu.Lock()
	for q := o.networks[network]; q != nil && q.length >= o.limits.PerNetwork; {
		evicted = append(evicted, o.take(q.front))
		o.metrics.evictedNetwork.Inc()
	}
	for o.all.length >= o.limits.Connections {
		evicted = append(evicted, o.take(o.all.front))
		o.metrics.evictedTotal.Inc()
	}
	c.network = o.networks[network]
	if c.network == nil {
		c.network = &queue{number: queueOfNetwork, network: network}
		o.networks[network] = c.network
	}
	c.since = time.Since(o.began)
	c.open, c.quiet = true, true
	o.all.push(c)
	c.network.push(c)
	if o.drained.IsZero() {
		o.setTimer(c.since, timerSlack)
	} else {
		c.arm(o.drained)
	}
	o.mu.Unlock()
	o.metrics.open.Inc()
	for _, c := range evicted {
		c.socket.Close()
	}
}

// leave closes a connection and forgets it.
func (o *openConnections) leave(c *connection) {
	o.mu.Lock()
	if c.open {
		o.take(c)
	}
	o.mu.Unlock()
	c.socket.Close()
	o.metrics.open.Dec()
}

// closeQuietest closes the connection that was quiet the longest, if there is
// one.
func (o *openConnections) closeQuietest() {
	o.mu.Lock()
	c := o.all.front
	if c != nil {
		o.take(c)
		o.metrics.evictedTotal.Inc()
	}
	o.mu.Unlock()
	if c != nil {
		c.socket.Close()
	}
}

// setLimits takes other limits. A network that has more than its places is held
// to them when its next connection comes.
func (o *openConnections) setLimits(limits TCPLimits) {
	o.mu.Lock()
	o.limits = limits
	var evicted []*connection
	for o.all.length > limits.Connections {
		evicted = append(evicted, o.take(o.all.front))
		o.metrics.evictedTotal.Inc()
	}
	if o.drained.IsZero() {
		o.setTimer(time.Since(o.began), 0)
	}
	o.mu.Unlock()
	for _, c := range evicted {
		c.socket.Close()
	}
}

// active sets a connection's clock anew, which ends it unless this is called
// again in time. A connection is quiet while nothing of a question is there and
// nothing of an answer waits. It gives the time-out that the client may be
// told, in keepaliveUnit: 0 where it should go, for its place is wanted
// (RFC 7828 section 3.4).
func (o *openConnections) active(c *connection, quiet bool) (keepalive uint16) {
	now := time.Since(o.began)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.open {
		return 0
	}
	c.since, c.quiet = now, quiet
	o.all.toBack(c)
	c.network.toBack(c)
	switch {
	case !o.drained.IsZero():
		c.arm(o.drained)
		return 0
	case o.all.length >= o.limits.Connections || c.network.length >= o.limits.PerNetwork:
		return 0
	}
	return keepaliveUnits(o.timeout())
}

// end makes all connections end once they have got their answers.
func (o *openConnections) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.drained.IsZero() {
		return
	}
	o.drained = time.Now().Add(drainWhole)
	o.timer.Stop()
	for c := o.all.front; c != nil; c = c.places[queueOfAll].after {
		c.arm(o.drained)
	}
}

// expire closes the connections whose time is over.
func (o *openConnections) expire() {
	var expired []*connection
	o.mu.Lock()
	if !o.drained.IsZero() {
		o.mu.Unlock()
		return
	}
	now := time.Since(o.began)
	for o.all.front != nil && o.all.front.since+o.timeout() <= now {
		expired = append(expired, o.take(o.all.front))
	}
	o.metrics.expired.Add(float64(len(expired)))
	o.fires = never
	o.setTimer(now, 0)
	o.mu.Unlock()
	for _, c := range expired {
		c.socket.Close()
	}
}

// setTimer lets the timer fire when the first connection's time is over, unless
// it does so within slack of that or earlier. The lock is held.
func (o *openConnections) setTimer(now, slack time.Duration) {
	if o.all.front == nil {
		return
	}
	due := o.all.front.since + o.timeout()
	if o.fires == never || due < o.fires-slack {
		o.fires = due
		o.timer.Reset(max(due-now, 0))
	}
}

// timeout is the one that is in force. The lock is held.
func (o *openConnections) timeout() time.Duration {
	return idleTimeout(o.limits.Idle, o.all.length, o.limits.Connections)
}

// take takes a connection, which is in them, out of its queues. The lock is held.
func (o *openConnections) take(c *connection) *connection {
	o.all.remove(c)
	c.network.remove(c)
	if c.network.length == 0 {
		delete(o.networks, c.network.network)
	}
	c.open = false
	return c
}

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
