package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// put is what this node has put somewhere.
type put struct {
	sets
	ttl uint32
}

// memory is what is known of one place.
type memory struct {
	done   *put // what the primary has confirmed, or had already; nil: nothing yet
	trying *put // what was sent, or was about to be; nil: nothing that is not done
}

// record is a put as it is written down.
type record struct {
	IPv4 []netip.Addr `json:"ipv4"`
	IPv6 []netip.Addr `json:"ipv6"`
	TTL  uint32       `json:"ttl"`
}

func (p *put) record() *record {
	if p == nil {
		return nil
	}
	return &record{IPv4: slices.Concat([]netip.Addr{}, p.sets[0]), IPv6: slices.Concat([]netip.Addr{}, p.sets[1]), TTL: p.ttl}
}

func (r *record) put() *put {
	if r == nil {
		return nil
	}
	return &put{sets: sets{r.IPv4, r.IPv6}, ttl: r.TTL}
}

// line is one place's memory as it is written down.
type line struct {
	place
	Done   *record `json:"done,omitempty"`
	Trying *record `json:"trying,omitempty"`
}

// keeper holds what was put where, and has it written down. It is safe for
// concurrent use.
type keeper struct {
	keep func([]byte) error

	mutex    sync.Mutex
	memories map[place]memory
	written  []byte
}

// newKeeper reads what the last run wrote.
func newKeeper(data []byte, keep func([]byte) error) (*keeper, error) {
	k := &keeper{keep: keep, memories: map[place]memory{}}
	if len(data) == 0 {
		return k, nil
	}
	var lines []line
	if err := json.Unmarshal(data, &lines); err != nil {
		return k, fmt.Errorf("reading what was published: %w; what has addresses of a pool's members alone is known without it", err)
	}
	for _, one := range lines {
		k.memories[one.place] = memory{done: one.Done.put(), trying: one.Trying.put()}
	}
	k.written = data
	return k, nil
}

func (k *keeper) recall(at place) memory {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.memories[at]
}

// remember takes a place's memory and writes all of it down, if it is another one
// than what is written.
func (k *keeper) remember(at place, m memory) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.memories[at] = m
	return k.write()
}

// forget drops all places but those: what is there is nobody's from now on.
func (k *keeper) forget(but map[place]bool) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	maps.DeleteFunc(k.memories, func(at place, _ memory) bool { return !but[at] })
	if k.written == nil {
		return nil
	}
	return k.write()
}

// write is done with the mutex held.
func (k *keeper) write() error {
	lines := make([]line, 0, len(k.memories))
	for at, m := range k.memories {
		if m.done != nil || m.trying != nil {
			lines = append(lines, line{at, m.done.record(), m.trying.record()})
		}
	}
	slices.SortFunc(lines, func(a, b line) int {
		return slices.Compare([]string{a.Zone, a.Pool, a.Server}, []string{b.Zone, b.Pool, b.Server})
	})
	data, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping what is published: %w", err)
	}
	if data = append(data, '\n'); bytes.Equal(data, k.written) {
		return nil
	}
	if err := k.keep(data); err != nil {
		return fmt.Errorf("keeping what is published: %w", err)
	}
	k.written = data
	return nil
}

// words lists addresses for people.
func words(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return "none"
	}
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.String()
	}
	return strings.Join(texts, " ")
}
