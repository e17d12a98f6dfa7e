package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mirrorpool/admin"
	"mirrorpool/admin/alert"
	"mirrorpool/pool"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

// standings are those of all members and mirrors: what is wrong, and what is known of
// the others.
type standings struct {
	states, flags []alert.Event
	now           time.Time
	report        *health.Report
	evidence      *evidence
	// verdicts are those of everything, by the event's key; words what to say of one that
	// is well.
	verdicts map[string]health.Verdict
	words    map[string]string
	// members are those that clients may be given, by the pool or redirect host and the id.
	members map[string]watchedMember
}

// lookAtStates tells of members and mirrors that are down, and of what is about to be
// wrong with them.
func (a *alerting) lookAtStates() {
	table := a.node.compiler.table.Load()
	if table == nil {
		return
	}
	s := &standings{
		now: time.Now(), report: a.node.prober.Report(), evidence: a.evidence,
		verdicts: map[string]health.Verdict{}, words: map[string]string{}, members: map[string]watchedMember{},
	}
	s.addPools(table)
	s.addHosts(table)
	s.addFlags(a.node.history.Flags())
	remembered := !a.node.stages.isFailing(stageHistory)
	a.Settle(alert.State, s.states, func(key string) (string, bool) {
		verdict, there := s.verdicts[key]
		if !there {
			return "is not asked any more: the repository does not name it, or it is disabled", true
		}
		return s.words[key], verdict == health.Up
	})
	a.Settle(alert.Flag, s.flags, func(key string) (string, bool) {
		if of, is := strings.CutPrefix(key, "flag "); is {
			words, over := s.flagOver(of)
			return words, over && remembered
		}
		verdict, there := s.verdicts["state "+strings.TrimPrefix(key, "certificate ")]
		if !there {
			return "is not asked any more", true
		}
		return "has a certificate that lasts", verdict == health.Up
	})
	a.evidence.keepOnly(s.report)
}

// watchedMember is an address of a pool's member, or a redirect host's mirror.
type watchedMember struct {
	key, subject, mirror, operator, pool string
	id                                   string // within the pool or redirect host
	check                                *pool.Check
	targets                              []health.Target
	state                                health.State
	details                              map[string]string
}

func (s *standings) addPools(table *zones.Table) {
	defined := map[string]*pool.Pool{}
	for _, one := range table.Definition.Pools {
		defined[one.Name] = one
	}
	for _, described := range table.Pools(nil) {
		of := defined[described.Name]
		if of == nil {
			continue
		}
		s.addFallenPool(described)
		for _, member := range described.Members {
			at := slices.IndexFunc(of.Members, func(m *pool.Member) bool { return m.ID == member.ID })
			if at < 0 || member.Weight == 0 || silenced(member.Word) {
				continue
			}
			mirror := cmp.Or(member.Mirror, of.Members[at].HostName, member.ID)
			for _, address := range member.Addresses {
				s.add(watchedMember{
					key:     strings.Join([]string{"state", of.Name, member.ID, address.Address.String()}, " "),
					subject: fmt.Sprintf("member %s of %s at %s", member.ID, of.Name, address.Address),
					mirror:  mirror, operator: of.Members[at].Email, pool: of.Name, id: member.ID, check: &of.Health,
					targets: health.MemberTargets(of, address.Address), state: address.State,
					details: map[string]string{"pool": of.Name, "member": member.ID, "mirror": member.Mirror, "address": address.Address.String()},
				})
			}
		}
	}
}

