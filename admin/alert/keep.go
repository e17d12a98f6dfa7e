package alert

import (
	"encoding/json"
	"fmt"
	"maps"
)

// keptVersion is that of the form in which it is kept.
const keptVersion = 1

// maxLedgers is of how many ways it is kept what they were told: of those that there may
// be, and of as many that are not configured now, such as their dry runs.
const maxLedgers = 2 * MaxWays

// kept is what survives a restart.
type kept struct {
	Version  int                 `json:"version"`
	Troubles []*trouble          `json:"troubles"`
	Ways     map[string]*wayKept `json:"ways"`
}

// restore takes up what was kept.
func (c *Center) restore(data []byte) error {
	if data == nil {
		return nil
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("reading what people were told before: %w", err)
	}
	if k.Version != keptVersion {
		return fmt.Errorf("reading what people were told before: found version %d, expected %d", k.Version, keptVersion)
	}
	now := c.now()
	for _, t := range k.Troubles {
		if t == nil || t.Event.Key == "" || len(t.Event.Key) > maxKey || len(c.troubles) == maxTroubles {
			continue
		}
		t.Event = t.Event.bounded(now)
		t.Begins = t.Begins[max(len(t.Begins)-flapBegins, 0):]
		c.troubles[t.Event.Key] = t
	}
	for name, w := range k.Ways {
		if w == nil || len(c.absent) == maxLedgers {
			continue
		}
		for _, l := range []*ledger{&w.Administrators, &w.Operators} {
			if l.Told == nil {
				l.Told = map[string]told{}
			}
			if l.Mailed == nil {
				l.Mailed = newLedger().Mailed
			}
			l.Sent = l.Sent[max(len(l.Sent)-MaxLimit, 0):]
		}
		c.absent[name] = w
	}
	return nil
}

// save keeps everything. Where that fails it is tried again with the next change, or
// after a while.
func (c *Center) save() {
	c.mutex.Lock()
	k := kept{Version: keptVersion, Ways: map[string]*wayKept{}}
	for _, t := range c.troubles {
		copied := *t
		k.Troubles = append(k.Troubles, &copied)
	}
	for _, w := range c.ways {
		k.Ways[w.ledgers()] = w.copied()
	}
	// A way that is not configured now has its troubles as long as they are known.
	for name, w := range c.absent {
		w.Administrators.forget(c.troubles, c.now())
		w.Operators.forget(c.troubles, c.now())
		if len(w.Administrators.Told)+len(w.Operators.Told) == 0 {
			delete(c.absent, name)
		} else if len(k.Ways) < maxLedgers {
			k.Ways[name] = w.copied()
		}
	}
	c.dirty, c.keepNow = false, false
	c.mutex.Unlock()
	if c.keep == nil {
		return
	}
	data, err := json.Marshal(k)
	if err == nil {
		err = c.keep(data)
	}
	if err != nil {
		c.mutex.Lock()
		c.dirty = true
		c.mutex.Unlock()
		err = fmt.Errorf("keeping what people were told: %w", err)
	}
	c.tellKept(err)
}

// tellKept says that keeping has begun to fail or to work again.
func (c *Center) tellKept(err error) {
	if failed := err != nil; failed != c.keepFails {
		c.keepFails = failed
		c.tell(Told{Err: err})
	}
}

func (k *wayKept) copied() *wayKept {
	return &wayKept{k.Administrators.copied(), k.Operators.copied()}
}

func (l *ledger) copied() ledger {
	return ledger{Told: maps.Clone(l.Told), Sent: append(l.Sent[:0:0], l.Sent...), HeldSince: l.HeldSince, Mailed: maps.Clone(l.Mailed)}
}
