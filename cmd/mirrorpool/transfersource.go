package main

import (
	"mirrorpool/dnsserver"
	"mirrorpool/zones"
	"mirrorpool/zones/journal"
)

// transfers is what secondaries get zones from.
type transfers struct {
	*zones.Table
	*journal.Journal
}

// transfers gives what is transferred now; nil while nothing is, or nobody may have
// it.
func (c *compiler) transfers() dnsserver.Transfers {
	table := c.table.Load()
	if table == nil || !c.transfer.Load().record {
		return nil
	}
	return transfers{table, c.journal}
}
