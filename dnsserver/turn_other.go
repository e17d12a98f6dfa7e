//go:build !linux

package dnsserver

import "runtime"

// turn lets others run that wait for the core of a worker, which never waits
// itself while packets never cease to come.
type turn struct{}

func newTurn() *turn { return &turn{} }

// take lets the others run.
func (*turn) take() { runtime.Gosched() }

func (*turn) close() {}
