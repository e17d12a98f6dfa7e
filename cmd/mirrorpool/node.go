package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	programmetrics "github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"mirrorpool/dnsserver/notify"
	"mirrorpool/gitsource"
	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/health/history"
	"mirrorpool/zones"
	"mirrorpool/zones/journal"
)

// node is one running server: the wiring of all packages.
type node struct {
	configPath string
	config     atomic.Pointer[config] // swapped by reload
	logger     zerolog.Logger
	logOutput  *logOutput
	started    time.Time
	workers    int    // that answer DNS questions at each address, fixed for good
	whenReady  func() // called once, when the first table is served

	registry   *prometheus.Registry
	stages     *stages
	state      *stateDir
	prober     *health.Prober
	urls       *urlResolver // of mirrors
	hosts      *hosts
	history    *history.History
	journal    *journal.Journal
	compiler   *compiler
	keys       *keys
	rollovers  *rollovers
	signer     *zones.Signer
	clock      *signingClock
	notifier   *notify.Notifier
	publishing *publishing
	alerts     *alerting
	sweeper    *sweeper
	words      *words
	geo        atomic.Pointer[geography]
	source     atomic.Pointer[gitsource.Source]

	dns, redirect, admin *service
	following            *follower // started and replaced by run alone
	failed               chan error
	reloads              chan chan error
	cookiesChanged       chan struct{} // there are secrets that the name server does not have yet
	// transferKeysChanged: there are TSIG keys that it does not have yet.
	transferKeysChanged chan struct{}
	stopping            chan struct{} // closed when reloads are not taken any more
	// awaiting says what /healthz waits for.
	awaiting atomic.Pointer[string]
	warnings atomic.Pointer[[]pool.Problem]    // of the commit that is served
	refused  atomic.Pointer[gitsource.Refused] // the last one that was told of
}

// newNode opens everything that has to work from the start, and binds every
// address. Its errors are the operator's to mend.
func newNode(path string, config *config, out io.Writer) (*node, error) {
	logger, output := newLogger(out, config.Log)
	n := &node{
		configPath: path, logger: logger, logOutput: output, started: time.Now(),
		registry: prometheus.NewRegistry(), stages: newStages(time.Now), sweeper: newSweeper(),
		failed: make(chan error, 8), reloads: make(chan chan error), stopping: make(chan struct{}),
		cookiesChanged: make(chan struct{}, 1), transferKeysChanged: make(chan struct{}, 1),
		whenReady: func() {}, workers: runtime.GOMAXPROCS(0),
	}
	n.config.Store(config)
	n.await("the first commit")
	n.warnUnused(config)
	n.warnFiles(config)
	var err error
	if n.state, err = openStateDir(config.StateDir); err != nil {
		return nil, err
	}
	if err := n.open(config); err != nil {
		n.stopListeners()
		return nil, errors.Join(err, n.state.close())
	}
	return n, nil
}

// open does the part of newNode that has something to let go if it fails.
func (n *node) open(config *config) error {
	if err := n.openGeo(config); err != nil {
		return err
	}
	if err := n.openCookies(config); err != nil {
		return err
	}
	if err := n.openCertificate(config); err != nil {
		return err
	}
	if err := n.openTransferKeys(config); err != nil {
		return err
	}
	n.keys, n.signer = newKeys(n.logger, n.stages), zones.NewSigner()
	if err := n.keys.use(config.keysSettings()); err != nil {
		return err
	}
	n.notifier = newNotifier(n.logger)
	n.notifier.Set(config.secondaries())
	n.clock = newSigningClock(n.logger, n.stages, n.state, n.keys.latest())
	n.keys.clock = n.clock
	n.openRollovers()
	source, err := n.openSource(config)
	if err != nil {
		return err
	}
	n.source.Store(source)
	n.urls = newURLResolver(config.Health.Resolver)
	n.prober = health.NewProber(health.Config{
		UserAgent: "mirrorpool/" + programVersion(), Resolver: n.urls,
		Observe: n.observed,
	})
	n.prober.SetPrograms(config.Health.programs())
	n.useHealthPace(config)
	n.restoreHealth()
	n.openHosts(config)
	n.words = openWords(n.logger, n.stages, n.state)
	n.openJournal()
	n.openHistory()
	if n.compiler, err = n.newCompiler(config); err != nil {
		return err
	}
	if err := n.openPublishing(config); err != nil {
		return err
	}
	if err := n.openAlerting(config); err != nil {
		return err
	}
	if err := n.registerCollectors(); err != nil {
		return err
	}
	return n.startListeners(config)
}

