package hostnames

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"mirrorpool/pool"
)

// savedVersion is the version of the form below.
const savedVersion = 1

// saved is the form in which answers are kept on disk.
type saved struct {
	Version int         `json:"version"`
	Names   []savedName `json:"names"`
}

type savedName struct {
	Name string      `json:"name"`
	IPv4 savedFamily `json:"ipv4"`
	IPv6 savedFamily `json:"ipv6"`
}

type savedFamily struct {
	Addresses []netip.Addr `json:"addresses"`
	Said      time.Time    `json:"said,omitzero"`
}

// Save gives the last good answers as JSON, for Restore in a later run.
func (r *Resolver) Save() ([]byte, error) {
	form := saved{Version: savedVersion, Names: []savedName{}}
	for _, s := range r.keep() {
		form.Names = append(form.Names, savedName{
			Name: s.Name.Name,
			IPv4: savedFamily{append([]netip.Addr{}, s.IPv4.Addresses...), s.IPv4.Said},
			IPv6: savedFamily{append([]netip.Addr{}, s.IPv6.Addresses...), s.IPv6.Said},
		})
	}
	data, err := json.MarshalIndent(form, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("saving the addresses of host names: %w", err)
	}
	return append(data, '\n'), nil
}

// keep gives the states that are worth keeping: before the first SetNames, those that
// were restored.
func (r *Resolver) keep() []State {
	states := r.States()
	r.mutex.Lock()
	for _, state := range r.kept {
		states = append(states, state)
	}
	r.mutex.Unlock()
	slices.SortFunc(states, byName)
	return slices.DeleteFunc(states, func(s State) bool { return len(s.Addresses()) == 0 })
}

// Restore takes over what Save gave in an earlier run, for the names of the first
// SetNames, which comes after it. They are looked up nevertheless.
func (r *Resolver) Restore(data []byte) error {
	var form saved
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&form); err != nil {
		return fmt.Errorf("restoring the addresses of host names: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("restoring the addresses of host names: there is more behind the end")
	}
	if form.Version != savedVersion {
		return fmt.Errorf("restoring the addresses of host names: version is %d, expected %d", form.Version, savedVersion)
	}
	kept := make(map[string]State, len(form.Names))
	for _, one := range form.Names {
		kept[one.Name] = State{
			Name: pool.HostName{Name: one.Name},
			IPv4: one.IPv4.family(netip.Addr.Is4), IPv6: one.IPv6.family(netip.Addr.Is6),
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.assigned {
		r.kept = kept
	}
	return nil
}

// family is what was saved, as far as it can have been.
func (s savedFamily) family(is func(netip.Addr) bool) Family {
	addresses := slices.DeleteFunc(slices.Clone(s.Addresses), func(a netip.Addr) bool { return !is(a) || a.Zone() != "" })
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	return Family{Addresses: addresses[:min(len(addresses), MaxAddresses)], Said: s.Said}
}
