package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// socketBuffer is what is asked for at each UDP socket, so that a burst waits
// rather than is lost: some 20,000 questions. The system may give less.
const socketBuffer = 4 << 20

// binding is one address with its sockets.
type binding struct {
	address  netip.AddrPort
	count    int // workers
	sockets  []*net.UDPConn
	listener *net.TCPListener
}

func (b *binding) wildcard() bool { return b.address.Addr().IsUnspecified() }

// workers gives a socket for each worker: its own where the system spreads
// packets over sockets of one address.
func (b *binding) workers() []*net.UDPConn {
	sockets := make([]*net.UDPConn, 0, b.count)
	for i := range b.count {
		sockets = append(sockets, b.sockets[i%len(b.sockets)])
	}
	return sockets
}

// takeSockets gives each worker its socket, which is its own where the system
// allows that. Those that all workers have left are closed.
func (b *binding) takeSockets() []workerSocket {
	taken := make([]workerSocket, 0, len(b.sockets))
	shared := make(map[*net.UDPConn]bool)
	for _, socket := range b.workers() {
		own, detached := detach(socket)
		taken = append(taken, own)
		shared[socket] = shared[socket] || !detached
	}
	for socket, needed := range shared {
		if !needed {
			socket.Close()
		}
	}
	return taken
}

// closeUDP closes the sockets that are not a worker's own.
func (b *binding) closeUDP() {
	for _, socket := range b.sockets {
		socket.Close()
	}
}

func (b *binding) close() {
	b.closeUDP()
	if b.listener != nil {
		b.listener.Close()
	}
}

// bind binds UDP and TCP on the address, which is number i of the
// configuration. Port 0 is tried until one is found that is free for both.
func bind(i int, address netip.AddrPort, workers int) (*binding, error) {
	for attempt := 1; ; attempt++ {
		b, err := bindOnce(address, workers)
		if err == nil {
			return b, nil
		}
		if address.Port() == 0 && attempt < 50 && errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		return nil, fmt.Errorf("dns.listen[%d]: binding %s: %w", i, address, err)
	}
}

func bindOnce(address netip.AddrPort, workers int) (_ *binding, err error) {
	b := &binding{address: address, count: workers}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	family := "4"
	if address.Addr().Is6() {
		family = "6" // sets IPV6_V6ONLY as well
	}
	sockets := workers
	if !spreadsPackets {
		sockets = 1
	}
	for n := range sockets {
		socket, err := bindUDP("udp"+family, b.address, n == 0)
		if err != nil {
			return nil, err
		}
		b.sockets = append(b.sockets, socket)
		if n > 0 {
			continue
		}
		bound := socket.LocalAddr().(*net.UDPAddr).AddrPort()
		b.address = netip.AddrPortFrom(address.Addr(), bound.Port())
	}
	if b.listener, err = listenTCP("tcp"+family, b.address); err != nil {
		return nil, fmt.Errorf("tcp: %w", reason(err))
	}
	return b, nil
}

// bindTLS binds the address, which is number i of those for TLS.
func bindTLS(i int, address netip.AddrPort) (*binding, error) {
	family := "tcp4"
	if address.Addr().Is6() {
		family = "tcp6"
	}
	listener, err := listenTCP(family, address)
	if err != nil {
		return nil, fmt.Errorf("dns.tls.listen[%d]: binding %s: %w", i, address, reason(err))
	}
	bound := listener.Addr().(*net.TCPAddr).AddrPort()
	return &binding{address: netip.AddrPortFrom(address.Addr(), bound.Port()), listener: listener}, nil
}

// listenTCP listens. Connections are not kept for as long as it takes to find out
// that the other side is gone, and asking for it costs four system calls for each.
func listenTCP(network string, address netip.AddrPort) (*net.TCPListener, error) {
	tcp := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		boundBuffers(raw)
		return nil
	}}
	tcp.SetMultipathTCP(false)
	listener, err := tcp.Listen(context.Background(), network, address.String())
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// bindUDP binds one socket. The first of an address is bound alone, so that it
// fails where another program has the address, and opened for the others of
// this program afterwards.
func bindUDP(network string, address netip.AddrPort, first bool) (*net.UDPConn, error) {
	var config net.ListenConfig
	if !first {
		config.Control = func(_, _ string, raw syscall.RawConn) error { return sharePort(raw) }
	}
	bound, err := config.ListenPacket(context.Background(), network, address.String())
	if err != nil {
		return nil, fmt.Errorf("udp: %w", reason(err))
	}
	socket := bound.(*net.UDPConn)
	if err := prepare(socket, address.Addr(), first); err != nil {
		socket.Close()
		return nil, fmt.Errorf("udp: %w", err)
	}
	return socket, nil
}

func prepare(socket *net.UDPConn, address netip.Addr, first bool) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("reaching the socket: %w", err)
	}
	if first && spreadsPackets {
		if err := sharePort(raw); err != nil {
			return err
		}
	}
	if address.IsUnspecified() {
		if err := receiveDestination(socket, raw, address); err != nil {
			return fmt.Errorf("asking for the address that packets are sent to: %w", err)
		}
	}
	// Best effort, all of it: the server works with what it gets.
	_ = socket.SetReadBuffer(socketBuffer)
	_ = socket.SetWriteBuffer(socketBuffer)
	tune(raw, address)
	return nil
}

// reason strips what the error of this package says again.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