func (n *node) await(what string) { n.awaiting.Store(&what) }

func (n *node) warnUnused(config *config) {
	for _, key := range config.unused {
		n.logger.Warn().Str("key", key.key).Msg(key.String())
	}
}

func (n *node) openGeo(config *config) error {
	geography, fatal, without := openGeography(config.Geo.files())
	if fatal != nil {
		return fatal
	}
	if without != nil {
		n.stages.fail(stageGeo, without)
		n.logger.Error().Err(without).Str("stage", string(stageGeo)).
			Msg("serving with country data alone until the configured files can be read")
	}
	n.geo.Store(geography)
	return nil
}

func (n *node) openSource(config *config) (*gitsource.Source, error) {
	return gitsource.Open(config.source(n.sourceLooked))
}

func (n *node) restoreHealth() {
	data, err := n.state.read(healthFile)
	if err == nil && data != nil {
		err = n.prober.Restore(data)
	}
	if err != nil {
		n.logger.Warn().Err(err).Str("stage", string(stageHealth)).Msg("health starts from a first round of probes")
	}
}

func (n *node) newCompiler(config *config) (*compiler, error) {
	c := &compiler{
		logger: n.logger, stages: n.stages, state: n.state, prober: n.prober,
		geo: func() *geo.Map { return n.geo.Load().current() }, now: time.Now,
		requests: make(chan compileRequest), geoChanged: make(chan struct{}, 1),
		journal: n.journal, transitions: transitions{logger: n.logger}, freezes: freezes{logger: n.logger, stages: n.stages, mark: n.markFreeze},
		published: func() {
			n.publishing.Changed()
			n.rollovers.tableServed()
			n.words.tableServed()
			n.alerts.tableServed()
		},
		keys: n.keys, signer: n.signer, notifier: n.notifier, words: n.words,
	}
	n.words.table = c.table.Load
	n.words.mark = n.markWord
	n.words.serve = func(ctx context.Context) error { return c.serve(ctx, nil) }
	c.readSerials()
	c.readLastGood()
	addresses, err := selfAddresses(config.HTTP.Listen)
	if err != nil {
		return nil, err
	}
	c.selfAddresses.Store(&addresses)
	c.transfer.Store(config.transferWish())
	return c, nil
}

