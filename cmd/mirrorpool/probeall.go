package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// treeConcurrency is how many mirrors of a working tree are asked at the same time.
const treeConcurrency = 16

// treeResolving is how long a member's host name may take to resolve.
const treeResolving = 10 * time.Second

// treeMirror is one address of a member, or a mirror, of a working tree.
type treeMirror struct {
	pool, member    string // of a DNS pool
	host, urlPrefix string // of a redirect host
	weight          uint32
	certificate     time.Duration // before its end a flag is raised
	address         netip.Addr    // of the member; the zero Addr: its host name has none
	unresolved      string        // why that is so
	targets         []health.Target
	found           mirrorFound
}

// name is what the mirror is called in the table.
func (m *treeMirror) name() string {
	if m.urlPrefix != "" {
		return m.urlPrefix
	}
	if !m.address.IsValid() {
		return m.pool + " " + m.member
	}
	return m.pool + " " + m.member + " " + m.address.String()
}

// label is what flags call it.
func (m *treeMirror) label() string {
	if m.address.IsValid() {
		return m.address.String()
	}
	return m.name()
}

// probeTree asks every mirror of a working tree.
func probeTree(command *cobra.Command, o probeOptions, with asking) error {
	definition, err := treeDefinition(command, o.all)
	if err != nil {
		return err
	}
	ctx, start := command.Context(), time.Now()
	names := newTreeNames(ctx, with.resolver, definition)
	mirrors := treeMirrors(definition, names.addresses, o.fast)
	progress := newProgress(command.ErrOrStderr(), len(mirrors), o.json)
	askTree(ctx, with.prober(with.resolver), mirrors, progress)
	progress.end()
	now := time.Now()
	for _, m := range mirrors {
		m.judge(now)
	}
	tree := treeFound{directory: o.all, mirrors: mirrors, took: time.Since(start)}
	out := command.OutOrStdout()
	if o.json {
		err = printJSON(out, tree.report())
	} else {
		err = tree.print(out)
	}
	if err != nil {
		return err
	}
	if tree.verdict() != probeGood || o.strict && tree.flagged() > 0 {
		return errNo
	}
	return nil
}

// treeDefinition reads a working tree. Zones do not matter here.
func treeDefinition(command *cobra.Command, directory string) (*pool.Definition, error) {
	if err := isDirectory(directory); err != nil {
		return nil, err
	}
	var definition *pool.Definition
	var problems []pool.Problem
	err := guarded("reading the working tree", func() error {
		definition, problems = pool.Parse(os.DirFS(directory))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if definition == nil {
		for _, problem := range problems {
			if problem.Severity == pool.Error {
				fmt.Fprintln(command.ErrOrStderr(), problem)
			}
		}
		return nil, usageError{fmt.Errorf("probe: %s would be refused: mirrorpool check tells why", directory)}
	}
	return definition, nil
}

// treeNames are the addresses of members that are given by host name.
type treeNames struct {
	ctx      context.Context
	resolver health.Resolver
	hosts    map[string]pool.HostName
	known    map[string]*treeName
}

type treeName struct {
	addresses []netip.Addr
	mistake   string // why there is none
	cut       bool   // Ctrl-C came before it was known
}

// newTreeNames resolves all host names, several at the same time.
func newTreeNames(ctx context.Context, resolver health.Resolver, definition *pool.Definition) treeNames {
	n := treeNames{ctx: ctx, resolver: resolver, hosts: map[string]pool.HostName{}, known: map[string]*treeName{}}
	for _, host := range definition.HostNames() {
		n.hosts[host.Name] = host
	}
	var workers sync.WaitGroup
	places := make(chan struct{}, treeConcurrency)
	for _, p := range definition.Pools {
		for _, member := range p.Members {
			name := member.HostName
			if name == "" || n.known[name] != nil {
				continue
			}
			found := new(treeName)
			n.known[name] = found
			workers.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				*found = n.find(name)
			})
		}
	}
	workers.Wait()
	return n
}

// addresses are those of a member, or why its name has none.
func (n treeNames) addresses(m *pool.Member) treeName {
	if m.HostName == "" {
		return treeName{addresses: m.Addresses}
	}
	return *n.known[m.HostName]
}

// find takes the addresses that a node would take.
func (n treeNames) find(name string) treeName {
	host, ok := n.hosts[name]
	if !ok {
		host.Name = name // of members of weight 0 alone
	}
	resolved := resolve(n.ctx, n.resolver, name, treeResolving)
	switch {
	case resolved.mistake == "":
	case n.ctx.Err() != nil:
		return treeName{cut: true} // it failed through us
	default:
		return treeName{mistake: "resolving " + name + ": " + resolved.mistake}
	}
	var found treeName
	for _, address := range resolved.addresses {
		if kind := host.Refuses(address); kind != "" {
			found.mistake = fmt.Sprintf("resolving %s: %s is not taken: %s", name, address, kind)
			continue
		}
		found.addresses = append(found.addresses, address)
	}
	return found
}

