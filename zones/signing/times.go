package signing

import (
	"fmt"
	"strings"
	"time"
)

// Times are what the files say of a key's life, to the second; zero: nothing. A key
// of which nothing at all is said is published and signs always. Otherwise BIND's
// rules hold: see PlanOf.
type Times struct {
	Created     time.Time
	Publish     time.Time // in the DNSKEY RRset from then on
	Activate    time.Time // signs from then on
	Revoke      time.Time // not used any more: RFC 5011 is not for zones below the root
	Inactive    time.Time // does not sign any more
	Delete      time.Time // not in the DNSKEY RRset any more
	SyncPublish time.Time // CDS and CDNSKEY name it from then on
	SyncDelete  time.Time // and from then on they do not
}

// namedTime is a time of a key with its name in files.
type namedTime struct {
	name string
	at   *time.Time
}

// all are the times in the order in which BIND writes them.
func (t *Times) all() []namedTime {
	return []namedTime{
		{"Created", &t.Created},
		{"Publish", &t.Publish},
		{"Activate", &t.Activate},
		{"Revoke", &t.Revoke},
		{"Inactive", &t.Inactive},
		{"Delete", &t.Delete},
		{"SyncPublish", &t.SyncPublish},
		{"SyncDelete", &t.SyncDelete},
	}
}

// Equal reports whether all times are the same, to the second, as files keep them.
func (t Times) Equal(other Times) bool {
	mine, others := t.all(), other.all()
	for i := range mine {
		if mine[i].at.IsZero() != others[i].at.IsZero() || mine[i].at.Unix() != others[i].at.Unix() {
			return false
		}
	}
	return true
}

// timeFormat is how files write a time, in UTC.
const timeFormat = "20060102150405"

// parseTime reads a time; what stands behind it in brackets is for people.
func parseTime(text string) (time.Time, error) {
	word, _, _ := strings.Cut(text, " ")
	at, err := time.Parse(timeFormat, word)
	if err != nil || len(word) != len(timeFormat) {
		return time.Time{}, fmt.Errorf("found %q, expected a time in UTC such as 20060102150405", word)
	}
	return at, nil
}
