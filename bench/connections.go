//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mirrorpool/bench/crowd"
	"mirrorpool/bench/load"
)

const (
	// crowdSize is how many connections there are, and crowdRate how many
	// questions a second come over UDP meanwhile.
	crowdSize = 10000
	crowdRate = 5000
	// crowdPlaces is the server's limit of connections.
	crowdPlaces = 15000
	// crowdGathers is how long the crowd may take to come.
	crowdGathers = 2 * time.Minute
	// slower is by how much the slowest of a hundred answers may be later.
	slower = 2 * time.Millisecond
)

// crowdParts are the kinds of clients, in parts of 100.
var crowdParts = map[crowd.Kind]int{
	crowd.Silent: 49, crowd.Shaking: 1, crowd.Slow: 12, crowd.Deaf: 10, crowd.Vanishing: 10, crowd.Resetting: 3,
	crowd.Stalling: 3, crowd.Secure: 5, crowd.Honest: 7,
}

func connectionsCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	flags := newFlags("connections", errorOut)
	shared := sharedFlags{options: options{rate: crowdRate}, seconds: 20}
	shared.define(flags)
	size := flags.Int("connections", crowdSize, "`clients` that keep a connection each")
	if err := shared.parse(flags, arguments); err != nil {
		return err
	}
	if *size < 100 || *size > crowdPlaces {
		return usageError{fmt.Errorf("expected 100 to %d connections", crowdPlaces)}
	}
	b, err := shared.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	fmt.Fprintf(out, "%s\n%.0f questions a second over UDP for %s, alone and beside %d connections; %d places.\n",
		b.heading(), shared.rate, shared.duration, *size, crowdPlaces)
	missed := false
	for range shared.rounds {
		r, err := crowdQuietly(ctx, &shared, *size)
		if err != nil {
			return err
		}
		if err := r.write(out); err != nil {
			return fmt.Errorf("writing a result: %w", err)
		}
		if err := b.keep(r); err != nil {
			return err
		}
		missed = missed || r.missed()
	}
	if missed {
		fmt.Fprintf(out, "\nmissed: an answer was lost or wrong, an honest client got none, or one in a hundred was later by more than %s\n", slower)
		return errMissed
	}
	return nil
}

// crowded is a measurement without and with a crowd of connections.
type crowded struct {
	Without *measurement  `json:"without"`
	With    *measurement  `json:"with"`
	Crowd   *crowd.Result `json:"crowd"`
	// Open is how many connections the server had at the end, and Metrics what
	// else it counted of them.
	Open    float64            `json:"open"`
	Metrics map[string]float64 `json:"metrics"`
}

func (r *crowded) missed() bool {
	for _, m := range []*measurement{r.Without, r.With} {
		if m.Load.Lost > 0 || m.Load.WrongAnswers() > 0 {
			return true
		}
	}
	n := r.Crowd.Newcomers
	return r.With.Load.P99 > r.Without.Load.P99+slower || n.Came == 0 || n.Answered < n.Came
}

func (r *crowded) write(out io.Writer) error {
	var b bytes.Buffer
	microseconds := func(d time.Duration) float64 { return d.Seconds() * 1e6 }
	fmt.Fprintf(&b, "\n%-20s %9s %6s %9s %9s %9s %9s %8s %7s %6s %6s\n",
		"", "answered", "lost", "p50 us", "p99 us", "p99.9 us", "max us", "memory", "busy", "other", "steal")
	for _, one := range []struct {
		name string
		m    *measurement
	}{{"UDP alone", r.Without}, {fmt.Sprintf("and %.0f connections", r.Open), r.With}} {
		fmt.Fprintf(&b, "%-20s %9d %6d %9.0f %9.0f %9.0f %9.0f %5d MB %7.2f %6.2f %6.2f\n",
			one.name, one.m.Load.Answered, one.m.Load.Lost, microseconds(one.m.Load.P50), microseconds(one.m.Load.P99),
			microseconds(one.m.Load.P999), microseconds(one.m.Load.Max), one.m.Memory>>20, one.m.Busy, one.m.Other, one.m.Steal)
		for what, count := range one.m.Load.Wrong {
			fmt.Fprintf(&b, "%20s: %d wrong answers: %s\n", "", count, what)
		}
	}
	fmt.Fprintf(&b, "\n%-20s %9s %9s %9s %9s\n", "clients", "opened", "refused", "answers", "ended")
	for _, kind := range crowd.Kinds {
		if c, came := r.Crowd.Kinds[kind]; came {
			fmt.Fprintf(&b, "%-20s %9d %9d %9d %9d\n", kind, c.Opened, c.Refused, c.Answered, c.Ended)
		}
	}
	n := r.Crowd.Newcomers
	fmt.Fprintf(&b, "%-20s %9d %9d %9d  p50 %.0f us, p99 %.0f us, slowest %.0f us\n", "new and honest",
		n.Came, n.Came-n.Answered, n.Answered, microseconds(n.P50), microseconds(n.P99), microseconds(n.Slowest))
	for why, count := range n.Why {
		fmt.Fprintf(&b, "%20s: %d times: %s\n", "", count, why)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(&b, "%s %.0f\n", name, r.Metrics[name])
	}
	_, err := out.Write(b.Bytes())
	return err
}

