package admin

import "time"

// Secondary is a server that is told of new serials, and what it said.
type Secondary struct {
	Address  string // with the port, as it is configured
	Key      string // that signs; empty: none
	Answered time.Time
	// Silent tells that what was sent last had no answer.
	Silent bool
	Zones  []SecondaryZone // by name
}

// SecondaryZone is what a secondary was told of a zone.
type SecondaryZone struct {
	Apex           string
	Standing       string // current, behind or refused
	Serial         uint32 // that is served
	Told           uint32
	ToldAt         time.Time
	Acknowledged   uint32 // that it has heard of
	AcknowledgedAt time.Time
	Problem        string // why the last one is not acknowledged
	Next           time.Time
}

type secondaryState struct {
	Address  string               `json:"address"`
	Key      string               `json:"key"`
	Answered moment               `json:"answered"`
	Silent   bool                 `json:"silent"`
	Current  int                  `json:"current"` // zones
	Behind   int                  `json:"behind"`
	Refused  int                  `json:"refused"`
	Zones    []secondaryZoneState `json:"zones"`
}

// secondaryZoneState has a serial of 0 where nothing was told or acknowledged yet;
// the time then is null.
type secondaryZoneState struct {
	Apex           string `json:"apex"`
	Standing       string `json:"standing"`
	Serial         uint32 `json:"serial"`
	Told           uint32 `json:"told"`
	ToldAt         moment `json:"told_at"`
	Acknowledged   uint32 `json:"acknowledged"`
	AcknowledgedAt moment `json:"acknowledged_at"`
	Problem        string `json:"problem"`
	Next           moment `json:"next"`
}

func describeSecondaries(secondaries []Secondary) []secondaryState {
	described := make([]secondaryState, len(secondaries))
	for i, s := range secondaries {
		one := secondaryState{
			Address: s.Address, Key: s.Key, Answered: moment(s.Answered), Silent: s.Silent,
			Zones: make([]secondaryZoneState, len(s.Zones)),
		}
		for j, z := range s.Zones {
			switch z.Standing {
			case "current":
				one.Current++
			case "refused":
				one.Refused++
			default:
				one.Behind++
			}
			one.Zones[j] = secondaryZoneState{
				Apex: z.Apex, Standing: z.Standing, Serial: z.Serial, Told: z.Told, ToldAt: moment(z.ToldAt),
				Acknowledged: z.Acknowledged, AcknowledgedAt: moment(z.AcknowledgedAt),
				Problem: z.Problem, Next: moment(z.Next),
			}
		}
		described[i] = one
	}
	return described
}
