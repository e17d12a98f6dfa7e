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
// pool's zone. Problems come sorted by file and line, all of them in one go,
// but that a file is read no further than its first syntax error. The Static
// is nil if any problem is an Error.
//
// Files are RFC 1035 master files as miekg/dns reads them, with $ORIGIN, $TTL
// and $GENERATE and without $INCLUDE. The first origin is the file's name
// without ".zone"; the zone's apex is the owner of its SOA record. What is
// wrong but can be left out is left out with a Warning: duplicates, DNSSEC
// records, and what a delegation or a DNAME hides.
func Parse(definition *pool.Definition) (*Static, []pool.Problem) {
	return parse(definition, maxRecords)
}

func parse(definition *pool.Definition, limit int) (*Static, []pool.Problem) {
	p := &parser{
		definition: definition,
		limit:      limit,
		drafts:     map[string]*draft{},
		reported:   map[string]int{},
		unlisted:   map[string]pool.Problem{},
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
	broken  bool // by a syntax error: what is missing may stand further down
	// refused are the types of which records were refused by themselves: they
	// are not said to be missing.
	refused map[uint16]bool
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
	rr   dns.RR
	name string // canonical
	kind uint16
	data string // the RDATA, uncompressed
	line int
}

// String gives name and type.
func (r record) String() string {
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
func (p *parser) report(d *draft, line int, severity pool.Severity, what, found, expected string) {
	p.add(pool.Problem{
		Position: pool.Position{File: d.file, Line: line},
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
	p.report(d, r.line, pool.Error, r.String(), found, expected)
}

func (p *parser) warn(d *draft, r record, found, expected string) {
	p.report(d, r.line, pool.Warning, r.String(), found, expected)
}

// read parses one file into a draft with its apex told; nil where that cannot
// be.
func (p *parser) read(file pool.ZoneFile) *draft {
	d := &draft{
		file:    file.Path,
		origin:  strings.TrimSuffix(path.Base(file.Path), ".zone"),
		empty:   true,
		refused: map[uint16]bool{},
		owners:  map[string]*owner{},
		pools:   map[string]int{},
	}
	if _, ok := dns.IsDomainName(d.origin); !ok || d.origin == "" {
		p.unreadable = true
		p.report(d, 0, pool.Error, "file name", fmt.Sprintf("%q", path.Base(file.Path)), `the zone's name and ".zone"`)
		return nil
	}
	d.origin = canonical(d.origin)
	p.parseRecords(d, file.Data)
	return d
}

// parseRecords runs the zone parser over a file. A panic in it is the file's
// fault, and must not be the server's end.
func (p *parser) parseRecords(d *draft, data []byte) {
	reader := newLineReader(data)
	defer func() {
		if panicked := recover(); panicked != nil {
			d.broken = true
			p.report(d, reader.recordLine(), pool.Error, "master file", fmt.Sprintf("what makes the parser fail: %v", panicked),
				"a record in the form of RFC 1035, section 5")
		}
	}()
	zp := dns.NewZoneParser(reader, d.origin, "")
	zp.SetDefaultTTL(noTTL)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		line := reader.recordLine()
		if p.records++; p.records > p.limit {
			d.broken = true
			p.report(d, line, pool.Error, "zone files", "more records than that here",
				fmt.Sprintf("at most %d in all files, those of $GENERATE included", p.limit))
			return
		}
		if ttl, generated := reader.generatedTTL(); generated {
			rr.Header().Ttl = ttl
		}
		p.take(d, rr, line)
	}
	if err := zp.Err(); err != nil {
		d.broken = true
		p.add(syntaxProblem(d.file, err))
	}
}

// noTTL stands for a TTL that is not stated. Left alone, the parser makes a 0
// of it.
const noTTL = 1<<32 - 1

// take checks a record by itself and adds it to the draft.
func (p *parser) take(d *draft, rr dns.RR, line int) {
	d.empty = false
	header := rr.Header()
	r := record{kind: header.Rrtype, line: line}
	if header.Name != "" {
		r.name = canonical(header.Name)
	}
	found, expected := r.check(rr, p.buffer[:])
	if found != "" {
		d.refused[r.kind] = true
		p.refuse(d, r, found, expected)
		return
	}
	d.records = append(d.records, r)
}

// check says what is wrong with a record by itself, and takes it over if that
// is nothing.
func (r *record) check(rr dns.RR, buffer []byte) (found, expected string) {
	const maxTTL = 1<<31 - 1 // RFC 2181, section 8
	header := rr.Header()
	switch {
	case r.name == "":
		return "no owner name", "a name at the beginning of the file's first record"
	case header.Class != dns.ClassINET:
		return "class " + dns.Class(header.Class).String(), "class IN"
	case isMeta(r.kind):
		return "a type that only questions and messages have", "a type of records"
	case header.Ttl == noTTL:
		return "no TTL", "a TTL, or $TTL before the first record"
	case header.Ttl > maxTTL:
		return fmt.Sprintf("TTL %d", header.Ttl), fmt.Sprintf("at most %d seconds", maxTTL)
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

// syntaxProblem words an error of the zone parser, which tells token and place
// in its text alone.
func syntaxProblem(file string, err error) pool.Problem {
	problem := pool.Problem{
		Position: pool.Position{File: file},
		Severity: pool.Error,
		What:     "master file",
		Found:    err.Error(),
		Expected: "a record in the form of RFC 1035, section 5",
	}
	text, place, ok := cutLast(strings.TrimPrefix(err.Error(), "dns: "), " at line: ")
	if !ok {
		return problem
	}
	if _, scanErr := fmt.Sscanf(place, "%d:%d", &problem.Line, &problem.Column); scanErr != nil {
		return problem
	}
	reason, token, _ := cutLast(text, ": ")
	problem.Found = fmt.Sprintf("%s (%s)", token, reason)
	switch {
	case strings.HasPrefix(reason, "$INCLUDE"):
		problem.Found = "$INCLUDE " + token
		problem.Expected = "the records themselves: a zone is one file"
	case reason == "not a TTL":
		problem.Found = token
		problem.Expected = "a TTL, class or type"
	}
	return problem
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}