func (s *standings) addHosts(table *zones.Table) {
	defined := map[string]*pool.Redirect{}
	for _, one := range table.Definition.Redirects {
		defined[one.Host] = one
	}
	for _, described := range table.Hosts(nil) {
		of := defined[described.Host]
		if of == nil {
			continue
		}
		s.addFallenHost(described)
		for i, mirror := range described.Mirrors {
			if i >= len(of.List.Mirrors) || mirror.Weight == 0 || silenced(mirror.Word) {
				continue
			}
			entry := of.List.Mirrors[i] // in their order
			s.add(watchedMember{
				key:     strings.Join([]string{"state", of.Host, mirror.URLPrefix}, " "),
				subject: fmt.Sprintf("mirror %s of %s", mirror.URLPrefix, of.Host),
				mirror:  mirror.URLPrefix, operator: entry.Email, pool: of.Host, id: mirror.URLPrefix, check: &of.Health,
				targets: health.MirrorTargets(of, entry), state: mirror.State,
				details: map[string]string{"host": of.Host, "mirror": mirror.URLPrefix},
			})
		}
	}
}

func (s *standings) add(m watchedMember) {
	s.verdicts[m.key] = m.state.Verdict
	s.words[m.key] = "is up again: " + m.state.Reason
	s.members[m.pool+" "+m.id] = m
	if m.state.Verdict == health.Down {
		m.details["reason"] = m.state.Reason
		s.states = append(s.states, m.event(alert.State, m.key, m.state.Since, "is down: "+m.state.Reason, s.evidenceOf(m)))
	}
	s.addCertificate(m)
}

func (m *watchedMember) event(kind alert.Kind, key string, begin time.Time, words string, evidence []string) alert.Event {
	return alert.Event{
		Key: key, Kind: kind, Severity: alert.Warning, Begin: begin, Pools: []string{m.pool}, Subject: m.subject, Words: words,
		Details: m.details, Evidence: evidence, Operator: m.operator, Mirror: m.mirror,
	}
}

// evidenceOf is what was seen of those targets that are down.
func (s *standings) evidenceOf(m watchedMember) []string {
	var lines []string
	for _, target := range m.targets {
		if state := s.report.State(target); state.Verdict == health.Down {
			lines = append(lines, s.evidence.lines(target, state)...)
		}
	}
	return lines
}

// addCertificate raises a flag where the certificate of what is up is near its end. Of
// what is down for it the state tells.
func (s *standings) addCertificate(m watchedMember) {
	end := m.state.CertificateExpiry
	left := end.Sub(s.now)
	if end.IsZero() || m.check.CertificateWarning <= 0 || left > m.check.CertificateWarning || m.state.Verdict != health.Up {
		return
	}
	begin := end.Add(-m.check.CertificateWarning)
	words := fmt.Sprintf("has a certificate that ends on %s", end.UTC().Format("2006-01-02 15:04 UTC"))
	if m.state.CertificateExpiry.Before(s.now) {
		words = fmt.Sprintf("has a certificate that ended on %s", end.UTC().Format("2006-01-02 15:04 UTC"))
	}
	s.flags = append(s.flags, m.event(alert.Flag, "certificate "+strings.TrimPrefix(m.key, "state "), begin, words,
		[]string{"asked: " + question(m.targets[0])}))
}

// lookAtSource tells of a commit that is refused, and of a repository that cannot be
// followed.
func (a *alerting) lookAtSource() {
	source := a.node.source.Load()
	status := source.Status()
	var commits, stale []alert.Event
	if commit := status.Refused.Commit; commit != "" && status.Refused.Error != nil {
		commits = append(commits, refusedEvent(commit, status.Refused.Time, status.Refused.Error, a.node.meanwhile()))
	}
	if !status.FailingSince.IsZero() {
		stale = append(stale, alert.Event{
			Key: "source", Severity: alert.Error, Begin: status.FailingSince,
			Subject: "the repository " + source.Remote(), Words: "cannot be followed: " + status.LastError + "; " + a.node.meanwhile(),
			Details: map[string]string{"error": status.LastError},
		})
	}
	a.Settle(alert.Commit, commits, func(key string) (string, bool) {
		commit := strings.TrimPrefix(key, "commit ")
		// Before the remote has told its head in this run, and until that is fetched and
		// judged anew, nothing is known of a commit that an earlier run has refused.
		is := status.Head != "" && (status.Head != commit || status.Good.Commit == commit)
		return "is no problem any more: a good commit is served, or another one has taken its place", is
	})
	a.Settle(alert.Stale, stale, func(string) (string, bool) { return "can be followed again", !status.LastSuccess.IsZero() })
}

