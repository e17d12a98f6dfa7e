package admin

import (
	"net/netip"
	"time"
)

// Publication is how it goes with a pool whose addresses are kept in a zone of
// another primary.
type Publication struct {
	Pool, Zone, Server, Key string
	DryRun                  bool
	// Condition is waiting, published, differs, settling, blocked or failing.
	Condition     string
	Wanted, Found []netip.Addr
	TTL           uint32 // seconds
	// Times are zero where there is none.
	LastLook, LastGood, LastUpdate, NextLook time.Time
	Updates, Failures, ForeignChanges        uint64
	Foreign                                  string // what others changed last
	ForeignTime, FailingSince                time.Time
	Error                                    string
	Notes                                    []string
	WouldSend                                string // of a dry run, as nsupdate would be told
}

type publicationState struct {
	Pool           string   `json:"pool"`
	Zone           string   `json:"zone"`
	Server         string   `json:"server"`
	Key            string   `json:"key"`
	DryRun         bool     `json:"dry_run"`
	Condition      string   `json:"condition"`
	Wanted         []string `json:"wanted"`
	Found          []string `json:"found"`
	TTL            uint32   `json:"ttl"`
	LastLook       moment   `json:"last_look"`
	LastGood       moment   `json:"last_good"`
	LastUpdate     moment   `json:"last_update"`
	NextLook       moment   `json:"next_look"`
	Updates        uint64   `json:"updates"`
	Failures       uint64   `json:"failures"`
	ForeignChanges uint64   `json:"foreign_changes"`
	Foreign        string   `json:"foreign"`
	ForeignTime    moment   `json:"foreign_time"`
	FailingSince   moment   `json:"failing_since"`
	Error          string   `json:"error"`
	Notes          []string `json:"notes"`
	WouldSend      string   `json:"would_send"`
}

func describePublications(list []Publication) []publicationState {
	described := make([]publicationState, len(list))
	for i, p := range list {
		described[i] = publicationState{
			p.Pool, p.Zone, p.Server, p.Key, p.DryRun, p.Condition, texts(p.Wanted), texts(p.Found), p.TTL,
			moment(p.LastLook), moment(p.LastGood), moment(p.LastUpdate), moment(p.NextLook),
			p.Updates, p.Failures, p.ForeignChanges, p.Foreign, moment(p.ForeignTime), moment(p.FailingSince),
			p.Error, append([]string{}, p.Notes...), p.WouldSend,
		}
	}
	return described
}

// texts is never null in JSON.
func texts(addresses []netip.Addr) []string {
	list := make([]string, len(addresses))
	for i, address := range addresses {
		list[i] = address.String()
	}
	return list
}
