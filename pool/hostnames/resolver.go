package hostnames

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

const (
	// LeastTTL and MostTTL bound how long an answer counts.
	LeastTTL = 30 * time.Second
	MostTTL  = time.Hour
	// MaxAddresses are how many addresses of one family a name may have.
	MaxAddresses = 16

	// mostRetry bounds how long a name that fails waits.
	mostRetry = 5 * time.Minute
	// concurrency is how many names are looked up at the same time.
	concurrency = 16
)

// Config is how a Resolver works. The zero value is a good one.
type Config struct {
	// Tell is called when there is other news of a name than before: it begins to fail,
	// or for another reason, or is well again, or has other addresses. It is called by
	// one goroutine at a time, and must not wait for the Resolver. nil: nobody is told.
	Tell func(before, now State)
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	// lookUp asks for one family of a name; nil: real servers are asked.
	lookUp func(ctx context.Context, name string, kind uint16) finding
}

// Resolver keeps the addresses of names. It is safe for concurrent use.
type Resolver struct {
	config  Config
	wake    chan struct{}
	changed chan struct{}
	telling sync.Mutex // held while Tell is called

	mutex    sync.Mutex
	server   string // empty: the machine's own
	names    map[string]*entry
	queue    queue // of entries that are not being looked up
	kept     map[string]State
	assigned bool
	waiting  map[chan struct{}]struct{}
}

// entry is a name with what is known of it.
type entry struct {
	state    State
	due      time.Time
	place    int  // in the queue; -1: it is being looked up
	asked    bool // once at least, since it is here
	failures int  // in a row
	gone     bool // it is not wanted any more
	again    bool // it is to be looked up once more at once
}

// New makes a Resolver without names. It touches no network before Run.
func New(config Config) *Resolver {
	r := &Resolver{
		config: config, names: map[string]*entry{}, waiting: map[chan struct{}]struct{}{},
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	if r.config.Now == nil {
		r.config.Now = time.Now
	}
	if r.config.Tell == nil {
		r.config.Tell = func(State, State) {}
	}
	if r.config.lookUp == nil {
		r.config.lookUp = wire{servers: r.servers, dial: (&net.Dialer{}).DialContext}.lookUp
	}
	return r
}

// SetServer tells which resolver is asked, as "127.0.0.1:53"; empty: the machine's own, as
// /etc/resolv.conf has them at the time. What another one could not tell is asked at once.
func (r *Resolver) SetServer(server string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.server == server {
		return
	}
	r.server = server
	for _, one := range r.names {
		if one.state.Failing() {
			r.hasten(one)
		}
	}
	signal(r.wake)
}

func (r *Resolver) servers() ([]string, error) {
	r.mutex.Lock()
	server := r.server
	r.mutex.Unlock()
	if server != "" {
		return []string{server}, nil
	}
	return machineServers(resolvConf)
}

// SetNames tells which names are to be kept from now on. New ones are looked up at once.
func (r *Resolver) SetNames(names []pool.HostName) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name.Name] = true
		one, known := r.names[name.Name]
		switch {
		case !known:
			state := r.kept[name.Name]
			r.names[name.Name] = &entry{state: state.of(name), due: r.config.Now(), place: -1}
			heap.Push(&r.queue, r.names[name.Name])
		case one.state.Name != name:
			one.state = one.state.of(name)
			r.hasten(one)
		}
	}
	for name, one := range r.names {
		if !wanted[name] {
			one.gone = true
			delete(r.names, name)
			if one.place >= 0 {
				heap.Remove(&r.queue, one.place)
			}
		}
	}
	r.kept = nil
	r.assigned = true
	r.answerWaiting()
	signal(r.wake)
}

// Refresh has all names looked up at once, whatever their TTL is.
func (r *Resolver) Refresh() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, one := range r.names {
		r.hasten(one)
	}
	signal(r.wake)
}

// of is the state of a name under the rules that hold for it now.
func (s State) of(name pool.HostName) State {
	s.Name = name
	for _, family := range []*Family{&s.IPv4, &s.IPv6} {
		family.Addresses = slices.DeleteFunc(slices.Clone(family.Addresses), func(a netip.Addr) bool { return name.Refuses(a) != "" })
	}
	return s
}

// hasten has a name looked up at once. The mutex is held.
func (r *Resolver) hasten(one *entry) {
	if one.place < 0 {
		one.again = true
		return
	}
	one.due = r.config.Now()
	heap.Fix(&r.queue, one.place)
}

