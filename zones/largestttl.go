package zones

import "time"

// LargestTTL is the greatest TTL that the zone of this apex gives to anything but
// DNSKEY, CDS and CDNSKEY: how long caches may keep a signature of it. 0: the table
// has no such zone. It looks at each name.
func (t *Table) LargestTTL(apex string) time.Duration {
	served := t.zones[canonical(apex)]
	if served == nil {
		return 0
	}
	largest := max(served.SOA.Hdr.Ttl, served.SOA.Minttl)
	for _, node := range served.nodes {
		for _, set := range node.Sets {
			largest = max(largest, set.Records[0].Header().Ttl)
		}
		if node.Pool >= 0 {
			largest = max(largest, t.Definition.Pools[node.Pool].TTL)
		}
	}
	return time.Duration(largest) * time.Second
}
