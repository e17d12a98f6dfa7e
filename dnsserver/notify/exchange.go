package notify

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// largestDatagram is more than any answer has.
const largestDatagram = 1 << 16

// exchangeOverUDP sends a packet from a port that the system chooses, and takes in
// only what comes from the address it was sent to: the socket is connected. It ends
// with ctx.
func exchangeOverUDP(ctx context.Context, address netip.AddrPort, packet []byte, accept func([]byte) bool) (err error) {
	connection, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(address))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	if _, err := connection.Write(packet); err != nil {
		return err
	}
	buffer := make([]byte, largestDatagram)
	for {
		length, err := connection.Read(buffer)
		if err != nil {
			return err
		}
		if accept(buffer[:length]) {
			return nil
		}
		if ctx.Err() != nil {
			return os.ErrDeadlineExceeded // whoever floods the port does not hold it
		}
	}
}
