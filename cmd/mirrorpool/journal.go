package main

import (
	"errors"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/zones"
	"mirrorpool/zones/journal"
)

// journalDirectory is where, in state_dir, the differences between serials are kept.
const journalDirectory = "journal"

// openJournal reads what was kept for secondaries. What is missing costs them a whole
// transfer, and does not keep the node from starting. Where there are none it is nothing
// to tell of.
func (n *node) openJournal() {
	opened, err := journal.Open(n.state.file(journalDirectory), journal.Limits{})
	n.journal = opened
	if err != nil && n.config.Load().DNS.Transfer != nil {
		n.stages.fail(stageJournal, err)
		n.logger.Error().Err(err).Str("stage", string(stageJournal)).Msg("secondaries may get whole zones for differences")
	}
}

// transferWish is what the configuration has to do with secondaries.
type transferWish struct {
	record  bool   // there may be some
	catalog string // the name of the zone that lists the others; empty: none
	serials zones.SerialShare
}

func (c *config) transferWish() *transferWish {
	if c.DNS.Transfer == nil {
		return &transferWish{}
	}
	return &transferWish{record: true, catalog: c.DNS.Transfer.Catalog, serials: c.DNS.Transfer.serials}
}

// record notes, before a table is served, what it changes in its zones.
func (c *compiler) record(table *zones.Table) {
	if err := table.CatalogProblem(); err == nil {
		c.stages.succeed(stageCatalog)
	} else if c.stages.fail(stageCatalog, err) {
		c.logger.Error().Err(err).Str("stage", string(stageCatalog)).Msg("secondaries get no catalog zone")
	}
	if !c.transfer.Load().record {
		return
	}
	serials := table.Serials()
	var problems []error
	for _, apex := range slices.Sorted(maps.Keys(serials)) {
		if version := table.Version(apex); version != nil {
			problems = append(problems, c.journal.Record(version))
		}
	}
	problems = append(problems, c.journal.Retain(func(apex string) bool {
		_, served := serials[apex]
		return served
	}))
	c.recorded = errors.Join(problems...)
}

// flushJournal writes down what did not have to be before the table was served, and
// says whether all is. Where nobody is to get differences, nothing fails.
func (c *compiler) flushJournal(write func() error) {
	if !c.transfer.Load().record {
		c.recorded = nil
		c.stages.succeed(stageJournal)
		return
	}
	if c.recorded == nil {
		c.recorded = write()
	}
	if c.recorded == nil {
		c.stages.succeed(stageJournal)
	} else if c.stages.fail(stageJournal, c.recorded) {
		c.logger.Error().Err(c.recorded).Str("stage", string(stageJournal)).
			Msg("what changes is kept in memory alone, and secondaries get whole zones after a restart: trying again")
	}
}

// retryJournal tries again to write what could not be written.
func (c *compiler) retryJournal() {
	if c.recorded != nil {
		c.recorded = nil
		c.flushJournal(c.journal.Retry)
	}
}

// journalMetrics are the metrics of the journal.
type journalMetrics struct{ journal *journal.Journal }

var (
	journalDifferences = prometheus.NewDesc("mirrorpool_journal_differences",
		"Differences between serials of zones that are kept for secondaries.", nil, nil)
	journalBytes = prometheus.NewDesc("mirrorpool_journal_bytes",
		"Bytes that the differences kept for secondaries take, in memory; on disk it may be twice as many, and the zones' content.", nil, nil)
)

// Describe is prometheus.Collector's.
func (journalMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- journalDifferences
	to <- journalBytes
}

// Collect is prometheus.Collector's.
func (m journalMetrics) Collect(to chan<- prometheus.Metric) {
	differences, bytes := m.journal.Size()
	to <- prometheus.MustNewConstMetric(journalDifferences, prometheus.GaugeValue, float64(differences))
	to <- prometheus.MustNewConstMetric(journalBytes, prometheus.GaugeValue, float64(bytes))
}