// crowdQuietly measures again what missed while others disturbed it.
func crowdQuietly(ctx context.Context, shared *sharedFlags, size int) (last *crowded, err error) {
	for range shared.tries {
		if last, err = crowdOnce(ctx, shared, size); err != nil {
			return nil, err
		}
		if !last.missed() || last.Without.quiet(shared.noise) && last.With.Steal <= shared.noise {
			break
		}
	}
	return last, nil
}

// crowdOnce measures one server, alone and then with the crowd.
func crowdOnce(ctx context.Context, shared *sharedFlags, size int) (result *crowded, err error) {
	members, err := listenAsMembers(memberAddresses(5))
	if err != nil {
		return nil, err
	}
	defer members.close()
	content, err := ordinaryContent(members)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp(shared.directory, "site-")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	site, err := newSite(ctx, shared.program, directory, content)
	if err != nil {
		return nil, err
	}
	tlsPort, err := site.addTLS(directory)
	if err != nil {
		return nil, err
	}
	server := oursAsServer(oursName, site)
	questions, err := poolQuestions(4, 1, load.Form{})(server)
	if err != nil {
		return nil, err
	}
	if err := raiseFiles(); err != nil {
		return nil, err
	}
	r, err := shared.start(ctx, server, 0, questions, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	plan := load.Plan{
		Questions: questions, Sockets: sockets, Window: window, Rate: shared.rate,
		WarmUp: shared.warmUp, Duration: shared.duration, GiveUp: giveUp,
	}
	result = &crowded{}
	if result.Without, err = shared.load(ctx, r, plan); err != nil {
		return nil, err
	}
	gathered, err := gather(ctx, shared, crowd.Plan{
		Server: r.address, TLS: netip.AddrPortFrom(r.address.Addr(), uint16(tlsPort)),
		Question: questions[0].Packet, Clients: crowdOf(size),
	})
	if err != nil {
		return nil, err
	}
	defer gathered.stop()
	if result.With, err = shared.load(ctx, r, plan); err != nil {
		return nil, err
	}
	if result.Open, result.Metrics, err = site.connectionMetrics(ctx); err != nil {
		return nil, err
	}
	result.Crowd, err = gathered.end(ctx)
	return result, err
}

// crowdOf divides clients among the kinds.
func crowdOf(size int) map[crowd.Kind]int {
	clients := map[crowd.Kind]int{}
	for kind, part := range crowdParts {
		clients[kind] = size * part / 100
	}
	return clients
}

// addTLS makes a certificate and has the site serve DNS over TLS, with places for a
// crowd.
func (s *site) addTLS(directory string) (port int, err error) {
	if port, err = freePort(); err != nil {
		return 0, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: zoneName}, DNSNames: []string{zoneName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return 0, fmt.Errorf("making a certificate: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return 0, fmt.Errorf("making a key: %w", err)
	}
	chainFile, keyFile := filepath.Join(directory, "chain.pem"), filepath.Join(directory, "key.pem")
	for file, block := range map[string]*pem.Block{
		chainFile: {Type: "CERTIFICATE", Bytes: certificate}, keyFile: {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return 0, fmt.Errorf("writing the certificate: %w", err)
		}
	}
	s.dns = fmt.Sprintf("  tcp_connections: %d\n  tls: {listen: [\"127.0.0.1:%d\"], certificate: %q, key: %q}\n",
		crowdPlaces, port, chainFile, keyFile)
	return port, nil
}

// raiseFiles lets what this process starts have as many connections as there are
// places, where it may.
func raiseFiles() error {
	const needed = 2 * crowdPlaces
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("asking how many files may be open: %w", err)
	}
	if limit.Max < needed {
		limit.Max = needed
	}
	limit.Cur = limit.Max
	// Who may not raise it has what there is.
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	return nil
}

// connectionMetrics is what the server has counted of connections.
func (s *site) connectionMetrics(ctx context.Context) (open float64, all map[string]float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.adminPort), nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("reading the metrics: %w", err)
	}
	defer response.Body.Close()
	all = map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, text, found := strings.Cut(lines.Text(), " ")
		if !found || !strings.HasPrefix(name, "mirrorpool_dns_t") && !strings.HasPrefix(name, "mirrorpool_dns_socket") {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(text, &value); err == nil {
			all[name] = value
		}
	}
	return all["mirrorpool_dns_tcp_connections"], all, lines.Err()
}
