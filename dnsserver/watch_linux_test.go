package dnsserver

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// inSet reports whether the system watches the socket for its worker.
func (w *watchedSocket) inSet(t *testing.T) bool {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", w.setNumber))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(info), "tfd:")
}

// A socket is watched while its worker waits now and then, not while packets
// never cease to come, and again after that.
func TestBusySocketIsNotWatched(t *testing.T) {
	bound := bindLoose(t, "127.0.0.1")
	own, err := watchSocket(bound)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	bound.Close()
	w := newTestWorker(testTable(), own, newPackets(own, false))
	client := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(bound)))
	question := query{name: "pool.example.test.", qtype: dns.TypeA}.bytes()
	serve := func(want bool) {
		t.Helper()
		if n, err := w.serve(); err != nil || n == 0 {
			t.Fatalf("%d packets, %v", n, err)
		}
		if got := own.inSet(t); got != want {
			t.Fatalf("after a streak of %d the socket is watched: %v", own.streak, got)
		}
		if _, err := receive(client); err != nil {
			t.Fatal(err)
		}
	}
	wait := func() {
		t.Helper()
		own.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := w.serve(); !os.IsTimeout(err) {
			t.Fatalf("%v, want a deadline", err)
		}
		own.SetReadDeadline(time.Time{})
		if !own.inSet(t) {
			t.Fatal("the worker waited for a socket that nobody watches")
		}
	}
	for range 3 {
		wait()
		for i := range busyStreak + 3 {
			send(t, client, question)
			serve(i+1 < busyStreak)
		}
		wait()
		// What comes while it waits ends the waiting.
		timer := time.AfterFunc(5*time.Millisecond, func() { send(t, client, question) })
		own.SetReadDeadline(time.Now().Add(patience))
		serve(true)
		timer.Stop()
	}
}
