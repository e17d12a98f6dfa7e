package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Signing is how a zone is signed, as it is and as JSON. Names only come to be added;
// lists may be null where they are empty, and times are where there is none.
type Signing struct {
	Keys []SigningKey `json:"keys"`
	// Expires is when the first signature ends, and Renewed when the first is made
	// anew.
	Expires *time.Time `json:"expires"`
	Renewed *time.Time `json:"renewed"`
	Parent  ParentDS   `json:"parent"`
	// Rollover is what is under way; nil: nothing is. Last is the one that ended last.
	Rollover *Rollover     `json:"rollover"`
	Last     *LastRollover `json:"last_rollover"`
	// Withdrawing is since when CDS asks the parent to delete the zone's DS records.
	Withdrawing *time.Time `json:"withdrawing"`
	Problem     string     `json:"problem"` // what the operator has to mend; empty: nothing
}

// SigningKey is a key of a zone and what it does now.
type SigningKey struct {
	ID        string `json:"id"`
	Tag       uint16 `json:"tag"`
	Algorithm string `json:"algorithm"`
	Role      string `json:"role"` // csk, ksk or zsk
	Published bool   `json:"published"`
	Signs     bool   `json:"signs"`
	CDS       bool   `json:"cds"`
	DS        string `json:"ds"` // its DS record; empty: it is no secure entry point
}

// The states of the parent's DS records.
const (
	ParentUnknown = "unknown" // nobody is asked, or not everybody answers
	ParentInSync  = "in sync"
	ParentNone    = "none" // there is no DS: validators take the zone for unsigned
	ParentDiffers = "differs"
)

// ParentDS is what the parent's servers have for a zone.
type ParentDS struct {
	State   string         `json:"state"`
	Asked   *time.Time     `json:"asked"`
	Servers []ParentServer `json:"servers"`
}

// ParentServer is what one of them has.
type ParentServer struct {
	Address string   `json:"address"`
	DS      []string `json:"ds"`
	TTL     int64    `json:"ttl"` // seconds
	Error   string   `json:"error"`
}

// Rollover is one that is under way.
type Rollover struct {
	Kind      string         `json:"kind"`
	Algorithm string         `json:"algorithm"` // of the new key
	Old       []string       `json:"old"`
	New       []string       `json:"new"`
	Turned    bool           `json:"turned"` // it was turned back: the old keys were to be new before
	Step      string         `json:"step"`
	Number    int            `json:"number"` // of the step, from 1
	Of        int            `json:"of"`
	Steps     []RolloverStep `json:"steps"` // behind, of now and ahead
	Waiting   string         `json:"waiting"`
	Until     *time.Time     `json:"until"`
	// Cancel tells that it may be cancelled.
	Cancel bool `json:"cancel"`
}

// RolloverStep is a step of a rollover.
type RolloverStep struct {
	Step    string     `json:"step"`
	About   string     `json:"about"`
	Reached *time.Time `json:"reached"`
	Seconds int64      `json:"seconds"` // that it lasts at least
	Parent  bool       `json:"parent"`  // it lasts until the parent has changed its DS
}

// LastRollover is one that is over.
type LastRollover struct {
	Kind      string     `json:"kind"`
	Old       []string   `json:"old"`
	New       []string   `json:"new"`
	Ended     *time.Time `json:"ended"`
	Cancelled bool       `json:"cancelled"`
	Turned    bool       `json:"turned"` // as Rollover has it
}

// The actions of a RolloverChange.
const (
	// RolloverBegin shows what is under way, and begins where nothing is and nothing
	// speaks against it; RolloverStart begins, or is refused.
	RolloverBegin    = "begin"
	RolloverStart    = "start"
	RolloverSay      = "ds-seen"
	RolloverCancel   = "cancel"
	RolloverWithdraw = "withdraw-ds"
	RolloverKeep     = "no-withdraw-ds"
)

