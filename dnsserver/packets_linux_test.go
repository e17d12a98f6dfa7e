package dnsserver

import (
	"encoding/binary"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sentBytes gives the first byte of what each message points to.
func sentBytes(messages []unix.Mmsghdr) []byte {
	var all []byte
	for i := range messages {
		all = append(all, *messages[i].Hdr.Iov.Base)
	}
	return all
}

// Where the system sends less than it was given, or fails at a message, the
// others are sent, each once and in order.
func TestSendGoesOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		silent []int // of these
		call   func(call int, messages []unix.Mmsghdr) (int, syscall.Errno)
		failed int
		calls  int // -1: as many as it takes
		sent   string
	}{
		{
			name: "all at once", size: 5, calls: 1, sent: "abcde",
			call: func(_ int, m []unix.Mmsghdr) (int, syscall.Errno) { return len(m), 0 },
		},
		{
			name: "silence", size: 5, silent: []int{0, 2, 4}, calls: 1, sent: "bd",
			call: func(_ int, m []unix.Mmsghdr) (int, syscall.Errno) { return len(m), 0 },
		},
		{
			name: "nothing but silence", size: 2, silent: []int{0, 1}, calls: 0, sent: "",
			call: func(_ int, m []unix.Mmsghdr) (int, syscall.Errno) { return len(m), 0 },
		},
		{
			name: "two at a time", size: 5, calls: 3, sent: "abcde",
			call: func(_ int, m []unix.Mmsghdr) (int, syscall.Errno) { return min(2, len(m)), 0 },
		},
		{
			name: "interrupted", size: 3, calls: 2, sent: "abc",
			call: func(call int, m []unix.Mmsghdr) (int, syscall.Errno) {
				if call == 1 {
					return -1, unix.EINTR
				}
				return len(m), 0
			},
		},
		{
			name: "an error after two", size: 5, calls: 3, failed: 1, sent: "abde",
			call: func(call int, m []unix.Mmsghdr) (int, syscall.Errno) {
				switch call {
				case 1:
					return 2, 0
				case 2:
					return -1, unix.EPERM
				}
				return len(m), 0
			},
		},
		{
			name: "errors only", size: 3, calls: 3, failed: 3, sent: "",
			call: func(int, []unix.Mmsghdr) (int, syscall.Errno) { return -1, unix.ENETUNREACH },
		},
		{
			name: "a socket that stays full", size: 4, calls: -1, failed: 3, sent: "a",
			call: func(call int, _ []unix.Mmsghdr) (int, syscall.Errno) {
				if call == 1 {
					return 1, 0
				}
				return -1, unix.EAGAIN
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket := bindLoose(t, "127.0.0.1")
			raw, err := socket.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var sent []byte
			calls := 0
			p := newBatchPackets(raw, false, transfer{
				receive: func(_ uintptr, messages []unix.Mmsghdr) (int, syscall.Errno) {
					for i := range c.size {
						*messages[i].Hdr.Iov.Base = 'a' + byte(i)
						messages[i].Len = 12
					}
					return c.size, 0
				},
				send: func(_ uintptr, messages []unix.Mmsghdr) (int, syscall.Errno) {
					calls++
					n, err := c.call(calls, messages)
					sent = append(sent, sentBytes(messages[:max(n, 0)])...)
					return n, err
				},
			})
			for round := range 2 { // everything is in its place again
				sent, calls = nil, 0
				batch, err := p.receive()
				if err != nil {
					t.Fatal(err)
				}
				for i := range batch {
					if batch[i].answer != 0 || batch[i].room[0] != 'a'+byte(i) || batch[i].length != 12 {
						t.Fatalf("round %d: datagram %d: %+v", round, i, batch[i])
					}
					if !slices.Contains(c.silent, i) {
						batch[i].answer = 12
					}
				}
				socket.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
				failed := p.send(batch)
				if failed != c.failed || (calls != c.calls && c.calls >= 0) || string(sent) != c.sent {
					t.Errorf("round %d: %d failed, %d calls, %q sent; want %d, %d, %q",
						round, failed, calls, sent, c.failed, c.calls, c.sent)
				}
			}
		})
	}
}

