package main

import (
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stage is one step on the way from the repository to an answer. When a stage
// fails, what it gave last goes on being used.
type stage string

const (
	stageSource  stage = "source"      // looking at the remote and fetching
	stageCommit  stage = "commit"      // reading what was fetched
	stageCompile stage = "compile"     // making the table
	stageGeo     stage = "geo"         // reading databases
	stageKept    stage = "kept_commit" // keeping the last good commit, or reading it at the start
	stageSerials stage = "serials"     // keeping SOA serials
	stageJournal stage = "journal"     // keeping what changes from serial to serial
	stageCatalog stage = "catalog"     // listing the zones for secondaries
	stageHealth  stage = "health"      // keeping the health state
	stageHistory stage = "history"     // remembering what the checks have found
	stageCookies stage = "cookies"     // reading cookie secrets
	stageTLS     stage = "tls"         // reading the certificate for DNS over TLS
	stageTSIG    stage = "tsig"        // reading the TSIG keys of transfers
	stageKeys    stage = "keys"        // reading the keys that zones are signed with
	stageSigning stage = "signing"     // finding with what keys zones are signed
	stageClock   stage = "clock"       // judging the clock that signatures are made by
	// stageRollovers is keeping how far rollovers of keys have come.
	stageRollovers stage = "rollovers"
	stagePublish   stage = "publish" // keeping pools published at other primaries
	// stagePrograms is finding what checks of rsync and exec are made with.
	stagePrograms stage = "programs"
	stageConfig   stage = "config" // reading the configuration again
	// stagePublishKeys is reading the TSIG keys of what is published.
	stagePublishKeys stage = "publish_keys"
	stageProber      stage = "prober" // believing the health checks
	// stageAlerts is telling people what is wrong.
	stageAlerts stage = "alerts"
	// stageLastGood is keeping who was up when pools had enough members.
	stageLastGood stage = "last_good"
	// stageAdministrative is keeping what administrators have said of members.
	stageAdministrative stage = "administrative"
	// stageHostnames is resolving the host names of members, and keeping what they have.
	stageHostnames stage = "hostnames"
	// stageDisabled is having members left that are not disabled on this node.
	stageDisabled stage = "disabled"
	// stageAnswer is inside a listener. It is counted and never stale: the next
	// question is another one.
	stageAnswer stage = "answer"
)

// staleStages are those that can be stale, in their order.
var staleStages = []stage{stageSource, stageCommit, stageCompile, stageGeo, stageKept, stageSerials, stageLastGood, stageJournal, stageCatalog, stageHealth, stageHistory, stageProber, stageCookies, stageTLS, stageTSIG, stageKeys, stageSigning, stageClock, stageRollovers, stagePublish, stagePublishKeys, stageAlerts, stageAdministrative, stageDisabled, stagePrograms, stageHostnames, stageConfig}

// stageFailure tells since when a stage has given nothing new, and why.
type stageFailure struct {
	since time.Time
	err   error
}

// stages keeps what fails now. It is safe for concurrent use.
type stages struct {
	now      func() time.Time
	failures *prometheus.CounterVec

	mutex     sync.Mutex
	failing   map[stage]stageFailure
	hadFailed map[stage]bool // in this run, also those that succeed again
}

func newStages(now func() time.Time) *stages {
	s := &stages{
		now: now,
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_failures_total",
			Help: "Failures by the stage on the way from the repository to an answer.",
		}, []string{"stage"}),
		failing: map[stage]stageFailure{}, hadFailed: map[stage]bool{},
	}
	for _, one := range append([]stage{stageAnswer}, staleStages...) {
		s.failures.WithLabelValues(string(one))
	}
	return s
}

// count counts a failure after which nothing is stale.
func (s *stages) count(which stage) {
	s.failures.WithLabelValues(string(which)).Inc()
}

// fail counts a failure, and reports whether it is another one than the last.
// The time since which the stage is stale is that of the first failure in a row.
func (s *stages) fail(which stage, err error) (news bool) {
	s.count(which)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	since := s.now()
	before, failing := s.failing[which]
	if failing {
		since = before.since
	}
	s.failing[which], s.hadFailed[which] = stageFailure{since: since, err: err}, true
	return !failing || before.err.Error() != err.Error()
}

// succeed ends a row of failures and reports whether there was one.
func (s *stages) succeed(which stage) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, failing := s.failing[which]
	delete(s.failing, which)
	return failing
}

// hasFailed reports whether a stage fails, or did in this run.
func (s *stages) hasFailed(which stage) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.hadFailed[which]
}

// isFailing reports whether a stage fails now.
func (s *stages) isFailing(which stage) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, failing := s.failing[which]
	return failing
}

// namedFailure is a stage that fails now.
type namedFailure struct {
	stage stage
	stageFailure
}

func (s *stages) list() []namedFailure {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := make([]namedFailure, 0, len(s.failing))
	for which, failure := range s.failing {
		list = append(list, namedFailure{which, failure})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].stage < list[j].stage })
	return list
}
