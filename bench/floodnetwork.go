//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mirrorpool/bench/load"
)

// Addresses of the network that the flood is in. The server is at the other end
// of a link, in a network of its own.
var (
	resolverAddress = netip.AddrFrom4([4]byte{10, 9, 8, 53}) // of floodedNetwork
	otherAddress    = netip.AddrFrom4([4]byte{10, 77, 7, 7})
)

const (
	ourEnd      = "02:00:00:00:00:01"
	serverEnd   = "02:00:00:00:00:02"
	frameHeader = 14
	floodHosts  = 8192 // names to look up once each
	floodName   = "flood." + zoneName
)

// floodServer waits in a network of its own for its end of the link, and then
// becomes the program.
const floodServer = `set -e
echo ready
read link server us mac
ip link set lo up
ip address add "$server/30" dev "$link"
ip link set "$link" up
ip neighbour replace "$us" lladdr "$mac" dev "$link" nud permanent
ip route add default via "$us" dev "$link"
exec "$@"`

const floodConfiguration = `git:
  url: %s
  branch: main
state_dir: %s
dns:
  listen: ["%s:53"]
  rrl:
    responses_per_second: %d
http:
  listen: ["%s:80"]
admin:
  listen: %s:8053
geo:
  overrides: %s
log:
  level: warn
`

const floodResolver = `server:
  directory: %[1]q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  interface: 127.0.0.1@%[2]d
  outgoing-interface: %[3]s
  do-ip6: no
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  root-hints: "root.hints"
  local-zone: "test." nodefault
stub-zone:
  name: %[4]q
  stub-addr: %[5]s
`

// floodNetwork is what is the same in all measurements.
type floodNetwork struct {
	shared *sharedFlags
	site   *site
	links  int // made so far: each measurement has its own
}

func newFloodNetwork(ctx context.Context, shared *sharedFlags) (*floodNetwork, error) {
	for _, line := range []string{
		"link set lo up",
		"address add " + resolverAddress.String() + "/32 dev lo",
		"address add " + otherAddress.String() + "/32 dev lo",
	} {
		if err := ip(ctx, line); err != nil {
			return nil, err
		}
	}
	content, err := newContent([]poolText{newPool(poolName, memberAddresses(5), healthText{Check: "none"})}, floodHosts, hostForm)
	if err != nil {
		return nil, err
	}
	text := strings.Repeat("what is sent to who did not ask for it ", 6)
	content["zones/"+zoneName+".zone"] += fmt.Sprintf("flood IN TXT %q %q %q %q\n", text, text, text, text)
	directory, err := os.MkdirTemp(shared.directory, "site-")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	site, err := newSite(ctx, shared.program, directory, content)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(site.overrides, []byte(`{ "10.0.0.0/8": { "country": "JP" } }`), 0o600); err != nil {
		return nil, fmt.Errorf("writing the networks: %w", err)
	}
	return &floodNetwork{shared: shared, site: site}, nil
}

