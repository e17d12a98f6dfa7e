//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// serialAt is the serial of a zone at a port; 0: it cannot be had.
func (l *secondaryLab) serialAt(port int, apex string) uint32 {
	question := new(dns.Msg)
	question.SetQuestion(apex, dns.TypeSOA)
	reply, _, err := (&dns.Client{Timeout: time.Second}).Exchange(question, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil || len(reply.Answer) == 0 {
		return 0
	}
	soa, isSOA := reply.Answer[0].(*dns.SOA)
	if !isSOA {
		return 0
	}
	return soa.Serial
}

// transferred is a whole zone as a server gives it, sorted, with its SOA once; nil:
// it cannot be had.
func (l *secondaryLab) transferred(port int, apex, key string) []string {
	request := new(dns.Msg)
	request.SetAxfr(apex)
	transfer := &dns.Transfer{DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second}
	if key != "" {
		request.SetTsig(key+".", labAlgorithms[key]+".", 300, time.Now().Unix())
		transfer.TsigSecret = map[string]string{key + ".": l.keys[key]}
	}
	connection, err := dns.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		return nil
	}
	defer connection.Close()
	transfer.Conn = &dns.Conn{Conn: keptOpen{connection.Conn}}
	envelopes, err := transfer.In(request, "")
	if err != nil {
		return nil
	}
	var records []string
	for envelope := range envelopes {
		if envelope.Error != nil {
			err = envelope.Error
		}
		for _, rr := range envelope.RR {
			rr.Header().Name = dns.CanonicalName(rr.Header().Name)
			records = append(records, rr.String())
		}
	}
	if err != nil || len(records) < 2 {
		return nil
	}
	if port == l.dnsPort {
		// What comes after it on the same connection is answered when it is counted.
		if _, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion(apex, dns.TypeSOA), &dns.Conn{Conn: connection.Conn}); err != nil {
			l.Errorf("asking after a transfer of %s: %v", apex, err)
		}
		*l.taken++
	}
	records = records[1:] // the SOA comes again at the end
	slices.Sort(records)
	return records
}

// keptOpen is a connection that package dns does not close after a transfer.
type keptOpen struct{ net.Conn }

func (keptOpen) Close() error { return nil }

// converged waits until all secondaries that run have what the server has, record
// for record.
func (l *secondaryLab) converged(within time.Duration, apex string) {
	l.Helper()
	for _, s := range l.secondaries {
		if l.processes[s.name] == nil {
			continue
		}
		var ours, theirs []string
		took := l.secondaryEventually(s, "it serves what the server does of "+apex, within, func() bool {
			if l.serialAt(s.port, apex) != l.serialAt(l.dnsPort, apex) {
				return false
			}
			ours, theirs = l.transferred(l.dnsPort, apex, "transfer"), l.transferred(s.port, apex, "")
			return len(ours) > 0 && len(theirs) > 0 && ours[0] != "" && slices.Equal(soaOf(ours), soaOf(theirs))
		})
		if diff := cmp.Diff(ours, theirs); diff != "" {
			l.Errorf("%s serves another %s (- ours, + its): %s", s.name, apex, diff)
		}
		l.Logf("%s has %s after %s", s.name, apex, took.Round(time.Millisecond))
	}
}

func soaOf(records []string) []string {
	return slices.DeleteFunc(slices.Clone(records), func(record string) bool { return !strings.Contains(record, "\tSOA\t") })
}

// secondaryStatus is what the server's state says of a secondary.
type secondaryStatus struct {
	Address string     `json:"address"`
	Silent  bool       `json:"silent"`
	Current int        `json:"current"`
	Behind  int        `json:"behind"`
	Refused int        `json:"refused"`
	Zones   []toldZone `json:"zones"`
}

type toldZone struct {
	Apex         string `json:"apex"`
	Serial       uint32 `json:"serial"`
	Acknowledged uint32 `json:"acknowledged"`
	Problem      string `json:"problem"`
}

func (l *secondaryLab) states() []secondaryStatus {
	var state struct {
		Secondaries []secondaryStatus `json:"secondaries"`
	}
	if body := l.get("/api/v1/state"); body != "" {
		if err := json.Unmarshal([]byte(body), &state); err != nil {
			l.Fatal(err)
		}
	}
	return state.Secondaries
}

// addressesAt are all addresses that a server gives of the pool, sorted.
func (l *secondaryLab) addressesAt(port int, kind uint16) []string {
	question := new(dns.Msg)
	question.SetQuestion("dl.mirrors.test.", kind)
	reply, _, err := (&dns.Client{Timeout: time.Second}).Exchange(question, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil
	}
	return slices.Sorted(slices.Values(addresses(reply)))
}
