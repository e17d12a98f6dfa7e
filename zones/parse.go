package zones

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// Parse reads and checks the zone files of a definition, and finds every
// XX//
// Files are RFC 1035 master files as miekg/dns reads them, with $ORIGIN, $TTL
// and $GENERATE and without $INCLUDE. The first origin is the file's name
// without ".zone"; the zone's apex is the owner of its SOA record. What is
// wrong but can be left out is left out with a Warning: duplicates, DNSSEC
// records, and what a delegation or a DNAME hides.
//
// elsewhere are the names of pools that may lie in none of these zones, because
// their records are published in a zone of somebody else. Such a pool is chosen
// from and explained like any other; questions for its name are for others.
func Parse(definition *pool.Definition, elsewhere ...string) (*Static, []pool.Problem) {
	return parse(definition, maxRecords, elsewhere...)
}

func parse(definition *pool.Definition, limit int, elsewhere ...string) (*Static, []pool.Problem) {
	p := &parser{
		elsewhere:  map[string]bool{},
		definition: definition,
		limit:      limit,
		drafts:     map[string]*draft{},
		reported:   map[string]int{},
		unlisted:   map[string]pool.Problem{},
	}
	for _, name := range elsewhere {
		p.elsewhere[canonical(dns.Fqdn(name))] = true
	}
	for _, file := range definition.Zones {
		if d := p.read(file); d != nil {
			p.settle(d)
		}
	}
	p.layOver()
	p.reportRest()
	static := p.static()
	slices.SortStableFunc(p.problems, func(a, b pool.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	if pool.HasErrors(p.problems) {
		return nil, p.problems
	}
	return static, p.problems
}

// Zones are those that the files hold, sorted by apex.
func (s *Static) Zones() []*Zone { return slices.Clone(s.sorted) }

// Undelegated are the zones that lie in another one of the files and are not delegated
// there, by apex, each with the one that it lies in. A parent that is signed proves
// that they are not there.
func (s *Static) Undelegated() map[string]string {
	found := map[string]string{}
	for _, zone := range s.sorted {
		if zone.parent == nil {
			continue
		}
		if node, exact := zone.parent.find(zone.Apex); !exact || !node.Delegation {
			found[zone.Apex] = zone.parent.Apex
		}
	}
	return found
}

// parser collects what Parse finds.
type parser struct {
	definition *pool.Definition
	problems   []pool.Problem
	drafts     map[string]*draft // by apex
	unreadable bool              // a file has no apex that could be told
	records    int               // of all files
	limit      int               // of records
	buffer     [dns.MaxMsgSize]byte
	reported   map[string]int // by file
	unlisted   map[string]pool.Problem
	elsewhere  map[string]bool // names of pools that may lie in no zone
}

const (
	// maxRecords bounds the work that $GENERATE can make of a small file.
	maxRecords = 1 << 17
	// maxProblems bounds what is reported of one file.
	maxProblems = 500
)

// draft is a zone file while it is being read.
type draft struct {
	file    string
	origin  string
	apex    string
	records []record // in file order
	owners  map[string]*owner
	empty   bool // there is no record, not even one that was refused
	// What could not be read, or was refused, is not said to be missing.
	lost    map[lostRecord]bool
	lostAny bool
	lostSOA bool
	guessed bool // the apex, for the SOA record may be lost
	pools   map[string]int
	zone    *Zone
}

// owner is a name that has records in the file.
type owner struct {
	name string // canonical
	sets []*draftSet
}

// draftSet is an RRset while records are added to it.
type draftSet struct {
	kind    uint16
	records []record
	size    int                 // octets in a message, at least
	hidden  bool                // by a delegation or DNAME: not served
	seen    map[string][]record // by data in lower case
}

// record is a record with what its checks need.
type record struct {
	rr           dns.RR
	name         string // canonical
	kind         uint16
	data         string // the RDATA, uncompressed
	line, column int    // of its first word
	noTTL        bool   // and none from before either
	guessedTTL   bool   // because the $TTL cannot be read
}

// String gives name and type, as far as they are known.
func (r record) String() string {
	if r.kind == dns.TypeNone {
		return r.name
	}
	return strings.TrimSpace(r.name + " " + dns.Type(r.kind).String())
}

func (o *owner) set(kind uint16) *draftSet {
	if o == nil {
		return nil
	}
	for _, set := range o.sets {
		if set.kind == kind {
			return set
		}
	}
	return nil
}

// report adds a problem of the draft's file; line 0 is the file as a whole.
func (p *parser) report(d *draft, line, column int, severity pool.Severity, what, found, expected string) {
	p.add(pool.Problem{
		Position: pool.Position{File: d.file, Line: line, Column: column},
		Severity: severity, What: what, Found: found, Expected: expected,
	})
}

// add adds a problem, or counts it if the file has had enough of them.
func (p *parser) add(problem pool.Problem) {
	if p.reported[problem.File]++; p.reported[problem.File] <= maxProblems {
		p.problems = append(p.problems, problem)
		return
	}
	rest, found := p.unlisted[problem.File]
	if !found {
		rest.Position = pool.Position{File: problem.File}
	}
	rest.Severity = max(rest.Severity, problem.Severity)
	p.unlisted[problem.File] = rest
}

// reportRest says of the files that had more problems than are listed how many
// they were.
func (p *parser) reportRest() {
	for file, rest := range p.unlisted {
		rest.Found = fmt.Sprintf("%d more problems", p.reported[file]-maxProblems)
		rest.Expected = "those listed to be mended first"
		p.problems = append(p.problems, rest)
	}
}

func (p *parser) refuse(d *draft, r record, found, expected string) {
	p.report(d, r.line, r.column, pool.Error, r.String(), found, expected)
}

func (p *parser) warn(d *draft, r record, found, expected string) {
	p.report(d, r.line, r.column, pool.Warning, r.String(), found, expected)
}

// read parses one file into a draft with its apex told; nil where that cannot
// be.
func (p *parser) read(file pool.ZoneFile) *draft {
	d := &draft{
		file:   file.Path,
		origin: strings.TrimSuffix(path.Base(file.Path), ".zone"),
		empty:  true,
		owners: map[string]*owner{},
		pools:  map[string]int{},
	}
	if _, ok := dns.IsDomainName(d.origin); !ok || d.origin == "" {
		p.unreadable = true
		p.report(d, 0, 0, pool.Error, "file name", fmt.Sprintf("%q", path.Base(file.Path)), `the zone's name and ".zone"`)
		return nil
	}
	d.origin = canonical(d.origin)
	p.parseRecords(d, file.Data)
	return d
}

// take checks a record by itself and adds it to the draft.
func (p *parser) take(d *draft, r record, rr dns.RR) {
	r.kind = rr.Header().Rrtype
	if name := rr.Header().Name; name != "" {
		r.name = canonical(name)
	}
	if found, expected := r.check(rr, p.buffer[:]); found != "" {
		if r.name == "" {
			d.loseAny(r.kind)
		} else {
			d.lose(r.name, r.kind)
		}
		p.refuse(d, r, found, expected)
		return
	}
	d.records = append(d.records, r)
}

// check says what is wrong with a record by itself, and takes it over if that
// is nothing.
func (r *record) check(rr dns.RR, buffer []byte) (found, expected string) {
	header := rr.Header()
	switch {
	case r.name == "":
		return "no owner name", "a name at the beginning of the file's first record"
	case header.Class != dns.ClassINET:
		return "class " + dns.Class(header.Class).String(), "class IN"
	case isMeta(r.kind):
		return "a type that only questions and messages have", "a type of records"
	case r.noTTL:
		return "no TTL", "a TTL, or $TTL before the first record"
	case header.Ttl > maxTTL:
		return fmt.Sprintf("TTL %d", header.Ttl), expectedTTL
	}
	if err := r.normalise(rr, buffer); err != nil {
		return "data that cannot be sent (" + err.Error() + ")", "data of this type"
	}
	return "", ""
}

// normalise packs and unpacks the record: names come out in one form, and what
// cannot be sent is found now. The parser takes base64 and the like unread.
func (r *record) normalise(rr dns.RR, buffer []byte) error {
	length, err := dns.PackRR(rr, buffer, 0, nil, false)
	if err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	// From bytes of its own: a record may keep parts of what it is unpacked from.
	again, _, err := dns.UnpackRR(slices.Clone(buffer[:length]), 0)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	size := int(again.Header().Rdlength)
	if _, unknown := again.(*dns.RFC3597); size == 0 && !unknown && r.kind != dns.TypeAPL && r.kind != dns.TypeNULL {
		return fmt.Errorf("there is none")
	}
	r.rr, r.data = again, string(buffer[length-size:length])
	return nil
}

// isMeta reports whether a type stands for no data (RFC 6895, section 3.1).
func isMeta(kind uint16) bool {
	return kind == dns.TypeNone || kind == dns.TypeOPT || kind >= 128 && kind <= 255
}
