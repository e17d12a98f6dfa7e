package dnsserver

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

// archived is a repository with what makes a table of it, from a file of the
// form that the archives in zones/testdata have: the repository's files, and
// the sections settings ("self ADDRESS"), health ("ADDRESS down", "* unknown"),
// geo ("PREFIX COUNTRY [ASN]") and questions ("NAME ...").
type archived struct {
	path  string
	files map[string]string
	input zones.Input
	table *zones.Table
	names []string // worth asking for
}

// readTables compiles all archives of a pattern.
func readTables(t testing.TB, pattern string) []*archived {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives %s: %v", pattern, err)
	}
	var all []*archived
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files := make(map[string]string)
		for _, file := range archive.Files {
			files[file.Name] = string(file.Data)
		}
		all = append(all, newArchived(t, path, files))
	}
	return all
}

func newArchived(t testing.TB, path string, files map[string]string) *archived {
	t.Helper()
	a := &archived{path: path, files: files}
	repository := fstest.MapFS{}
	for name, data := range files {
		if strings.HasSuffix(name, ".json") || strings.HasPrefix(name, "zones/") {
			repository[name] = &fstest.MapFile{Data: []byte(data)}
		}
	}
	definition, problems := pool.Parse(repository)
	if definition == nil {
		t.Fatalf("%s: %v", path, problems)
	}
	static, problems := zones.Parse(definition)
	if static == nil {
		t.Fatalf("%s: %v", path, problems)
	}
	a.input = zones.Input{Definition: definition, Static: static, Now: time.Unix(1_700_000_000, 0)}
	for _, fields := range a.lines("settings") {
		a.input.SelfAddresses = append(a.input.SelfAddresses, netip.MustParseAddr(fields[1]))
	}
	a.input.Health = a.health()
	places := make(map[netip.Prefix]geo.Place)
	for _, fields := range a.lines("geo") {
		place := geo.Place{Country: fields[1]}
		if len(fields) > 2 {
			fmt.Sscan(fields[2], &place.ASN)
		}
		places[netip.MustParsePrefix(fields[0])] = place
	}
	a.input.Geo = geo.NewMap(places)
	a.compile(t)
	a.collectNames()
	return a
}

func (a *archived) compile(t testing.TB) {
	t.Helper()
	table, err := zones.Compile(a.input)
	if err != nil {
		t.Fatalf("%s: %v", a.path, err)
	}
	a.table = table
}

// lines gives the fields of a section's lines, without comments.
func (a *archived) lines(section string) (all [][]string) {
	for line := range strings.Lines(a.files[section]) {
		line, _, _ = strings.Cut(line, ";")
		if fields := strings.Fields(line); len(fields) > 0 {
			all = append(all, fields)
		}
	}
	return all
}

func (a *archived) health() *health.Report {
	verdicts := make(map[string]string)
	for _, fields := range a.lines("health") {
		verdicts[fields[0]] = fields[1]
	}
	states := make(map[health.Target]health.State)
	for _, one := range a.input.Definition.Pools {
		for _, member := range one.Members {
			for _, address := range member.Addresses {
				verdict, found := verdicts[address.String()]
				if !found {
					verdict = verdicts["*"]
				}
				switch verdict {
				case "", "up":
					states[health.MemberTarget(one, address)] = health.State{Verdict: health.Up}
				case "down":
					states[health.MemberTarget(one, address)] = health.State{Verdict: health.Down}
				}
			}
		}
	}
	return health.NewReport(states)
}

// collectNames finds what is worth asking for: names that the archive asks for,
// those that its zones begin lines with, pools, and others near them.
func (a *archived) collectNames() {
	seen := make(map[string]bool)
	add := func(name string) {
		if !seen[name] && len(wireNameOrNil(name)) > 0 {
			seen[name] = true
			a.names = append(a.names, name)
		}
	}
	for _, fields := range a.lines("questions") {
		add(fields[0])
	}
	for _, one := range a.input.Definition.Pools {
		add(one.Name + ".")
		add("a." + one.Name + ".")
	}
	for path, data := range a.files {
		if !strings.HasPrefix(path, "zones/") {
			continue
		}
		apex := strings.TrimSuffix(strings.TrimPrefix(path, "zones/"), ".zone") + "."
		if apex == "root." {
			apex = "."
		}
		under := func(label string) string { return strings.TrimSuffix(label+"."+apex, "..") }
		add(apex)
		add(under("no"))
		for line := range strings.Lines(data) {
			if strings.ContainsAny(line[:1], " \t\n$;@") {
				continue
			}
			name := strings.Fields(line)[0]
			if !strings.HasSuffix(name, ".") || strings.HasSuffix(name, `\.`) {
				name = under(name)
			}
			for _, front := range []string{"", "x.", "y.x.", `\000\200\..`} {
				add(front + name)
			}
			if rest, ok := strings.CutPrefix(name, "*."); ok {
				for _, front := range []string{"", "x.", "y.x.", `\000\200\..`} {
					add(front + rest)
				}
			}
		}
	}
}