// maxRefusedLines is how many problems of a commit are told.
const maxRefusedLines = 20

func refusedEvent(commit string, at time.Time, err error, meanwhile string) alert.Event {
	event := alert.Event{
		Key: "commit " + commit, Severity: alert.Error, Begin: at,
		Subject: "commit " + commit[:min(len(commit), 12)], Words: "is refused: " + err.Error() + "; " + meanwhile,
		Details: map[string]string{"commit": commit},
	}
	refused, is := errors.AsType[*refusal](err)
	if !is {
		return event
	}
	if refused.author != "" {
		event.Details["author"] = refused.author
		event.Evidence = append(event.Evidence, "author: "+refused.author)
	}
	for _, problem := range refused.problems {
		if problem.Severity == pool.Error && len(event.Evidence) < maxRefusedLines {
			event.Evidence = append(event.Evidence, problem.String())
		}
	}
	first, more, _ := strings.Cut(strings.TrimPrefix(err.Error(), "commit "+commit+" is refused: "), "\n")
	if more != "" {
		first += " ..."
	}
	event.Words = "is refused: " + first + "; " + meanwhile
	return event
}

// lookAtStages tells of parts of the program that fail, of secondaries that are silent,
// and of zones whose keys somebody has to see to.
func (a *alerting) lookAtStages() {
	table := a.node.compiler.table.Load()
	var events []alert.Event
	for _, one := range a.node.stages.list() {
		switch one.stage {
		case stageSource, stageCommit, stageProber:
			continue // they are told of by themselves
		}
		events = append(events, alert.Event{
			Key: "stage " + string(one.stage), Severity: alert.Error, Begin: one.since,
			Subject: "stage " + string(one.stage), Words: "fails: " + one.err.Error(),
			Details: map[string]string{"stage": string(one.stage)},
		})
	}
	for _, one := range a.node.notifier.States() {
		if one.Silent {
			events = append(events, alert.Event{
				Key: "secondary " + one.Address, Severity: alert.Warning, Subject: "secondary " + one.Address,
				Words:   "does not answer NOTIFY: it learns of changes when it asks by itself",
				Details: map[string]string{"secondary": one.Address},
			})
		}
	}
	for apex, signing := range a.node.rollovers.describe(table) {
		events = append(events, signingEvents(apex, signing)...)
	}
	for _, event := range events {
		a.found[event.Key] = true
	}
	settled := table != nil && time.Since(a.began) >= stagesKnown
	a.Settle(alert.Stage, events, func(key string) (string, bool) {
		// A stage may fail and succeed between two looks.
		which, _ := strings.CutPrefix(key, "stage ")
		return "", settled || a.found[key] || a.node.stages.hasFailed(stage(which))
	})
}

// stagesKnown is how long after the start what an earlier run has told of is over if it
// has not come again: by then each part has had its turn.
const stagesKnown = 10 * time.Minute

// signingEvents tell of a zone what somebody has to do.
func signingEvents(apex string, signing *admin.Signing) []alert.Event {
	var events []alert.Event
	if signing.Problem != "" {
		events = append(events, alert.Event{
			Key: "signing " + apex, Severity: alert.Error, Subject: "zone " + apex, Words: "needs somebody: " + signing.Problem,
			Details: map[string]string{"zone": apex},
		})
	}
	if rollover := signing.Rollover; rollover != nil && rollover.Step == "parent" {
		events = append(events, alert.Event{
			Key: "parent " + apex, Severity: alert.Warning, Subject: "the rollover of " + apex,
			Words: "waits for the parent's DS: " + rollover.Waiting, Details: map[string]string{"zone": apex, "step": rollover.Step},
		})
	}
	return events
}
