package dnsserver

import (
	"context"
	"testing"
	"time"
)

// A server whose listener fails ends, however long its clients may be quiet.
func TestDeadListenerEndsRun(t *testing.T) {
	table := testTable()
	s, err := Listen(Config{
		Listen: []string{"127.0.0.1:0"},
		Table:  func() Answerer { return table },
		TCP:    TCPLimits{Idle: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	ask(t, dial(t, "tcp", s.Addresses()[0]), txt)
	s.bindings[0].listener.Close()
	within(t, patience, "the server", func() {
		if err := <-done; err == nil {
			t.Error("no error")
		}
	})
}
