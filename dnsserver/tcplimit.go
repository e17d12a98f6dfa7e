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
// each, down to the shortest.
func idleTimeout(full, shortest time.Duration, used, most int) time.Duration {
	if used <= most/2 {
		return full
	}
	floor := min(full, shortest)
	spare := float64(max(most-used, 0)) / float64(most-most/2)
	return floor + time.Duration(spare*float64(full-floor))
}

// networkOf is what is taken for one client's: whoever has one address of it can
// mostly have all. Over IPv6 that is what a site gets at most as a rule (RFC 6177),
// because 256 networks of a household's size are in one.
func networkOf(client netip.Addr) netip.Prefix {
	bits := 24
	if client.Is6() {
		bits = 48
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
	metrics  *tcpMetrics
	began    time.Time     // clocks are durations since then
	shortest time.Duration // the time-out where all places are taken
	drains   time.Duration // how long connections have once the server ends

	mu     sync.Mutex
	limits TCPLimits // with their defaults
	all    queue
	// ending is how many have been told to end and have not yet; gone tells of
	// each that has.
	ending int
	gone   sync.Cond
	// networks are forgotten with their last connection.
	networks map[netip.Prefix]*queue
	// proxied are the connections of which a proxy has not said whose they are,
	// and those that are its own. They are bound by the total alone.
	proxied queue
	timer   *time.Timer   // runs expire
	fires   time.Duration // when timer does; never: it is not set
	rests   time.Duration // until when expire ends no more
	// drained is when the last question is taken, once the server ends. From then
	// on over is closed: who has not shaken hands by then does not any more.
	drained time.Time
	over    chan struct{}
}

const (
	never = time.Duration(math.MaxInt64)
	// timerSlack is how much too late a connection may end because setting the
	// timer for less would not pay.
	timerSlack = 10 * time.Millisecond
	// Connections that came together have their time-out together. So many end at
	// once, and then others have their turn: what a thousand goroutines do that can
	// run at the same time, a question over UDP would have to wait for.
	expireAtOnce = 32
	expireRests  = time.Millisecond
	// endingShare is which part of the places those may take beside that are
	// about to end: where none might, each new connection would wait for one
	// that competes for the core with all the others.
	endingShare = 8
)

func newOpenConnections(limits TCPLimits, m *tcpMetrics) *openConnections {
	o := &openConnections{
		limits:   limits,
		metrics:  m,
		began:    time.Now(),
		shortest: shortestIdle,
		drains:   drainWhole,
		all:      queue{number: queueOfAll},
		proxied:  queue{number: queueOfNetwork},
		networks: make(map[netip.Prefix]*queue),
		fires:    never,
		over:     make(chan struct{}),
	}
	o.gone.L = &o.mu
	o.timer = time.AfterFunc(time.Hour, o.expire)
	o.timer.Stop()
	return o
}

// join takes a connection in. Where its network has no place left, that one
// of the network which was quiet the longest makes room, and where there is none
// at all, that one of all.
//
// Those that make room end by themselves, within what one round of questions
// takes. Where too many have not yet, join waits: who comes faster than others go
// stays in the system's queue.
func (o *openConnections) join(c *connection) {
	network := networkOf(c.client)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if !c.proxied {
			o.makeRoomIn(network)
		}
		o.makeRoom()
		most := o.limits.Connections + o.limits.Connections/endingShare
		if o.ending == 0 || o.all.length+o.ending < most {
			break
		}
		o.gone.Wait()
	}
	if c.network = &o.proxied; !c.proxied {
		c.network = o.queueOf(network)
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
	o.metrics.open.Inc()
}

// makeRoomIn ends as many connections of a network as have a place that one more of
// it needs. The lock is held.
func (o *openConnections) makeRoomIn(network netip.Prefix) {
	for q := o.networks[network]; q != nil && q.length >= o.limits.PerNetwork; {
		o.evict(o.quietest(q))
		o.metrics.evictedNetwork.Inc()
	}
}

// makeRoom does the same whatever their network. The lock is held.
func (o *openConnections) makeRoom() {
	for o.all.length >= o.limits.Connections {
		o.evict(o.quietest(&o.all))
		o.metrics.evictedTotal.Inc()
	}
}

// queueOf gives the queue of a network. The lock is held.
func (o *openConnections) queueOf(network netip.Prefix) *queue {
	q := o.networks[network]
	if q == nil {
		q = &queue{number: queueOfNetwork, network: network}
		o.networks[network] = q
	}
	return q
}

// adopt counts a proxy's connection for its client's network, once the client is
// known, and reports whether the connection still has its place. Its clock goes on.
func (o *openConnections) adopt(c *connection) bool {
	network := networkOf(c.client)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.open {
		return false
	}
	o.makeRoomIn(network)
	c.network.remove(c)
	c.network = o.queueOf(network)
	c.network.push(c)
	return true
}

// leave closes a connection and forgets it. It is for the connection's own
// goroutine: Close waits until nobody reads.
func (o *openConnections) leave(c *connection) {
	c.close()
	o.mu.Lock()
	if c.open {
		o.take(c)
	} else {
		o.ending--
	}
	o.gone.Broadcast()
	o.mu.Unlock()
	o.metrics.open.Dec()
}

// endQuietest ends the connection that was quiet the longest, if there is one.
func (o *openConnections) endQuietest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all.front != nil {
		o.evict(o.quietest(&o.all))
		o.metrics.evictedTotal.Inc()
	}
}

