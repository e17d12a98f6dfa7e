// Package parent asks the parent's servers for a zone's DS records. It imports the
// DNS library and zones/signing, and nothing else of this program.
//
// It asks over TCP alone: whoever could forge an answer could have a key taken out
// that the parent still names.
package parent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// timeout is for one server.
const timeout = 5 * time.Second

// Answer is what one server said.
type Answer struct {
	Server netip.AddrPort
	// Records are the DS records of the zone; none: there are none, if Err is nil.
	Records []*dns.DS
	TTL     time.Duration // of the records, as this server gave it
	// Authoritative tells that the TTL is all of it, and not what is left in a cache.
	Authoritative bool
	Err           error // why there is no answer
}

// Look asks each server, all at once, and gives their answers in the order of the
// servers. Each may be one of the parent's name servers, or a resolver. It takes some
// seconds at most.
func Look(ctx context.Context, servers []netip.AddrPort, zone string) []Answer {
	answers := make([]Answer, len(servers))
	var all sync.WaitGroup
	for i, server := range servers {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			answers[i] = ask(ctx, server, dns.CanonicalName(zone))
		})
	}
	all.Wait()
	return answers
}

func ask(ctx context.Context, server netip.AddrPort, zone string) Answer {
	answer := Answer{Server: server}
	question := new(dns.Msg)
	question.SetQuestion(zone, dns.TypeDS)
	question.SetEdns0(dns.DefaultMsgSize, true)
	client := &dns.Client{Net: "tcp", Timeout: timeout}
	reply, _, err := client.ExchangeContext(ctx, question, server.String())
	if err == nil {
		err = answer.read(reply, zone)
	}
	if err != nil {
		answer.Err = fmt.Errorf("asking %s for the DS of %s: %w", server, zone, err)
	}
	return answer
}

// read takes the records from a reply, or finds why it tells nothing of them.
func (a *Answer) read(reply *dns.Msg, zone string) error {
	question := reply.Question
	switch {
	case !reply.Response, len(question) != 1, question[0].Qtype != dns.TypeDS, dns.CanonicalName(question[0].Name) != zone:
		return errors.New("the reply is not to this question")
	case reply.Rcode != dns.RcodeSuccess:
		return fmt.Errorf("it says %s: is it a server of the parent, or a resolver that may be asked?", dns.RcodeToString[reply.Rcode])
	case reply.Truncated:
		return errors.New("the reply is cut off")
	}
	a.Authoritative = reply.Authoritative
	for _, rr := range reply.Answer {
		if ds, is := rr.(*dns.DS); is && dns.CanonicalName(ds.Hdr.Name) == zone {
			a.Records = append(a.Records, ds)
			a.TTL = max(a.TTL, time.Duration(ds.Hdr.Ttl)*time.Second)
		}
	}
	if len(a.Records) > 0 {
		return nil
	}
	// That there are none is said by who has the parent's SOA (RFC 2308). A child's
	// server says it with the SOA of the child, and a referral has none.
	for _, rr := range reply.Ns {
		if soa, is := rr.(*dns.SOA); is {
			owner := dns.CanonicalName(soa.Hdr.Name)
			if owner != zone && dns.IsSubDomain(owner, zone) {
				return nil
			}
			return errors.New("it serves the zone itself and not its parent")
		}
	}
	return errors.New("it knows of no DS and does not speak for the parent")
}

// Names reports whether DS records name a key.
func Names(records []*dns.DS, key *signing.Key) bool {
	return slices.ContainsFunc(records, func(ds *dns.DS) bool { return matches(ds, key) })
}

func matches(ds *dns.DS, key *signing.Key) bool {
	if ds.KeyTag != key.Tag() || ds.Algorithm != key.Algorithm() {
		return false
	}
	made := key.Record.ToDS(ds.DigestType)
	return made != nil && strings.EqualFold(made.Digest, ds.Digest)
}

// Summary is what all servers say together.
type Summary struct {
	At      time.Time // when they were asked
	Answers []Answer
}

// Complete reports whether every server has answered, and there is one.
func (s Summary) Complete() bool {
	return len(s.Answers) > 0 && !slices.ContainsFunc(s.Answers, func(a Answer) bool { return a.Err != nil })
}

// Err joins what kept servers from answering.
func (s Summary) Err() error {
	var all []error
	for _, answer := range s.Answers {
		all = append(all, answer.Err)
	}
	return errors.Join(all...)
}

// Have reports whether every server that has answered names all keys of one list, and
// none of another.
func (s Summary) Have(wanted, unwanted []*signing.Key) bool {
	for _, answer := range s.Answers {
		if answer.Err != nil {
			continue
		}
		for _, key := range wanted {
			if !Names(answer.Records, key) {
				return false
			}
		}
		for _, key := range unwanted {
			if Names(answer.Records, key) {
				return false
			}
		}
	}
	return true
}

// None reports whether every server has answered that there is no DS record.
func (s Summary) None() bool {
	return s.Complete() && !slices.ContainsFunc(s.Answers, func(a Answer) bool { return len(a.Records) > 0 })
}

// Strange reports whether some server has a DS record of a key that is not among
// these.
func (s Summary) Strange(keys []*signing.Key) bool {
	for _, answer := range s.Answers {
		for _, ds := range answer.Records {
			if !slices.ContainsFunc(keys, func(key *signing.Key) bool { return matches(ds, key) }) {
				return true
			}
		}
	}
	return false
}

// Empty reports whether there are answers, and none of them has a DS record.
func (s Summary) Empty() bool {
	answered := false
	for _, answer := range s.Answers {
		answered = answered || answer.Err == nil
		if len(answer.Records) > 0 {
			return false
		}
	}
	return answered
}

// leastCached is the TTL that is taken for the true one, at least, where only
// resolvers were asked: they tell what is left of it.
const leastCached = 24 * time.Hour

// TTL is how long copies of the DS records may be kept; 0: nobody has told.
func (s Summary) TTL() time.Duration {
	var longest time.Duration
	for _, answer := range s.Answers {
		switch {
		case len(answer.Records) == 0:
		case answer.Authoritative:
			longest = max(longest, answer.TTL)
		default:
			longest = max(longest, answer.TTL, leastCached)
		}
	}
	return longest
}

// GivenTTL is the greatest TTL that a server gave, be it what is left in a cache;
// 0: nobody has told.
func (s Summary) GivenTTL() time.Duration {
	var longest time.Duration
	for _, answer := range s.Answers {
		longest = max(longest, answer.TTL)
	}
	return longest
}
