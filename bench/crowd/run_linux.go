package crowd

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// opening is how many connect at once.
	opening = 64
	// networks is how many /24 the clients come from, in turn.
	networks = 200
	// newcomerEvery is how often an honest client comes.
	newcomerEvery = 50 * time.Millisecond
	// gone is how long one that vanished stays away.
	gone = 5 * time.Second
	// patience is how long an honest client waits.
	patience = 5 * time.Second
)

// crowd is a plan that runs.
type crowd struct {
	plan     Plan
	question []byte // with its length before it
	counts   map[Kind]*counter
	opening  chan struct{}
	first    sync.WaitGroup // of all clients: they have been there once
}

// Run brings the clients, calls ready once all have come, and keeps them until ctx
// ends.
func Run(ctx context.Context, plan Plan, ready func() error) (*Result, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &crowd{
		plan: plan, counts: map[Kind]*counter{}, opening: make(chan struct{}, opening),
		question: append(binary.BigEndian.AppendUint16(nil, uint16(len(plan.Question))), plan.Question...),
	}
	var clients sync.WaitGroup
	number := 0
	for _, kind := range Kinds {
		c.counts[kind] = &counter{}
		for range plan.Clients[kind] {
			one := client{crowd: c, kind: kind, count: c.counts[kind], from: address(number)}
			number++
			c.first.Add(1)
			clients.Go(func() { one.stay(ctx) })
		}
	}
	all := make(chan struct{})
	go func() {
		defer close(all)
		c.first.Wait()
	}()
	select {
	case <-all:
	case <-ctx.Done():
	}
	newcomers := &newcomers{crowd: c}
	if ctx.Err() == nil {
		if err := ready(); err != nil {
			cancel()
			clients.Wait()
			return nil, err
		}
		newcomers.come(ctx)
	}
	clients.Wait()
	result := &Result{Kinds: map[Kind]Count{}, Newcomers: newcomers.result()}
	for kind, counted := range c.counts {
		if plan.Clients[kind] > 0 {
			result.Kinds[kind] = counted.count()
		}
	}
	return result, nil
}

// address is where client n comes from.
func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 9, byte(n % networks), byte(1 + n/networks%250)})
}

// client is one of the crowd.
type client struct {
	crowd *crowd
	kind  Kind
	count *counter
	from  netip.Addr
	was   bool // there once
}

// stay comes, and comes back, until ctx ends.
func (c *client) stay(ctx context.Context) {
	defer c.came()
	for ctx.Err() == nil {
		conn, err := c.connect(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.count.refused.Add(1)
			}
			sleep(ctx, time.Duration(100+rand.IntN(400))*time.Millisecond)
			continue
		}
		c.count.opened.Add(1)
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
		err = c.behave(ctx, conn)
		stop()
		conn.Close()
		if ctx.Err() == nil && err != nil {
			c.count.ended.Add(1)
		}
		sleep(ctx, time.Duration(rand.IntN(100))*time.Millisecond)
	}
}

// came tells once that the client has been there.
func (c *client) came() {
	if !c.was {
		c.was = true
		c.crowd.first.Done()
	}
}

// connect opens a connection, and shakes hands over it where the kind does.
func (c *client) connect(ctx context.Context) (net.Conn, error) {
	c.crowd.opening <- struct{}{}
	defer func() { <-c.crowd.opening }()
	to := c.crowd.plan.Server
	if c.kind.overTLS() {
		to = c.crowd.plan.TLS
	}
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0)), KeepAlive: -1}
	if c.kind == Deaf {
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
		}
	}
	conn, err := d.DialContext(ctx, "tcp4", to.String())
	if err != nil || c.kind != Secure && c.kind != Shaking {
		return conn, err
	}
	secure := tls.Client(conn, dot())
	conn.SetDeadline(time.Now().Add(patience))
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// dot is how clients shake hands. Who answers is not what is measured.
func dot() *tls.Config { return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"dot"}} }