// treeMirrors lists what is to be asked, in the order of the tree.
func treeMirrors(definition *pool.Definition, addresses func(*pool.Member) treeName, fast bool) []*treeMirror {
	var all []*treeMirror
	for _, p := range definition.Pools {
		for _, member := range p.Members {
			one := treeMirror{pool: p.Name, member: member.ID, weight: member.Weight, certificate: p.Health.CertificateWarning}
			found := addresses(member)
			for _, address := range found.addresses {
				mirror := one
				mirror.address, mirror.targets = address, wantedTargets(health.MemberTargets(p, address), fast)
				all = append(all, &mirror)
			}
			if len(found.addresses) == 0 {
				one.unresolved, one.found.cut = found.mistake, found.cut
				all = append(all, &one)
			}
		}
	}
	for _, r := range definition.Redirects {
		if r.List == nil {
			continue
		}
		for _, mirror := range r.List.Mirrors {
			all = append(all, &treeMirror{
				host: r.Host, urlPrefix: mirror.URLPrefix, weight: mirror.Weight, certificate: r.Health.CertificateWarning,
				targets: wantedTargets(health.MirrorTargets(r, mirror), fast),
			})
		}
	}
	return all
}

// wantedTargets leaves out what is not checked, and what takes long.
func wantedTargets(all []health.Target, fast bool) []health.Target {
	return slices.DeleteFunc(all, func(t health.Target) bool {
		probe := t.Probe
		unchecked := probe.Kind == pool.CheckNone || probe.Kind == ""
		return unchecked || fast && (probe.Purpose == pool.PurposeThroughput || probe.Kind == pool.CheckRsync)
	})
}

// askTree asks all mirrors, each one thing after the other. What several mirrors share is
// asked once.
func askTree(ctx context.Context, prober *health.Prober, mirrors []*treeMirror, progress *progress) {
	var workers sync.WaitGroup
	shared := sharedProbes{prober: prober, made: map[health.Target]*sharedProbe{}}
	places := make(chan struct{}, treeConcurrency)
	for _, m := range mirrors {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			m.found.cut = true
			continue
		}
		workers.Go(func() {
			defer func() { <-places }()
			m.ask(ctx, &shared)
			progress.done(m)
		})
	}
	workers.Wait()
}

// ask makes the probes of one mirror.
func (m *treeMirror) ask(ctx context.Context, prober oneProber) {
	start := time.Now()
	for _, target := range m.targets {
		m.found.make(ctx, prober, probed{what: whatOf(target.Probe), label: m.label(), address: target.Address, target: target})
	}
	m.found.took = time.Since(start)
}

// sharedProbes makes each probe once, for all mirrors that want it: redirect hosts may
// have the same ones.
type sharedProbes struct {
	prober *health.Prober
	mutex  sync.Mutex
	made   map[health.Target]*sharedProbe
}

type sharedProbe struct {
	once   sync.Once
	result health.Result
}

// Probe is that of a health.Prober.
func (s *sharedProbes) Probe(ctx context.Context, t health.Target) health.Result {
	s.mutex.Lock()
	one := s.made[t]
	if one == nil {
		one = new(sharedProbe)
		s.made[t] = one
	}
	s.mutex.Unlock()
	one.once.Do(func() { one.result = s.prober.Probe(ctx, t) })
	return one.result
}

// whatOf is what a probe of a working tree is to find out.
func whatOf(p pool.Probe) string {
	switch {
	case p.Purpose != pool.PurposeAnswer:
		return string(p.Purpose)
	case p.Kind == pool.CheckRsync, p.Kind == pool.CheckExec:
		return string(p.Kind)
	}
	return asksAnswer
}

func (m *treeMirror) judge(now time.Time) {
	switch {
	case m.unresolved != "":
		m.found.verdict, m.found.reasons = probeBad, []string{m.unresolved}
	case len(m.targets) == 0 && !m.nameless():
		m.found.verdict = probeGood // no check, or none that --fast leaves
	default:
		m.found.judge(judging{now: now, certificate: m.certificate, alone: true})
	}
}

// nameless reports whether Ctrl-C came before it was known where the member is.
func (m *treeMirror) nameless() bool {
	return m.found.cut && m.urlPrefix == "" && !m.address.IsValid()
}

// failed reports whether a probe has failed already.
func (m *treeMirror) failed() bool {
	return m.unresolved != "" || slices.ContainsFunc(m.found.probes, func(p probed) bool {
		return p.judged() && p.result.Outcome != health.Success
	})
}
