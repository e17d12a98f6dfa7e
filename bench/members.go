//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// memberListeners accept the probes of pool members, on one port of many
// loopback addresses.
type memberListeners struct {
	addresses []string
	port      int
	accepted  func(net.Conn) // takes each connection

	mutex     sync.Mutex
	listeners map[string]net.Listener // those that are open
	serving   sync.WaitGroup
}

// portTries is how many ports are tried to find one that is free everywhere.
const portTries = 20

// listenAsMembers listens on every address. Connections are given to accepted, which
// returns at once; without it they are closed.
func listenAsMembers(addresses []string, accepted ...func(net.Conn)) (*memberListeners, error) {
	take := func(connection net.Conn) { connection.Close() }
	if len(accepted) > 0 {
		take = accepted[0]
	}
	var err error
	for range portTries {
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		m := &memberListeners{addresses: addresses, port: port, accepted: take, listeners: map[string]net.Listener{}}
		if err = m.openAll(); err == nil {
			return m, nil
		}
		m.close()
	}
	return nil, err
}

func (m *memberListeners) openAll() error {
	for _, address := range m.addresses {
		if err := m.open(address); err != nil {
			return err
		}
	}
	return nil
}

// open makes a member answer probes.
func (m *memberListeners) open(address string) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(m.port)))
	if err != nil {
		return fmt.Errorf("listening as a pool member: %w", err)
	}
	m.mutex.Lock()
	m.listeners[address] = listener
	m.mutex.Unlock()
	m.serving.Go(func() {
		for {
			connection, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				m.accepted(connection)
			}
		}
	})
	return nil
}

// shut makes a member refuse probes.
func (m *memberListeners) shut(address string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if listener, open := m.listeners[address]; open {
		listener.Close()
		delete(m.listeners, address)
	}
}

// close ends all of them.
func (m *memberListeners) close() {
	for _, address := range m.addresses {
		m.shut(address)
	}
	m.serving.Wait()
}

// memberAddresses are loopback addresses for that many members.
func memberAddresses(count int) []string {
	addresses := make([]string, count)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("127.1.%d.%d", 1+i/250, 1+i%250)
	}
	return addresses
}

// freePort finds a port that is free for UDP and TCP on 127.0.0.1.
func freePort() (int, error) {
	var err error
	for range portTries {
		var stream net.Listener
		if stream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			break
		}
		port := stream.Addr().(*net.TCPAddr).Port
		var packets net.PacketConn
		packets, err = net.ListenPacket("udp", stream.Addr().String())
		stream.Close()
		if err == nil {
			packets.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port: %w", err)
}
