package testport

import (
	"fmt"
	"net"
	"testing"
)

// Each port is another one, is free, and is no longer taken when its test has ended.
func TestUnused(t *testing.T) {
	seen := make(map[uint16]bool)
	t.Run("many", func(t *testing.T) {
		for range 500 {
			port := Unused(t)
			if seen[port] || port < first || port >= end || port%2 != 0 {
				t.Fatalf("port %d is given, after %d others", port, len(seen))
			}
			seen[port] = true
		}
		for port := range seen {
			if _, ok := reserve(int(port)); ok {
				t.Fatalf("port %d is given to another test", port)
			}
		}
	})
	given := 0
	for port := range seen {
		if release, ok := reserve(int(port)); ok {
			given++
			release()
		}
	}
	if given < len(seen)*9/10 { // other packages' tests may have some now
		t.Errorf("%d of %d ports can be given again after the test", given, len(seen))
	}
}

func TestWhatIsListenedAtIsNotFree(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		port := Unused(t)
		address := fmt.Sprintf("127.0.0.9:%d", port)
		if network == "tcp" {
			listener, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
		} else {
			packets, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer packets.Close()
		}
		if isFree(int(port)) {
			t.Errorf("port %d is free though somebody listens there over %s", port, network)
		}
	}
}