// setLimits takes other limits. A network that has more than its places is held
// to them when its next connection comes.
func (o *openConnections) setLimits(limits TCPLimits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits = limits
	for o.all.length > limits.Connections {
		o.evict(o.quietest(&o.all))
		o.metrics.evictedTotal.Inc()
	}
	o.gone.Broadcast() // there may be more places now
	if o.drained.IsZero() {
		o.setTimer(time.Since(o.began), 0)
	}
}

// active sets a connection's clock anew, which ends it unless this is called
// again in time. A connection is quiet while nothing of a question is there and
// nothing of an answer waits. It gives the time-out that the client may be
// told, in keepaliveUnit: 0 where it should go, for its place is wanted
// (RFC 7828 section 3.4).
//
// It reports whether the connection goes on. A client that always has one more
// question, and takes its answers, never lets its goroutine wait, where a deadline
// would end it: so this is asked in each round.
func (o *openConnections) active(c *connection, quiet bool) (keepalive uint16, goesOn bool) {
	now := time.Since(o.began)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.open {
		return 0, false
	}
	c.quiet, c.inLine = quiet, false
	o.setClock(c, now)
	switch {
	case !o.drained.IsZero():
		if time.Now().Before(o.drained) {
			c.arm(o.drained)
		} else {
			o.evict(c) // this round is the last
		}
		return 0, true
	case o.all.length >= o.limits.Connections || c.network != &o.proxied && c.network.length >= o.limits.PerNetwork:
		return 0, true
	}
	return keepaliveUnits(o.timeout()), true
}

// wait notes that a connection waits for a turn of the server's own, which is no fault
// of its client's: until active is called, its time is not over, and others make room
// before it does.
func (o *openConnections) wait(c *connection) {
	o.mu.Lock()
	c.inLine = true
	o.mu.Unlock()
}

// quietest gives the connection of a queue that is to make room. All may be in line:
// so only some are passed over, and then it is one of them. The lock is held.
func (o *openConnections) quietest(q *queue) *connection {
	for n := 0; n < expireAtOnce && q.front.inLine; n++ {
		o.setClock(q.front, time.Since(o.began))
	}
	return q.front
}

// setClock sets a connection's clock. The lock is held.
func (o *openConnections) setClock(c *connection, now time.Duration) {
	c.since = now
	o.all.toBack(c)
	c.network.toBack(c)
}

// has reports whether a connection still has its place, as active does, and leaves
// its clock.
func (o *openConnections) has(c *connection) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.open && (o.drained.IsZero() || time.Now().Before(o.drained))
}

// end makes all connections end once they have got their answers.
func (o *openConnections) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.drained.IsZero() {
		return
	}
	o.drained = time.Now().Add(o.drains)
	o.timer.Reset(o.drains)
	for c := o.all.front; c != nil; c = c.places[queueOfAll].after {
		c.arm(o.drained)
	}
}

// expire ends the connections whose time is over. Once the server ends, it ends
// the wait of those that have not shaken hands, which no deadline does.
func (o *openConnections) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.drained.IsZero() {
		if !time.Now().Before(o.drained) { // or else it was about to run already
			o.closeOver()
		}
		return
	}
	now := time.Since(o.began)
	for n := 0; o.all.front != nil && o.all.front.since+o.timeout() <= now; n++ {
		if n == expireAtOnce {
			o.rests = now + expireRests
			break
		}
		if c := o.all.front; c.inLine {
			o.setClock(c, now)
			continue
		}
		o.evict(o.all.front)
		o.metrics.expired.Inc()
	}
	o.fires = never
	o.setTimer(now, 0)
}

// closeOver closes over, once. The lock is held.
func (o *openConnections) closeOver() {
	select {
	case <-o.over:
	default:
		close(o.over)
	}
}

// setTimer lets the timer fire when the first connection's time is over, unless
// it does so within slack of that or earlier. The lock is held.
func (o *openConnections) setTimer(now, slack time.Duration) {
	if o.all.front == nil {
		return
	}
	due := max(o.all.front.since+o.timeout(), o.rests)
	if o.fires == never || due < o.fires-slack {
		o.fires = due
		o.timer.Reset(max(due-now, 0))
	}
}

// timeout is the one that is in force. The lock is held.
func (o *openConnections) timeout() time.Duration {
	return idleTimeout(o.limits.Idle, o.shortest, o.all.length, o.limits.Connections)
}

// evict tells a connection to end: it gets no more answers, and its goroutine
// closes it. The lock is held, so that no later deadline comes after this one.
func (o *openConnections) evict(c *connection) {
	o.take(c)
	o.ending++
	// One that cannot be set is one on a closed socket.
	_ = c.socket.SetDeadline(time.Unix(1, 0))
	if c.lost != nil {
		close(c.lost)
	}
}

// take takes a connection, which is in them, out of its queues. The lock is held.
func (o *openConnections) take(c *connection) {
	o.all.remove(c)
	c.network.remove(c)
	if c.network.length == 0 && c.network != &o.proxied {
		delete(o.networks, c.network.network)
	}
	c.open = false
}