func (n *node) registerCollectors() error {
	all := []prometheus.Collector{
		n.stages.failures, certificateExpiry{n}, signatureExpiry{n}, rolloverSteps{n.rollovers}, notifyMetrics{n.notifier}, journalMetrics{n.journal}, hostnamesMetrics{n.hosts.resolver}, programmetrics.NewGoCollector(), programmetrics.NewProcessCollector(programmetrics.ProcessCollectorOpts{}),
	}
	all = append(all, n.publishing.Collectors()...)
	all = append(all, n.alerts.Collectors()...)
	all = append(all, n.history.Collectors()...)
	for _, collector := range append(all, n.prober.Collectors()...) {
		if err := n.registry.Register(collector); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// run serves until ctx ends, then stops in order: first what takes questions,
// then what feeds it, the status page last.
func (n *node) run(ctx context.Context, hangups <-chan os.Signal) error {
	defer func() {
		if err := n.state.close(); err != nil {
			n.logger.Error().Err(err).Msg("closing state_dir")
		}
	}()
	work, stopWork := context.WithCancel(context.Background())
	defer stopWork()
	var workers sync.WaitGroup
	workers.Go(func() {
		stepBack()
		n.compiler.run(work)
	})
	workers.Go(func() { n.probe(work) })
	workers.Go(func() { n.hosts.resolver.Run(work) })
	workers.Go(func() { n.followHosts(work) })
	workers.Go(func() {
		stepBack()
		n.geoFollow(work)
	})
	workers.Go(func() { n.cookiesFollow(work) })
	workers.Go(func() { n.certificateFollow(work) })
	workers.Go(func() { n.transferKeysFollow(work) })
	workers.Go(func() { n.keysFollow(work) })
	workers.Go(func() { n.clockFollow(work) })
	workers.Go(func() { n.rollovers.run(work) })
	workers.Go(func() { n.rollovers.followParents(work) })
	workers.Go(func() {
		stepBack()
		n.signer.Run(work)
	})
	workers.Go(func() { n.notifier.Run(work) })
	workers.Go(func() { n.publishing.Run(work) })
	workers.Go(func() { n.publishing.followKeys(work) })
	workers.Go(func() { n.alerts.Run(work) })
	workers.Go(func() { n.alerts.follow(work) })
	workers.Go(func() { n.keepHealth(work) })
	workers.Go(func() {
		stepBack()
		n.history.Run(work)
	})
	workers.Go(func() { n.programsFollow(work) })
	workers.Go(func() { n.words.follow(work) })
	workers.Go(func() { n.sweeper.run(work) })
	n.sweeper.soon() // newNode has read the databases
	n.following = n.follow(work)
	n.logger.Info().Str("version", programVersion()).Str("repository", n.source.Load().Remote()).
		Strs("dns", n.config.Load().DNS.Listen).Strs("tls", n.config.Load().DNS.tlsListen()).Strs("http", n.config.Load().HTTP.Listen).
		Str("admin", n.config.Load().Admin.Listen).Msg("started")

	err := n.wait(ctx, work, hangups)

	n.logger.Info().Msg("stopping")
	close(n.stopping)
	var fronts sync.WaitGroup
	for _, stop := range []func(){n.dns.stop, n.redirect.stop, n.following.stop} {
		fronts.Go(stop)
	}
	fronts.Wait()
	stopWork()
	workers.Wait()
	n.compiler.close()
	n.saveHealth()
	n.hosts.keep()
	n.closeHistory()
	n.admin.stop()
	return err
}

// wait handles reloads until ctx ends or a listener fails.
func (n *node) wait(ctx, work context.Context, hangups <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.failed:
			return err
		case <-hangups:
			n.reload(work)
		case reply := <-n.reloads:
			reply <- n.reload(work)
		case <-n.cookiesChanged:
			n.useCookies()
		case <-n.transferKeysChanged:
			n.useTransferKeys()
		}
	}
}

func (n *node) probe(ctx context.Context) {
	if err := n.prober.Run(ctx); err != nil && ctx.Err() == nil {
		n.failed <- fmt.Errorf("health checks: %w", err)
	}
}

func (n *node) geoFollow(ctx context.Context) {
	for sleep(ctx, geographyInterval) {
		n.refreshGeo()
	}
}

func (n *node) refreshGeo() {
	changed, err := n.geo.Load().refresh()
	if err != nil {
		if n.stages.fail(stageGeo, err) {
			n.logger.Error().Err(err).Str("stage", string(stageGeo)).Msg("the geo data that was there goes on being used")
		}
	} else if n.stages.succeed(stageGeo) {
		n.logger.Info().Msg("the geo data can be read again")
	}
	// One file may be taken while another one is broken.
	if changed {
		n.logger.Info().Msg("geo data read")
		n.compiler.geographyChanged()
		n.sweeper.soon()
	}
}

func (n *node) keepHealth(ctx context.Context) {
	for sleep(ctx, keepInterval) {
		n.saveHealth()
	}
}

func (n *node) saveHealth() {
	data, err := n.prober.Save()
	if err == nil {
		err = n.state.write(healthFile, data)
	}
	if err == nil {
		n.stages.succeed(stageHealth)
		return
	}
	if n.stages.fail(stageHealth, err) {
		n.logger.Error().Err(err).Str("stage", string(stageHealth)).Msg("health is not kept for the next start: trying again")
	}
}