// Addresses are those that a name has, IPv4 first; none: nothing is known, or it has
// none. It does not wait. The slice is the caller's.
func (r *Resolver) Addresses(name string) []netip.Addr {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if one, known := r.names[name]; known {
		return one.state.Addresses()
	}
	return nil
}

// States are those of all names, sorted by name.
func (r *Resolver) States() []State {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	states := make([]State, 0, len(r.names))
	for _, one := range r.names {
		states = append(states, one.state)
	}
	slices.SortFunc(states, byName)
	return states
}

// Failing gives the first name, in their order, of those that fail now, and how many they
// are.
func (r *Resolver) Failing() (first State, count int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for name, one := range r.names {
		if !one.state.Failing() {
			continue
		}
		if count++; count == 1 || name < first.Name.Name {
			first = one.state
		}
	}
	return first, count
}

func byName(a, b State) int { return strings.Compare(a.Name.Name, b.Name.Name) }

// Changed is readable when a name has other addresses than before. Several changes may
// make one.
func (r *Resolver) Changed() <-chan struct{} { return r.changed }

// WaitKnown returns when something is known of every name: it has been looked up once, or
// an earlier run has kept addresses for it. Run has to go on meanwhile.
func (r *Resolver) WaitKnown(ctx context.Context) error {
	known := make(chan struct{})
	r.mutex.Lock()
	r.waiting[known] = struct{}{}
	r.answerWaiting()
	r.mutex.Unlock()
	defer func() {
		r.mutex.Lock()
		delete(r.waiting, known)
		r.mutex.Unlock()
	}()
	select {
	case <-known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the addresses of host names: %w", ctx.Err())
	}
}

// answerWaiting lets those go who wait, if all is known. The mutex is held.
func (r *Resolver) answerWaiting() {
	if len(r.waiting) == 0 {
		return
	}
	for _, one := range r.names {
		if !one.asked && len(one.state.Addresses()) == 0 {
			return
		}
	}
	for known := range r.waiting {
		delete(r.waiting, known)
		close(known)
	}
}

// Run looks names up until ctx ends. It is called once.
func (r *Resolver) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	places := make(chan struct{}, concurrency)
	for {
		one, pause := r.next()
		if one == nil {
			if !r.rest(ctx, pause) {
				return
			}
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		workers.Go(func() {
			defer func() { <-places }()
			r.refresh(ctx, one)
		})
	}
}

// next takes the entry that is due, or tells how long nothing is.
func (r *Resolver) next() (one *entry, pause time.Duration) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.queue) == 0 {
		return nil, MostTTL
	}
	if wait := r.queue[0].due.Sub(r.config.Now()); wait > 0 {
		return nil, min(wait, MostTTL)
	}
	return heap.Pop(&r.queue).(*entry), 0
}

// rest waits until something is due, or there are other names.
func (r *Resolver) rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-r.wake:
	}
	return true
}

// refresh looks a name up and takes over what that came to.
func (r *Resolver) refresh(ctx context.Context, one *entry) {
	r.mutex.Lock()
	name := one.state.Name.Name
	r.mutex.Unlock()
	var v4, v6 finding
	var both sync.WaitGroup
	both.Go(func() { v4 = r.config.lookUp(ctx, name, dns.TypeA) })
	both.Go(func() { v6 = r.config.lookUp(ctx, name, dns.TypeAAAA) })
	both.Wait()
	if ctx.Err() != nil {
		return // it was cut short, which says nothing
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	if before, now, news := r.take(one, v4, v6); news {
		r.config.Tell(before, now)
	}
	signal(r.wake)
}

// take writes down what a look-up came to, and reports whether that is news.
func (r *Resolver) take(one *entry, v4, v6 finding) (before, now State, news bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if one.gone {
		return before, now, false
	}
	before = one.state
	moment := r.config.Now()
	now = before.after(v4, v6, moment.Round(0).UTC())
	if one.failures++; !now.Failing() {
		one.failures = 0
	}
	first := !one.asked
	one.state, one.asked = now, true
	pause := now.pause(v4, v6, one.failures-1)
	if one.due = moment.Add(pause + rand.N(pause/10)); one.again {
		one.due, one.again = moment, false
	}
	heap.Push(&r.queue, one)
	r.answerWaiting()
	moved := !slices.Equal(before.Addresses(), now.Addresses())
	if moved {
		signal(r.changed)
	}
	return before, now, moved || before.Problem() != now.Problem() || before.Failing() != now.Failing() || first && now.Failing()
}

func signal(channel chan<- struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

// queue has what is due first in front.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	one := x.(*entry)
	one.place = len(*q)
	*q = append(*q, one)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	old := *q
	one := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	one.place = -1
	return one
}
