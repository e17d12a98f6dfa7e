package rollover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// fileVersion is that of the file's form.
const fileVersion = 1

// file is how the states of all zones are kept.
type file struct {
	Version int              `json:"version"`
	Zones   map[string]State `json:"zones"` // by apex, canonical
}

// Encode writes down the states of zones, by apex.
func Encode(states map[string]State) ([]byte, error) {
	data, err := json.MarshalIndent(file{fileVersion, states}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing rollovers: %w", err)
	}
	return append(data, '\n'), nil
}

// Decode reads what Encode wrote. Whatever is damaged is an error, and nothing of it
// is used: half a state would be worse than none.
func Decode(data []byte) (map[string]State, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var read file
	if err := decoder.Decode(&read); err != nil {
		return nil, fmt.Errorf("reading rollovers: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("reading rollovers: something stands behind the end")
	}
	if read.Version != fileVersion {
		return nil, fmt.Errorf("reading rollovers: version %d, expected %d", read.Version, fileVersion)
	}
	for apex, state := range read.Zones {
		if err := state.check(); err != nil {
			return nil, fmt.Errorf("reading rollovers: zone %q: %w", apex, err)
		}
	}
	if read.Zones == nil {
		read.Zones = map[string]State{}
	}
	return read.Zones, nil
}

// check reports what cannot be in a state that was written whole.
func (s State) check() error {
	if s.Kind == "" {
		if len(s.Steps) > 0 || len(s.Old) > 0 || len(s.New) > 0 {
			return errors.New("there are steps or keys without a kind")
		}
		return nil
	}
	rules := rulesOf(s.Kind)
	if rules == nil {
		return fmt.Errorf("kind %q is none", s.Kind)
	}
	if len(s.Old) == 0 || len(s.New) == 0 || len(s.New) > 1 && !s.Turned || len(s.Steps) == 0 {
		return errors.New("a rollover has old keys, one new key and steps")
	}
	for _, role := range append(s.Old[:len(s.Old):len(s.Old)], s.New...) {
		if !strings.HasPrefix(role.ID, "K") || !role.Zone && !role.Entry {
			return fmt.Errorf("key %q has no name or no role", role.ID)
		}
	}
	for _, one := range s.Steps {
		if this, _ := find(rules, one.Step); this == nil || one.At.IsZero() {
			return fmt.Errorf("step %q is none of kind %s, or has no time", one.Step, s.Kind)
		}
	}
	if s.Served.IsZero() && !s.Spread.IsZero() || s.Spread.IsZero() && !s.Until.IsZero() {
		return errors.New("what comes later has a time, and what comes before has none")
	}
	if s.Step() == StepParentCaches && s.ParentSeen.IsZero() {
		return errors.New("nobody has seen the parent's DS")
	}
	return nil
}
