package health

import (
	"sync"

	"mirrorpool/pool"
)

// maxProven is of how many targets it is kept what is wrong with their files.
const maxProven = 4096

// proven keeps of targets what was last found wrong with their files, until they
// are found right. While there is nothing to hold them against that stands: an
// origin that is away makes no altered file right. The zero value is ready for use.
type proven struct {
	mutex sync.Mutex
	wrong map[Target]string // in words
}

// learn takes in what a probe has found.
func (p *proven) learn(t Target, r Result) {
	if t.Probe.Purpose != pool.PurposeIntegrity && t.Probe.Purpose != pool.PurposeContents {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch {
	case r.Outcome == Success && !r.NotMade:
		delete(p.wrong, t)
	case r.Outcome == Altered, r.Outcome == Missing:
		if p.wrong == nil {
			p.wrong = make(map[Target]string)
		}
		if _, known := p.wrong[t]; !known && len(p.wrong) >= maxProven {
			for other := range p.wrong { // any: targets that left are never found right
				delete(p.wrong, other)
				break
			}
		}
		p.wrong[t] = r.Reason
	}
}

// of is what was last found wrong with a target's files.
func (p *proven) of(t Target) (words string, known bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	words, known = p.wrong[t]
	return words, known
}
