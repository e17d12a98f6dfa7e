//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// site is what mirrorpool needs to run: a repository that it follows, targets
// to probe, and a state directory, which it keeps from one start to the next.
type site struct {
	program   string
	remote    string // a bare repository
	checkout  string
	state     string
	overrides string
	city      string // a city database; empty: the embedded country data
	logLevel  string
	poll      string // how often the remote is looked at
	dns       string // more lines of the section dns
	adminPort int    // of the last start
}

// repository is what is committed: files by their paths.
type repository map[string]string

// newSite makes the repository in an empty directory.
func newSite(ctx context.Context, program, directory string, content repository) (*site, error) {
	s := &site{
		program:   program,
		remote:    filepath.Join(directory, "mirrors.git"),
		checkout:  filepath.Join(directory, "mirrors"),
		state:     filepath.Join(directory, "state"),
		overrides: filepath.Join(directory, "nets.json"),
		logLevel:  "warn",
		// As nodes do. Each look at a directory on this machine starts git, which
		// would take its time from the same core.
		poll: "60s",
	}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("making the repository: %w; on Debian: apt-get install git", err)
	}
	if err := s.git(ctx, directory, "init", "--quiet", "--bare", "--initial-branch=main", s.remote); err != nil {
		return nil, err
	}
	if err := s.git(ctx, directory, "clone", "--quiet", s.remote, s.checkout); err != nil {
		return nil, err
	}
	if err := s.git(ctx, s.checkout, "checkout", "--quiet", "-B", "main"); err != nil {
		return nil, err
	}
	// The generator's address has a place, so that one is really looked up.
	if err := os.WriteFile(s.overrides, []byte(`{ "127.0.0.0/8": { "country": "JP" } }`), 0o600); err != nil {
		return nil, fmt.Errorf("writing the networks: %w", err)
	}
	return s, s.push(ctx, content)
}

