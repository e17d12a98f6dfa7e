package notify

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// largestDatagram is more than any answer has.
const largestDatagram = 1 << 16

// exchangeOverUDP sends a packet from a port that the system chooses, and takes in
// only what comes from the address it was sent to: the socket is connected. It ends
// with ctx.
func exchangeOverUDP(ctx context.Context, from []netip.Addr, address netip.AddrPort, packet []byte, accept func([]byte) bool) (err error) {
	connection, err := dial(from, address)
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

// dial connects a socket from one of the node's addresses. Where none of them fits, or
// is this machine's at the moment, it is from the one that the system chooses.
func dial(from []netip.Addr, to netip.AddrPort) (*net.UDPConn, error) {
	chosen, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil || len(from) == 0 {
		return chosen, err
	}
	choice := chosen.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if slices.Contains(from, choice) {
		return chosen, nil
	}
	target := to.Addr().Unmap()
	for _, source := range from {
		if source.Is4() != target.Is4() || source.IsLoopback() && !target.IsLoopback() ||
			source.IsLinkLocalUnicast() && !target.IsLinkLocalUnicast() {
			continue
		}
		connection, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), net.UDPAddrFromAddrPort(to))
		if err == nil {
			return connection, chosen.Close()
		}
	}
	return chosen, nil
}
