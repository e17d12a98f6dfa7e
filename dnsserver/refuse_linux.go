package dnsserver

import (
	"net"

	"golang.org/x/sys/unix"
)

// refuseMore makes the system give a worker's own socket no more packets, which
// go to another socket of the address, or are refused where there is none, and
// reports whether it does. What has come already can be read as before.
//
// It connects the socket to itself: from there alone could something come, and
// nothing does. Closing it would throw away what came since the last read.
func refuseMore(socket workerSocket) bool {
	own, ok := socket.(*watchedSocket)
	if !ok {
		return false
	}
	local := own.local.(*net.UDPAddr).AddrPort()
	var address unix.Sockaddr
	if local.Addr().Is4() {
		address = &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}
	} else {
		address = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16(), ZoneId: zoneNumber(local.Addr().Zone())}
	}
	return unix.Connect(own.descriptor, address) == nil
}

// zoneNumber is that of an interface; 0: none.
func zoneNumber(name string) uint32 {
	if name == "" {
		return 0
	}
	zone, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(zone.Index)
}
