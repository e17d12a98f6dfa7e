package main

import (
	"time"
)

// probeReport is what --json prints of one mirror. probe --help documents it.
type probeReport struct {
	Verdict  probeVerdict   `json:"verdict"`
	Reasons  []string       `json:"reasons"`
	RedFlags []redFlag      `json:"red_flags"`
	Target   string         `json:"target"`
	Host     string         `json:"host,omitempty"`
	Seconds  float64        `json:"seconds"`
	Resolve  *resolveReport `json:"resolve,omitempty"`
	Probes   []probedReport `json:"probes"`
}

type resolveReport struct {
	Seconds   float64  `json:"seconds"`
	Addresses []string `json:"addresses"`
	Error     string   `json:"error,omitempty"`
}

type probedReport struct {
	What              string       `json:"what"`
	URL               string       `json:"url"`
	Address           string       `json:"address,omitempty"`
	Outcome           string       `json:"outcome"`
	Reason            string       `json:"reason"`
	Judged            bool         `json:"judged"`
	Seconds           float64      `json:"seconds"`
	Status            int          `json:"status,omitempty"`
	HTTPVersion       string       `json:"http_version,omitempty"`
	Bytes             int64        `json:"bytes"`
	BytesPerSecond    int64        `json:"bytes_per_second,omitempty"`
	CertificateExpiry *time.Time   `json:"certificate_expiry,omitempty"`
	Steps             []stepReport `json:"steps"`
}

type stepReport struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Words   string  `json:"words,omitempty"`
}

func (f *mirrorFound) report(o probeOptions) probeReport {
	r := probeReport{
		Verdict: f.verdict, Reasons: orEmpty(f.reasons), RedFlags: orEmpty(f.flags),
		Target: o.argument, Host: o.host, Seconds: seconds(f.took), Probes: f.reportProbes(),
	}
	if n := f.resolved; n != nil {
		r.Resolve = &resolveReport{Seconds: seconds(n.took), Addresses: []string{}, Error: n.mistake}
		for _, address := range n.addresses {
			r.Resolve.Addresses = append(r.Resolve.Addresses, address.String())
		}
	}
	return r
}

func (f *mirrorFound) reportProbes() []probedReport {
	all := []probedReport{}
	for i := range f.probes {
		p := &f.probes[i]
		e := &p.result.Evidence
		one := probedReport{
			What: p.what, URL: p.target.String(), Outcome: string(p.result.Outcome), Reason: p.result.Reason, Judged: p.judged(),
			Seconds: seconds(p.took), Status: e.Status, HTTPVersion: e.Version, Bytes: e.Bytes, BytesPerSecond: e.BytesPerSecond,
			Steps: []stepReport{},
		}
		if p.what == asksRanges {
			one.BytesPerSecond = 0 // of a single byte, which tells nothing
		}
		if p.result.Address.IsValid() {
			one.Address = p.result.Address.String()
		} else if p.address.IsValid() {
			one.Address = p.address.String()
		}
		if end := p.result.CertificateExpiry; !end.IsZero() {
			one.CertificateExpiry = &end
		}
		for _, step := range e.Steps {
			one.Steps = append(one.Steps, stepReport{step.Name, seconds(step.Took), step.Words})
		}
		all = append(all, one)
	}
	return all
}

// orEmpty keeps lists lists: nobody has to look for null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// seconds are written to the microsecond.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }
