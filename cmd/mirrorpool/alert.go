package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mirrorpool/admin"
	"mirrorpool/admin/alert"
	"mirrorpool/pool/health"
)

// alertsFile keeps what is wrong and what people were told of it.
const alertsFile = "alerts.json"

// alertsInterval is how often what is wrong is looked at, beside when a table is made,
// unless a test wants it sooner.
const alertsInterval = 5 * time.Second

// alertsPause is how long tables are left alone after one was looked at.
const alertsPause = 500 * time.Millisecond

// alerting is the node's part in telling people: it finds what is wrong, and says how the
// telling goes.
type alerting struct {
	*alert.Center
	node     *node
	evidence *evidence
	wake     chan struct{}   // another table is served
	warned   []string        // files of secrets that were warned of
	interval time.Duration   // from one look to the next
	began    time.Time       // this run
	found    map[string]bool // keys of stages that have failed in this run; follow alone uses it

	staging sync.Mutex // held while the stage is made of all that fails
	unkept  error      // why what was told is not kept; guarded by staging
}

// openAlerting reads what the last run kept, and the files that the configuration names.
func (n *node) openAlerting(config *config) error {
	ways, exposed, err := config.openAlerts()
	if err != nil {
		return err
	}
	kept, err := n.state.read(alertsFile)
	a := &alerting{
		node: n, evidence: newEvidence(), wake: make(chan struct{}, 1),
		interval: alertsInterval, began: time.Now(), found: map[string]bool{},
	}
	var unread error
	a.Center, unread = alert.New(alert.Config{
		Node: nodeName(), Kept: kept, Tell: a.told,
		Keep: func(data []byte) error { return n.state.write(alertsFile, data) },
	})
	if err = errors.Join(err, unread); err != nil {
		n.logger.Warn().Err(err).Str("stage", string(stageAlerts)).Msg("people are told again of what is wrong")
	}
	n.alerts = a
	a.warnExposed(exposed)
	return a.use(ways)
}

// use hands the ways of a configuration over.
func (a *alerting) use(ways []alert.Way) error {
	if err := a.Set(ways); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}

// useAlerts hands over the ways of a configuration that is taken. They were opened and
// seen to be good before.
func (n *node) useAlerts(ways []alert.Way, exposed []string) {
	n.alerts.warnExposed(exposed)
	if err := n.alerts.use(ways); err != nil {
		n.stages.fail(stageAlerts, err)
		n.logger.Error().Err(err).Str("stage", string(stageAlerts)).Msg("people are told as before")
		return
	}
	n.alerts.stage() // a way that has failed may be gone
}

func (a *alerting) warnExposed(exposed []string) {
	for _, path := range exposed {
		if !slices.Contains(a.warned, path) {
			a.node.logger.Warn().Str("file", path).Msg("every user of this machine may read or change this secret of alerts: chmod 640")
		}
	}
	a.warned = exposed
}

// tableServed is called for each table that is served. It does not wait.
func (a *alerting) tableServed() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// observed takes in a probe. It does not wait.
func (a *alerting) observed(o health.Observation) { a.evidence.observe(o) }

// follow looks at what is wrong until ctx ends.
func (a *alerting) follow(ctx context.Context) {
	ticker := time.NewTicker(a.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
			a.look(a.lookAtStates)
			// Where much changes, not each table is looked at.
			if !sleep(ctx, alertsPause) {
				return
			}
		case <-ticker.C:
			a.look(a.lookAtAll)
		}
	}
}

// look survives what it looks at: telling people must not end the server.
func (a *alerting) look(at func()) {
	err := guarded("looking for what people are to be told", func() error {
		at()
		return nil
	})
	if err != nil && a.node.stages.fail(stageAlerts, err) {
		a.node.logger.Error().Err(err).Str("stage", string(stageAlerts)).Msg("people may not be told of all that is wrong")
	}
}

// lookAtAll tells the Center of all that is wrong now.
func (a *alerting) lookAtAll() {
	a.lookAtStates()
	a.lookAtSource()
	a.lookAtStages()
	a.lookAtFreezes()
}

// told logs what has become of a message, and keeps the stage.
func (a *alerting) told(t alert.Told) {
	logger := a.node.logger.With().Str("way", t.Way).Str("subject", t.Subject).Logger()
	if t.Operator != "" {
		logger = logger.With().Str("to", t.Operator).Logger()
	}
	switch {
	case t.Way == "" && t.Err == nil:
		a.node.logger.Info().Msg("what people were told is kept again")
	case t.Way == "":
		a.node.logger.Error().Err(t.Err).Str("stage", string(stageAlerts)).Msg("after a restart people are told again")
	case t.Text != "":
		logger.Info().Str("text", t.Text).Msg("dry run: this message would be sent")
	case t.Err == nil:
		logger.Info().Msg("people were told")
	case t.Delivered:
		logger.Error().Err(t.Err).Str("stage", string(stageAlerts)).Msg("not everybody could be told")
	default:
		logger.Error().Err(t.Err).Str("stage", string(stageAlerts)).Msg("nobody could be told this way: trying again")
	}
	if t.Way == "" {
		a.staging.Lock()
		a.unkept = t.Err
		a.staging.Unlock()
	}
	a.stage()
}

// stage says what fails now, of all ways.
func (a *alerting) stage() {
	a.staging.Lock()
	defer a.staging.Unlock()
	var failing []string
	if a.unkept != nil {
		failing = append(failing, a.unkept.Error())
	}
	for _, way := range a.States() {
		if way.Err != nil {
			failing = append(failing, fmt.Sprintf("%s: %v", way.Name, way.Err))
		}
	}
	if len(failing) == 0 {
		a.node.stages.succeed(stageAlerts)
		return
	}
	a.node.stages.fail(stageAlerts, errors.New(strings.Join(failing, "; ")))
}

// status is what the admin listener shows of the ways.
func (a *alerting) status() []admin.AlertWay {
	var ways []admin.AlertWay
	for _, one := range a.States() {
		way := admin.AlertWay{Name: one.Name, DryRun: one.DryRun, Pending: one.Pending, Last: one.Last}
		if one.Err != nil {
			way.Error = one.Err.Error()
		}
		ways = append(ways, way)
	}
	return ways
}
