//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	forgedAddresses = 1_000_000
	forgedNetworks  = 4096 // 10.0.0.0/24 to 10.15.255.0/24
	forgedBatch     = 64   // packets a system call, at most
	forgedBatches   = 2000 // a second, at least

	ipHeader  = 20
	udpHeader = 8
)

// floodedNetwork is the /24 that the resolver is in, one of forgedNetworks.
const floodedNetwork = 10<<24 | 9<<16 | 8<<8

// addressesEverywhere are a million addresses of IPv4, none of them this
// network's own.
func addressesEverywhere() []uint32 {
	random := rand.New(rand.NewPCG(1, 1))
	all := make([]uint32, 0, forgedAddresses)
	for len(all) < forgedAddresses {
		address := random.Uint32()
		if first := address >> 24; first != 0 && first != 10 && first != 127 && first < 224 {
			all = append(all, address)
		}
	}
	return all
}

// addressesInNetworks are a million addresses of 4,096 networks.
func addressesInNetworks() []uint32 {
	all := make([]uint32, forgedAddresses)
	for i := range all {
		all[i] = 10<<24 | uint32(i%forgedNetworks)<<8 | uint32(i/forgedNetworks)
	}
	rand.New(rand.NewPCG(2, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// addressesInOne are those of one network.
func addressesInOne() []uint32 {
	all := make([]uint32, 256)
	for i := range all {
		all[i] = floodedNetwork | uint32(i)
	}
	return all
}

// forger sends questions from addresses that are not its own.
type forger struct {
	socket    int
	addresses []uint32
	rate      float64 // packets a second; 0: as many as can be sent
	random    *rand.Rand
	next      int
	sent      uint64

	size     int
	room     []byte
	messages [forgedBatch]struct {
		header unix.Msghdr
		length uint32
	}
	parts [forgedBatch]unix.Iovec
}

// newForger readies packets to a server's address, which the system knows a way
// to.
func newForger(server netip.AddrPort, question []byte, addresses []uint32, rate float64) (*forger, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("opening a socket for forged packets: %w", err)
	}
	if err := unix.Connect(socket, &unix.SockaddrInet4{Addr: server.Addr().As4()}); err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("connecting a socket for forged packets: %w", err)
	}
	f := &forger{socket: socket, addresses: addresses, rate: rate, random: newForgerRandom()}
	packet := forgedPacket(server, question)
	f.size = len(packet)
	f.room = make([]byte, 0, forgedBatch*f.size)
	for range forgedBatch {
		f.room = append(f.room, packet...)
	}
	for i := range f.messages {
		f.parts[i].Base = &f.room[i*f.size]
		f.parts[i].SetLen(f.size)
		f.messages[i].header.Iov = &f.parts[i]
		f.messages[i].header.SetIovlen(1)
	}
	return f, nil
}

// newForgerRandom is what ports and ids are of: the same in each measurement.
func newForgerRandom() *rand.Rand { return rand.New(rand.NewPCG(3, 3)) }

func (f *forger) close() error { return unix.Close(f.socket) }

// forgedPacket is a datagram without its source and id. The system fills in the
// checksum of the IP header; without one, that of UDP is not looked at.
func forgedPacket(server netip.AddrPort, question []byte) []byte {
	to := server.Addr().As4()
	packet := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(question))
	packet[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(packet[2:], uint16(ipHeader+udpHeader+len(question)))
	packet[8] = 64 // hops
	packet[9] = unix.IPPROTO_UDP
	copy(packet[16:], to[:])
	binary.BigEndian.PutUint16(packet[ipHeader+2:], server.Port())
	binary.BigEndian.PutUint16(packet[ipHeader+4:], uint16(udpHeader+len(question)))
	return append(packet, question...)
}

// forge gives each packet of a batch the next address, a port and an id.
func (f *forger) forge(batch int) {
	for i := range batch {
		packet := f.room[i*f.size:][:f.size]
		binary.BigEndian.PutUint32(packet[12:], f.addresses[f.next])
		if f.next++; f.next == len(f.addresses) {
			f.next = 0
		}
		random := f.random.Uint32()
		binary.BigEndian.PutUint16(packet[ipHeader:], uint16(random)|1<<15)
		binary.BigEndian.PutUint16(packet[ipHeader+udpHeader:], uint16(random>>16))
	}
}

// run sends until the context ends. It stands behind all else on its processor.
func (f *forger) run(ctx context.Context) error {
	// The thread is this goroutine's to the end, and goes with it.
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 15); err != nil {
		return fmt.Errorf("stepping back: %w", err)
	}
	batch := forgedBatch
	if f.rate > 0 {
		// Evenly, or else honest questions find the time between batches.
		batch = min(max(int(f.rate/forgedBatches), 1), forgedBatch)
	}
	begin, planned := time.Now(), 0.0
	for ctx.Err() == nil {
		if f.rate > 0 {
			if wait := time.Duration(planned/f.rate*1e9) - time.Since(begin); wait > 0 {
				time.Sleep(wait)
			}
			planned += float64(batch)
		}
		f.forge(batch)
		for from := 0; from < batch; {
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.socket), uintptr(unsafe.Pointer(&f.messages[from])), uintptr(batch-from), 0, 0, 0)
			switch errno {
			case 0:
				from += int(n)
				f.sent += uint64(n)
			case unix.EINTR, unix.EAGAIN, unix.ENOBUFS, unix.ECONNREFUSED:
			default:
				return fmt.Errorf("sending forged packets: %w", errno)
			}
		}
	}
	return nil
}