// behave uses a connection until the server ends it, ctx ends, or the client does;
// the error is nil in the last case.
func (c *client) behave(ctx context.Context, conn net.Conn) error {
	question := c.crowd.question
	switch c.kind {
	case Silent:
		c.came()
		return readOn(conn)
	case Stalling:
		c.came()
		if _, err := conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00")); err != nil {
			return err
		}
		return readOn(conn)
	case Slow:
		c.came()
		for i := 0; ; i++ {
			if _, err := conn.Write(question[i%len(question):][:1]); err != nil {
				return err
			}
			if !sleep(ctx, time.Second) {
				return ctx.Err()
			}
		}
	case Deaf:
		c.came()
		for many := slices.Repeat(question, 100); ; {
			if _, err := conn.Write(many); err != nil {
				return err
			}
		}
	case Shaking:
		c.came()
		sleep(ctx, time.Second)
		return nil
	case Vanishing, Resetting:
		if err := c.ask(conn); err != nil {
			return err
		}
		c.came()
		end(conn, c.kind == Vanishing)
		sleep(ctx, gone)
		return nil
	}
	for {
		if err := c.ask(conn); err != nil {
			return err
		}
		c.came()
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// ask asks and reads the answer.
func (c *client) ask(conn net.Conn) error {
	conn.SetDeadline(time.Now().Add(patience))
	if err := ask(conn, c.crowd.question); err != nil {
		return err
	}
	c.count.answered.Add(1)
	return nil
}

// ask sends a question with its length and reads the answer.
func ask(conn net.Conn, question []byte) error {
	if _, err := conn.Write(question); err != nil {
		return err
	}
	var room [2 + 4096]byte
	if _, err := io.ReadFull(conn, room[:2]); err != nil {
		return err
	}
	length := int(binary.BigEndian.Uint16(room[:]))
	if length > len(room)-2 {
		return fmt.Errorf("an answer of %d bytes", length)
	}
	answer := room[2 : 2+length]
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if length < 12 || answer[0] != question[2] || answer[1] != question[3] || answer[2]&0x80 == 0 || answer[3]&15 != 0 {
		return errors.New("a wrong answer")
	}
	return nil
}

// readOn reads until the end.
func readOn(conn net.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	return errors.Join(err, io.EOF)
}

// end ends a connection with a reset, or, where this process may do that, without
// a word.
func end(conn net.Conn, silently bool) {
	socket, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = socket.SetLinger(0)
	if !silently {
		return
	}
	if raw, err := socket.SyscallConn(); err == nil {
		// A connection under repair is taken away, and nobody told.
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1) })
	}
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// newcomers come one after another.
type newcomers struct {
	crowd     *crowd
	came      atomic.Uint64
	mutex     sync.Mutex
	latencies []time.Duration
	why       map[string]uint64
}

// come brings one now and then until ctx ends, and waits for the last.
func (n *newcomers) come(ctx context.Context) {
	n.why = map[string]uint64{}
	var waiting sync.WaitGroup
	for i := 0; sleep(ctx, newcomerEvery); i++ {
		waiting.Go(func() {
			began := time.Now()
			err := n.one(i)
			took := time.Since(began)
			n.mutex.Lock()
			defer n.mutex.Unlock()
			n.came.Add(1)
			if err != nil {
				n.why[err.Error()]++
				return
			}
			n.latencies = append(n.latencies, took)
		})
	}
	waiting.Wait()
}

// one asks one question over a connection of its own, from a network that none of
// the crowd comes from.
func (n *newcomers) one(i int) error {
	from := netip.AddrFrom4([4]byte{127, 10, 0, byte(1 + i%250)})
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	conn, err := d.Dial("tcp4", n.crowd.plan.Server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	return ask(conn, n.crowd.question)
}

func (n *newcomers) result() Newcomers {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	slices.Sort(n.latencies)
	r := Newcomers{Came: n.came.Load(), Answered: uint64(len(n.latencies)), Why: n.why}
	if last := len(n.latencies) - 1; last >= 0 {
		r.P50, r.P99, r.Slowest = n.latencies[last/2], n.latencies[last*99/100], n.latencies[last]
	}
	return r
}
