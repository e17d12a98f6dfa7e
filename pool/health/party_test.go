package health

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestFewLinks holds that a party keeps few connections open, and closes them all in
// the end.
func TestFewLinks(t *testing.T) {
	var p party
	var others []net.Conn
	for range 3 * maxLinks {
		ours, other := net.Pipe()
		p.keep(&link{raw: ours})
		others = append(others, other)
	}
	closed := func(c net.Conn) bool {
		c.SetReadDeadline(time.Unix(1, 0)) // what is open has nothing to say
		_, err := c.Read(make([]byte, 1))
		return err == io.EOF
	}
	if len(p.links) != maxLinks {
		t.Errorf("%d are kept", len(p.links))
	}
	for i, other := range others {
		if old := i < 2*maxLinks; closed(other) != old {
			t.Errorf("connection %d: closed is %v, expected %v", i, !old, old)
		}
	}
	p.close()
	for i, other := range others {
		if !closed(other) {
			t.Errorf("connection %d is open in the end", i)
		}
	}
}

// TestFewSteps holds that evidence has few steps, whatever a probe goes through.
func TestFewSteps(t *testing.T) {
	a := newAttempt(&checker{}, Target{})
	for range 10 * maxSteps {
		a.step("more", "and more")
	}
	if n := len(a.result.Evidence.Steps); n != maxSteps {
		t.Errorf("%d steps", n)
	}
}
