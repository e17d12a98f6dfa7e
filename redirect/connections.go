package redirect

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// connections bounds the open connections of all listeners. At the bound a new
// one takes the place of the one that has been quiet the longest, or else of
// the one whose answer takes the longest: answers take no time here, so that it
// is hardly an honest client's.
type connections struct {
	most int

	mutex sync.Mutex
	quiet *list.List // of net.Conn, the longest quiet first: those whose request is not there whole
	busy  *list.List // of net.Conn, the longest busy first: those that are being answered
	at    map[net.Conn]standing
}

// standing is where a connection stands in one of the lists.
type standing struct {
	in      *list.List
	element *list.Element
}

func newConnections(most int) *connections {
	return &connections{most: most, quiet: list.New(), busy: list.New(), at: map[net.Conn]standing{}}
}

// changed is http.Server's ConnState.
func (c *connections) changed(connection net.Conn, state http.ConnState) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, known := c.at[connection]; !known {
		return // it has been let go
	}
	switch state {
	case http.StateActive:
		c.move(connection, c.busy)
	case http.StateIdle:
		c.move(connection, c.quiet)
	case http.StateClosed, http.StateHijacked:
		c.forget(connection)
	}
}

// admit takes a new connection in, and closes another one where there are too
// many.
func (c *connections) admit(connection net.Conn) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for len(c.at) >= c.most {
		first := c.quiet.Front()
		if first == nil {
			first = c.busy.Front()
		}
		evicted := first.Value.(net.Conn)
		c.forget(evicted)
		// It is in nobody's way any more, whatever closing it says.
		_ = evicted.Close()
	}
	c.at[connection] = standing{c.quiet, c.quiet.PushBack(connection)}
}

func (c *connections) move(connection net.Conn, to *list.List) {
	was := c.at[connection]
	was.in.Remove(was.element)
	c.at[connection] = standing{to, to.PushBack(connection)}
}

func (c *connections) forget(connection net.Conn) {
	was := c.at[connection]
	was.in.Remove(was.element)
	delete(c.at, connection)
}

// boundedListener accepts into connections, and tells of what cannot be
// accepted, which net/http would try again in silence.
type boundedListener struct {
	net.Listener
	connections *connections
	report      func(error)
}

func (l *boundedListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	switch {
	case err == nil:
		l.connections.admit(connection)
	case !errors.Is(err, net.ErrClosed):
		l.report(fmt.Errorf("accepting connections for redirects: %w", err))
	}
	return connection, err
}
