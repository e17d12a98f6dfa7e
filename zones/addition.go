package zones

import (
	"strings"

	"github.com/miekg/dns"
)

// additions gives the records that are additional data of an RRset whoever asks,
// where its own get the owner asked. They are bounded by about one message.
func (s *RRset) additions(asked string) []dns.RR {
	switch {
	case len(s.Additional) == 0:
		return nil
	case len(s.Additional) == 1 && s.Additional[0].Service == nil:
		return s.Additional[0].records(asked)
	case !isService(s.Type):
		count := 0
		for i := range s.Additional {
			count += len(s.Additional[i].Records)
		}
		out := make([]dns.RR, 0, count)
		for i := range s.Additional {
			out = append(out, s.Additional[i].records(asked)...)
		}
		return out
	}
	var g gathering
	g.served[0], g.steps = s, 1
	g.gather(s, asked)
	return g.out
}

// gathering is the additional data of an SVCB RRset while it is put together from
// that of all RRsets which records in alias mode lead to.
type gathering struct {
	served [maxAliases + 1]*RRset // that were followed; the first is the answer
	steps  int                    // of served
	added  []gathered
	names  int // of added
	size   int // of out in a message, in bytes, at least
	out    []dns.RR
}

// gathered is a set of addresses.
type gathered struct {
	first dns.RR
	owner string
}

// gather adds the additional data of an RRset, whose owner is given.
func (g *gathering) gather(s *RRset, asked string) {
	for i := range s.Additional {
		one := &s.Additional[i]
		if one.Service != nil {
			g.follow(one)
		} else {
			g.addresses(one, asked)
		}
	}
}

// follow adds the RRset that a record in alias mode leads to, and what is
// additional data of that, for so many steps.
func (g *gathering) follow(one *Addition) {
	if g.names >= maxServiceNames || g.steps == len(g.served) || !g.fits(one) {
		return
	}
	for _, other := range g.served[:g.steps] {
		if other == one.Service {
			return
		}
	}
	g.served[g.steps] = one.Service
	g.steps++
	g.out = append(g.out, one.records("")...)
	g.gather(one.Service, one.Owner)
}

// addresses adds the addresses of a name, once.
func (g *gathering) addresses(one *Addition, asked string) {
	add := gathered{one.Records[0], one.owner(asked)}
	for i := range g.added {
		if g.added[i].first == add.first && strings.EqualFold(g.added[i].owner, add.owner) {
			return
		}
	}
	if n := len(g.added); n == 0 || !strings.EqualFold(g.added[n-1].owner, add.owner) {
		if g.names >= maxServiceNames {
			return
		}
		g.names++
	}
	if g.fits(one) {
		g.added = append(g.added, add)
		g.out = append(g.out, one.records(asked)...)
	}
}

// fits takes the room that an RRset needs, if there is so much.
func (g *gathering) fits(one *Addition) bool {
	size := leastSize(one.Records)
	if g.size+size > maxMessage {
		return false
	}
	g.size += size
	return true
}

// owner gives the owner that the records are to have.
func (a *Addition) owner(asked string) string {
	switch {
	case a.AtAsked:
		return asked
	case a.Owner != "":
		return a.Owner
	}
	return a.Records[0].Header().Name
}

// records gives the records with the owner that they are to have.
func (a *Addition) records(asked string) []dns.RR { return owned(a.Records, a.owner(asked)) }

// leastSize is how many bytes an RRset needs in a message at least, in time that does
// not depend on how many addresses it has.
func leastSize(records []dns.RR) (size int) {
	const least = 1 + recordFixed // with the root as owner
	switch records[0].(type) {
	case *dns.A:
		return len(records) * (least + 4)
	case *dns.AAAA:
		return len(records) * (least + 16)
	}
	for _, rr := range records {
		size += least + int(rr.Header().Rdlength)
	}
	return size
}

func isService(kind uint16) bool { return kind == dns.TypeSVCB || kind == dns.TypeHTTPS }