// push commits files and pushes them.
func (s *site) push(ctx context.Context, content repository) error {
	for path, text := range content {
		file := filepath.Join(s.checkout, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return fmt.Errorf("writing the repository: %w", err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the repository: %w", err)
		}
	}
	for _, arguments := range [][]string{
		{"add", "--all"},
		{"-c", "user.name=Measurement", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "What is measured"},
		{"push", "--quiet", "origin", "main"},
	} {
		if err := s.git(ctx, s.checkout, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// git runs git apart from the user's own configuration.
func (s *site) git(ctx context.Context, directory string, arguments ...string) error {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = directory
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GIT_") })
	command.Env = append(environment, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// configuration is the node's file. Everything is on: metrics, health checks,
// and rate limiting, which exempts nobody and has a limit above what is asked.
const configuration = `git:
  url: %s
  branch: main
  poll: %s
state_dir: %s
dns:
  listen: ["127.0.0.1:%d"]
%s  rrl:
    responses_per_second: 100000000
    slip: 2
    exempt: []
http:
  listen: ["127.0.0.1:%d"]
admin:
  listen: 127.0.0.1:%d
geo:
  overrides: %s
%slog:
  level: %s
`

// command writes the node's configuration for a start and runs the ordinary
// server with it.
func (s *site) command(o startOptions) (*exec.Cmd, error) {
	httpPort, err := freePort()
	if err != nil {
		return nil, err
	}
	adminPort, err := freePort()
	if err != nil {
		return nil, err
	}
	s.adminPort = adminPort
	city := ""
	if s.city != "" {
		city = fmt.Sprintf("  city: %s\n", s.city)
	}
	file := filepath.Join(o.directory, "mirrorpool.yaml")
	text := fmt.Sprintf(configuration, s.remote, s.poll, s.state, o.port, s.dns, httpPort, adminPort, s.overrides, city, s.logLevel)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return exec.Command(s.program, "serve", "--config", file), nil
}

// probeInterval is how often each member is probed.
const probeInterval = 10 * time.Second

// Documents of the repository, as the program reads them.
type (
	poolsFile struct {
		Version int        `json:"version"`
		Pools   []poolText `json:"pools"`
	}
	poolText struct {
		Name    string       `json:"name"`
		TTL     int          `json:"ttl"`
		Answers int          `json:"answers"`
		Geo     geoText      `json:"geo"`
		Health  healthText   `json:"health"`
		Members []memberText `json:"members"`
	}
	geoText struct {
		Policy        string  `json:"policy"`
		MinCandidates int     `json:"min_candidates"`
		MaxShare      float64 `json:"max_share"`
	}
	healthText struct {
		Check     string `json:"check"`
		Path      string `json:"path,omitempty"`
		Port      int    `json:"port,omitempty"`
		Interval  string `json:"interval,omitempty"`
		Timeout   string `json:"timeout,omitempty"`
		DownAfter int    `json:"down_after,omitempty"`
		UpAfter   int    `json:"up_after,omitempty"`
	}
	memberText struct {
		ID        string            `json:"id"`
		Addresses []string          `json:"addresses"`
		Weight    int               `json:"weight"`
		Location  map[string]string `json:"location"`
		Exclude   map[string]any    `json:"exclude,omitempty"`
	}
)

// answersDrawn is how many of a pool's members an answer has.
const answersDrawn = 4

// Countries of members, in turn. Of the first five, four are in Europe: clients
// there get those four, all others five of which four are drawn; two countries
// are excluded by one member each.
var (
	memberCountries = []string{"DE", "FR", "NL", "SE", "US"}
	memberExcludes  = map[int]string{3: "CN", 4: "IR"}
	memberWeights   = []int{40, 20, 20, 10, 30}
)

// newPool describes a pool; addresses are its members'.
func newPool(name string, addresses []string, health healthText) poolText {
	p := poolText{
		Name: name, TTL: 60, Answers: answersDrawn, Health: health,
		Geo: geoText{Policy: "near", MinCandidates: answersDrawn, MaxShare: 0.5},
	}
	for i, address := range addresses {
		member := memberText{
			ID: fmt.Sprintf("m%d", i), Addresses: []string{address}, Weight: memberWeights[i%len(memberWeights)],
			Location: map[string]string{"country": memberCountries[i%len(memberCountries)]},
		}
		if country, excluded := memberExcludes[i]; excluded {
			member.Exclude = map[string]any{"countries": []string{country}}
		}
		p.Members = append(p.Members, member)
	}
	return p
}

// tcpHealth probes the runner's own listeners.
func tcpHealth(port int, interval time.Duration) healthText {
	return healthText{Check: "tcp", Port: port, Interval: interval.String(), Timeout: "1s", DownAfter: 1, UpAfter: 1}
}

// ourAAAA is the pool with IPv6 addresses. This machine has one IPv6 loopback
// address, so that its members cannot be probed and have a pool of their own;
// its name is as long as the other's.
const ourAAAA = "d6." + zoneName

// zoneText is the zone that peers have as well, with names made of the numbers
// from 0 in this form.
func zoneText(hosts int, form string) string {
	var b strings.Builder
	b.WriteString(`$ORIGIN example.test.
$TTL 3600
@ IN SOA ns1 hostmaster 1 7200 1800 1209600 60
@ IN NS ns1
@ IN NS ns2
ns1 IN A 127.0.0.1
ns2 IN A 127.0.0.1
`)
	for i := range hosts {
		address := i + 256 // from 127.0.1.0
		fmt.Fprintf(&b, form+" IN A 127.%d.%d.%d\n", i, address>>16, address>>8&0xff, address&0xff)
	}
	return b.String()
}

// ordinaryContent is the repository that is measured beside the peers.
func ordinaryContent(members *memberListeners) (repository, error) {
	return newContent([]poolText{
		newPool(poolName, members.addresses, tcpHealth(members.port, probeInterval)),
		newPool(ourAAAA, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"}, healthText{Check: "none"}),
	}, staticNames, hostForm)
}

// hostForm is how the peers' static names are made.
const hostForm = "host%d"

func newContent(pools []poolText, hosts int, form string) (repository, error) {
	text, err := json.MarshalIndent(poolsFile{Version: 1, Pools: pools}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the pools: %w", err)
	}
	return repository{"pools.json": string(text), "zones/" + zoneName + ".zone": zoneText(hosts, form)}, nil
}

// sign makes a key of the zone, so that the site serves it signed.
func (s *site) sign(ctx context.Context, directory string) error {
	output, err := exec.CommandContext(ctx, s.program, "keygen", zoneName, "--dir", directory).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making a key: %w: %s", err, strings.TrimSpace(string(output)))
	}
	s.dns += fmt.Sprintf("  dnssec_keys: %s\n", directory)
	return nil
}

// oursAsServer describes a site as one of the servers.
func oursAsServer(name string, s *site) *server {
	return &server{
		name: name, kind: "geo", records: answersDrawn, poolAAAA: ourAAAA, command: s.command,
		can: []string{"pool", "pool-edns", "subnet", "do", "static", "nxdomain", "tcp", "latency"},
	}
}

// programVersion asks the program for its version.
func programVersion(ctx context.Context, program string) (string, error) {
	output, err := exec.CommandContext(ctx, program, "version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w%s; build it with make build", program, err, errorOutput(err))
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(line), nil
}
