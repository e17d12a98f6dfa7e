package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// continueTransfer sends the next message of the transfer whose turn it is, if it is
// made by now, and reports whether the connection goes on. quiet: nothing of a question
// is there.
func (c *connection) continueTransfer(s stream, r *room, quiet bool) bool {
	c.tcp.open.wait(c)
	turn := slices.IndexFunc(c.transfers, func(t *zoneTransfer) bool { return !t.waits })
	t := c.transfers[turn]
	message, last, err := c.inTurn(t, r.out[prefixSize:prefixSize])
	if err != nil {
		reason := failurePack
		if errors.Is(err, errPanicked) {
			reason = failurePanic
		}
		c.tcp.server.metrics.failures.WithLabelValues(reason).Inc()
		c.tcp.server.config.Report(fmt.Errorf("transferring %s: %w", t.version.Apex, err))
		c.transfers = slices.Delete(c.transfers, turn, turn+1)
		t.end(transferFailed)
		return false // the client cannot be told otherwise
	}
	if _, goesOn := c.tcp.open.active(c, false); !goesOn {
		return false
	}
	if len(message) > 0 {
		out := append(binary.BigEndian.AppendUint16(r.out[:0], uint16(len(message))), message...)
		if !c.send(s, out) {
			return false
		}
	}
	c.transfers = slices.Delete(c.transfers, turn, turn+1)
	if !last {
		c.transfers = append(c.transfers, t)
		return true
	}
	c.handOver(t)
	t.end(t.result)
	_, goesOn := c.tcp.open.active(c, quiet && len(c.transfers) == 0)
	return goesOn
}

// inTurn makes a transfer's next message, or does a part of what comes before it. Few
// transfers do that at once, and questions have their turn after each time: so what
// comes over UDP waits for one of them at most, and not for each transfer there is.
// Nothing is made for who has lost its place meanwhile.
func (c *connection) inTurn(transfer *zoneTransfer, buffer []byte) (message []byte, last bool, err error) {
	turn := <-c.tcp.transfers
	defer func() { c.tcp.transfers <- turn }()
	if !c.tcp.open.has(c) {
		return nil, false, nil
	}
	message, last, err = transfer.nextSafely(buffer)
	turn.take()
	return message, last, err
}

// handOver gives the place of a transfer that has come to its end to the first that
// waits for it. So there is one that does not, as long as there are any.
func (c *connection) handOver(t *zoneTransfer) {
	if i := slices.IndexFunc(c.transfers, func(t *zoneTransfer) bool { return t.waits }); i >= 0 {
		c.transfers[i].waits, t.waits = false, true
	}
}

// errPanicked: what makes a message has panicked.
var errPanicked = errors.New("panic")

// nextSafely is next, in which no panic ends the server.
func (t *zoneTransfer) nextSafely(buffer []byte) (message []byte, last bool, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%w: %v at %s", errPanicked, value, where())
		}
	}()
	return t.next(buffer)
}

// endTransfers lets go of those that the connection's end has broken off.
func (c *connection) endTransfers() {
	for _, t := range c.transfers {
		t.end(transferBroken)
	}
	c.transfers = nil
}