// A socket that is full for a moment gets the rest afterwards.
func TestSendWaits(t *testing.T) {
	socket := bindLoose(t, "127.0.0.1")
	client := bindLoose(t, "127.0.0.1")
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	address := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	full := 2
	p := newBatchPackets(raw, false, transfer{recvmmsg, func(fd uintptr, messages []unix.Mmsghdr) (int, syscall.Errno) {
		if full--; full >= 0 {
			// Whatever happens to a socket makes the poller say all that it is
			// ready for.
			if _, err := client.WriteToUDPAddrPort([]byte("x"), address); err != nil {
				t.Error(err)
			}
			return -1, unix.EAGAIN
		}
		return sendmmsg(fd, messages)
	}})
	if _, err := client.WriteToUDPAddrPort([]byte("question"), address); err != nil {
		t.Fatal(err)
	}
	batch, err := p.receive()
	if err != nil {
		t.Fatal(err)
	}
	batch[0].answer = batch[0].length
	socket.SetWriteDeadline(time.Now().Add(patience))
	if failed := p.send(batch); failed != 0 {
		t.Errorf("%d answers failed", failed)
	}
	client.SetReadDeadline(time.Now().Add(patience))
	answer := make([]byte, 100)
	if n, err := client.Read(answer); err != nil || string(answer[:n]) != "question" {
		t.Errorf("%q %v", answer[:n], err)
	}
}

// Interruptions and errors of receiving.
func TestReceiveGoesOn(t *testing.T) {
	socket := bindLoose(t, "127.0.0.1")
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	results := []syscall.Errno{unix.EINTR, unix.EINTR, unix.ENOMEM, 0}
	p := newBatchPackets(raw, false, transfer{receive: func(uintptr, []unix.Mmsghdr) (int, syscall.Errno) {
		result := results[0]
		results = results[1:]
		if result != 0 {
			return -1, result
		}
		return 1, 0
	}})
	if batch, err := p.receive(); err == nil || isFatal(err) || len(batch) != 0 {
		t.Errorf("%d datagrams, error %v, want one that passes", len(batch), err)
	}
	if batch, err := p.receive(); err != nil || len(batch) != 1 || batch[0].client.Port() != 0 {
		t.Errorf("%d datagrams, error %v, want one of no known family", len(batch), err)
	}
}

func TestSocketName(t *testing.T) {
	v4, v6 := socketName{2: 0x14, 3: 0xE9, 4: 127, 7: 9}, socketName{2: 0x14, 3: 0xE9, 23: 1}
	binary.NativeEndian.PutUint16(v4[:], unix.AF_INET)
	binary.NativeEndian.PutUint16(v6[:], unix.AF_INET6)
	for _, c := range []struct {
		name socketName
		want string
	}{{v4, "127.0.0.9:5353"}, {v6, "[::1]:5353"}, {socketName{}, "invalid AddrPort"}} {
		if got := c.name.addrPort().String(); got != c.want {
			t.Errorf("%x: %s, want %s", c.name, got, c.want)
		}
	}
}

// Answers leave by any interface, but for link-local addresses.
func TestReplyControl(t *testing.T) {
	message := func(level, kind int32, data ...byte) []byte {
		b := make([]byte, unix.SizeofCmsghdr)
		if len(b) == 16 {
			binary.NativeEndian.PutUint64(b, uint64(len(b)+len(data)))
		} else {
			binary.NativeEndian.PutUint32(b, uint32(len(b)+len(data)))
		}
		binary.NativeEndian.PutUint32(b[len(b)-8:], uint32(level))
		binary.NativeEndian.PutUint32(b[len(b)-4:], uint32(kind))
		b = append(b, data...)
		return append(b, make([]byte, controlSize-len(b))...)
	}
	v4 := []byte{3: 0, 0: 7, 4: 127, 7: 2, 8: 127, 11: 2}
	global := append(append(make([]byte, 15), 1), 7, 7, 7, 7)
	local := append(append([]byte{0xFE, 0x80}, make([]byte, 14)...), 7, 7, 7, 7)
	for _, c := range []struct {
		name    string
		control []byte
		want    int // length
		index   []byte
	}{
		{"IPv4", message(unix.IPPROTO_IP, unix.IP_PKTINFO, v4...), unix.CmsgSpace(unix.SizeofInet4Pktinfo), []byte{0, 0, 0, 0}},
		{"IPv6", message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, global...), unix.CmsgSpace(unix.SizeofInet6Pktinfo), []byte{0, 0, 0, 0}},
		{"link-local", message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, local...), unix.CmsgSpace(unix.SizeofInet6Pktinfo), []byte{7, 7, 7, 7}},
		{"another", message(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, v4...), 0, nil},
		{"none", nil, 0, nil},
		{"cut", message(unix.IPPROTO_IP, unix.IP_PKTINFO)[:unix.SizeofCmsghdr], 0, nil},
	} {
		got := replyControl(c.control)
		if len(got) != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, len(got), c.want)
			continue
		}
		if c.want == 0 {
			continue
		}
		at := unix.SizeofCmsghdr
		if c.want == unix.CmsgSpace(unix.SizeofInet6Pktinfo) {
			at += 16
		}
		if !slices.Equal(got[at:at+4], c.index) {
			t.Errorf("%s: interface %v, want %v", c.name, got[at:at+4], c.index)
		}
	}
}
