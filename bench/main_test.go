//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"mirrorpool/bench/load"
)

// serveCommand makes this test's program a DNS server on a port of 127.0.0.1.
const serveCommand = "serve-for-test"

// TestMain makes the test's program what the runner starts: the generator and a
// server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == generatorCommand {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 2 && os.Args[1] == serveCommand {
		fmt.Fprintln(os.Stderr, "ended:", serveForTest(os.Args[2], os.Args[3]))
		os.Exit(exitNo)
	}
	os.Exit(m.Run())
}

// serveForTest answers like a peer: four records for the pool, one for a host,
// NXDOMAIN for the rest. It does one thing wrong that it is told.
func serveForTest(port, wrong string) error {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, asked *dns.Msg) {
		m := new(dns.Msg).SetReply(asked)
		m.Authoritative = true
		m.Compress = true
		name := asked.Question[0].Name
		switch {
		case wrong == "refuse":
			m.Rcode = dns.RcodeRefused
		case name == poolName+".":
			for i := range 4 {
				header := dns.RR_Header{Name: name, Rrtype: asked.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
				if header.Rrtype == dns.TypeA {
					m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, byte(i))})
				} else {
					m.Answer = append(m.Answer, &dns.AAAA{Hdr: header, AAAA: net.ParseIP(fmt.Sprintf("2001:db8::%d", i))})
				}
			}
		default:
			m.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(m)
	})
	failed := make(chan error, 2)
	for _, network := range []string{"udp", "tcp"} {
		go func() {
			failed <- dns.ListenAndServe("127.0.0.1:"+port, network, handler)
		}()
	}
	return <-failed
}

func testServer(t *testing.T, wrong string) *server {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &server{
		name: "test", records: 4, poolAAAA: poolName, can: []string{"pool"},
		command: func(o startOptions) (*exec.Cmd, error) {
			return exec.Command(program, serveCommand, strconv.Itoa(o.port), wrong), nil
		},
	}
}

func testOptions(t *testing.T) *options {
	t.Helper()
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	o := &options{
		rounds: 1, tries: 1, rate: 1000, noise: 100, directory: t.TempDir(),
		duration: 100 * time.Millisecond, warmUp: 10 * time.Millisecond, startWithin: 20 * time.Second,
	}
	// One will do for a test.
	for cpu := range 1024 {
		if allowed.IsSet(cpu) {
			if o.cpus.server == 0 {
				o.cpus.server = cpu
			}
			o.cpus.generator = cpu
		}
	}
	return o
}

func TestAServerIsMeasured(t *testing.T) {
	o := testOptions(t)
	for _, name := range []string{"pool", "tcp", "latency", "nxdomain"} {
		chosen, err := chooseScenarios(name)
		if err != nil {
			t.Fatal(err)
		}
		s := testServer(t, "")
		if name == "nxdomain" {
			// This server gives no SOA record with it, for as long as it is asked: longer
			// where it takes long to start.
			for o.startWithin = time.Second; ; o.startWithin *= 2 {
				_, _, err := o.measure(t.Context(), s, &chosen[0], 0)
				if err != nil && strings.Contains(err.Error(), "SOA") {
					break
				}
				if err == nil || o.startWithin > time.Minute {
					t.Fatalf("the error is %v", err)
				}
			}
			continue
		}
		m, larger, err := o.measure(t.Context(), s, &chosen[0], 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.Load.Answered == 0 || m.share() != 1 || m.PerQuery <= 0 || m.Memory < 1<<20 || m.Busy <= 0 {
			t.Errorf("%s: the measurement is %+v", name, m)
		}
		// Four records of 16 or 28 bytes.
		if larger < 4*16 || larger > 4*28 {
			t.Errorf("%s: answers are %d bytes larger than questions", name, larger)
		}
	}
	left, err := os.ReadDir(o.directory)
	if err != nil || len(left) != 0 {
		t.Errorf("directories are left: %v, %v", left, err)
	}
}

func TestAServerThatFailsIsNamed(t *testing.T) {
	o := testOptions(t)
	chosen, err := chooseScenarios("pool-a")
	if err != nil {
		t.Fatal(err)
	}
	broken := testServer(t, "")
	broken.command = func(startOptions) (*exec.Cmd, error) {
		return exec.Command("/bin/sh", "-c", "echo no such key in line 7 >&2; exit 3"), nil
	}
	_, _, err = o.measure(t.Context(), broken, &chosen[0], 0)
	if err == nil || !strings.Contains(err.Error(), "no such key in line 7") {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err = o.measure(ctx, testServer(t, "refuse"), &chosen[0], 0); err == nil {
		t.Error("a server that refuses is measured")
	}
}

// TestInterruptedItEndsWhatItStarted holds that nothing is left behind.
func TestInterruptedItEndsWhatItStarted(t *testing.T) {
	o := testOptions(t)
	o.duration = time.Minute
	chosen, err := chooseScenarios("pool-a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := o.measure(ctx, testServer(t, ""), &chosen[0], 0)
		done <- err
	}()
	for len(processTree(os.Getpid())) < 3 { // this one, the server, the generator
		if !sleep(t.Context(), 10*time.Millisecond) {
			t.Fatal("neither server nor generator came up")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if left := processTree(os.Getpid())[1:]; len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left, err := os.ReadDir(o.directory); err != nil || len(left) != 0 {
		t.Errorf("directories are left: %v, %v", left, err)
	}
}

func TestAllThatComesOfAProcessIsEnded(t *testing.T) {
	o := testOptions(t)
	// The shell ends at once; what it has started would not.
	p, err := startProcess("a shell", exec.Command("/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000 & sleep 1000 & wait"), o.cpus.server)
	if err != nil {
		t.Fatal(err)
	}
	for len(processTree(p.cmd.Process.Pid)) < 3 {
		if !sleep(t.Context(), time.Millisecond) {
			t.Fatal("the shell started nothing")
		}
	}
	var tree []identity
	for _, one := range processTree(p.cmd.Process.Pid) {
		tree = append(tree, identify(one))
	}
	p.stop()
	for _, one := range tree {
		if one.runs() {
			t.Errorf("process %d runs on", one.id)
		}
	}
}

func TestTheGeneratorRefusesServersElsewhere(t *testing.T) {
	plan := load.Plan{Sockets: 1, Window: 1, Duration: time.Second, GiveUp: time.Second}
	if err := json.Unmarshal([]byte(`{"Server":"192.0.2.1:53"}`), &plan); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var out, errorOut strings.Builder
	code := run([]string{generatorCommand}, strings.NewReader(string(text)+"\n"), &out, &errorOut)
	if code != exitNo || !strings.Contains(errorOut.String(), "not on this machine") || out.Len() != 0 {
		t.Errorf("exit status %d, %q, %q", code, out.String(), errorOut.String())
	}
	if _, err := testOptions(t).generator(t.Context(), plan, func() error { return nil }); err == nil {
		t.Error("the runner hands it on")
	}
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		arguments string
		want      string
	}{
		{"measure", "unknown command"},
		{"compare -rounds 0", "rounds"},
		{"compare -colour", "not defined"},
		{"growth extra", "unknown argument"},
		{"reload -rate 0", "rate"},
		{"compare -questions pool,colours", "no kind of question"},
	} {
		var out, errorOut strings.Builder
		if code := run(strings.Fields(c.arguments), strings.NewReader(""), &out, &errorOut); code != exitUsage || !strings.Contains(errorOut.String(), c.want) {
			t.Errorf("%s: exit status %d, %q, expected %q", c.arguments, code, errorOut.String(), c.want)
		}
	}
}
