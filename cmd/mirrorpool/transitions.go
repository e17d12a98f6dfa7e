package main

import (
	"github.com/rs/zerolog"

	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

// watched is one thing whose health people want to hear of.
type watched struct {
	pool, member, address string // of a pool's member
	host, mirror          string // of a redirect host's mirror
}

// transitions logs what changes between the tables of the compile loop.
type transitions struct {
	logger zerolog.Logger
	before map[watched]health.Verdict
}

// observe compares a table with the one before. What was not known is logged
// only if it is down: a start is no news of each mirror that is well.
func (t *transitions) observe(table *zones.Table) {
	after := map[watched]health.Verdict{}
	see := func(what watched, state health.State) {
		after[what] = state.Verdict
		before := t.before[what]
		if state.Verdict == health.Down && before != health.Down || state.Verdict == health.Up && before == health.Down {
			t.log(what, state)
		}
	}
	for _, pool := range table.Pools(nil) {
		for _, member := range pool.Members {
			for _, address := range member.Addresses {
				see(watched{pool: pool.Name, member: member.ID, address: address.Address.String()}, address.State)
			}
		}
	}
	for _, host := range table.Hosts(nil) {
		for _, mirror := range host.Mirrors {
			see(watched{host: host.Host, mirror: mirror.URLPrefix}, mirror.State)
		}
	}
	t.before = after
}

func (t *transitions) log(what watched, state health.State) {
	event := t.logger.Info()
	if state.Verdict == health.Down {
		event = t.logger.Warn()
	}
	for _, field := range [][2]string{
		{"pool", what.pool}, {"member", what.member}, {"address", what.address}, {"host", what.host}, {"mirror", what.mirror},
	} {
		if field[1] != "" {
			event = event.Str(field[0], field[1])
		}
	}
	event.Str("reason", state.Reason).Msg("is " + state.Verdict.String())
}
