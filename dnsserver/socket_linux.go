package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spreadsPackets: the system spreads packets over the sockets of one address.
const spreadsPackets = true

// controlSize has room for the one control message that is asked for.
var controlSize = unix.CmsgSpace(unix.SizeofInet6Pktinfo)

// sharePort lets other sockets of the same user bind the socket's address.
func sharePort(raw syscall.RawConn) error {
	if err := setOption(raw, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("setting SO_REUSEPORT: %w", err)
	}
	return nil
}

// receiveDestination makes packets come with the address they were sent to.
func receiveDestination(_ *net.UDPConn, raw syscall.RawConn, address netip.Addr) error {
	if address.Is4() {
		return setOption(raw, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return setOption(raw, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
}

// tune asks for more than a socket gets by itself. A large receive buffer is
// for the privileged only. Path MTUs that a forged ICMP message claims are not
// believed: answers are small enough, and no fragment of one is to be replaced
// on the way (RFC 9715).
func tune(raw syscall.RawConn, address netip.Addr) {
	_ = setOption(raw, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer)
	if address.Is4() {
		_ = setOption(raw, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
	} else {
		_ = setOption(raw, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
	}
}

func setOption(raw syscall.RawConn, level, option, value int) error {
	var result error
	err := raw.Control(func(fd uintptr) { result = unix.SetsockoptInt(int(fd), level, option, value) })
	if err != nil {
		return err
	}
	return result
}

// replyControl turns the control message of a packet into the one that sends
// the answer from the address that was asked, in place. The interface stays
// open but for link-local addresses, which mean nothing without it: the way
// back may be another than the way here.
func replyControl(control []byte) []byte {
	const header = unix.SizeofCmsghdr
	if len(control) < header {
		return nil
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[header:]
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		// Interface, then the local address, then that in the packet's header,
		// which differs from it for broadcasts only and is not read here.
		binary.NativeEndian.PutUint32(data, 0)
		return control[:unix.CmsgSpace(unix.SizeofInet4Pktinfo)]
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		if !netip.AddrFrom16([16]byte(data[:16])).IsLinkLocalUnicast() {
			binary.NativeEndian.PutUint32(data[16:], 0)
		}
		return control[:unix.CmsgSpace(unix.SizeofInet6Pktinfo)]
	}
	return nil
}
