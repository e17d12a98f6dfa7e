package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show it all on this machine: a repository, mirrors and a server on loopback",
		Long: `demo makes a real Git repository from a sample, starts small HTTP mirrors on
loopback addresses, runs the ordinary server against them, and prints what to
type. It needs git and no privileges, sends nothing beyond this machine, and
leaves nothing behind: Ctrl-C ends it.`,
		RunE: func(command *cobra.Command, _ []string) error {
			// A closed terminal ends it as Ctrl-C does.
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGHUP)
			defer stop()
			return runDemo(ctx, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	command.AddCommand(demoMirrorCommand())
	return command
}

// demonstration is what the sample's templates are filled with.
type demonstration struct {
	Directory  string // temporary, removed at the end
	Remote     string // the bare repository
	Checkout   string // a clone to work in
	State      string
	Nets       string
	Config     string
	Program    string
	IPv6       bool
	DNSPort    uint16
	HTTPPort   uint16
	AdminPort  uint16
	MirrorPort uint16
	Mirrors    []*demoMirror
}

// demoMirrorAddresses are where the mirrors of the sample listen.
var demoMirrorAddresses = []string{"127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15"}

func runDemo(ctx context.Context, out, errorOut io.Writer) (err error) {
	if _, err := exec.LookPath("git"); err != nil {
		return fmt.Errorf("the demonstration needs git: %w; on Debian: apt install git", err)
	}
	directory, err := os.MkdirTemp("", "mirrorpool-demo-")
	if err != nil {
		return fmt.Errorf("making a directory for the demonstration: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	demo, err := newDemonstration(directory)
	if err != nil {
		return err
	}
	defer demo.stopMirrors()
	if err := demo.startMirrors(ctx); err != nil {
		return err
	}
	if err := demo.makeRepository(ctx); err != nil {
		return err
	}
	config, err := loadConfig(demo.Config)
	if err != nil {
		return err
	}
	boundGarbage()
	node, err := newNode(demo.Config, config, errorOut)
	if err != nil {
		return err
	}
	shareCores()
	node.whenReady = func() { demo.printGuide(out) }
	fmt.Fprintln(out, "Starting: the first answer is given when every mirror has been checked once.")
	if err := node.run(ctx, nil); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nStopped; nothing is left behind.")
	return nil
}

func newDemonstration(directory string) (*demonstration, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's file: %w", err)
	}
	d := &demonstration{
		Directory: directory,
		Remote:    filepath.Join(directory, "mirrors.git"),
		Checkout:  filepath.Join(directory, "mirrors"),
		State:     filepath.Join(directory, "state"),
		Nets:      filepath.Join(directory, "nets.json"),
		Config:    filepath.Join(directory, "mirrorpool.yaml"),
		Program:   program,
		IPv6:      canListen("::1", 0),
	}
	ports := []struct {
		port      *uint16
		preferred uint16
		addresses []string
	}{
		{&d.DNSPort, 5300, []string{"127.0.0.1"}},
		{&d.HTTPPort, 8080, []string{"127.0.0.1"}},
		{&d.AdminPort, 8053, []string{"127.0.0.1"}},
		{&d.MirrorPort, 8081, d.mirrorAddresses()},
	}
	for _, wanted := range ports {
		if *wanted.port, err = freePort(wanted.preferred, wanted.addresses); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *demonstration) mirrorAddresses() []string {
	if d.IPv6 {
		return append([]string{"::1"}, demoMirrorAddresses...)
	}
	return demoMirrorAddresses
}

// freePort gives the preferred port, or another one that is free on all
// addresses.
func freePort(preferred uint16, addresses []string) (uint16, error) {
	candidates := []uint16{preferred}
	for range 20 {
		any, err := net.Listen("tcp", net.JoinHostPort(addresses[0], "0"))
		if err != nil {
			return 0, fmt.Errorf("looking for a free port on %s: %w", addresses[0], err)
		}
		candidates = append(candidates, any.Addr().(*net.TCPAddr).AddrPort().Port())
		if err := any.Close(); err != nil {
			return 0, fmt.Errorf("looking for a free port on %s: %w", addresses[0], err)
		}
	}
	for _, port := range candidates {
		free := true
		for _, address := range addresses {
			free = free && canListen(address, port)
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port is free on all of %s: the demonstration needs loopback addresses (on macOS: sudo ifconfig lo0 alias 127.0.0.11 up, and so on)", strings.Join(addresses, ", "))
}

// canListen reports whether TCP and UDP can be bound.
func canListen(address string, port uint16) bool {
	at := netip.AddrPortFrom(netip.MustParseAddr(address), port)
	stream, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return false
	}
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		stream.Close()
		return false
	}
	return errors.Join(stream.Close(), packets.Close()) == nil
}

// demoMirror is one mirror: a process of its own, so that it can be stopped as
// a real one fails.
type demoMirror struct {
	address  string
	process  *exec.Cmd
	lifeline io.Closer // closed by the wait for the process
}

func (d *demonstration) startMirrors(ctx context.Context) error {
	for _, address := range d.mirrorAddresses() {
		at := netip.AddrPortFrom(netip.MustParseAddr(address), d.MirrorPort)
		process := exec.Command(d.Program, "demo", "mirror", at.String())
		process.Stderr = os.Stderr
		// A process group of its own keeps the terminal's Ctrl-C from it.
		process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		// Its standard input ends when this process does, however that happens.
		lifeline, err := process.StdinPipe()
		if err != nil {
			return fmt.Errorf("starting the mirror on %s: %w", at, err)
		}
		if err := process.Start(); err != nil {
			return fmt.Errorf("starting the mirror on %s: %w", at, err)
		}
		d.Mirrors = append(d.Mirrors, &demoMirror{address: address, process: process, lifeline: lifeline})
		if err := waitForPort(ctx, at.String()); err != nil {
			return err
		}
	}
	return nil
}

// stopMirrors ends the mirrors; also those that were suspended.
func (d *demonstration) stopMirrors() {
	for _, mirror := range d.Mirrors {
		if err := mirror.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintf(os.Stderr, "mirrorpool: ending the mirror on %s: %v\n", mirror.address, err)
		}
		// Its exit status is that of the kill.
		_ = mirror.process.Wait()
	}
}

func waitForPort(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return connection.Close()
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("waiting for the mirror on %s: %w", address, err)
		}
	}
}