// ip runs ip of iproute2.
func ip(ctx context.Context, line string) error {
	if output, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// floodTarget is a server at the other end of a link.
type floodTarget struct {
	*process
	address netip.AddrPort
	link    string // as it is called there
}

// start starts the server and waits for its first right answer.
func (n *floodNetwork) start(ctx context.Context, limits bool) (*floodTarget, error) {
	n.links++
	us, there := fmt.Sprintf("10.255.%d.1", n.links), fmt.Sprintf("10.255.%d.2", n.links)
	rate := 0
	if limits {
		rate = 200 // the default
	}
	file := filepath.Join(n.shared.directory, "mirrorpool.yaml")
	text := fmt.Sprintf(floodConfiguration, n.site.remote, n.site.state, there, rate, there, there, n.site.overrides)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	cmd := exec.Command("unshare", "--net", "--", "sh", "-c", floodServer, "sh", n.shared.program, "serve", "--config", file)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	p, err := startProcess("the server", cmd, n.shared.cpus.server)
	if err != nil {
		return nil, err
	}
	t := &floodTarget{process: p, address: netip.AddrPortFrom(netip.MustParseAddr(there), 53), link: fmt.Sprintf("there%d", n.links)}
	if err := t.connect(ctx, fmt.Sprintf("here%d", n.links), us, in); err != nil {
		t.stop()
		return nil, err
	}
	question, err := load.NewQuestion(floodName, 16, load.Form{EDNS: true})
	if err != nil {
		t.stop()
		return nil, err
	}
	question.Records = 1
	if err := waitUntilRight(ctx, n.shared.startWithin, p, &server{name: p.name, records: 1}, []load.Question{question}, t.address.String(), false); err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

// connect makes the link and lets the server go on.
func (t *floodTarget) connect(ctx context.Context, here, us string, in io.WriteCloser) error {
	defer in.Close()
	for !strings.Contains(t.said.all(), "ready") {
		if err := t.hasEnded(); err != nil {
			return err
		}
		if !sleep(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	for _, line := range []string{
		fmt.Sprintf("link add %s address %s type veth peer name %s address %s netns %d", here, ourEnd, t.link, serverEnd, t.cmd.Process.Pid),
		fmt.Sprintf("address add %s/30 dev %s", us, here),
		fmt.Sprintf("link set %s up", here),
		fmt.Sprintf("neighbour replace %s lladdr %s dev %s nud permanent", t.address.Addr(), serverEnd, here),
	} {
		if err := ip(ctx, line); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(in, t.link, t.address.Addr(), us, ourEnd); err != nil {
		return fmt.Errorf("telling the server its address: %w", err)
	}
	return nil
}

// startResolver starts a resolver with an empty cache, and waits for a name that
// has to come from the server.
func (n *floodNetwork) startResolver(ctx context.Context, t *floodTarget) (*process, netip.AddrPort, error) {
	home, err := os.MkdirTemp(n.shared.directory, "resolver-")
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("making a directory: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	text := fmt.Sprintf(floodResolver, home, port, resolverAddress, zoneName, t.address.Addr())
	// The root is nowhere: nothing but the zone is looked for.
	hints := ". 3600000 IN NS ns.root.\nns.root. 3600000 IN A 127.0.0.254\n"
	file := filepath.Join(home, "unbound.conf")
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(filepath.Join(home, "root.hints"), []byte(hints), 0o600)); err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("writing the resolver's configuration: %w", err)
	}
	p, err := startProcess("unbound", exec.Command("unbound", "-d", "-c", file), n.shared.cpus.generator)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	for deadline := time.Now().Add(n.shared.startWithin); ; {
		first := honestClient{
			from: address.Addr(), server: address, name: func(int) string { return "ns1." + zoneName },
			rate: 1, duration: time.Second, patience: time.Second,
		}
		result, err := first.run(ctx)
		if err == nil && result.Answered == 1 {
			return p, address, nil
		}
		if err == nil {
			err = p.hasEnded()
		}
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("unbound gave no answer within %s: %s", n.shared.startWithin, p.said.last())
		}
		if err != nil {
			p.stop()
			return nil, netip.AddrPort{}, err
		}
	}
}

// trafficCount is what came to a server and went out, in bytes from the IP
// header on.
type trafficCount struct {
	PacketsIn  uint64 `json:"packets_in"`
	BytesIn    uint64 `json:"bytes_in"`
	PacketsOut uint64 `json:"packets_out"`
	BytesOut   uint64 `json:"bytes_out"`
	Read       uint64 `json:"read"`     // datagrams that the server has read
	Overflow   uint64 `json:"overflow"` // that its sockets had no room for
}

func (c trafficCount) since(before trafficCount) trafficCount {
	return trafficCount{
		c.PacketsIn - before.PacketsIn, c.BytesIn - before.BytesIn, c.PacketsOut - before.PacketsOut,
		c.BytesOut - before.BytesOut, c.Read - before.Read, c.Overflow - before.Overflow,
	}
}

// traffic reads the counters of the server's network.
func (t *floodTarget) traffic() (trafficCount, error) {
	directory := filepath.Join("/proc", strconv.Itoa(t.cmd.Process.Pid), "net")
	links, err := os.ReadFile(filepath.Join(directory, "dev"))
	if err != nil {
		return trafficCount{}, fmt.Errorf("reading the link's counters: %w", err)
	}
	protocols, err := os.ReadFile(filepath.Join(directory, "snmp"))
	if err != nil {
		return trafficCount{}, fmt.Errorf("reading the sockets' counters: %w", err)
	}
	return parseTraffic(string(links), string(protocols), t.link)
}

// parseTraffic reads /proc/net/dev and /proc/net/snmp.
func parseTraffic(links, protocols, link string) (c trafficCount, err error) {
	number := func(fields []string, i int) uint64 {
		if i >= len(fields) {
			err = fmt.Errorf("reading the network's counters: found %q, expected more numbers", fields)
			return 0
		}
		n, failed := strconv.ParseUint(fields[i], 10, 64)
		if failed != nil {
			err = fmt.Errorf("reading the network's counters: %w", failed)
		}
		return n
	}
	found := 0
	for line := range strings.Lines(links) {
		if name, rest, _ := strings.Cut(strings.TrimSpace(line), ":"); name == link {
			fields := strings.Fields(rest)
			found++
			c.PacketsIn, c.PacketsOut = number(fields, 1), number(fields, 9)
			c.BytesIn, c.BytesOut = number(fields, 0)-frameHeader*c.PacketsIn, number(fields, 8)-frameHeader*c.PacketsOut
		}
	}
	for line := range strings.Lines(protocols) {
		if rest, is := strings.CutPrefix(line, "Udp: "); is && !strings.HasPrefix(rest, "In") {
			fields := strings.Fields(rest)
			found++
			c.Read, c.Overflow = number(fields, 0), number(fields, 4)
		}
	}
	if err == nil && found != 2 {
		err = fmt.Errorf("reading the network's counters: no link %s, or no line of UDP", link)
	}
	return c, err
}

// counted sums the server's own metrics: answers over the rate limit, and
// questions over TCP.
func (t *floodTarget) counted(ctx context.Context) (limited, tcp float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:8053/metrics", t.address.Addr()), nil)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the metrics: %w", err)
	}
	return sumMetric(string(text), "mirrorpool_dns_rate_limited_total{", ""),
		sumMetric(string(text), "mirrorpool_dns_queries_total{", `transport="tcp"`), nil
}

// sumMetric adds up the lines of a metric that have a label.
func sumMetric(text, name, label string) (sum float64) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); strings.HasPrefix(line, name) && strings.Contains(line, label) && len(fields) > 1 {
			if value, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
				sum += value
			}
		}
	}
	return sum
}
