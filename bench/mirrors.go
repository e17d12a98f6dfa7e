//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// mirrorListeners answer probes over http, on one port of many loopback addresses.
type mirrorListeners struct {
	members *memberListeners
	probes  atomic.Int64
	fails   atomic.Pointer[func(probe int64) bool]
}

// listenAsMirrors listens on every address.
func listenAsMirrors(addresses []string) (*mirrorListeners, error) {
	m := &mirrorListeners{}
	var err error
	m.members, err = listenAsMembers(addresses, m.answer)
	return m, err
}

func (m *mirrorListeners) close() { m.members.close() }

// fail tells which probes, counted from 1, get status 503 from now on.
func (m *mirrorListeners) fail(which func(probe int64) bool) { m.fails.Store(&which) }

// answer answers one request on a connection.
func (m *mirrorListeners) answer(connection net.Conn) {
	probe := m.probes.Add(1)
	go func() {
		defer connection.Close()
		if connection.SetDeadline(time.Now().Add(10*time.Second)) != nil {
			return
		}
		for lines := bufio.NewReaderSize(connection, 512); ; {
			line, err := lines.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
		}
		status := "200 OK"
		if fails := m.fails.Load(); fails != nil && (*fails)(probe) {
			status = "503 Service Unavailable"
		}
		// Who has gone meanwhile does not read it.
		_, _ = fmt.Fprintf(connection, "HTTP/1.1 %s\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n", status)
	}()
}

// measure counts what probing costs a process for some time, with something done every
// second; nil: nothing.
func (m *mirrorListeners) measure(ctx context.Context, p *process, duration time.Duration, every func(second int) error) (*probed, error) {
	id := []int{p.cmd.Process.Pid}
	before, err := processTimes(id)
	if err != nil {
		return nil, err
	}
	ours, err := processTimes([]int{os.Getpid()})
	if err != nil {
		return nil, err
	}
	machine, err := machineTimes()
	if err != nil {
		return nil, err
	}
	result, begin, first := &probed{}, time.Now(), m.probes.Load()
	for second := 0; time.Since(begin) < duration; second++ {
		if every != nil {
			if err := every(second); err != nil {
				return nil, err
			}
		}
		last := m.probes.Load()
		for end := begin.Add(time.Duration(second+1) * time.Second); time.Now().Before(end); {
			if !sleep(ctx, min(time.Until(end), 20*time.Millisecond)) {
				return nil, ctx.Err()
			}
			result.Sockets = max(result.Sockets, openSockets(p.cmd.Process.Pid))
		}
		result.Most = max(result.Most, int(m.probes.Load()-last))
	}
	took := time.Since(begin)
	after, err := processTimes(id)
	if err != nil {
		return nil, err
	}
	oursAfter, err := processTimes([]int{os.Getpid()})
	if err != nil {
		return nil, err
	}
	machineAfter, err := machineTimes()
	if err != nil {
		return nil, err
	}
	used := after.since(before)
	all := machineAfter.since(machine)
	result.Probes = float64(m.probes.Load()-first) / took.Seconds()
	result.CPU = used.total().Seconds() / took.Minutes()
	result.Memory = memory(id)
	result.Other = max(0, ((all.user+all.system)-used.total()-oursAfter.since(ours).total()).Seconds()/took.Seconds())
	result.Steal = all.steal.Seconds() / took.Seconds()
	return result, nil
}

// openSockets is how many sockets a process has.
func openSockets(id int) (count int) {
	directory := filepath.Join("/proc", fmt.Sprint(id), "fd")
	files, err := os.ReadDir(directory)
	if err != nil {
		return 0 // it has ended
	}
	for _, file := range files {
		if to, err := os.Readlink(filepath.Join(directory, file.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			count++
		}
	}
	return count
}