// RolloverChange is what somebody asks for.
type RolloverChange struct {
	Zone      string // canonical
	Action    string
	Kind      string        // of a start; empty: what the keys allow
	Algorithm string        // of a start; empty: the one of the keys
	ParentTTL time.Duration // of ds-seen; 0: as it is known
}

// Rollovers is who leads them. Its errors are for people.
type Rollovers interface {
	// Show tells how a zone is signed.
	Show(zone string) (*Signing, error)
	// Change does something, and tells how the zone is signed then.
	Change(context.Context, RolloverChange) (*Signing, error)
}

// UnknownZone is the error that there is no such zone.
type UnknownZone struct {
	Zone  string
	There []string
}

// Error tells which zones there are.
func (e *UnknownZone) Error() string {
	return fmt.Sprintf("there is no zone %s; there are: %s", e.Zone, strings.Join(e.There, ", "))
}

// rolloverTimeout bounds what a change may take: the parent's servers may be asked.
const rolloverTimeout = 20 * time.Second

// rolledZone is the zone that a request is about, if it names one.
func (h *handler) rolledZone(w http.ResponseWriter, r *http.Request) (zone string, ok bool) {
	if h.Rollovers == nil {
		fail(w, http.StatusNotImplemented, "this server signs no zones")
		return "", false
	}
	zone = r.URL.Query().Get("zone")
	if _, valid := dns.IsDomainName(zone); !valid {
		fail(w, http.StatusBadRequest, fmt.Sprintf("found zone=%q, expected the name of a zone", zone))
		return "", false
	}
	return dns.CanonicalName(zone), true
}

// serveRollover shows how a zone is signed.
func (h *handler) serveRollover(w http.ResponseWriter, r *http.Request) {
	if zone, ok := h.rolledZone(w, r); ok {
		described, err := h.Rollovers.Show(zone)
		replySigning(w, described, err)
	}
}

// serveRolloverChange changes something about a zone's keys.
func (h *handler) serveRolloverChange(w http.ResponseWriter, r *http.Request) {
	if err := h.mayChange(r); err != nil {
		fail(w, http.StatusForbidden, err.Error())
		return
	}
	zone, ok := h.rolledZone(w, r)
	if !ok {
		return
	}
	query := r.URL.Query()
	change := RolloverChange{Zone: zone, Action: query.Get("action"), Kind: query.Get("kind"), Algorithm: query.Get("algorithm")}
	switch change.Action {
	case RolloverBegin, RolloverStart, RolloverSay, RolloverCancel, RolloverWithdraw, RolloverKeep:
	default:
		fail(w, http.StatusBadRequest, fmt.Sprintf("found action=%q, expected one of begin, start, ds-seen, cancel, withdraw-ds, no-withdraw-ds", change.Action))
		return
	}
	if text := query.Get("ds_ttl"); text != "" {
		ttl, err := time.ParseDuration(text)
		if err != nil || ttl <= 0 || ttl > maxParentTTL {
			fail(w, http.StatusBadRequest, fmt.Sprintf("found ds_ttl=%q, expected a time such as 1h, at most %s", text, maxParentTTL))
			return
		}
		change.ParentTTL = ttl
	}
	ctx, cancel := context.WithTimeout(r.Context(), rolloverTimeout)
	defer cancel()
	described, err := h.Rollovers.Change(ctx, change)
	replySigning(w, described, err)
}

// maxParentTTL bounds what may be said of the TTL of DS records.
const maxParentTTL = 30 * 24 * time.Hour

func replySigning(w http.ResponseWriter, described *Signing, err error) {
	var unknown *UnknownZone
	switch {
	case err == nil:
		reply(w, http.StatusOK, described)
	case errors.As(err, &unknown):
		reply(w, http.StatusNotFound, failure{Error: err.Error(), There: unknown.There})
	default:
		fail(w, http.StatusConflict, err.Error())
	}
}
